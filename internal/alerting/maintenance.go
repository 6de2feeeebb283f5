package alerting

import (
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// Window is a maintenance window that is open.
type Window struct {
	*config.Maintenance
	From, Until time.Time
}

// Windows are those that are open at now. A window is as long as its duration says, whatever clocks are set to meanwhile; it
// begins once where its time comes twice, and at the end of the gap where its time does not come. Where a window begins
// anew before it is over, it goes on.
func Windows(now time.Time, all []config.Maintenance) []Window {
	var open []Window
	for i := range all {
		if from, ok := lastBefore(now, all[i].Schedule, all[i].Duration); ok {
			open = append(open, Window{&all[i], from, from.Add(all[i].Duration)})
		}
	}
	return open
}

// lastBefore is the last slot at or before now, and less than within before it.
func lastBefore(now time.Time, spec schedule.Spec, within time.Duration) (time.Time, bool) {
	if spec.IsZero() || within <= 0 {
		return time.Time{}, false
	}
	for back := spec.Interval(); ; back *= 2 {
		back = min(back, within)
		slot := spec.Next(now.Add(-back))
		if slot.IsZero() || slot.After(now) {
			if back == within {
				return time.Time{}, false
			}
			continue
		}
		for { // at most as many slots as fit into the last doubling
			next := spec.Next(slot)
			if next.IsZero() || next.After(now) {
				return slot, true
			}
			slot = next
		}
	}
}

// Gate refuses the runs of the checks that open windows skip. labels are those of every check; a check's own win.
func Gate(windows []config.Maintenance, labels map[string]string) pipeline.Gate {
	var skipping []config.Maintenance
	for i := range windows {
		if windows[i].Skip {
			skipping = append(skipping, windows[i])
		}
	}
	if len(skipping) == 0 {
		return nil
	}
	return func(now time.Time, job *pipeline.Job) *checks.Result {
		for _, w := range Windows(now, skipping) {
			if matchesJob(w.Match, job, labels) {
				refusal := checks.Skip(checks.CauseMaintenance, w.say())
				return &refusal
			}
		}
		return nil
	}
}

func (w *Window) say() string {
	text := fmt.Sprintf("in the maintenance window %q until %s", w.Name, w.Until.Format(time.RFC3339))
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

func matchesJob(match []alerts.Matcher, job *pipeline.Job, labels map[string]string) bool {
	for _, m := range match {
		value, own := job.Labels[m.Attr]
		switch {
		case m.Attr == "check":
			value = job.Name
		case m.Attr == "kind":
			value = job.Kind
		case m.Attr == "provider":
			value = job.Provider
		case !own:
			value = labels[m.Attr]
		}
		if !m.Matches(value) {
			return false
		}
	}
	return true
}

// muteOf is what an open window does to alerts, whether or not it skips checks.
func (w *Window) mute() alerts.Mute {
	reason := w.Reason
	if reason == "" {
		reason = "maintenance"
	}
	return alerts.Mute{ID: "maintenance/" + w.Name, Reason: reason, Match: w.Match, From: w.From, Until: w.Until}
}
