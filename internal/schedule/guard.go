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

// check looks at one item of a list: *, N, N-M, each with or without /STEP.
func (f field) check(item token) (at int, msg string) {
	parts := split(item, "/")
	if len(parts) > 2 {
		return parts[2].at - 1, fmt.Sprintf("found a second step in %q, want one", item.text)
	}
	low, high := f.low, f.high
	if parts[0].text != "*" && parts[0].text != "?" {
		ends := split(parts[0], "-")
		if len(ends) > 2 {
			return ends[2].at - 1, fmt.Sprintf("found a second hyphen in %q, want a range such as %d-%d", parts[0].text, f.low, f.high)
		}
		var ok bool
		if low, ok = f.value(ends[0].text); !ok {
			return ends[0].at, f.wanted(ends[0].text)
		}
		switch {
		case len(ends) == 2:
			if high, ok = f.value(ends[1].text); !ok {
				return ends[1].at, f.wanted(ends[1].text)
			}
			if high < low {
				return parts[0].at, fmt.Sprintf("found the range %q, which ends before it begins; want the smaller value first", parts[0].text)
			}
		case len(parts) == 1:
			high = low
		}
	}
	if len(parts) == 1 {
		return 0, ""
	}
	step, ok := digits(parts[1].text)
	if !ok || step < 1 || step > max(1, high-low) {
		return parts[1].at, fmt.Sprintf("found the step %q, want %d to %d", parts[1].text, 1, max(1, high-low))
	}
	return 0, ""
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
	for _, text := range strings.Fields(expr) {
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
