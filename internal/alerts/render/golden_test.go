package render_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
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

func TestTheMonitorsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		out, remarks := render.Datadog(in)
		golden(t, name+".monitors.json", string(out))
		golden(t, name+".monitors.told", told(remarks))
	}
}

func TestTheDashboardIsAsItWas(t *testing.T) {
	t.Parallel()
	out, remarks := render.Grafana(builtin())
	golden(t, "builtin.dashboard.json", string(out))
	if got := told(remarks); got != "" {
		t.Errorf("told %q, want nothing", got)
	}
}

func TestTheOrderOfTheRulesChangesNothing(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(render.Input) ([]byte, []render.Remark){
		"prometheus": render.Prometheus, "datadog": render.Datadog,
	} {
		in := builtin()
		want, wantTold := write(in)
		slices.Reverse(in.Rules)
		slices.Reverse(in.Checks)
		got, gotTold := write(in)
		if diff := cmp.Diff(string(got), string(want)); diff != "" {
			t.Errorf("%s: got - want +:\n%s", name, diff)
		}
		if diff := cmp.Diff(told(gotTold), told(wantTold)); diff != "" {
			t.Errorf("%s: got - want +:\n%s", name, diff)
		}
	}
}

// Every rule is in the output, whatever became of it.
func TestNoRuleIsDropped(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		rules, _ := render.Prometheus(in)
		monitors, _ := render.Datadog(in)
		for _, r := range in.Rules {
			if !strings.Contains(string(rules), "alert: "+r.Name+"\n") {
				t.Errorf("%s: %s is not in the rule file", name, r.Name)
			}
			if !strings.Contains(string(monitors), `"rule:`+r.Name+`"`) {
				t.Errorf("%s: %s is not in the monitors", name, r.Name)
			}
		}
	}
}
