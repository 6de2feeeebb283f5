package drill

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Verdict is how a scenario came out.
type Verdict string

// The verdicts, the best first.
const (
	Passed     Verdict = "passed"      // the right alert was told on every route, and ended
	NotCovered Verdict = "not_covered" // the configuration has nothing that could see it
	Undecided  Verdict = "undecided"   // this machine was too slow to say
	Failed     Verdict = "failed"      // it would not have paged, or not rightly
)

// Report is what a drill found.
type Report struct {
	At         time.Time `json:"at"`
	Config     string    `json:"config"`
	InPlace    bool      `json:"in_place,omitempty"` // in the running agent
	Took       float64   `json:"took"`               // seconds by the clock on the wall
	Passed     int       `json:"passed"`
	Failed     int       `json:"failed"`
	NotCovered int       `json:"not_covered"`
	Undecided  int       `json:"undecided"`
	Scenarios  []Outcome `json:"scenarios"`
	Nobody     string    `json:"nobody,omitempty"`   // why no person hears of any alert
	LeftOut    []string  `json:"left_out,omitempty"` // of the configuration: checks and exporters that cannot be drilled, and why
	Changed    []string  `json:"changed,omitempty"`  // what is not as in the configuration, beside the destinations
}

// Outcome is how one scenario came out. Times are seconds.
type Outcome struct {
	Scenario string   `json:"scenario"`
	What     string   `json:"what"`
	File     string   `json:"file,omitempty"`
	Verdict  Verdict  `json:"verdict"`
	Speed    float64  `json:"speed,omitempty"` // how many times faster than a real clock the agent's own times ran
	Tries    int      `json:"tries,omitempty"` // above 1: this machine was too slow for the speeds before
	Alerts   []Told   `json:"alerts,omitempty"`
	Missing  []string `json:"missing,omitempty"` // why it would not have paged, one line each
	Add      []string `json:"add,omitempty"`     // what would make the configuration see it
	Others   []string `json:"others,omitempty"`  // rules that fired beside those expected
	Before   []string `json:"before,omitempty"`  // checks that were not well before the fault, and what they said
}

// Told is what became of one alert that was expected.
type Told struct {
	Rule     string          `json:"rule"`
	Wanted   string          `json:"wanted"` // "P1, blame account, within 2m"
	Fired    bool            `json:"fired"`
	Severity checks.Severity `json:"severity,omitempty"` // at its worst
	Blame    checks.Blame    `json:"blame,omitempty"`
	// ToDetect is from the fault to the alert and ToResolve from the end of the fault to that of the alert, in natural time.
	// ToNotify is from the alert to the last of its routes: delivery is not compressed, so it is as measured.
	ToDetect  *float64 `json:"to_detect,omitempty"`
	ToNotify  *float64 `json:"to_notify,omitempty"`
	ToResolve *float64 `json:"to_resolve,omitempty"`
	Routes    []Route  `json:"routes,omitempty"`
}

// Route is one exporter and whether it told the alert.
type Route struct {
	Exporter string `json:"exporter"`
	Kind     string `json:"kind"`
	People   bool   `json:"people,omitempty"` // it tells people
	Told     bool   `json:"told"`
	Resolved bool   `json:"resolved,omitempty"`
	Marked   bool   `json:"marked,omitempty"` // the message said that it is a drill
	Why      string `json:"why,omitempty"`    // it was not told
}

// Count adds up the outcomes.
func (r *Report) Count() {
	r.Passed, r.Failed, r.NotCovered, r.Undecided = 0, 0, 0, 0
	for i := range r.Scenarios {
		switch r.Scenarios[i].Verdict {
		case Passed:
			r.Passed++
		case NotCovered:
			r.NotCovered++
		case Undecided:
			r.Undecided++
		case Failed:
			r.Failed++
		}
	}
}
