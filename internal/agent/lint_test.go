package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

func shippedKinds() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
}

func linted(t *testing.T, text string) agent.Linted {
	t.Helper()
	cfg, err := config.Parse("x.yaml", []byte(text), config.Options{Registry: shippedKinds()})
	if err != nil {
		t.Fatal(err)
	}
	return agent.LintRules(cfg, shippedKinds())
}

func placed(e *config.Errors) []string {
	if e == nil {
		return nil
	}
	var out []string
	for _, p := range e.List() {
		p.Source = ""
		out = append(out, p.String())
	}
	return out
}

// shipped is a file of the repository; with its rules of the reference where uncommented is set.
func shipped(t *testing.T, uncommented bool, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !uncommented {
		return text
	}
	before, rest, found := strings.Cut(text, "\n# alerts:")
	section, after, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("no rules in the reference")
	}
	section = strings.ReplaceAll("# alerts:"+section, "\n#", "\n")
	return before + "\n" + strings.TrimPrefix(section, "# ") + "\n\n" + after
}

// What ships works: in the rules of the reference there is nothing to find.
func TestShippedRulesAreClean(t *testing.T) {
	demo := strings.NewReplacer("SIMULATOR", "127.0.0.1:9", "SIMHOST", "127.0.0.1", "SIMPORT", "9", "kind: view", "kind: stdout")
	for name, text := range map[string]string{
		"the shipped file":      shipped(t, false, "schedules.yaml"),
		"the reference's rules": shipped(t, true, "schedules.yaml"),
		"the demo":              demo.Replace(shipped(t, false, "cmd", "agent", "demo.yaml")),
	} {
		t.Run(name, func(t *testing.T) {
			l := linted(t, text)
			if l.Errors != nil || l.Warnings != nil {
				t.Errorf("got %q, %q", placed(l.Errors), placed(l.Warnings))
			}
			if l.Own == 0 && name == "the reference's rules" {
				t.Error("there are no rules to look at")
			}
		})
	}
}

const lintHead = `providers: {mistral: {}}
checks:
  - {name: chat, kind: chat, schedule: "@every 1m", timeout: 10s, with: {model: mistral-small-latest, stream: false}}
  - {name: traffic, kind: prometheus, schedule: "@every 1m", with: {url: "http://127.0.0.1:9", queries: [{name: baskets, query: shop_baskets}]}}
alerts:
  rules:
`

func TestFaultsOfRulesHaveTheirPlaces(t *testing.T) {
	for name, tc := range map[string]struct {
		rules            string
		errors, warnings []string
	}{
		"a query that is made":     {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: query.baskets, below: 5}}`},
		"a query that is not made": {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: query.basket, below: 5}}`, errors: []string{`x.yaml:7:64: no check measures "query.basket"; did you mean "query.baskets"?`}},
		"no stream":                {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: probe.llm.time_to_first_token, above: 5s}}`, errors: []string{"x.yaml:7:64: no check measures \"probe.llm.time_to_first_token\"; a check of the kind chat with `stream: true` does"}},
		"deep within": {
			rules: "    - name: a\n      severity: P3\n      runbook: payment\n      when:\n        any:\n          - {metric: query.baskets, below: 5}\n          - all: [{metric: probe.success, equals: 0}, {metric: probe.duration, match: {gen_ai.x: y}, window: 90s, aggregate: avg, above: 5s}]",
			warnings: []string{
				"x.yaml:13:98: no check has gen_ai.x: y; checks have none",
			},
		},
		"a bare number":           {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: query.latency_p95, above: 5000}}`, errors: []string{`x.yaml:7:64: no check measures "query.latency_p95"; a check of the kind prometheus with a query of this name does, or with ` + "`preset: checklist`"}},
		"days, bare":              {rules: `    - {name: certificate-expiring, below: 14}`},
		"what is not configured":  {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: windsock.budget.spent.usd, above: 5}}`, errors: []string{"x.yaml:7:64: the agent does not measure windsock.budget.spent.usd here: there is no `budget:`"}},
		"another threshold":       {rules: `    - {name: high-latency, above: 5000}`, warnings: []string{"x.yaml:7:35: found 5000, which is 1h23m20s, but a run of chat ends after 10s; 5000 ms are 5s"}},
		"another, with its unit":  {rules: `    - {name: high-latency, above: 8000ms}`},
		"another that cannot be":  {rules: `    - {name: circuit-open, equals: 7}`, errors: []string{"x.yaml:7:36: equals 7 can never be: windsock.breaker.state is one of 0, 1, 2"}},
		"another condition":       {rules: `    - {name: high-latency, when: {metric: probe.duration, window: 1m, aggregate: avg, above: 5s}}`, warnings: []string{"x.yaml:7:67: found 1m, which is less than two intervals: chat runs every 1m; say `window: 3 runs`, or make it longer"}},
		"the same as a built-in":  {rules: `    - {name: a, severity: P3, runbook: payment, when: {metric: windsock.store.degraded, equals: 1}}`, warnings: []string{"x.yaml:7:14: the rule a never fires without the rule built-in store-degraded, which is as severe, as soon and no stricter; leave one out, or give the milder one a lower severity"}},
		"disabled, and never bad": {rules: `    - {name: cost-spike, disable: true}`},
	} {
		t.Run(name, func(t *testing.T) {
			l := linted(t, lintHead+tc.rules+"\n")
			if diff := cmp.Diff(tc.errors, placed(l.Errors)); diff != "" {
				t.Errorf("errors: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, placed(l.Warnings)); diff != "" {
				t.Errorf("warnings: -want +got:\n%s", diff)
			}
			if (l.Err() != nil) != (len(tc.errors) > 0) {
				t.Errorf("got %v", l.Err())
			}
		})
	}
}

// Where a check cannot be built nobody knows what it would measure: that is said of the check, not of the rules.
func TestOfWhatCannotBeBuiltNothingIsSaid(t *testing.T) {
	text := strings.Replace(lintHead, "alerts:", "  - {name: plugin, kind: exec, schedule: '@every 1m', with: {argv: [/nowhere/plugin]}}\nalerts:", 1) +
		"    - {name: a, severity: P3, when: {metric: query.basket, below: 5}}\n"
	cfg, err := config.Parse("x.yaml", []byte(text), config.Options{Registry: shippedKinds()})
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Buildable(cfg, shippedKinds()); err == nil {
		t.Fatal("the check can be built")
	}
	if l := agent.LintRules(cfg, shippedKinds()); l.Errors != nil || l.Warnings != nil || l.Own != 1 {
		t.Errorf("got %q, %q", placed(l.Errors), placed(l.Warnings))
	}
}

// A plugin's check is no reason to say nothing of the rules.
func TestRulesBesideAPluginAreLooked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(lintHead, "alerts:", "  - {name: plugin, kind: exec, schedule: '@every 1m', with: {argv: ["+dir+"/check]}}\nprograms: {directories: ["+dir+"]}\nalerts:", 1)
	for rule, wrong := range map[string]bool{
		"    - {name: a, severity: P3, runbook: payment, when: {metric: query.basket, below: 5}}\n":     true,
		"    - {name: a, severity: P3, runbook: payment, when: {metric: probe.exec.value, below: 5}}\n": false,
	} {
		cfg, err := config.Parse("x.yaml", []byte(text+rule), config.Options{Registry: shippedKinds()})
		if err != nil {
			t.Fatal(err)
		}
		if l := agent.LintRules(cfg, shippedKinds()); (l.Errors != nil) != wrong {
			t.Errorf("%s: got %q", rule, placed(l.Errors))
		}
	}
}

// anything permits every program.
type anything struct{ checks.Spawner }

func (anything) Permits(string) error { return nil }

// A rule on a metric that no check measures is refused, so every kind that ships says what it measures.
func TestEveryKindSaysWhatItMeasures(t *testing.T) {
	for _, kind := range checkkinds.Kinds() {
		check, err := kind.New(checktest.Decoder(checkkinds.Examples()[kind.Name], "key"), checks.Env{Name: "a", Timeout: time.Second, Spawn: anything{}})
		if err != nil {
			t.Errorf("%s: %v", kind.Name, err)
			continue
		}
		m, ok := check.(checks.Measuring)
		if !ok || len(m.Measures()) == 0 {
			t.Errorf("%s does not say what it measures", kind.Name)
			continue
		}
		for _, name := range m.Measures() {
			if _, known := exporters.Lookup(name); !known && !strings.HasPrefix(name, "query.") {
				t.Errorf("%s measures %s, which the catalogue does not have", kind.Name, name)
			}
		}
	}
}
