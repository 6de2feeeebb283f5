package ruletest_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/ruletest"
	"github.com/windsock-monitor/windsock/internal/config"
)

const rules = `alerts:
  defaults: false
  rules:
    - name: errors
      severity: P2
      when: {metric: query.errors_5xx, above: 10}
      for: 2m
      absent_after: 10m
      labels: {team: shop}
    - name: down
      severity: P2
      when: {metric: probe.failures, aggregate: sum, window: 3 runs, above: 2}
      escalate: [{severity: P1, when: {metric: probe.failures, aggregate: sum, window: 5 runs, above: 4}}]
      inhibits: {rules: [slow], equal: [provider]}
    - name: slow
      severity: P3
      when: {metric: probe.duration, aggregate: p95, window: 3 runs, above: 5s, min_samples: 3}
    - name: full
      severity: P2
      group_by: []
      when: {metric: windsock.store.degraded, equals: 1}
checks:
  - {name: traffic, kind: prometheus}
  - {name: chat, kind: chat, provider: mistral, labels: {path: shop}}
  - {name: chat-b, kind: chat, provider: mistral, every: 30s}
`

func nobody(string) (ruletest.Setup, error) { return ruletest.Setup{}, errors.New("nobody asks") }

// try runs tests over the rules above, and tells what was not as expected.
func try(t *testing.T, tests string) string {
	t.Helper()
	file, err := ruletest.Read("x.yaml", []byte(rules+tests), nobody)
	if err != nil {
		t.Fatal(err)
	}
	results, err := file.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range results {
		if r.OK != (len(r.Failures) == 0) {
			t.Errorf("%s is ok: %t, with %d failures", r.Name, r.OK, len(r.Failures))
		}
		for _, f := range r.Failures {
			fmt.Fprintf(&b, "%s, line %d, %s: want %q, got %q\n", r.Name, f.Line, f.What, f.Want, f.Got)
		}
	}
	return b.String()
}

func TestWhatIsExpectedHappens(t *testing.T) {
	t.Parallel()
	if got := try(t, `tests:
  - name: a condition must hold for two minutes
    series: [{metric: query.errors_5xx, check: traffic, values: 0 12x5 3x3}]
    expect:
      - {at: 59s, alerts: []}
      - {at: 1m, alerts: [{rule: errors, state: pending}]}
      - {at: 3m, alerts: [{rule: errors, state: firing, severity: P2, labels: {team: shop, check: traffic}}]}
      - {at: 7m, rules: [errors], alerts: []}
    transitions:
      - {at: 1m, rule: errors, state: pending}
      - {at: 3m, rule: errors, state: firing}
      - {at: 7m, rule: errors, state: resolved}
  - name: what is missing is neither high nor low
    series: [{metric: query.errors_5xx, check: traffic, values: 12x4 _x12 1}]
    transitions:
      - {at: 0s, rule: errors, state: pending}
      - {at: 2m, rule: errors, state: firing}
      - {rule: errors, state: no_data}
      - {at: 17m, rule: errors, state: resolved}
  - name: runs that fail, in the end all
    runs:
      - {check: chat, count: 3, took: 500ms}
      - {check: chat, at: 3m, count: 6, status: failed, cause: server, took: 1s}
      - {check: chat, at: 9m, count: 3}
    rules: [down]
    transitions:
      - {at: 5m1s, rule: down, state: firing, severity: P2, labels: {check: chat, provider: mistral}}
      - {at: 7m1s, rule: down, state: firing, severity: P1}
      - {rule: down, state: resolved, severity: P1}
  - name: what is explained is muted
    runs:
      - {check: chat, count: 3, status: failed, cause: timeout, took: 30s}
      - {check: chat-b, every: 30s, count: 6, took: 8s}
    expect:
      - {at: 3m, rules: [slow, down], alerts: [{rule: slow, labels: {check: chat-b}, muted: true}, {rule: slow, muted: true, labels: {check: chat}}, {rule: down, muted: false}]}
  - name: the agent itself
    series: [{metric: windsock.store.degraded, values: 0 1x2 0}]
    expect: [{at: 1m, alerts: [{rule: full, state: firing}]}, {at: 4m}]
  - name: a restart forgets nothing and tells nothing twice
    series: [{metric: query.errors_5xx, check: traffic, values: 12x9 0}]
    restarts: [3m30s, 5m]
    transitions:
      - {at: 0s, rule: errors, state: pending}
      - {at: 2m, rule: errors, state: firing}
      - {at: 10m, rule: errors, state: resolved}
  - name: a time between two seconds
    runs: [{check: chat, at: 1500ms, every: 1s, count: 3, status: failed, cause: timeout}]
    transitions: [{at: 3500ms, rule: down, state: firing}]
    expect: [{at: 3499ms, alerts: []}, {at: 3500ms, alerts: [{rule: down}]}]
`); got != "" {
		t.Error(got)
	}
}

func TestWhatIsNotAsExpectedIsToldWithItsLine(t *testing.T) {
	t.Parallel()
	line := strings.Count(rules, "\n")
	got := try(t, `tests:
  - name: none, and one is wanted
    expect: [{at: 1m, alerts: [{rule: errors, state: firing, labels: {check: traffic}}]}]
  - name: one, and none is wanted
    series: [{metric: query.errors_5xx, check: traffic, values: 12x5}]
    expect: [{at: 1m}]
    transitions: []
  - name: another severity
    series: [{metric: query.errors_5xx, check: traffic, values: 12x5}]
    rules: [errors]
    transitions: [{rule: errors, state: pending}, {rule: errors, state: firing, severity: P1}]
`)
	want := fmt.Sprintf(`none, and one is wanted, line %d, alerts at 1m0s: want ["errors firing {check=\"traffic\"}"], got []
one, and none is wanted, line %d, alerts at 1m0s: want [], got ["errors pending P2 {check=\"traffic\", kind=\"prometheus\", team=\"shop\"}"]
one, and none is wanted, line %d, transitions: want [], got ["0s errors pending P2 {check=\"traffic\", kind=\"prometheus\", team=\"shop\"}" "2m0s errors firing P2 {check=\"traffic\", kind=\"prometheus\", team=\"shop\"}"]
another severity, line %d, transitions: want ["at any time errors pending" "at any time errors firing P1"], got ["0s errors pending P2 {check=\"traffic\", kind=\"prometheus\", team=\"shop\"}" "2m0s errors firing P2 {check=\"traffic\", kind=\"prometheus\", team=\"shop\"}"]
`, line+3, line+6, line+7, line+11)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFilesThatCannotBeUsedAreRefusedInTheirPlaces(t *testing.T) {
	t.Parallel()
	one := func(text string) string { return rules + "tests:\n  - name: a\n    " + text }
	for name, tc := range map[string]struct{ text, says string }{
		"an empty file":               {"", "at least `tests:`"},
		"no YAML":                     {"a: [", "x.yaml:1:"},
		"no tests":                    {rules, `the key "tests" is missing`},
		"no test":                     {rules + "tests: []", "there is no test"},
		"two of one name":             {one("expect: [{at: 1m}]\n  - name: a\n    expect: [{at: 1m}]"), `found the name "a"`},
		"an unknown key":              {one("expects: []"), `unknown key "expects"`},
		"nothing is expected":         {one("runs: [{check: chat}]"), "the test expects nothing"},
		"an unknown rule":             {one("expect: [{at: 1m, alerts: [{rule: error}]}]"), `no rule "error" among those that are tested; did you mean "errors"?`},
		"an unknown rule to watch":    {one("rules: [slo]\n    expect: [{at: 1m}]"), `no rule "slo"`},
		"a rule that resolves itself": {one("expect: [{at: 1m, alerts: [{rule: errors, state: resolved}]}]"), "want one of pending, firing, no_data"},
		"an unknown check":            {one("expect: [{at: 1m}]\n    runs: [{check: chatt}]"), `no check "chatt"`},
		"a failure without a cause":   {one("expect: [{at: 1m}]\n    runs: [{check: chat, status: failed}]"), "has a cause"},
		"a cause without a failure":   {one("expect: [{at: 1m}]\n    runs: [{check: chat, cause: timeout}]"), "has no cause"},
		"an unknown cause":            {one("expect: [{at: 1m}]\n    runs: [{check: chat, status: failed, cause: tired}]"), `no cause is called "tired"`},
		"a cause of skipped runs":     {one("expect: [{at: 1m}]\n    runs: [{check: chat, status: failed, cause: budget}]"), "does not have the cause"},
		"an unknown blame":            {one("expect: [{at: 1m}]\n    runs: [{check: chat, status: failed, cause: timeout, blame: rain}]"), `no blame is called "rain"`},
		"an unknown status":           {one("expect: [{at: 1m}]\n    runs: [{check: chat, status: fine}]"), `status "fine" is not one of`},
		"a time before the test":      {one("expect: [{at: -1m}]"), "not negative"},
		"a time that is no duration":  {one("expect: [{at: noon}]"), "noon"},
		"a month":                     {one("expect: [{at: 31d}]"), "want 0s to 168h0m0s"},
		"no runs":                     {one("expect: [{at: 1m}]\n    runs: [{check: chat, count: 0}]"), "found 0, want 1"},
		"runs for more than a week":   {one("expect: [{at: 1m}]\n    runs: [{check: chat, count: 99999}]"), "want 0s to 168h0m0s"},
		"runs without a pause":        {one("expect: [{at: 1m}]\n    runs: [{check: chat, count: 2, every: 0s}]"), "want 1s or more"},
		"a run that ends before":      {one("expect: [{at: 1m}]\n    runs: [{check: chat, took: -1s}]"), "not negative"},
		"a metric that nobody reads":  {one("expect: [{at: 1m}]\n    series: [{metric: query.errors, check: traffic, values: 1}]"), `no rule that is tested reads the metric "query.errors"`},
		"a metric made of runs":       {one("expect: [{at: 1m}]\n    series: [{metric: probe.duration, check: chat, values: 1}]"), "the agent makes it of their runs"},
		"a metric of nobody":          {one("expect: [{at: 1m}]\n    series: [{metric: probe.duration, values: 1}]"), "the agent itself does not measure"},
		"no sample":                   {one("expect: [{at: 1m}]\n    series: [{metric: query.errors_5xx, check: traffic, values: ' '}]"), "no sample"},
		"a word for a sample":         {one("expect: [{at: 1m}]\n    series: [{metric: query.errors_5xx, check: traffic, values: 1 two}]"), `"two" is no sample`},
		"an interval of nothing":      {one("expect: [{at: 1m}]\n    interval: 0s"), "want 1s or more"},
		"a start that is no time":     {one("expect: [{at: 1m}]\n    start: today"), `found "today"`},
		"two ways to say the rules":   {"config: a.yaml\n" + one("expect: [{at: 1m}]"), "want one of both"},
		"checks without rules":        {"checks: [{name: a}]\ntests: [{name: a, expect: [{at: 1m}]}]", "go with rules of its own"},
		"a check without a pause":     {strings.Replace(one("expect: [{at: 1m}]"), "every: 30s", "every: 1ms", 1), "found 1ms"},
		"two checks of one name":      {strings.Replace(one("expect: [{at: 1m}]"), "chat-b", "chat", 1), `found the name "chat"`},
		"a rule that cannot be":       {strings.Replace(one("expect: [{at: 1m}]"), "query.errors_5xx, above", "query.errors_5xx, abov", 1), "abov"},
		"a configuration of nobody":   {"tests: [{name: a, expect: [{at: 1m}]}]", "the configuration of x.yaml: nobody asks"},
	} {
		_, err := ruletest.Read("x.yaml", []byte(tc.text), nobody)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
		if placed, ok := errors.AsType[*config.Errors](err); err != nil && !ok && name != "a configuration of nobody" {
			t.Errorf("%s: %v has no place (%v)", name, err, placed)
		}
	}
}

func TestTheConfigurationIsBelowTheFolderOfTheFile(t *testing.T) {
	t.Parallel()
	asked := ""
	file, err := ruletest.Read("tests/x.yaml", []byte("config: ../a.yaml\ntests: [{name: a, expect: [{at: 1m}]}]"), func(path string) (ruletest.Setup, error) {
		asked = path
		return ruletest.Setup{Rules: alerts.Builtin()}, nil
	})
	if err != nil || asked != "a.yaml" {
		t.Fatalf("got %v, asked for %q, want a.yaml", err, asked)
	}
	if results, err := file.Run(t.Context()); err != nil || len(results) != 1 || !results[0].OK {
		t.Errorf("got %+v, %v, want one test that is well", results, err)
	}
}

func TestTheExampleOfThePageIsWell(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/alert-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	file, err := ruletest.Read("docs/x.yaml", []byte(example), func(string) (ruletest.Setup, error) { return builtin(), nil })
	if err != nil {
		t.Fatal(err)
	}
	results, err := file.Run(t.Context())
	if err != nil || len(results) != 2 {
		t.Fatalf("got %+v, %v, want two tests", results, err)
	}
	for _, r := range results {
		if !r.OK {
			t.Errorf("%+v", r)
		}
	}
}

// builtin are the built-in rules with checks that they read.
func builtin() ruletest.Setup {
	check := func(name, kind, provider string) alerts.Check {
		return alerts.Check{
			Name: name, Kind: kind, Provider: provider, Interval: time.Minute, Paid: kind == "chat",
			Due: func(last time.Time, n int) time.Time { return last.Add(time.Duration(n) * time.Minute) },
		}
	}
	return ruletest.Setup{Rules: alerts.Builtin(), Checks: []alerts.Check{check("traffic", "prometheus", ""), check("chat", "chat", "mistral")}}
}

func BenchmarkAWeek(b *testing.B) {
	file, err := ruletest.Read("x.yaml", []byte("tests: [{name: a, runs: [{check: chat, count: 10080}], expect: [{at: 167h, rules: [api-down]}]}]"), func(string) (ruletest.Setup, error) { return builtin(), nil })
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if results, err := file.Run(b.Context()); err != nil || !results[0].OK {
			b.Fatalf("%+v, %v", results, err)
		}
	}
}

func TestATestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	file, err := ruletest.Read("x.yaml", []byte(rules+"tests: [{name: a, expect: [{at: 168h}]}]"), nobody)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWithDeadline(t)
	cancel()
	if _, err := file.Run(ctx); err == nil || !strings.Contains(err.Error(), `test "a"`) {
		t.Errorf("got %v, want that the test was cut short", err)
	}
}

func TestEveryBuiltInRuleCanBeTested(t *testing.T) {
	t.Parallel()
	file, err := ruletest.Read("x.yaml", []byte(`tests:
  - name: the first 401 fires at once
    series: [{metric: query.errors_401, check: traffic, values: 0 0.2x5 0x5}]
    transitions: [{at: 1m, rule: traffic-auth-failure, state: firing, severity: P1}, {rule: traffic-auth-failure, state: resolved}]
  - name: a p95 above the highest bucket of 5 s is above 5 s
    series: [{metric: query.latency_p95, check: traffic, values: 5x6 5.000005x6}]
    expect: [{at: 6m, rules: [traffic-high-latency]}, {at: 12m, alerts: [{rule: traffic-high-latency, state: firing}]}]
`), func(string) (ruletest.Setup, error) { return builtin(), nil })
	if err != nil {
		t.Fatal(err)
	}
	results, err := file.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.OK {
			t.Errorf("%+v", r)
		}
	}
}
