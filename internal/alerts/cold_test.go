package alerts_test

import (
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// TestWhatAProcessBeforeMeasuredFiresNothing: the past fills windows, and it takes a run of this process to fire, or to end
// what fires.
func TestWhatAProcessBeforeMeasuredFiresNothing(t *testing.T) {
	before := newRig(t, []alerts.Rule{rule(down())})
	var past []checks.Record
	for range 4 {
		report := before.report("a")
		outcome('f')(report)
		past = append(past, checks.Record{At: report.At(), Report: report})
		before.wait(time.Minute)
	}
	again := func(states map[string][]byte) *rig {
		r := newRig(t, []alerts.Rule{rule(down())})
		e, err := alerts.New([]alerts.Rule{rule(down())}, r.targets, before.now)
		if err != nil {
			t.Fatal(err)
		}
		r.e, r.now = e, before.now
		r.take(e.Restore(r.now, states))
		for _, record := range past {
			e.Warm(record)
		}
		r.wait(10 * time.Minute)
		return r
	}

	fresh := again(nil)
	fresh.want()
	fresh.runs("a", "f")
	fresh.want("r firing")

	well := again(nil)
	well.runs("a", "o")
	well.want()

	firing := newRig(t, []alerts.Rule{rule(down())})
	firing.runs("a", "fff")
	firing.want("r firing")
	open := again(firing.states)
	open.want()
	if all := open.e.Alerts(); len(all) != 1 || all[0].State != checks.AlertFiring {
		t.Errorf("after a restart %+v, want the alert as it was", all)
	}
	open.runs("a", "o")
	open.want("r resolved")
}
