package lint_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/lint"
)

// held is a rule whose condition holds wherever it has samples enough: only the window, and how long it lasts, decide.
func (d dice) held(name string, c *alerts.Check) alerts.Rule {
	part := c.Interval / 8
	r := alerts.Rule{Name: name, Severity: checks.P3, Runbook: "high-latency", When: alerts.Condition{
		Metric: "probe.duration", Op: alerts.Above, Threshold: -1, Aggregate: pick(d, alerts.Last, alerts.Max, alerts.Avg, alerts.P95, alerts.Count),
		Window: within(time.Duration(1+d.IntN(40)) * part), MinSamples: d.IntN(6),
	}}
	if d.IntN(2) == 0 {
		r.For = time.Duration(1+d.IntN(20)) * part
	}
	if d.IntN(4) == 0 {
		r.When = all(r.When, either(cond("probe.runs", alerts.Above, -1), cond("probe.success", alerts.Equals, 0)))
	}
	return r
}

// TestWhatLintSaysOfCadencesIsTrue drives rules that only the cadence can keep from firing, with runs that end as early and
// as late as they may. What lint says cannot fire never does; nearly everything else does.
func TestWhatLintSaysOfCadencesIsTrue(t *testing.T) {
	const seeds, many = 120, 30
	cannot, missed, fired := 0, 0, 0
	for seed := range uint64(seeds) {
		d := dice{rand.New(rand.NewPCG(seed, 5))}
		interval := pick(d, 8*time.Second, time.Minute, 10*time.Minute)
		check := alerts.Check{Name: "chat", Kind: "chat", Interval: interval, Timeout: interval * time.Duration(d.IntN(7)) / 8, Metrics: []string{}}
		rules := make([]alerts.Rule, many)
		for i := range rules {
			rules[i] = d.held(fmt.Sprintf("rule-%02d", i), &check)
		}
		dead := map[string]string{}
		for _, f := range lint.Lint(lint.Input{Rules: rules, Checks: []alerts.Check{check}}) {
			if f.Severity == lint.Error {
				dead[f.Rule] = f.Text
			}
		}
		ever := d.unsteady(t, rules, &check)
		for i := range rules {
			why, no := dead[rules[i].Name]
			switch yes := ever[rules[i].Name]; {
			case no && yes:
				t.Fatalf("seed %d: %+v fires beside %+v, and lint said: %s", seed, rules[i], check, why)
			case no:
				cannot++
			case yes:
				fired++
			default:
				missed++
			}
		}
	}
	t.Logf("of %d rules %d cannot fire, %d did, %d did not and lint did not see why", seeds*many, cannot, fired, missed)
	if cannot < 300 || fired < 1000 || missed > seeds*many/20 {
		t.Error("want most rules judged")
	}
}

// unsteady runs the check with verdicts that come at once or at the last moment, and says which rules fired.
func (d dice) unsteady(t *testing.T, rules []alerts.Rule, c *alerts.Check) map[string]bool {
	t.Helper()
	e, err := alerts.New(rules, []alerts.Check{*c}, begin())
	if err != nil {
		t.Fatal(err)
	}
	ever := map[string]bool{}
	hear := func(all []alerts.Transition) {
		for i := range all {
			ever[all[i].Alert.Rule] = ever[all[i].Alert.Rule] || all[i].Alert.State == checks.AlertFiring
		}
	}
	now := begin()
	for i := range 80 {
		slot := begin().Add(time.Duration(i) * c.Interval)
		took := pick(d, 0, c.Timeout)
		for now.Before(slot.Add(took)) {
			now = now.Add(c.Interval / 40)
			if now.Before(slot.Add(took)) {
				hear(e.Step(now, nil))
			}
		}
		now = slot.Add(took)
		hear(e.Step(now, &checks.Report{
			Check: c.Name, Kind: c.Kind, ScheduledAt: slot, StartedAt: slot, Took: took, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
			Result: checks.Pass("ok"),
		}))
	}
	return ever
}
