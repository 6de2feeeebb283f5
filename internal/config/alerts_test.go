package config_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
)

func alertsFile(t *testing.T) *config.Config {
	t.Helper()
	return parse(t, string(read(t, filepath.Join("testdata", "good", "alerts.yaml"))), nil)
}

func ruleOf(t *testing.T, cfg *config.Config, name string) alerts.Rule {
	t.Helper()
	i := slices.IndexFunc(cfg.Alerts.Rules, func(r alerts.Rule) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no rule %s", name)
	}
	return cfg.Alerts.Rules[i]
}

// pattern compares matchers by what they were written as.
func pattern(m alerts.Matcher) string {
	text := fmt.Sprintf("%s%v%v", m.Attr, m.In, m.Not)
	if m.Regexp != nil {
		text += m.Regexp.String()
	}
	return text
}

func TestEveryKeyOfARuleArrives(t *testing.T) {
	got := ruleOf(t, alertsFile(t), "slow-chat")
	var matchers []string
	for _, m := range got.When.Match {
		matchers = append(matchers, pattern(m))
	}
	want := []string{
		"kind[chat]false", "model[a b]false", "check[]false^(?:^chat-).*$", "cause[slow]true", "paid[true]false", "tier[]true^(?:silver|bronze)$",
	}
	if diff := cmp.Diff(want, matchers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got.When.Match = nil
	rule := alerts.Rule{
		Name: "slow-chat", Layer: alerts.LayerProbe, Severity: checks.P3, For: 5 * time.Minute, KeepFiringFor: 2 * time.Minute,
		AbsentAfter: alerts.Window{Intervals: 3}, GroupBy: []string{"provider"},
		When: alerts.Condition{
			Metric: "probe.duration", Aggregate: alerts.P95, Window: alerts.Window{Runs: 5}, Op: alerts.Above, Threshold: 1.5, MinSamples: 3,
			Share: &alerts.Share{Of: []string{"check"}, AtLeast: 0.5},
		},
		Summary:     "{{.Rule}}: {{seconds .Value}} at {{.Labels.provider}}",
		Escalations: []alerts.Escalation{{Severity: checks.P1, When: alerts.Condition{Metric: "probe.duration", Op: alerts.Above, Threshold: 20}}},
		Inhibits:    &alerts.Inhibition{Rules: []string{"rate-limited"}, Equal: []string{"provider"}, Severity: checks.P2},
	}
	if diff := cmp.Diff(rule, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	low := ruleOf(t, alertsFile(t), "low")
	inner := low.When.All[1].Any
	if low.When.All[0].Threshold != 0.1 || inner[1].Threshold != (14*24*time.Hour).Seconds() || !inner[1].Until || inner[0].Metric != "query.errors" ||
		low.GroupBy == nil || len(low.GroupBy) != 0 || low.Layer != alerts.LayerTraffic {
		t.Errorf("got %+v", low)
	}
}

func TestABuiltinRuleTakesWhatTheFileGivesAndKeepsTheRest(t *testing.T) {
	cfg := alertsFile(t)
	builtin := map[string]alerts.Rule{}
	for _, r := range alerts.Builtin() {
		builtin[r.Name] = r
	}
	want := builtin["high-latency"]
	want.When.Threshold, want.Severity, want.For = 8, checks.P3, 2*time.Minute
	want.Labels, want.Runbook = map[string]string{"team": "platform"}, "https://example.com/runbooks/latency"
	if diff := cmp.Diff(want, ruleOf(t, cfg, "high-latency")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(cfg.Alerts.Disabled) != 1 || cfg.Alerts.Disabled[0].Name != "cost-spike" || len(cfg.Alerts.Rules) != len(builtin)-1+2 {
		t.Errorf("got %d rules, disabled %v", len(cfg.Alerts.Rules), cfg.Alerts.Disabled)
	}
	if rules := parse(t, one, nil).Alerts.Rules; len(rules) != len(builtin) {
		t.Errorf("without a section: %d rules, want all %d built-in ones", len(rules), len(builtin))
	}
	if rules := parse(t, one+"alerts: {defaults: false}\n", nil).Alerts.Rules; len(rules) != 0 {
		t.Errorf("without the built-in ones: %d rules", len(rules))
	}
}

func TestWhatAnswersAlertsArrives(t *testing.T) {
	cfg := alertsFile(t)
	m := cfg.Maintenance[0]
	if m.Name != "sunday" || m.Schedule.String() != "0 2 * * 0 Europe/Paris" || m.Duration != 2*time.Hour || !m.Skip || m.Reason != "the database is packed" ||
		!slices.Equal(m.Match[0].In, []string{"chat-a", "list"}) {
		t.Errorf("got %+v", m)
	}
	if h := cfg.Heartbeat; h.Every != 30*time.Second || h.URL.Where() != "file /etc/windsock/heartbeat" {
		t.Errorf("got %+v", h)
	}
	in := cfg.Incidents
	if in.Schedule.Interval() != 20*time.Second || in.CloseAfter != 10*time.Minute || in.Timezone.String() != "Europe/Paris" ||
		!maps.Equal(in.RespondIn, map[checks.Severity]time.Duration{checks.P1: 5 * time.Minute, checks.P2: time.Hour, checks.P3: 4 * time.Hour}) {
		t.Errorf("got %+v", in)
	}
	var schedules []time.Duration
	for _, c := range cfg.Checks {
		schedules = append(schedules, c.IncidentSchedule.Interval())
	}
	if want := []time.Duration{20 * time.Second, 10 * time.Second, 0, 0}; !slices.Equal(schedules, want) {
		t.Errorf("got %v, want %v", schedules, want)
	}
	def := parse(t, one, nil)
	if def.Heartbeat.Every != 0 || def.Incidents.Schedule.Interval() != 30*time.Second || def.Incidents.CloseAfter != 5*time.Minute ||
		def.Incidents.RespondIn[checks.P1] != 15*time.Minute || def.Incidents.Timezone != time.UTC || def.Maintenance != nil {
		t.Errorf("got %+v, %+v", def.Heartbeat, def.Incidents)
	}
	if every := parse(t, one+"heartbeat: {url: {file: /h}}\n", nil).Heartbeat.Every; every != time.Minute {
		t.Errorf("got %s, want a minute", every)
	}
}

func TestCompressDividesWhatAlertsWaitFor(t *testing.T) {
	cfg := alertsFile(t)
	got := config.Compress(cfg, 10)
	r := ruleOf(t, got, "slow-chat")
	if r.For != 30*time.Second || r.KeepFiringFor != 12*time.Second || r.AbsentAfter.Intervals != 3 || r.When.Threshold != 0.15 || r.When.Window.Runs != 5 ||
		r.Escalations[0].When.Threshold != 2 {
		t.Errorf("got %+v", r)
	}
	low := ruleOf(t, got, "low").When.All
	if low[0].Threshold != 0.1 || low[0].Window.Time != time.Minute || low[1].Any[1].Threshold != (14*24*time.Hour).Seconds() {
		t.Errorf("got %+v", low)
	}
	if m := got.Maintenance[0]; m.Duration != 12*time.Minute || m.Schedule.Interval() >= cfg.Maintenance[0].Schedule.Interval() {
		t.Errorf("got %+v", m)
	}
	if got.Heartbeat.Every != 3*time.Second || got.Incidents.CloseAfter != time.Minute || got.Incidents.RespondIn[checks.P2] != 6*time.Minute ||
		got.Checks[1].IncidentSchedule.Interval() != time.Second {
		t.Errorf("got %+v, %+v", got.Heartbeat, got.Incidents)
	}
	if r := ruleOf(t, cfg, "slow-chat"); r.For != 5*time.Minute || r.When.Threshold != 1.5 || r.Escalations[0].When.Threshold != 20 || cfg.Incidents.RespondIn[checks.P2] != time.Hour {
		t.Errorf("the original was changed: %+v", r)
	}
	if w := ruleOf(t, cfg, "low").When.All[0].Window.Time; w != 10*time.Minute {
		t.Errorf("the original was changed: %s", w)
	}
}

func manyRules(n int) string {
	var b strings.Builder
	b.WriteString(one + "alerts:\n  rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: rule-%04d, severity: P3, runbook: high-latency, summary: \"slow {{.Value}}\", when: {metric: probe.duration, match: {kind: chat}, above: 5s, window: 5 runs}}\n", i)
	}
	return b.String()
}

func TestFiveThousandRulesFit(t *testing.T) {
	cfg := parse(t, manyRules(5000), nil)
	if got := len(cfg.Alerts.Rules) - len(alerts.Builtin()); got != 5000 {
		t.Errorf("got %d rules", got)
	}
}

func BenchmarkFiveThousandRules(b *testing.B) {
	data := []byte(manyRules(5000))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := config.Parse("x.yaml", data, options(nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRules: whatever stands where a threshold, a window and a share are wanted, the file is refused or the value is
// within its bounds.
func FuzzRules(f *testing.F) {
	f.Add("5s", "3 runs", "50%", "~^a")
	f.Add("10%", "5m", "0.5", "!~a|b")
	f.Add("1e9", "7d12h", "100%", "!a")
	f.Add("-5s", "3 intervals", "-1", "~(")
	f.Add("0x10", "999999999999h", "1e-3", "a")
	f.Fuzz(func(t *testing.T, threshold, window, share, match string) {
		if strings.ContainsAny(threshold+window+share+match, "\r\n{}[],#") {
			return // another structure, which FuzzParse looks at
		}
		cfg, err := config.Parse("fuzz.yaml", fmt.Appendf(nil, `
checks: [{name: a, kind: models, schedule: "@every 60s"}]
alerts: {defaults: false, rules: [{name: r, severity: P3, when: {metric: probe.duration, above: %s, window: %s, match: {check: %s}, share: {of: [check], at_least: %s}}}]}
`, threshold, window, match, share), options(nil))
		if err != nil {
			if _, ok := errors.AsType[*config.Errors](err); !ok {
				t.Errorf("got %v", err)
			}
			return
		}
		c := cfg.Alerts.Rules[0].When
		if w := c.Window; (w.Runs < 1 && w.Time < time.Second) || w.Runs > 1000 || w.Time > 31*24*time.Hour || w.Intervals != 0 {
			t.Errorf("%q became %+v", window, w)
		}
		if s := c.Share.AtLeast; s < 0 || s > 1 {
			t.Errorf("%q became %v", share, s)
		}
		if c.Threshold != c.Threshold || c.Threshold-c.Threshold != 0 {
			t.Errorf("%q became %v", threshold, c.Threshold)
		}
	})
}
