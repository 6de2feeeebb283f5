package oneline_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks/internal/oneline"
)

func TestTextIsMadeOneLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		most int
		want string
	}{
		"plain":                 {"plain", 10, "plain"},
		"lines":                 {"a\r\nb\tc\u2028d\x1b[31m", 20, "a  b c d [31m"},
		"invalid bytes":         {"a\xff\xfeb", 20, "a�b"},
		"cut":                   {"abcdefghij", 6, "abc…"},
		"cut within a rune":     {"aüüüü", 7, "aü…"},
		"as long as may be":     {"abcdef", 6, "abcdef"},
		"no room for the mark":  {"abcdef", 2, ""},
		"no room":               {"abcdef", 0, ""},
		"nothing to make":       {"", 5, ""},
		"a bound below nothing": {"a", -1, ""},
	} {
		if got := oneline.Of(tc.text, tc.most); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("a\xffü\n", 4)
	f.Fuzz(func(t *testing.T, text string, most int) {
		got := oneline.Of(text, most)
		if len(got) > max(most, 0) || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q of %q within %d", got, text, most)
		}
	})
}
