// Package oneline makes text that a server or a library wrote fit for summaries, evidence and facts: valid UTF-8, no
// control characters, bounded. It does not remove secrets: text that may hold one is not to be passed on at all.
package oneline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Of is s as one line of at most max bytes. What was cut ends in "…".
func Of(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	const more = "…"
	end := max(most-len(more), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if most < len(more) {
		return s[:end]
	}
	return s[:end] + more
}
