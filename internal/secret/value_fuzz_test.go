package secret_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/internal/secret"
)

// FuzzFile: a key file gives a value that is text and at most one line end shorter than the file, or an error that does
// not hold what is in it.
func FuzzFile(f *testing.F) {
	for _, text := range []string{"sk-1234567890\n", "sk-1234567890\r\n", "\n", "", " a ", "two\nlines\n", "\x00key", "\xff\xfekey"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := secret.NewResolver(secret.Options{}).Secret(secret.Ref{File: path})
		if err != nil {
			t.Fatal(err)
		}
		value, err := s.Reveal(t.Context())
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("the error holds the file's text: %v", err)
			}
			return
		}
		if value == "" || !utf8.ValidString(value) || strings.ContainsRune(value, 0) || !strings.HasPrefix(text, value) || len(text)-len(value) > 2 {
			t.Errorf("%q became %q", text, value)
		}
	})
}
