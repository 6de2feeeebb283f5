package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// maxProblems are told at once; a file that is all wrong needs no more.
const maxProblems = 100

// Problem is one fault of a file, in its place. Line and Column count from 1, in characters; 0 is the file as a whole.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`          // what was found and what was wanted
	Hint    string `json:"hint,omitempty"`   // the nearest right word, or what to write instead
	Source  string `json:"source,omitempty"` // the line, and a caret below the place; keys are masked
}

// String is what a person reads: place, message, hint and the line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Source != "" {
		b.WriteString("\n" + p.Source)
	}
	return b.String()
}

// Errors are all faults of a file, in its order.
type Errors struct { //nolint:errname // it is a list, and callers name it so
	problems []Problem
	more     int // beyond maxProblems
	causes   []error
	masked   map[int]int // as in report
}

// Error is every problem, each with its line.
func (e *Errors) Error() string {
	parts := make([]string, 0, len(e.problems)+1)
	for _, p := range e.problems {
		parts = append(parts, p.String())
	}
	if e.more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", e.more))
	}
	return strings.Join(parts, "\n")
}

// List returns the problems in the order of the file.
func (e *Errors) List() []Problem { return slices.Clone(e.problems) }

// Unwrap gives what kinds said of their parameters.
func (e *Errors) Unwrap() []error { return e.causes }

// place is a point of the file; the zero place is the file as a whole.
type place struct{ line, column int }

// report collects the problems of one file. It is not safe for concurrent use.
type report struct {
	file     string
	lines    []string
	problems []Problem
	warnings []Problem
	causes   []error
	seen     map[Problem]bool
	more     int
	settled  map[place]bool // places that need no second word
	masked   map[int]int    // by line: the column from which it holds a credential; shared with forks
	first    string         // the key that the file must have
	others   []*report      // of files that this one names
	named    bool           // another file names this one
}

func newReport(file string, data []byte) *report {
	r := &report{file: file, seen: map[Problem]bool{}, masked: map[int]int{}, first: "checks"}
	if len(data) <= MaxSize {
		r.lines = strings.Split(strings.ToValidUTF8(string(data), "\uFFFD"), "\n")
	}
	return r
}

// fork is a report on the same file that has no problems yet.
func (r *report) fork() *report {
	return &report{file: r.file, lines: r.lines, seen: map[Problem]bool{}, masked: maps.Clone(r.masked)}
}

// settle keeps what follows from being said of places that have a problem already: a timeout that is not a duration is
// not also too short.
func (r *report) settle() {
	r.settled = map[place]bool{}
	for _, p := range r.problems {
		r.settled[place{p.Line, p.Column}] = p.Line > 0
	}
}

// addSecret reports a credential that stands in the file, and hides it and all behind it on its line.
func (r *report) addSecret(at place) {
	r.mask(at)
	r.add(at, "take the key out of this file, and out of its history", "found the credential itself; %s", onlyByReference)
}

func (r *report) mask(at place) {
	if from, hidden := r.masked[at.line]; !hidden || at.column < from {
		r.masked[at.line] = at.column
	}
}

func (r *report) add(at place, hint, format string, args ...any) {
	p := r.problem(at, hint, fmt.Sprintf(format, args...))
	switch {
	case r.seen[p], r.settled[at]:
	case len(r.problems) >= maxProblems:
		r.more++
	default:
		r.seen[p] = true
		r.problems = append(r.problems, p)
	}
}

// warn notes what works and should not stay.
func (r *report) warn(at place, format string, args ...any) {
	if p := r.problem(at, "", fmt.Sprintf(format, args...)); !r.seen[p] {
		r.seen[p] = true
		r.warnings = append(r.warnings, p)
	}
}

func (r *report) problem(at place, hint, message string) Problem {
	return Problem{
		File: r.file, Line: at.line, Column: at.column, Message: oneLine(maskWords(message)), Hint: oneLine(hint),
	}
}

// merge takes over what an error holds: placed problems as they are, parameters by their path, the rest at fallback.
func (r *report) merge(err error, locate func(path string) place) {
	if placed, ok := errors.AsType[*Errors](err); ok {
		for line, column := range placed.masked {
			r.mask(place{line, column})
		}
		for _, p := range placed.problems {
			p.Source = ""
			if !r.seen[p] {
				r.seen[p] = true
				r.problems = append(r.problems, p)
			}
		}
		r.more += placed.more
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r.merge(e, locate)
		}
		return
	}
	r.causes = append(r.causes, err)
	if param, ok := errors.AsType[*checks.ParamError](err); ok {
		r.add(locate(param.Path), "", "%s", param.Error())
		return
	}
	r.add(locate(""), "", "%s", err.Error())
}

// err is nil, or an *Errors with the problems in the order of the file, and then those of the files that it names.
func (r *report) err() error {
	all := r.told(func(r *report) []Problem { return r.problems })
	if len(all) == 0 {
		return nil
	}
	more := r.more
	for _, other := range r.others {
		more += other.more
	}
	return &Errors{problems: all, more: more, causes: r.causes, masked: r.masked}
}

// told lists what is to be told of this file and of those that it names.
func (r *report) told(of func(*report) []Problem) []Problem {
	all := r.sorted(of(r))
	for _, other := range r.others {
		all = append(all, other.sorted(of(other))...)
	}
	return all
}

// sorted returns the problems in the order of the file, each with its line as it may be shown.
func (r *report) sorted(problems []Problem) []Problem {
	sorted := slices.Clone(problems)
	for i := range sorted {
		sorted[i].Source = r.source(place{sorted[i].Line, sorted[i].Column})
	}
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return sorted
}

// source is the line with a caret under the place. What looks like a credential is masked: the fault may be that a key
// stands in the file, and errors go to logs.
func (r *report) source(at place) string {
	const width, margin = 160, 2048
	if at.line < 1 || at.line > len(r.lines) {
		return ""
	}
	line, column := []rune(printable(r.lines[at.line-1])), max(at.column, 1)
	if skip := column - margin; skip > 0 && skip < len(line) { // masking needs what stands before, but not a megabyte of it
		line, column = line[skip:], column-skip
	}
	hidden, masked := r.masked[at.line]
	hidden -= max(at.column, 1) - column
	line = []rune(maskLine(string(line[:min(len(line), column+margin)])))
	for i := max(hidden-1, 0); masked && i < len(line); i++ {
		line[i] = '*'
	}
	column = min(column, len(line)+1)
	from := 0
	if len(line) > width && column > width/2 {
		from = column - width/2
	}
	to := min(len(line), from+width)
	number := fmt.Sprintf("%5d", at.line)
	return number + " | " + string(line[from:to]) + "\n" + strings.Repeat(" ", len(number)) + " | " + strings.Repeat(" ", column-1-from) + "^"
}

// printable keeps the columns and lets nothing through that a terminal would obey.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c == utf8.RuneError || !unicode.IsPrint(c):
			return '\u00b7'
		}
		return c
	}, strings.TrimRight(s, "\r"))
}

func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, s)
}

// maskLine hides the values of keys that sound like credentials, the password of a URL, and words that look random.
func maskLine(line string) string {
	named := regexp.MustCompile(`(?i)(?:api_?key|apikey|key|token|secret|passw(?:or)?d|passphrase|authorization|bearer|cookie)"?'?\s*[:=]\s*["']?([^\s"'\[{][^"'#}]*)`)
	userinfo := regexp.MustCompile(`://([^/@\s]+)@`)
	for _, re := range []*regexp.Regexp{named, userinfo} {
		line = maskGroups(line, re)
	}
	return maskWords(line)
}

// maskWords hides every word that looks random: sixteen letters and digits mixed, or longer.
func maskWords(text string) string {
	words := regexp.MustCompile(`[A-Za-z0-9+/=]{16,}`)
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if !strings.ContainsAny(word, "0123456789") || strings.Trim(strings.ToLower(word), "0123456789") == "" ||
			strings.Count(word, "/") > 1 {
			return word
		}
		return strings.Repeat("*", len(word))
	})
}

// maskGroups hides the first group of every match, letter by letter, so that the columns stay.
func maskGroups(text string, re *regexp.Regexp) string {
	var b strings.Builder
	end := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[end:m[2]])
		group := text[m[2]:m[3]]
		if harmless(group) {
			b.WriteString(group)
		} else {
			b.WriteString(strings.Repeat("*", utf8.RuneCountInString(group)))
		}
		end = m[3]
	}
	return b.String() + text[end:]
}

// harmless reports whether a value is a small number, a duration or a truth value: `max_tokens: 16` is no credential.
func harmless(value string) bool {
	return regexp.MustCompile(`^([0-9.]{1,6}[a-z]{0,2}|true|false)(,.*)?\s*$`).MatchString(value)
}
