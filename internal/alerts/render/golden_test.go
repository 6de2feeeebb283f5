package render_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of the test binary

// golden compares with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s: got - want + (run with -update where this is right):\n%s", name, diff)
	}
}

func told(remarks []render.Remark) string {
	var out strings.Builder
	for _, r := range remarks {
		mark := "note: "
		if r.Lost {
			mark = "lost: "
		}
		out.WriteString(mark + r.String() + "\n")
	}
	return out.String()
}

func inputs() map[string]render.Input {
	return map[string]render.Input{"sample": sample(), "builtin": builtin()}
}

func TestTheRuleFileIsAsItWas(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		out, remarks := render.Prometheus(in)
		golden(t, name+".rules.yaml", string(out))
		golden(t, name+".rules.told", told(remarks))
	}
}
