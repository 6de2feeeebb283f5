package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/config"
)

//nolint:gochecknoglobals // a flag of the test binary is one
var update = flag.Bool("update", false, "write the golden files anew")

func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every broken file is refused with the text beside it, which a person has read and found plain.
func TestBrokenFiles(t *testing.T) {
	paths := files(t, "bad")
	if len(paths) < 30 {
		t.Errorf("%d broken files, want at least 30", len(paths))
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("schedules.yaml", read(t, path), options(nil))
			var wrong *config.Errors
			if cfg != nil || !errors.As(err, &wrong) {
				t.Fatalf("got %v, %v, want *Errors", cfg, err)
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "canary") {
				t.Errorf("a key is in the error:\n%s", got)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A key far behind in a line of a megabyte is as hidden as in a short one.
func TestKeysInLongLinesAreMasked(t *testing.T) {
	for name, text := range map[string]string{
		"the key itself":    `providers: {` + strings.Repeat(" ", 50_000) + `m: {api_key: "canary words"}}`,
		"a key beside":      `providers: {` + strings.Repeat(" ", 50_000) + `m: {base_ur: x, api_key: "canary words"}}`,
		"behind the fault":  `providers: {m: {base_ur: x,` + strings.Repeat(" ", 50) + `api_key: "canary words"}}`,
		"a header by value": `exporters: [{name: a, kind: otel, ` + strings.Repeat(" ", 5000) + `wth: {}, with: {headers: {x-api-key: canary words}}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("x.yaml", []byte(text), options(nil))
			if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "***") {
				t.Errorf("got %v, want the key masked", err)
			}
		})
	}
}
