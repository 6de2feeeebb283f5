package alerts_test

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const (
	benchSeries = 1000 // and as many rules; each series has a result a second
	benchTeam   = 10   // series that a rule of the shape "shared" looks at, and rules that look at a series
	benchFull   = 3700 // seconds until all windows are full
)

// whens are the shapes of windows that a thousand rules are made of, each as often as the others.
func whens() []alerts.Condition {
	return []alerts.Condition{
		{Metric: "probe.duration", Op: alerts.Above, Threshold: 5},
		{Metric: "probe.failures", Aggregate: alerts.Sum, Window: runs(3), Op: alerts.Above, Threshold: 2, MinSamples: 3},
		slow(),
		{Metric: "probe.http.duration", Match: []alerts.Matcher{is("phase", "connect")}, Aggregate: alerts.Avg, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 5},
		{Metric: "probe.duration", Aggregate: alerts.P99, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 5, MinSamples: 3},
		{Metric: "probe.failures", Aggregate: alerts.Rate, Window: over(5 * time.Minute), Op: alerts.Above, Threshold: 0.5},
		{Metric: "probe.duration", Aggregate: alerts.Avg, Window: over(time.Hour), Op: alerts.Above, Threshold: 5},
		{Metric: "probe.duration", Aggregate: alerts.P95, Window: over(time.Hour), Op: alerts.Above, Threshold: 5},
	}
}

// crowd is n checks and n rules. Each rule is for one check, or where they are shared for the ten of a team, each of them
// with an alert of its own.
func crowd(n int, shared bool) ([]alerts.Rule, []alerts.Check) {
	var rules []alerts.Rule
	var targets []alerts.Check
	for i := range n {
		c := every(fmt.Sprintf("check-%d", i))
		c.Interval = time.Second
		match := is("check", c.Name)
		if shared {
			c.Labels = map[string]string{"team": strconv.Itoa(i / benchTeam)}
			match = is("team", strconv.Itoa(i/benchTeam))
		}
		targets = append(targets, c)
		all := whens()
		r := rule(all[i%len(all)])
		r.Name = fmt.Sprintf("rule-%d", i)
		r.When.Match = append([]alerts.Matcher{match}, r.When.Match...)
		r.AbsentAfter = alerts.Window{Intervals: 3}
		rules = append(rules, r)
	}
	return rules, targets
}

// traffic is a result of each check, with the phases and the measurement of a call.
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

// crowded is an engine in which such a crowd has been running.
type crowded struct {
	e       *alerts.Engine
	reports []*checks.Report
	now     time.Time
	fed     int
}

func crowdOf(tb testing.TB, n int, shared bool) *crowded {
	tb.Helper()
	rules, targets := crowd(n, shared)
	e, err := alerts.New(rules, targets, start())
	if err != nil {
		tb.Fatal(err)
	}
	return &crowded{e: e, reports: traffic(targets), now: start()}
}

// feed gives it one result more; each second ends with a look at what time alone moves.
func (c *crowded) feed() {
	r := c.reports[c.fed%len(c.reports)]
	r.Took = time.Duration(500+(c.fed*7919)%4000) * time.Millisecond // as latencies are: no two alike
	r.StartedAt, r.ScheduledAt = c.now.Add(-r.Took), c.now.Add(-r.Took)
	c.e.Step(c.now, r)
	c.fed++
	c.now = c.now.Add(time.Second / time.Duration(len(c.reports)))
	if c.fed%len(c.reports) == 0 {
		c.e.Step(c.now, nil)
	}
}

func (c *crowded) run(seconds int) {
	for range seconds * len(c.reports) {
		c.feed()
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu is the CPU time that the process has used.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestAThousandRulesFitIn40MiB where each has one series with a result a second: a tenth of them in a tenth of it.
func TestAThousandRulesFitIn40MiB(t *testing.T) {
	before := heap()
	c := crowdOf(t, benchSeries/10, false)
	c.run(benchFull)
	if got := heap() - before; got > 4<<20 {
		t.Errorf("got %d KiB on the heap, want at most 4 MiB", got>>10)
	}
	if open := c.e.Alerts(); len(open) > 0 {
		t.Errorf("got %d alerts of a crowd that is well, want none", len(open))
	}
}

// BenchmarkCrowd is a result among a thousand a second under a thousand rules, in windows that are full, with its share of the
// look that is taken once a second. A thousand of them are what a second costs.
func BenchmarkCrowd(b *testing.B) {
	for _, shared := range []bool{false, true} {
		b.Run(map[bool]string{false: "own", true: "shared"}[shared], func(b *testing.B) {
			before := heap()
			c := crowdOf(b, benchSeries, shared)
			c.run(benchFull)
			held := float64(heap()-before) / (1 << 20)
			b.ReportAllocs()
			b.ResetTimer()
			from := cpu()
			for b.Loop() {
				c.feed()
			}
			per := float64(cpu()-from) / float64(b.N)
			b.ReportMetric(per, "cpu-ns/op")
			b.ReportMetric(per*benchSeries/float64(time.Second)*100, "%core")
			b.ReportMetric(held, "MiB")
		})
	}
}

// BenchmarkTick is the passing of a second over a thousand rules, whose windows lose samples in it.
func BenchmarkTick(b *testing.B) {
	c := crowdOf(b, benchSeries, false)
	c.run(310)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		c.e.Step(c.now.Add(time.Duration(i%100)*time.Second), nil)
	}
}
