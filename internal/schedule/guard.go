package schedule

import (
	"fmt"
	"strconv"
	"strings"
)

// field is one place of a cron expression.
type field struct {
	name     string
	low      int
	high     int
	words    []string // names of values, from low upwards
	wordText string
}

func cronFields() []field {
	return []field{
		{name: "second", high: 59},
		{name: "minute", high: 59},
		{name: "hour", high: 23},
		{name: "day of the month", low: 1, high: 31},
		{
			name: "month", low: 1, high: 12, wordText: " or jan to dec",
			words: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
		},
		{
			name: "day of the week", high: 6, wordText: " (0 is Sunday) or sun to sat",
			words: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"},
		},
	}
}

// token is a piece of the expression with its 0-based place in it.
type token struct {
	text string
	at   int
}

// guard refuses what the parser behind it would take for something else (empty list items, steps past the end, signs) and
// says where.
func guard(expr string) error {
	tokens := fieldsOf(expr)
	fields := cronFields()
	if len(tokens) == len(fields)-1 {
		fields = fields[1:]
	}
	if len(tokens) != len(fields) {
		at := column(expr) - 1
		if len(tokens) > len(fields) {
			at = tokens[len(fields)].at
		}
		return &ParseError{
			Expr: expr, Column: at + 1,
			Msg: fmt.Sprintf("found %s, want 5 (minute, hour, day of the month, month, day of the week), or 6 with seconds first", plural(len(tokens), "field")),
		}
	}
	for i, f := range fields {
		for _, item := range split(tokens[i], ",") {
			if at, msg := f.check(item); msg != "" {
				return &ParseError{Expr: expr, Column: at + 1, Msg: "in the " + f.name + ": " + msg}
			}
		}
	}
	return nil
}

// check looks at one item of a list: *, N, N-M, each with or without /STEP. An empty msg is a good item.
func (f field) check(item token) (at int, msg string) {
	parts := split(item, "/")
	if len(parts) > 2 {
		return parts[2].at - 1, fmt.Sprintf("found a second step in %q, want one", item.text)
	}
	low, high, at, msg := f.bounds(parts[0])
	if msg != "" || len(parts) == 1 {
		return at, msg
	}
	if low == high { // N/STEP is N to the field's end
		high = f.high
	}
	step, ok := digits(parts[1].text)
	if most := max(1, high-low); !ok || step < 1 || step > most {
		return parts[1].at, fmt.Sprintf("found the step %q, want 1 to %d", parts[1].text, most)
	}
	return 0, ""
}

// bounds reads *, N or N-M.
func (f field) bounds(item token) (low, high, at int, msg string) {
	if item.text == "*" || item.text == "?" {
		return f.low, f.high, 0, ""
	}
	ends := split(item, "-")
	if len(ends) > 2 {
		return 0, 0, ends[2].at - 1, fmt.Sprintf("found a second hyphen in %q, want a range such as %d-%d", item.text, f.low, f.high)
	}
	for _, end := range ends {
		value, ok := f.value(end.text)
		if !ok {
			return 0, 0, end.at, f.wanted(end.text)
		}
		low, high = high, value
	}
	if len(ends) == 1 {
		return high, high, 0, ""
	}
	if high < low {
		return 0, 0, item.at, fmt.Sprintf("found the range %q, which ends before it begins; want the smaller value first", item.text)
	}
	return low, high, 0, ""
}

// value reads a number or a name within the field's bounds.
func (f field) value(text string) (int, bool) {
	for i, word := range f.words {
		if strings.EqualFold(word, text) {
			return f.low + i, true
		}
	}
	n, ok := digits(text)
	return n, ok && n >= f.low && n <= f.high
}

func (f field) wanted(text string) string {
	return fmt.Sprintf("found %q, want *, or %d to %d%s", text, f.low, f.high, f.wordText)
}

// digits reads a number of plain digits: no sign, no blank.
func digits(text string) (int, bool) {
	if text == "" || len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

func fieldsOf(expr string) []token {
	var tokens []token
	at := 0
	for text := range strings.FieldsSeq(expr) {
		at += strings.Index(expr[at:], text)
		tokens = append(tokens, token{text, at})
		at += len(text)
	}
	return tokens
}

func split(t token, separator string) []token {
	at := t.at
	var parts []token
	for text := range strings.SplitSeq(t.text, separator) {
		parts = append(parts, token{text, at})
		at += len(text) + len(separator)
	}
	return parts
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
