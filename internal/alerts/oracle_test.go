package alerts_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// seen is one number of one run, as somebody with a list and much time keeps it.
type seen struct {
	at  time.Time
	run int
	v   float64
}

// naive makes the aggregate from scratch; false where there is none.
func naive(all []seen, a alerts.Aggregate, w alerts.Window, now time.Time, counter bool) (float64, bool) {
	all = slices.DeleteFunc(slices.Clone(all), func(s seen) bool {
		return (w.Time > 0 && !s.at.After(now.Add(-w.Time))) || (w.Runs > 0 && s.run <= all[len(all)-1].run-w.Runs)
	})
	if len(all) == 0 {
		return 0, false
	}
	first, last, sum := all[0], all[len(all)-1], 0.0
	var values []float64
	for _, s := range all {
		sum += s.v
		values = append(values, s.v)
	}
	slices.Sort(values)
	took := last.at.Sub(first.at).Seconds()
	switch a {
	case alerts.Last:
		return last.v, true
	case alerts.Min:
		return values[0], true
	case alerts.Max:
		return values[len(values)-1], true
	case alerts.Avg:
		return sum / float64(len(values)), true
	case alerts.Sum:
		return sum, true
	case alerts.Count:
		return float64(len(values)), true
	case alerts.Rate:
		switch {
		case counter && w.Time > 0:
			return sum / w.Time.Seconds(), true
		case counter:
			return (sum - first.v) / took, took > 0
		}
		return (last.v - first.v) / took, took > 0
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
	}
	share := map[alerts.Aggregate]float64{alerts.P50: 0.5, alerts.P90: 0.9, alerts.P95: 0.95, alerts.P99: 0.99}[a]
	at := share * float64(len(values)-1)
	low, high := values[int(math.Floor(at))], values[int(math.Ceil(at))]
	return low + (high-low)*(at-math.Floor(at)), true
}

// TestWindowsAgreeWithAListOfAllSamples over random runs at random times.
func TestWindowsAgreeWithAListOfAllSamples(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		window := alerts.Window{Runs: 1 + random.IntN(30)}
		if seed%2 == 0 {
			window = over(time.Duration(1+random.IntN(1200)) * time.Second)
		}
		var rules []alerts.Rule
		for _, metric := range []string{"probe.duration", "probe.failures"} {
			for _, a := range alerts.Aggregates() {
				r := rule(alerts.Condition{Metric: metric, Aggregate: a, Window: window, Op: alerts.Above, Threshold: -1e6})
				r.Name = metric + " " + string(a)
				rules = append(rules, r)
			}
		}
		r := newRig(t, rules)
		all := map[string][]seen{}
		for run := range 400 {
			r.wait(time.Duration(random.IntN(30)) * time.Second)
			took := time.Duration(random.IntN(9000)) * time.Millisecond
			failed := float64(random.IntN(2))
			r.run("a", func(rep *checks.Report) {
				rep.StartedAt, rep.Took = r.now.Add(-took), took
				if failed == 1 {
					outcome('f')(rep)
				}
			})
			all["probe.duration"] = append(all["probe.duration"], seen{r.now, run, took.Seconds()})
			all["probe.failures"] = append(all["probe.failures"], seen{r.now, run, failed})
			r.wait(time.Second)
			compareAll(t, r, all, window)
			if t.Failed() {
				t.Fatalf("seed %d, run %d, window %s", seed, run, window)
			}
		}
	}
}

func compareAll(t *testing.T, r *rig, all map[string][]seen, window alerts.Window) {
	t.Helper()
	got := map[string]float64{}
	for _, a := range r.e.Alerts() {
		got[a.Rule] = a.Value
	}
	for metric, samples := range all {
		for _, a := range alerts.Aggregates() {
			want, ok := naive(samples, a, window, r.now, metric == "probe.failures")
			name := fmt.Sprintf("%s %s", metric, a)
			if ok && math.Abs(got[name]-want) > 1e-9*math.Max(1, math.Abs(want)) {
				t.Errorf("%s: got %v, want %v", name, got[name], want)
			}
		}
	}
}
