// Package alerts turns measurements into alerts: rules, windows, and the state of each alert. It is pure: no clock, no
// locks, no I/O; now is an argument.
package alerts

import (
	"regexp"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Rule says when an alert fires. A Rule is a value that nobody changes once an Engine has it.
type Rule struct {
	Name          string
	Layer         Layer
	Doc           string // why the rule exists, and where it is from
	Severity      checks.Severity
	When          Condition
	For           time.Duration // the condition must hold so long before the alert fires
	KeepFiringFor time.Duration // it fires on so long after the condition held last
	AbsentAfter   Window        // without a sample for so long there is no data (Time or Intervals); zero: absence says nothing
	GroupBy       []string      // attributes by which there is one alert each; nil: the default of the metric, empty: one alert
	Labels        map[string]string
	Runbook       string // a built-in text by its name, or a URL
	Summary       string // text/template over Facts; "" is made of the condition
	Impact        string // one line: who feels it
	Action        string // one line: what to do first
	Escalations   []Escalation
	Inhibits      *Inhibition
	Notes         []Note
	Builtin       bool // ships with the agent
}

// Layer is what a rule looks at.
type Layer string

// The layers.
const (
	LayerProbe   Layer = "probe"   // our own runs
	LayerTraffic Layer = "traffic" // the application's metrics, as the prometheus check reads them
	LayerAgent   Layer = "agent"   // the agent itself
)

// Condition is one comparison (Metric is set), or all or any of several.
type Condition struct {
	All, Any []Condition

	Metric     string // a name of the catalogue, or one that a check measures: "query.errors_5xx"
	Match      []Matcher
	Aggregate  Aggregate // "" is last
	Window     Window    // zero: the last run
	Op         Op
	Threshold  float64 // in the metric's unit: seconds, US dollars, 0 to 1
	Until      bool    // the samples are Unix times: what is compared, and told as the value, is the aggregate less now, in seconds
	MinSamples int     // with fewer the condition does not hold
	Share      *Share
}

// Matcher selects samples by one attribute: those of the metric's points, and of a report also check, kind, provider,
// location, status, cause, blame, trigger, paid ("true", "false") and the labels of the check. An attribute that a sample
// does not have is "".
type Matcher struct {
	Attr   string
	In     []string       // any of these
	Regexp *regexp.Regexp // or whole values that match this
	Not    bool
}

// Matches reports whether the attribute's value is selected.
func (m Matcher) Matches(value string) bool {
	if m.Regexp != nil {
		return m.Regexp.MatchString(value) != m.Not
	}
	return slices.Contains(m.In, value) != m.Not
}

// Window is how far a condition looks back: exactly one is set, or none.
type Window struct {
	Runs      int           // the last runs of the check; slots that were skipped are none
	Time      time.Duration // the last so long
	Intervals int           // so many intervals of the check's schedule; for AbsentAfter only
}

// IsZero reports whether the window says nothing.
func (w Window) IsZero() bool { return w == Window{} }

// Aggregate makes one number of the samples in a window.
type Aggregate string

// The aggregates. Of a counter, sum is what it grew by in the window, rate the same per second; a run that did not count
// anything adds 0. Of a gauge, a run without a sample adds nothing: missing is not zero. Quantiles are exact, by linear
// interpolation between the closest ranks, as Prometheus's quantile_over_time.
const (
	Last  Aggregate = "last"
	Min   Aggregate = "min"
	Max   Aggregate = "max"
	Avg   Aggregate = "avg"
	Sum   Aggregate = "sum"
	Count Aggregate = "count"
	Rate  Aggregate = "rate"
	P50   Aggregate = "p50"
	P90   Aggregate = "p90"
	P95   Aggregate = "p95"
	P99   Aggregate = "p99"
)

// Aggregates are all of them, in the order of the documentation.
func Aggregates() []Aggregate {
	return []Aggregate{Last, Min, Max, Avg, Sum, Count, Rate, P50, P90, P95, P99}
}

// Op compares with the threshold.
type Op string

// The comparisons.
const (
	Above  Op = "above"
	Below  Op = "below"
	Equals Op = "equals"
)

// Share counts the members of a group for which the condition holds: "all paid checks of the provider". Without it the
// samples of a group are taken together.
type Share struct {
	Of      []string // the attributes that tell members apart: check
	AtLeast float64  // 0 to 1 of the members that have samples enough; 0: any one of them
}

// Escalation makes the alert more severe while it fires and When holds for the same group. It is not taken back before
// the alert is resolved.
type Escalation struct {
	Severity checks.Severity
	When     Condition
}

// Inhibition silences what this alert explains, while it fires with Severity or worse.
type Inhibition struct {
	Rules    []string
	Equal    []string // labels that both must have alike, where both have them
	Severity checks.Severity
}

// Note is what an alert adds to its text (Diagnosis) when it fires and When holds. The first that holds is taken. When is over all samples,
// except that the labels of the alert that the samples also have as attributes must be alike.
type Note struct {
	When Condition
	Text string
}

// Check is what rules need to know of a configured check.
type Check struct {
	Name, Kind, Provider string
	Location             string
	Labels               map[string]string
	Paid                 bool
	Interval             time.Duration                         // the shortest between two slots
	Timeout              time.Duration                         // the longest that a run takes
	Confirm              time.Duration                         // after which a failure is confirmed by another run; 0: it is not
	Due                  func(last time.Time, n int) time.Time // when the n-th slot after last has passed
	Metrics              []string                              // what it measures beside what every check does; nil: it does not say
}

// Mute keeps people from being told of alerts for a while.
type Mute struct {
	ID     string // of a silence: "silence/…", of a window: "maintenance/…"
	Reason string
	By     string
	Match  []Matcher // over the alert's labels, "rule" and "severity"; all must match
	From   time.Time
	Until  time.Time // never zero
}
