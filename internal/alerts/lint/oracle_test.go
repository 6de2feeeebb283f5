package lint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/lint"
)

func begin() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

// dice makes rules and histories at random.
type dice struct{ *rand.Rand }

func pick[T any](d dice, all ...T) T { return all[d.IntN(len(all))] }

// comparison is one of many, with numbers near what a sample can be.
func (d dice) comparison() alerts.Condition {
	c := alerts.Condition{
		Metric: pick(d, "probe.success", "probe.success", "probe.duration", "probe.duration", "probe.failures", "probe.failures", "probe.runs", "probe.skips",
			"probe.llm.rate_limit.share", "probe.http.duration", "probe.key.valid", "probe.llm.model.listed", "query.errors_5xx",
			"gen_ai.client.operation.duration", "windsock.store.degraded", "windsock.export.rejected", "windsock.breaker.state"),
		Aggregate: pick(d, alerts.Aggregates()...),
		Window:    pick(d, alerts.Window{}, last(1), last(2), last(5), within(30*time.Second), within(90*time.Second), within(5*time.Minute), within(9*time.Minute), within(25*time.Minute)),
		Op:        pick(d, alerts.Above, alerts.Above, alerts.Below, alerts.Equals),
		Threshold: pick(d, -1.0, 0, 0, 0.001, 0.01, 0.5, 1, 1, 2, 3, 5, 10, 50),
	}
	if d.IntN(2) == 0 {
		c.MinSamples = d.IntN(6)
	}
	if d.IntN(4) == 0 {
		c.Share = &alerts.Share{Of: []string{pick(d, "check", "kind", "model")}, AtLeast: pick(d, 0, 0.5, 1)}
	}
	if d.IntN(2) == 0 {
		c.Match = append(c.Match, pick(d,
			is("check", "chat"), is("check", "seldom"), is("check", "models"), is("kind", "chat"), is("kind", "chat", "models"), not("check", "chat"),
			like("check", "s.*"), is("tier", "gold"), is("kind", "spend"), is("paid", "true"), is("provider", "mistral")))
	}
	if d.IntN(4) == 0 {
		c.Match = append(c.Match, pick(d,
			is("status", "failed"), is("status", "ok"), is("status", "skipped"), is("cause", "server"), is("cause", "budget"), is("blame", "provider"),
			is("reason", "budget"), not("status", "ok"), is("trigger", "schedule"), is("phase", "connect"), is("model", "m"), like("cause", "time.*")))
	}
	return c
}

func (d dice) rule(name string) alerts.Rule {
	r := alerts.Rule{
		Name: name, Severity: pick(d, checks.P1, checks.P2, checks.P3), When: d.comparison(),
		For: pick(d, 0, 0, 0, time.Minute, 5*time.Minute, 10*time.Minute),
	}
	switch d.IntN(6) {
	case 0:
		r.When = all(r.When, d.comparison())
	case 1:
		r.When = either(r.When, d.comparison())
	case 2:
		r.When = all(r.When, either(d.comparison(), d.comparison()))
	}
	switch d.IntN(5) {
	case 0:
		r.GroupBy = []string{}
	case 1:
		r.GroupBy = []string{"provider"}
	case 2:
		r.GroupBy = []string{"check"}
	case 3:
		r.GroupBy = []string{"check", pick(d, "cause", "phase", "kind", "tier")}
	}
	return r
}

// report is a run at random that began at its slot and ends within its timeout.
func (d dice) report(c *alerts.Check, slot time.Time) *checks.Report {
	took := pick(d, time.Millisecond, c.Timeout, time.Duration(d.Int64N(int64(c.Timeout))))
	r := &checks.Report{
		Check: c.Name, Kind: c.Kind, Provider: c.Provider, ScheduledAt: slot, StartedAt: slot, Took: took, Timeout: c.Timeout,
		Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
	}
	switch d.IntN(8) {
	case 0, 1, 2:
		r.Result = checks.Fail(pick(d, checks.CauseServer, checks.CauseTimeout, checks.CauseAuth), "failed")
	case 3:
		r.Result = checks.Skip(pick(d, checks.CauseBudget, checks.CauseBreakerOpen, checks.CauseMissed), "skipped")
		r.StartedAt, r.Took = time.Time{}, 0
	case 4:
		r.Result = checks.Undetermined(checks.CauseInternal, "unknown")
	default:
		r.Result = checks.Pass("ok")
	}
	if r.Status == checks.Skipped {
		return r
	}
	for _, name := range c.Metrics {
		if name == "probe.http.duration" {
			r.Phases = []checks.Phase{{Name: checks.PhaseConnect, Took: took / 3}, {Name: checks.PhaseTLS, Took: took / 2}}
			continue
		}
		value := pick(d, 0, 1, d.Float64())
		switch {
		case name == "probe.llm.model.listed":
			value = float64(d.IntN(2))
		case strings.HasPrefix(name, "query."):
			value = pick(d, -5, 0, 1, 20, d.NormFloat64())
		}
		attrs := map[string]string{"model": pick(d, "m", "n")}
		if strings.Contains(name, "rate_limit") {
			attrs = map[string]string{"resource": "requests", "window": "minute"}
		}
		r.Measurements = append(r.Measurements, checks.Measurement{Name: name, Value: value, Attrs: attrs})
	}
	return r
}

func (d dice) snapshot(at time.Time) []exporters.Point {
	return exporters.Points(checks.Record{At: at, Agent: &checks.Snapshot{Version: "1", StartedAt: begin(), Measurements: []checks.Measurement{
		{Name: "windsock.store.degraded", Value: float64(d.IntN(2))},
		{Name: "windsock.export.rejected", Value: float64(d.IntN(4)), Attrs: map[string]string{"exporter": "a", "reason": "r"}},
		{Name: "windsock.breaker.state", Value: float64(d.IntN(3)), Attrs: map[string]string{"provider": "mistral"}},
	}}})
}

// event is something that happens to the engine.
type event struct {
	at  time.Time
	run *checks.Report // nil: only time passes, or the agent tells of itself
	own bool
}

// history is what happens in a while, at the cadence of the checks.
func (d dice) history(targets []alerts.Check, length time.Duration) []event {
	var out []event
	for i := range targets {
		c := &targets[i]
		slot := begin().Add(time.Duration(d.Int64N(int64(c.Interval))))
		for ; slot.Before(begin().Add(length)); slot = slot.Add(c.Interval) {
			r := d.report(c, slot)
			out = append(out, event{at: r.At(), run: r})
		}
	}
	for at := begin(); at.Before(begin().Add(length)); at = at.Add(time.Minute) {
		out = append(out, event{at: at.Add(time.Duration(d.IntN(3)) * time.Second), own: true})
	}
	for at := begin(); at.Before(begin().Add(length)); at = at.Add(time.Duration(1+d.IntN(15)) * time.Second) {
		out = append(out, event{at: at})
	}
	slices.SortStableFunc(out, func(a, b event) int { return a.at.Compare(b.at) })
	return out
}

// watcher knows which alerts fire.
type watcher struct {
	firing map[string]map[string]bool // rule → group
	ever   map[string]bool
}

func group(a *checks.Alert, by []string) string {
	var b strings.Builder
	for _, key := range by {
		b.WriteString(a.Labels[key] + "\x00")
	}
	return b.String()
}

// TestWhatLintSaysIsTrue drives the engine at the cadence of the checks: a rule of which lint says that it cannot fire
// never does, and one in the shadow of another never begins to without it.
func TestWhatLintSaysIsTrue(t *testing.T) {
	const seeds, many = 40, 80
	cannot, fired, shadows, shown := 0, 0, 0, 0
	for seed := range uint64(seeds) {
		d := dice{rand.New(rand.NewPCG(seed, 11))}
		rules := make([]alerts.Rule, many)
		for i := range rules {
			rules[i] = d.rule(fmt.Sprintf("rule-%02d", i))
			if i%3 == 2 { // one that is nearly the one before
				name := rules[i].Name
				rules[i] = rules[i-1]
				rules[i].Name, rules[i].Severity, rules[i].For = name, pick(d, checks.P1, checks.P2, checks.P3), pick(d, 0, time.Minute)
				if d.IntN(2) == 0 {
					rules[i].When.Threshold += pick(d, 0.5, 1, -0.5)
				}
				if d.IntN(2) == 0 {
					rules[i].When.Match = append(slices.Clone(rules[i].When.Match), pick(d, is("check", "chat"), is("status", "failed")))
				}
			}
		}
		targets := world()
		dead, shadow := map[string]string{}, map[string]string{}
		for _, f := range lint.Lint(lint.Input{Rules: rules, Checks: targets}) {
			switch {
			case f.Severity == lint.Error:
				dead[f.Rule] = f.Text
			case f.Kind == lint.Shadowed:
				shadow[f.Rule] = f.Other
			}
		}
		cannot, shadows = cannot+len(dead), shadows+len(shadow)
		ever, begun := drive(t, d, rules, targets, func(rule string) {
			if why, ok := dead[rule]; ok {
				t.Errorf("seed %d: %s fires, and lint said: %s\n%+v", seed, rule, why, rules[slices.IndexFunc(rules, func(r alerts.Rule) bool { return r.Name == rule })])
			}
		}, shadow)
		fired, shown = fired+ever, shown+begun
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d rules cannot fire, %d did; %d are in a shadow, which %d alerts showed", cannot, seeds*many, fired, shadows, shown)
	if cannot < 500 || fired < 500 || shadows < 50 || shown < 100 {
		t.Error("the rules are too much alike to show anything")
	}
}

// drive runs a history through the engine. It returns how many rules fired, and how many alerts of rules in a shadow did.
func drive(t *testing.T, d dice, rules []alerts.Rule, targets []alerts.Check, fires func(rule string), shadow map[string]string) (ever, shown int) {
	t.Helper()
	e, err := alerts.New(rules, targets, begin())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*alerts.Rule{}
	for i := range rules {
		byName[rules[i].Name] = &rules[i]
	}
	w := watcher{firing: map[string]map[string]bool{}, ever: map[string]bool{}}
	for _, ev := range d.history(targets, 3*time.Hour) {
		var all []alerts.Transition
		switch {
		case ev.run != nil:
			all = e.Step(ev.at, ev.run)
		case ev.own:
			all = e.Observe(ev.at, d.snapshot(ev.at))
		default:
			all = e.Step(ev.at, nil)
		}
		for i := range all {
			a := &all[i].Alert
			if w.firing[a.Rule] == nil {
				w.firing[a.Rule] = map[string]bool{}
			}
			w.firing[a.Rule][group(a, alerts.Grouping(byName[a.Rule]))] = a.State == checks.AlertFiring
		}
		for i := range all {
			a := &all[i].Alert
			if a.State != checks.AlertFiring {
				continue
			}
			by := group(a, alerts.Grouping(byName[a.Rule]))
			w.ever[a.Rule] = true
			fires(a.Rule)
			if other, ok := shadow[a.Rule]; ok {
				shown++
				if !w.firing[other][by] {
					t.Errorf("%s fires for %q at %s without %s\n%+v\n%+v", a.Rule, by, a.At, other, *byName[a.Rule], *byName[other])
				}
			}
		}
	}
	return len(w.ever), shown
}
