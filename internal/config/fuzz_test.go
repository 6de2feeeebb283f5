package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/config"
)

// Whatever the text, there is a configuration or an *Errors with at least one problem, whose places lie in the file.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			f.Add(readFuzz(f, path))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("fuzz.yaml", data, options(nil))
		if err == nil {
			if cfg == nil || len(cfg.Checks) == 0 {
				t.Fatal("neither checks nor an error")
			}
			config.Compress(cfg, 100)
			return
		}
		wrong, ok := errors.AsType[*config.Errors](err)
		if cfg != nil || !ok || len(wrong.List()) == 0 {
			t.Fatalf("got %v, %v", cfg, err)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1
		for _, p := range wrong.List() {
			if p.Line < 0 || p.File == "fuzz.yaml" && p.Line > lines || p.Message == "" || p.Line > 0 && p.Column < 1 {
				t.Errorf("got %+v of %d lines", p, lines)
			}
			if strings.ContainsFunc(p.String(), func(c rune) bool { return c < ' ' && c != '\n' }) {
				t.Errorf("a control character is in %q", p.String())
			}
		}
	})
}

func readFuzz(f *testing.F, path string) []byte {
	f.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return data
}
