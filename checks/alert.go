package checks

import "time"

// AlertState is where an alert stands.
type AlertState string

// The states of an alert. An alert is open while it is firing or has no data.
const (
	AlertPending  AlertState = "pending"  // the condition holds, not yet for long enough
	AlertFiring   AlertState = "firing"   // the condition holds
	AlertResolved AlertState = "resolved" // the condition holds no longer
	AlertNoData   AlertState = "no_data"  // nobody can tell: what the rule reads did not come
)

// Open reports whether an alert in this state is one that people have been told of, or should be.
func (s AlertState) Open() bool { return s == AlertFiring || s == AlertNoData }

// Severity orders alerts and sets the time to respond.
type Severity string

// The severities, with the time to respond that the checklist gives.
const (
	P1 Severity = "P1" // 15 minutes
	P2 Severity = "P2" // 1 hour
	P3 Severity = "P3" // 4 hours
	P4 Severity = "P4" // next business day
)

// Alert is one transition of one alert. All transitions of an alert have the same rule, fingerprint and labels.
//
// An alert that began to fire is told in this order: a transition into an open state, any number of changes within the open
// states (no data, more severe, no longer muted, a reminder), and one into resolved. A pending alert that comes to nothing
// is told as resolved, with Previous pending.
type Alert struct {
	Rule        string            `json:"rule"`
	Fingerprint string            `json:"fingerprint"` // of rule and labels: stable over restarts
	State       AlertState        `json:"state"`
	Previous    AlertState        `json:"previous,omitempty"` // the state before; "" where the alert was not known
	Severity    Severity          `json:"severity"`
	Blame       Blame             `json:"blame,omitempty"`
	Since       time.Time         `json:"since"` // when it began to fire, while it is pending when that began
	At          time.Time         `json:"at"`
	Value       float64           `json:"value"`
	Threshold   float64           `json:"threshold"`
	Labels      map[string]string `json:"labels,omitempty"`
	Summary     string            `json:"summary,omitempty"` // one line for a person: what is wrong, with numbers
	Diagnosis   string            `json:"diagnosis,omitempty"`
	Impact      string            `json:"impact,omitempty"`
	Action      string            `json:"action,omitempty"`
	Muted       string            `json:"muted,omitempty"` // why nobody is told: the silence, the maintenance window or the alert that explains it
	Reminder    bool              `json:"reminder,omitempty"`
	RespondBy   time.Time         `json:"respond_by,omitzero"`
	Commander   string            `json:"commander,omitempty"` // who acknowledged the incident
	Runbook     string            `json:"runbook,omitempty"`
	Incident    string            `json:"incident,omitempty"`
}

// LabelDrill is the label of an alert that a drill brought about. Its value is the scenario.
const LabelDrill = "drill"

// Drill is the scenario of the drill that brought the alert about, "" where it is real. What tells people of the alert says so
// first; what adds alerts up leaves it out.
func (a *Alert) Drill() string { return a.Labels[LabelDrill] }

// Opens reports whether the transition begins what one that Closes will end.
func (a *Alert) Opens() bool { return a.State.Open() && !a.Previous.Open() }

// Closes reports whether the transition ends what one that Opens began.
func (a *Alert) Closes() bool { return !a.State.Open() && a.Previous.Open() }
