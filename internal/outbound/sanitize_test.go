package outbound_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

func TestSanitize(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain text stays":                     {"Model foo is not in use.", 100, "Model foo is not in use."},
		"lines become one":                     {"a\nb\r\n\tc\u2028d", 100, "a b c d"},
		"colours go":                           {"\x1b[31mred\x1b[0m \x1b]0;title\x07end", 100, "red end"},
		"one-byte introducers go too":          {"\u009b31mred", 100, "red"},
		"NUL and bells go":                     {"a\x00b\x07c\x7f", 100, "abc"},
		"overrides of the reading order go":    {"abc\u202edef\u2066\u200b", 100, "abcdef"},
		"broken UTF-8 is marked":               {"a\xff\xfeb", 100, "a\ufffdb"},
		"lone surrogates are broken UTF-8":     {"a\xed\xa0\x80b", 100, "a\ufffdb"},
		"long text is cut on a character":      {"ééééé", 8, "éé…"},
		"too little room for an ellipsis":      {"abcdef", 2, "ab"},
		"no room":                              {"abc", 0, ""},
		"text that just fits is left alone":    {"abcd", 4, "abcd"},
		"a long run of what goes is bounded":   {strings.Repeat("\x00", 1<<20) + "x", 10, ""},
		"white space at the ends goes":         {"  a  ", 10, "a"},
		"an unfinished terminal sequence goes": {"a\x1b[31", 10, "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outbound.Sanitize(tt.in, tt.limit); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add("a\x1b[31mb\n\xff", 5)
	f.Add(strings.Repeat("é", 50), 11)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		got := outbound.Sanitize(in, limit)
		if len(got) > max(limit, 0) && len(got) > 0 {
			t.Errorf("%d bytes, limit %d", len(got), limit)
		}
		if !utf8.ValidString(got) && limit >= 3 {
			t.Errorf("not UTF-8: %q", got)
		}
		if i := strings.IndexFunc(got, unicode.IsControl); i >= 0 {
			t.Errorf("a control character at %d of %q", i, got)
		}
		if again := outbound.Sanitize(got, limit); again != got {
			t.Errorf("not settled: %q, then %q", got, again)
		}
	})
}
