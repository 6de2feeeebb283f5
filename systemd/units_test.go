// Package systemd_test holds what a host gets from this folder against itself and against its pages. What the units do on
// a real systemd is tested in e2e.
package systemd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// settings are the lines of a unit that are no comments.
func settings(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// An instance is the unit with its name in the paths, a home of its own and no credential of the others.
func TestAnInstanceIsTheUnit(t *testing.T) {
	want := strings.NewReplacer(
		"/etc/windsock/schedules.yaml", "/etc/windsock/%i.yaml", "/etc/default/windsock", "/etc/default/windsock@%i",
		"StateDirectory=windsock", "StateDirectory=windsock@%i", "RuntimeDirectory=windsock", "RuntimeDirectory=windsock@%i",
		"monitoring of Mistral AI", "monitoring of Mistral AI: %i",
		"EnvironmentFile=", "Environment=HOME=/var/lib/windsock@%i\nEnvironmentFile=",
		"ImportCredential=windsock.*\nImportCredential=mistral-api-key", "ImportCredential=windsock@%i.*",
	).Replace(strings.Join(settings(read(t, "windsock.service")), "\n"))
	want = strings.Replace(want, "EnvironmentFile=-/etc/default/windsock\n", "EnvironmentFile=-/etc/default/windsock@%i\n", 1)
	if got := strings.Join(settings(read(t, "windsock@.service")), "\n"); got != want {
		t.Errorf("windsock@.service is\n%s\nwant\n%s", got, want)
	}
}

// The page on hardening has every directive of the unit but what says when, where and what.
func TestEveryLineIsExplained(t *testing.T) {
	page := read(t, filepath.Join("..", "docs", "operations", "hardening.md"))
	plain := []string{"Description", "Documentation", "Wants", "After", "ExecStart", "RestartSec", "StateDirectoryMode", "RuntimeDirectoryMode", "Environment", "WantedBy"}
	for _, line := range settings(read(t, "windsock.service")) {
		key, _, is := strings.Cut(line, "=")
		if is && !slices.Contains(plain, key) && !strings.Contains(page, key+"=") {
			t.Errorf("docs/operations/hardening.md does not have %s=", key)
		}
	}
}

// A drop-in says how it is turned on, is on both pages, and has nothing that an older systemd would misread.
func TestDropIns(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("drop-ins", "*"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("got %v, %v", paths, err)
	}
	pages := map[string]string{"docs/operations/hardening.md": "", "systemd/README.md": ""}
	for name := range pages {
		pages[name] = read(t, filepath.Join("..", name))
	}
	for _, path := range paths {
		name, text := filepath.Base(path), read(t, path)
		if want := "install -D -m 0644 /usr/share/windsock/drop-ins/" + name + " -t /etc/systemd/system/windsock.service.d/"; !strings.Contains(text, want) || !strings.Contains(text, "systemctl daemon-reload") {
			t.Errorf("%s does not say how it is turned on: %s", name, want)
		}
		for page, text := range pages {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not name %s", page, name)
			}
		}
		for _, line := range settings(text) {
			if !regexp.MustCompile(`^(\[Service\]|[A-Z][A-Za-z]+=.*)$`).MatchString(line) {
				t.Errorf("%s has the line %q", name, line)
			}
		}
	}
}
