package alerts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// TestAClockThatIsSetBackHoldsNothingUp: what would happen without the step happens with it, and as soon.
func TestAClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	const step = "<"
	kept := rule(down())
	kept.KeepFiringFor = 150 * time.Second
	held := rule(alerts.Condition{Metric: "probe.duration", Op: alerts.Above, Threshold: 5})
	held.For = 150 * time.Second
	summed := rule(alerts.Condition{
		Metric: "probe.failures", Match: []alerts.Matcher{is("cause", "auth")}, Aggregate: alerts.Sum, Window: over(150 * time.Second), Op: alerts.Above,
	})
	absent := rule(alerts.Condition{Metric: "probe.success", Op: alerts.Below})
	absent.AbsentAfter = over(150 * time.Second)
	for name, tt := range map[string]struct {
		rule   alerts.Rule
		script string
		want   []string
	}{
		"the end of an alert":           {rule(down()), "offf<o", []string{"r firing", "r resolved"}},
		"the end of one that is kept":   {kept, "offfo<oo", []string{"r firing", "r resolved"}},
		"one that is pending":           {held, "66<66", []string{"r pending", "r firing"}},
		"a window of time that empties": {summed, "oa<ooo", []string{"r firing", "r resolved"}},
		"absence":                       {absent, "oo<...", []string{"r no_data"}},
		"what a built-in rule does":     {builtin(t, "api-down"), "fff<o", []string{"api-down firing P1", "api-down resolved P1"}},
		"twice":                         {held, "6<6<66<1", []string{"r pending", "r firing", "r resolved"}},
	} {
		t.Run(name, func(t *testing.T) {
			play := func(script string, by time.Duration) (ends []time.Duration, r *rig) {
				r = newRig(t, []alerts.Rule{tt.rule})
				back := time.Duration(0)
				for _, part := range strings.SplitAfter(script, step) {
					for _, c := range strings.TrimSuffix(part, step) {
						r.runs("a", string(c))
						for len(ends) < len(r.said) {
							ends = append(ends, r.now.Add(back).Sub(start()))
						}
					}
					if strings.HasSuffix(part, step) {
						r.now, back = r.now.Add(-by), back+by
					}
				}
				return ends, r
			}
			want, _ := play(tt.script, 0)
			for _, by := range []time.Duration{10 * time.Second, time.Hour, 24 * time.Hour} {
				got, r := play(tt.script, by)
				r.want(tt.want...)
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						t.Errorf("set back by %s: transition %d after %s, want %s", by, i, got[i], want[i])
					}
				}
			}
		})
	}
}

// TestAReloadKnowsThatTheClockWasSetBack since the last step before it.
func TestAReloadKnowsThatTheClockWasSetBack(t *testing.T) {
	r := newRig(t, []alerts.Rule{rule(down())})
	r.runs("a", "offf")
	r.now = r.now.Add(-time.Hour)
	next, err := alerts.New([]alerts.Rule{rule(down())}, r.targets, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.take(next.Replace(r.now, r.e))
	r.e = next
	r.runs("a", "o")
	r.want("r firing", "r resolved")
}
