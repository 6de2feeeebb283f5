package exec

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// datum is one value of a plugin's performance data, in the base unit of its family.
type datum struct {
	label      string
	family     family
	unit       string  // as written, where the family is unitless; "" where none was
	value      float64 // finite
	known      bool    // false for "U": the plugin could not tell
	warn, crit *span   // nil where there is none
}

// family is what a unit of measurement measures.
type family uint8

const (
	plain     family = iota // a number, or a unit that we do not know
	seconds                 // s, ms, us
	byteCount               // B, KB, MB, GB, TB: powers of 1024, as the Monitoring Plugins count
	percent                 // %
	running                 // c: a total that only grows
)

// unitOf reads a unit of measurement (UOM) of the Monitoring Plugins' guidelines, and the names that other plugins give
// the same units. known is false where the number stays as it is.
func unitOf(uom string) (f family, factor float64, known bool) {
	switch uom {
	case "":
		return plain, 1, true
	case "s":
		return seconds, 1, true
	case "ms":
		return seconds, 1e-3, true
	case "us", "µs", "μs":
		return seconds, 1e-6, true
	case "ns":
		return seconds, 1e-9, true
	case "%":
		return percent, 1, true
	case "c":
		return running, 1, true
	case "B":
		return byteCount, 1, true
	}
	size := strings.TrimSuffix(strings.TrimSuffix(uom, "B"), "i")
	if power := strings.Index("KMGTPE", strings.ToUpper(size)); len(size) == 1 && power >= 0 && strings.HasSuffix(uom, "B") {
		return byteCount, math.Pow(1024, float64(power+1)), true
	}
	return plain, 1, false
}

// eachDatum reads 'label'=value[UOM];[warn];[crit];[min];[max], separated by white space, and hands each to use. It goes
// on after an item that is none, and counts those. Labels are as written; use cleans them.
func eachDatum(text string, use func(datum)) (malformed int) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeftFunc(text, unicode.IsSpace) {
		label, rest, ok := cutLabel(text)
		word := firstWord(rest)
		text = rest[len(word):]
		if !ok {
			malformed++
			continue
		}
		d, ok := parseDatum(strings.TrimSuffix(word, ","))
		if !ok || strings.TrimSpace(label) == "" {
			malformed++
			continue
		}
		d.label = label
		use(d)
	}
	return malformed
}

func firstWord(text string) string {
	if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		return text[:i]
	}
	return text
}

// cutLabel splits a label from what follows its equals sign. A label with spaces is in quotes, and two quotes within are
// one. Where there is no label, rest is text, so that the caller can skip a word.
func cutLabel(text string) (label, rest string, ok bool) {
	if !strings.HasPrefix(text, "'") {
		label, _, ok = strings.Cut(firstWord(text), "=")
		if !ok {
			return "", text, false
		}
		return label, text[len(label)+1:], true
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '\'':
		case i+1 < len(text) && text[i+1] == '\'':
			i++
		case i+1 < len(text) && text[i+1] == '=':
			return strings.ReplaceAll(text[1:i], "''", "'"), text[i+2:], true
		default:
			return "", text, false
		}
	}
	return "", text, false
}

// parseDatum reads all that follows the equals sign.
func parseDatum(word string) (datum, bool) {
	fields := strings.Split(word, ";")
	if len(fields) > 5 {
		return datum{}, false
	}
	if strings.EqualFold(fields[0], "U") {
		return datum{}, true
	}
	value, uom, ok := number(fields[0])
	if !ok || !utf8.ValidString(uom) || len(uom) > 16 {
		return datum{}, false
	}
	f, factor, known := unitOf(uom)
	d := datum{family: f, value: value * factor, known: true}
	if math.IsInf(d.value, 0) {
		return datum{}, false
	}
	if !known {
		d.unit = uom
	}
	fields = append(fields, "", "")
	d.warn, d.crit = parseSpan(fields[1], factor), parseSpan(fields[2], factor)
	return d, true
}

// number reads the number that a text begins with: digits, one point or comma, an exponent where one is whole. What
// follows is its unit.
func number(text string) (value float64, unit string, ok bool) {
	whole := digits(text, signed(text, 0))
	end, count := whole, whole-signed(text, 0)
	if end < len(text) && (text[end] == '.' || text[end] == ',') {
		end = digits(text, whole+1)
		count += end - whole - 1
	}
	if end < len(text) && (text[end] == 'e' || text[end] == 'E') {
		from := signed(text, end+1)
		if to := digits(text, from); to > from {
			end = to
		}
	}
	unit = text[end:]
	if count == 0 || strings.ContainsAny(unit, "0123456789.,:='") {
		return 0, "", false // 1.234,5 and 0x10 and 10:20 are no numbers
	}
	value, err := strconv.ParseFloat(strings.Replace(text[:end], ",", ".", 1), 64)
	return value, unit, err == nil
}

// digits is where the digits end that begin at a place.
func digits(text string, at int) int {
	for at < len(text) && text[at] >= '0' && text[at] <= '9' {
		at++
	}
	return at
}

// signed is the place behind a sign.
func signed(text string, at int) int {
	if at < len(text) && (text[at] == '-' || text[at] == '+') {
		return at + 1
	}
	return at
}

// span is a threshold: the range of values that raise no alert, or, inverted, that do.
type span struct {
	low, high float64 // may be infinite
	inside    bool    // "@": a value within alerts
	text      string  // as written
}

// parseSpan reads a range of the guidelines: "10", "10:", "~:10", "10:20", "@10:20"; nil where there is none.
func parseSpan(text string, factor float64) *span {
	s := &span{high: math.Inf(1), text: text}
	rest, inside := strings.CutPrefix(text, "@")
	s.inside = inside
	low, high, isRange := strings.Cut(rest, ":")
	if !isRange {
		low, high = "0", rest
		if high == "" {
			return nil
		}
	}
	if low == "~" {
		s.low = math.Inf(-1)
	} else if !bound(low, factor, &s.low) {
		return nil
	}
	if high != "" && !bound(high, factor, &s.high) {
		return nil
	}
	return s
}

// bound reads one end of a range. It is in the unit of the value, unless it has one of its own.
func bound(text string, factor float64, into *float64) bool {
	v, uom, ok := number(text)
	if _, own, known := unitOf(uom); known && uom != "" {
		factor = own
	}
	if ok {
		*into = v * factor
	}
	return ok
}

// alerts reports whether the value is beyond the threshold.
func (s *span) alerts(value float64) bool {
	if s == nil {
		return false
	}
	within := value >= s.low && value <= s.high
	return within == s.inside
}
