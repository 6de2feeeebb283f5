package runbook

import (
	"strings"
	"unicode"
)

// word is a value of the team as one word of a POSIX shell. What cannot be seen in a terminal becomes a question mark.
func word(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if text != "" && text[0] != '=' && strings.IndexFunc(text, quoted) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func quoted(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:@%+,=", r)
}

// flag is an option with its value, and the space before it; "" where the team said nothing and the program knows one itself.
func flag(name, text string) string {
	if text == "" {
		return ""
	}
	return " --" + name + "=" + word(text)
}
