package simulator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

func TestLoadScenario(t *testing.T) {
	t.Parallel()
	sc, err := simulator.LoadScenario(filepath.Join("testdata", "incident.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "name", sc.Name, "bad-half-hour")
	want(t, "phases", len(sc.Phases), 7)
	want(t, "length", sc.Total(), 26*time.Minute)
	want(t, "first token of the slow phase", sc.Phases[1].Faults[0].TimeToFirstToken, 7*time.Second)
	want(t, "probability", *sc.Phases[2].Faults[0].Probability, 0.6)
	want(t, "quota", sc.Phases[3].Faults[0].Quota.RequestsPerMinute, int64(5))
	want(t, "chunks", *sc.Phases[4].Faults[0].TruncateAfter, 1)
	want(t, "alias", sc.Phases[6].Faults[0].AliasMoved.To, "ministral-14b-2512")
}

func TestScenarioErrorsArePlaced(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file string
		want []string // parts of the error
	}{
		"empty file":             {"", []string{"s.yaml: want one document"}},
		"null":                   {"null", []string{"s.yaml: want one document"}},
		"two documents":          {"name: a\n---\nname: b\n", []string{"want one document"}},
		"a list":                 {"- a\n", []string{"s.yaml:1:"}},
		"no phases":              {"name: a\n", []string{"s.yaml:1:1: want phases"}},
		"unknown key":            {"name: a\nphase: []\n", []string{`s.yaml:2:1: unknown key "phase"; did you mean "phases"?`, "   2 | phase: []"}},
		"all unknown keys":       {"phases:\n  - {name: a, fault: []}\nfalts: []\n", []string{`s.yaml:2:15: unknown key "fault"; did you mean "faults"?`, `s.yaml:3:1: unknown key "falts"`}},
		"unknown key of a fault": {"phases:\n  - name: a\n    faults:\n      - {rout: chat, status: 500}\n", []string{`s.yaml:4:10: unknown key "rout"; did you mean "route"?`}},
		"unknown key of a quota": {"faults:\n  - quota: {per_minute: 3}\n", []string{`s.yaml:2:13: unknown key "per_minute"`}},
		"a key twice":            {"name: a\nname: b\n", []string{"s.yaml:2:1: ", "name"}},
		"tabs":                   {"phases:\n\t- name: a\n", []string{"s.yaml:2:"}},
		"a duration in words":    {"phases:\n  - {name: a, after: soon}\n", []string{`s.yaml:2:22: "soon", want a duration with its unit`}},
		"a duration of nothing":  {"faults:\n  - {latency: 5}\n", []string{`s.yaml:2:15: "5", want a duration with its unit`}},
		"a number in words":      {"faults:\n  - {status: many}\n", []string{`s.yaml:2:14: "many", want a whole number`}},
		"a switch in words":      {"repeat: perhaps\n", []string{`s.yaml:1:9: "perhaps", want true or false`}},
		"a fault that is a word": {"faults: [down]\n", []string{`s.yaml:1:10: "down", want keys and values`}},
		"faults by name":         {"faults: {a: b}\n", []string{"s.yaml:1:10: keys and values, want a list"}},
		"a list of names":        {"name: [a, b]\n", []string{"s.yaml:1:7: a list, want a text"}},
		"a phase without a name": {"phases:\n  - {after: 1s}\n", []string{"s.yaml:2:", "a phase needs a name"}},
		"two phases of one name": {"phases:\n  - {name: a, after: 1s}\n  - {name: a}\n", []string{`s.yaml:3:12: "a" is the name of another phase too`}},
		"a phase without end":    {"phases:\n  - {name: a}\n  - {name: b}\n", []string{`s.yaml:2:`, `phase "a" needs after`}},
		"a round without end":    {"repeat: true\nphases:\n  - {name: a}\n", []string{`phase "a" needs after`}},
		"a phase that runs back": {"phases:\n  - {name: a, after: -5s}\n", []string{"s.yaml:2:22: want 1us to 1000h"}},
		"unknown route":          {"phases:\n  - name: a\n    faults:\n      - status: 500\n        route: caht\n", []string{`s.yaml:5:16: "caht", want one of *, models`, "   5 |         route: caht", "       |                ^"}},
		"all wrong values":       {"faults:\n  - {status: 42}\n  - {error: nope}\n", []string{"s.yaml:2:14: want 200 to 599", `s.yaml:3:13: "nope", want one of bad_gateway`}},
		"a harmless fault":       {"faults:\n  - {route: chat}\n", []string{"s.yaml:2:6: says which requests"}},
		"an alias":               {"faults: &f\n  - {status: 500}\nphases:\n  - {name: a, faults: *f}\n", []string{"s.yaml:1:9: anchors, aliases and tags are not read"}},
		"a merge":                {"faults:\n  - <<: {status: 500}\n", []string{"anchors, aliases and tags are not read"}},
		"brackets without end":   {strings.Repeat("[", 60<<10), []string{"s.yaml:1:17: nested too deep"}},
		"braces without end":     {strings.Repeat("{a: ", 15<<10), []string{"s.yaml:1:65: nested too deep"}},
		"dashes without end":     {strings.Repeat("- ", 30<<10), []string{"s.yaml:1:81: nested too deep"}},
		"10 MB":                  {strings.Repeat("# nothing\n", 1<<20), []string{"s.yaml: more than 64 KiB"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, err := simulator.ParseScenario("s.yaml", []byte(test.file))
			if err == nil {
				t.Fatalf("was taken as %+v", sc)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v\nwant %q in it", err, part)
				}
			}
		})
	}
}

func TestLoadScenarioSaysWhichFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if _, err := simulator.LoadScenario(missing); err == nil || !strings.Contains(err.Error(), missing) || !strings.HasPrefix(err.Error(), "reading scenario") {
		t.Errorf("got %v, want the path", err)
	}
	if _, err := simulator.LoadScenario(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

func TestCompressIsPure(t *testing.T) {
	t.Parallel()
	slow := simulator.DemoScenario(time.Hour)
	before := simulator.DemoScenario(time.Hour)
	fast := slow.Compress(60)
	if diff := cmp.Diff(before, slow); diff != "" {
		t.Errorf("the receiver changed: %s", diff)
	}
	want(t, "length", fast.Total(), time.Minute)
	want(t, "a latency, which is Speed's business", fast.Phases[1].Faults[0].TimeToFirstToken, slow.Phases[1].Faults[0].TimeToFirstToken)
	fast.Phases[1].Faults[0].Status = 500
	want(t, "the receiver's fault", slow.Phases[1].Faults[0].Status, 0)
}

func TestScenarioBuiltInGoIsValidated(t *testing.T) {
	t.Parallel()
	sc := &simulator.Scenario{Phases: []simulator.Phase{{Name: "a"}, {Faults: []simulator.Fault{{Status: 1}}}}}
	got := sc.Validate().Error()
	for _, part := range []string{`phases[0]: phase "a" needs after`, "phases[1]: a phase needs a name", "phases[1].faults[0].status: want 200 to 599"} {
		if !strings.Contains(got, part) {
			t.Errorf("got %s\nwant %q in it", got, part)
		}
	}
	for _, sc := range []*simulator.Scenario{simulator.Healthy(), simulator.DemoScenario(20 * time.Second), simulator.DemoScenario(time.Minute)} {
		if err := sc.Validate(); err != nil {
			t.Error(err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New took a wrong scenario")
		}
	}()
	simulator.New(simulator.Options{Scenario: sc})
}

func TestDemoScenarioSharesItsTime(t *testing.T) {
	t.Parallel()
	for _, total := range []time.Duration{20 * time.Second, time.Minute, 7 * time.Second} {
		sc := simulator.DemoScenario(total)
		want(t, "total", sc.Total(), total)
		var names []string
		for _, p := range sc.Phases {
			names = append(names, p.Name)
		}
		if diff := cmp.Diff([]string{"healthy", "slow", "rate_limited", "server_errors", "key_revoked", "recovered"}, names); diff != "" {
			t.Error(diff)
		}
		want(t, "the model whose allowance is used up", sc.Phases[2].Faults[0].Model, "mistral-small-latest")
		if last := sc.Phases[5].After; last < total/3 {
			t.Errorf("of %v the recovery has %v", total, last)
		}
	}
}

func FuzzParseScenario(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("testdata", "incident.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(`{"faults":[{"route":"chat","error":"capacity","count":3,"headers":{"A":"b"}}]}`))
	f.Add([]byte("phases: [{name: a, after: 10s, faults: [{quota: {requests_per_minute: 1}}]}, {name: b}]\nrepeat: false"))
	f.Add([]byte("faults: &a [*a]"))
	f.Add([]byte("? [a]\n: b"))
	f.Add([]byte("faults:\n- alias_moved: {alias: x, to: mistral-embed}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sc, err := simulator.ParseScenario("fuzz.yaml", data)
		if err != nil {
			if !strings.Contains(err.Error(), "fuzz.yaml") {
				t.Errorf("the error does not say where: %v", err)
			}
			return
		}
		if err := sc.Validate(); err != nil {
			t.Errorf("what was parsed is not valid: %v", err)
		}
		if sc.Compress(3).Total() > sc.Total() {
			t.Error("compressed, it is longer")
		}
		simulator.New(simulator.Options{Scenario: sc}).Phase()
	})
}
