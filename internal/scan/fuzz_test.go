package scan_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// FuzzFile: whatever a file holds, a look ends, says the same twice, and what it names stands in the file.
func FuzzFile(f *testing.F) {
	names := []string{"a.ts", "a.go", "a.py", "a.php", "a.rb", "a.sh", "a.yaml", "a.toml", "a.json", "Dockerfile", "a.tf", "a.xml", "a.md", "a.rs"}
	for _, pattern := range []string{"testdata/app/*/*", "testdata/app/*"} {
		paths, _ := filepath.Glob(pattern)
		for i, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				f.Add(i, string(text))
			}
		}
	}
	for i, text := range []string{
		"`${`${`${", "client.chat.complete({ ...", `/["'` + "`]/", "'''\"\"\"", "mistral }})]([{", "<<EOF curl mistral /v1/chat/completions\n", "- model: mistral-small-latest\n  temperature: 1",
		"X=\"https://api.mistral.ai/v1/chat/completions\";X=X;f(X)", "kind: Secret\ndata:\n a: AAAA", "\\", "mistral'\\", "windsock:allow", "MistralAiChatModel.builder().a(.b().build()",
	} {
		f.Add(i, text)
	}
	f.Fuzz(func(t *testing.T, language int, text string) {
		name := names[int(uint(language)%uint(len(names)))]
		r := scan.File(name, []byte(text))
		if again := scan.File(name, []byte(text)); !reflect.DeepEqual(r, again) {
			t.Errorf("got %+v, then %+v", r, again)
		}
		lines := strings.Split(text, "\n")
		within := func(p scan.Place) {
			if p.File != name || p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
				t.Errorf("%s is no place in the text", p)
			}
		}
		for _, s := range append(r.Secrets, r.Allowed...) {
			within(s.Place)
		}
		for _, c := range r.Calls {
			within(c.Place)
			if c.MaxTokens == "" || c.Temperature == "" || c.API == "" {
				t.Errorf("a call without a word on what it sets: %+v", c)
			}
		}
		for _, m := range r.Models {
			within(m.Place)
			if !strings.HasPrefix(lines[m.Line-1][m.Column-1:], m.Model) && !strings.Contains(lines[m.Line-1], m.Model) {
				t.Errorf("%s does not stand at %s", m.Model, m.Place)
			}
		}
	})
}

// FuzzRedact: a key after its name is taken out whatever stands around it, and a second time changes nothing.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"", `{"a":"`, `\"`, "Authorization: Bearer ", "Cookie: ", "postgres://a:", "-----BEGIN A-----", "token='", "a@b.c", "eyJ", "password: [", "\xff"} {
		f.Add(s, s)
	}
	key := lot(32, base62)
	f.Fuzz(func(t *testing.T, before, after string) {
		got := scan.Redact(before + " api_key=" + key + " " + after)
		if strings.Contains(got, key) {
			t.Errorf("the key is in %q", got)
		}
		if again := scan.Redact(got); again != got {
			t.Errorf("%q became %q", got, again)
		}
	})
}
