package alerts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

func builtin(t *testing.T, name string) alerts.Rule {
	t.Helper()
	rules := alerts.Builtin()
	i := slices.IndexFunc(rules, func(r alerts.Rule) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no rule %s", name)
	}
	return rules[i]
}

func points(now time.Time, all ...checks.Measurement) []exporters.Point {
	return exporters.Points(checks.Record{At: now, Agent: &checks.Snapshot{Location: "paris", Measurements: all}})
}

// snapshot is a minute's.
func (r *rig) snapshot(all ...checks.Measurement) {
	r.wait(time.Minute)
	r.take(r.e.Snapshot(r.now, points(r.now, all...)))
}

// TestWhatTheAgentSaysNothingOfAnyMoreIsOver: an exporter that a reload took away or named anew, a model that nobody asks, a
// provider that is not configured now.
func TestWhatTheAgentSaysNothingOfAnyMoreIsOver(t *testing.T) {
	of := func(metric, attr, value string, v float64) checks.Measurement {
		return checks.Measurement{Name: metric, Value: v, Attrs: map[string]string{attr: value}}
	}
	for rule, tt := range map[string]struct {
		metric, attr string
		bad, good    float64
		severity     string
	}{
		"export-held":  {"windsock.export.held", "exporter", 1, 0, " P3"},
		"headroom-low": {"windsock.headroom.share", "model", 0.05, 0.5, " P3"},
		"circuit-open": {"windsock.breaker.state", "provider", 2, 0, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			firing := rule + " firing" + tt.severity
			r := newRig(t, []alerts.Rule{builtin(t, rule)})
			r.snapshot(of(tt.metric, tt.attr, "a", tt.bad), of(tt.metric, tt.attr, "b", tt.good))
			r.snapshot()
			r.snapshot()
			r.take(r.e.Observe(r.now, points(r.now))) // not all that there is
			r.snapshot(of(tt.metric, tt.attr, "a", tt.bad))
			r.snapshot()
			r.snapshot()
			r.want(firing)
			r.snapshot(of(tt.metric, tt.attr, "b", tt.good))
			over := rule + " resolved" + tt.severity
			r.want(firing, over)
			r.snapshot(of(tt.metric, tt.attr, "a", tt.bad))
			r.want(firing, over, firing)
			next, err := alerts.New([]alerts.Rule{builtin(t, rule)}, r.targets, r.now)
			if err != nil {
				t.Fatal(err)
			}
			r.take(next.Restore(r.now, r.states))
			r.e = next
			for range 3 {
				r.snapshot()
			}
			r.want(firing, over, firing, over)
		})
	}
}
