package alerts

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Transition is one change of one alert, with what is to be kept so that a new Engine can go on from it. Both are stored
// together, or neither.
type Transition struct {
	Alert checks.Alert
	State []byte // for Restore, by the alert's fingerprint; nil: forget it
}

// Engine evaluates rules. It is not safe for concurrent use.
type Engine struct{}

// New makes an engine that has seen nothing. now is when it begins to look: what has not come before is not yet missing.
// The rules are those that are not disabled, defaults included. An error names the rule and what is wrong with it.
func New(rules []Rule, targets []Check, now time.Time) (*Engine, error) {
	return &Engine{}, nil
}

// Restore takes over what Transitions said of before, by fingerprint, and returns what follows at once: alerts whose
// rule or check is gone are resolved. It is called once, before anything else. What cannot be read is left out.
func (e *Engine) Restore(now time.Time, states map[string][]byte) []Transition { return nil }

// Warm fills the windows with a record of the past, oldest first, without any transition.
func (e *Engine) Warm(record checks.Record) {}

// Since is how far back Warm has a use for records.
func (e *Engine) Since() time.Duration { return 0 }

// Step takes a final report, or nil where only the time has moved on: for, keep-firing, absence and time windows do. The caller calls it
// with nil about once a second.
func (e *Engine) Step(now time.Time, report *checks.Report) []Transition { return nil }

// Observe takes points of the agent itself, as they are now.
func (e *Engine) Observe(now time.Time, points []exporters.Point) []Transition { return nil }

// Mute replaces the mutes that count from now on.
func (e *Engine) Mute(now time.Time, mutes []Mute) []Transition { return nil }

// Replace takes over the windows, the alerts and the mutes of the engine of the configuration before, and returns what follows.
func (e *Engine) Replace(now time.Time, before *Engine) []Transition { return nil }

// Alerts are the alerts that are pending or open, as their last transition left them but with the value of now, by
// severity, rule and fingerprint.
func (e *Engine) Alerts() []checks.Alert { return nil }
