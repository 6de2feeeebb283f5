package scan_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// list is all that a look found, a line for each.
func list(r scan.Result) []string {
	var all []string
	add := func(p scan.Place, format string, args ...any) {
		text := p.String() + " " + fmt.Sprintf(format, args...)
		if p.Test {
			text += " (test)"
		}
		all = append(all, text)
	}
	for _, f := range r.Secrets {
		add(f.Place, "holds %s", f.Kind)
	}
	for _, f := range r.Allowed {
		add(f.Place, "is allowed %s: %s", f.Kind, f.Why)
	}
	for _, c := range r.Calls {
		add(c.Place, "calls %s %s, max_tokens %s, temperature %s", c.API, c.Model, c.MaxTokens, c.Temperature)
	}
	for _, m := range r.Models {
		floats := ""
		if m.Floating {
			floats = ", floating"
		}
		add(m.Place, "names %s%s", m.Model, floats)
	}
	return all
}

// Everything that was planted is found, and nothing is invented.
func TestSampleApplication(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/app.want")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Split(string(data), "\n"), func(line string) bool { return line == "" || line[0] == '#' })
	r, err := scan.Dir(t.Context(), "testdata/app", scan.Options{})
	if err != nil || r.Truncated != "" || r.Unread != 0 {
		t.Fatalf("got %v, %q, %d unread", err, r.Truncated, r.Unread)
	}
	got := list(r)
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("invented: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missed: %s", line)
		}
	}
	if r.Skipped != 3 { // the lock file, node_modules, the picture
		t.Errorf("got %d skipped, want 3", r.Skipped)
	}
}

func TestCleanApplication(t *testing.T) {
	t.Parallel()
	r, err := scan.Dir(t.Context(), "testdata/clean", scan.Options{})
	if err != nil || r.Files != 3 || len(list(r)) != 0 {
		t.Errorf("got %d files, %v, %q, want 3 and nothing found", r.Files, err, list(r))
	}
}
