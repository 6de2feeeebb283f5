package main

import (
	"slices"
	"strings"
	"testing"
)

func TestACommandIsSplitAsAShellSplitsIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"kubectl rollout undo deployment/shop": {"kubectl", "rollout", "undo", "deployment/shop"},
		"  a   b\t c ":                         {"a", "b", "c"},
		`a 'b  c' "d e" f\ g`:                  {"a", "b  c", "d e", "f g"},
		`a '' ""`:                              {"a", "", ""},
		`a '$HOME ` + "`x`" + ` | \ "' "it's"`: {"a", "$HOME `x` | \\ \"", "it's"},
		`a "\"q\" \\ \n \$x"`:                  {"a", `"q" \ \n $x`},
		`--a='b c' d"e"'f'`:                    {"--a=b c", "def"},
		`a 'jsonpath={.items[*]}'`:             {"a", "jsonpath={.items[*]}"},
	} {
		if got, err := shellWords(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "  ": "empty", "''": "empty", "a 'b": "no end", `a "b`: "no end", `a \`: "no end", "a $b": "for a shell", `a "$b"`: "for a shell",
		"a `b`": "for a shell", "a && b": "for a shell", "a; b": "for a shell", "a > b": "for a shell", "a | b": "for a shell", "a\nb": "for a shell", "a *": "for a shell", "~/a": "for a shell",
	} {
		if got, err := shellWords(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want an error with %q", text, got, err, want)
		}
	}
}

// FuzzShellWords: what is taken has a first word, and no character of a word was made up.
func FuzzShellWords(f *testing.F) {
	for _, seed := range []string{"a b", `a 'b c' "d\"e"`, `\a`, "'", "a$b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := shellWords(text)
		if err != nil {
			return
		}
		if words[0] == "" || len(strings.Join(words, "")) > 3*len(text) {
			t.Errorf("%q became %q", text, words)
		}
	})
}
