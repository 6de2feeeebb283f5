package alerts_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const benchSeries = 1000

// crowd is a thousand checks and a thousand rules of every sort, each on one of them, with five minutes of samples.
func crowd() ([]alerts.Rule, []alerts.Check) {
	var rules []alerts.Rule
	var targets []alerts.Check
	whens := []alerts.Condition{
		slow(), down(),
		{Metric: "probe.duration", Aggregate: alerts.P99, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 5, MinSamples: 3},
		{Metric: "probe.http.duration", Match: []alerts.Matcher{is("phase", "connect")}, Aggregate: alerts.Avg, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 5},
		{Metric: "probe.failures", Aggregate: alerts.Rate, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 0.5},
	}
	for i := range benchSeries {
		name := fmt.Sprintf("check-%d", i)
		c := every(name)
		c.Interval = time.Second
		targets = append(targets, c)
		r := rule(whens[i%len(whens)])
		r.Name = fmt.Sprintf("rule-%d", i)
		r.When.Match = append([]alerts.Matcher{is("check", name)}, r.When.Match...)
		r.AbsentAfter = alerts.Window{Intervals: 3}
		rules = append(rules, r)
	}
	return rules, targets
}

func traffic(targets []alerts.Check) []*checks.Report {
	var out []*checks.Report
	for i := range targets {
		c := &targets[i]
		r := &checks.Report{
			ID: "01", Check: c.Name, Kind: c.Kind, Provider: c.Provider, Location: c.Location, Labels: c.Labels, Trigger: checks.TriggerSchedule,
			Attempt: 1, Final: true, Slots: 1, Took: 900 * time.Millisecond, Timeout: 10 * time.Second, Result: checks.Pass("fine"),
		}
		for _, name := range []checks.PhaseName{checks.PhaseResolve, checks.PhaseConnect, checks.PhaseTLS, checks.PhaseFirstByte, checks.PhaseTransfer} {
			r.Phases = append(r.Phases, checks.Phase{Name: name, Took: time.Millisecond * time.Duration(100+i%50)})
		}
		r.Measurements = []checks.Measurement{{Name: "probe.llm.time_to_first_token", Value: 0.4, Attrs: map[string]string{"model": "m"}}}
		out = append(out, r)
	}
	return out
}

func warmed(b *testing.B, rules []alerts.Rule, targets []alerts.Check, rounds int) (*alerts.Engine, []*checks.Report, time.Time) {
	b.Helper()
	e, err := alerts.New(rules, targets, start())
	if err != nil {
		b.Fatal(err)
	}
	reports, now := traffic(targets), start()
	for range rounds {
		now = now.Add(time.Second)
		for _, r := range reports {
			stamp(r, now)
			e.Step(now, r)
		}
		e.Step(now, nil)
	}
	return e, reports, now
}

func stamp(r *checks.Report, now time.Time) {
	r.StartedAt, r.ScheduledAt = now.Add(-r.Took), now.Add(-r.Took)
}

// BenchmarkStep is one result among a thousand a second: its points, and all rules on them.
func BenchmarkStep(b *testing.B) {
	rules, targets := crowd()
	e, reports, now := warmed(b, rules, targets, 310)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%benchSeries == 0 {
			now = now.Add(time.Second)
			e.Step(now, nil)
		}
		r := reports[i%benchSeries]
		stamp(r, now)
		e.Step(now, r)
	}
}

// BenchmarkTick is the passing of a second over a thousand rules, whose windows lose samples in it.
func BenchmarkTick(b *testing.B) {
	rules, targets := crowd()
	e, _, now := warmed(b, rules, targets, 310)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e.Step(now.Add(time.Duration(i%100)*time.Second), nil)
	}
}

// BenchmarkMemory is what a thousand rules hold with five minutes of samples, one a second.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		rules, targets := crowd()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e, reports, _ := warmed(b, rules, targets, 310)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		runtime.KeepAlive(e)
		runtime.KeepAlive(reports)
	}
}
