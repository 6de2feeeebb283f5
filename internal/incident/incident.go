// Package incident makes incidents of alerts: which belong together, who answers by when, what happened, and when it is
// over. It is pure: no clock, no locks, no I/O; now is an argument.
package incident

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Event is one line of the timeline. Text never holds a key, a prompt or an answer.
type Event struct {
	ID       string    `json:"id"` // ULID
	At       time.Time `json:"at"`
	Kind     EventKind `json:"kind"`
	Incident string    `json:"incident,omitempty"` // "" where it belongs to none
	Subject  string    `json:"subject,omitempty"`  // the rule, check, provider or person
	Text     string    `json:"text"`
	Record   string    `json:"record,omitempty"` // id of the record that says more
	Closed   *Incident `json:"closed,omitempty"` // of a closing: what the incident was
}

// EventKind is what an Event tells.
type EventKind string

// The kinds of event.
const (
	EventAlert   EventKind = "alert"   // a transition of an alert
	EventBreaker EventKind = "breaker" // a move of a breaker
	EventVerdict EventKind = "verdict" // a run whose verdict is not that of the run before
	EventReload  EventKind = "reload"
	EventMark    EventKind = "mark" // what somebody noted: a deploy, a canary
	EventSpend   EventKind = "spend"
	EventAck     EventKind = "ack"
	EventOpened  EventKind = "opened"
	EventClosed  EventKind = "closed"
	EventRemind  EventKind = "reminder"
)

// Outcome is what follows from a step.
type Outcome struct {
	Events    []Event
	Reminders []checks.Alert    // to be told as records
	States    map[string][]byte // to be kept, for Restore; nil bytes: forget it
	Changed   bool              // which checks are concerned may have changed
}

// keep notes a state.
func (o *Outcome) keep(key string, data []byte) {
	if o.States == nil {
		o.States = map[string][]byte{}
	}
	o.States[key] = data
}

// Incident is one incident as people see it.
type Incident struct {
	ID        string          `json:"id"` // ULID
	Title     string          `json:"title"`
	Severity  checks.Severity `json:"severity"` // the worst it had
	Provider  string          `json:"provider,omitempty"`
	Blame     checks.Blame    `json:"blame,omitempty"`
	OpenedAt  time.Time       `json:"opened_at"`
	QuietAt   time.Time       `json:"quiet_at,omitzero"` // since when all its alerts are resolved
	ClosedAt  time.Time       `json:"closed_at,omitzero"`
	RespondBy time.Time       `json:"respond_by,omitzero"`
	Reminded  bool            `json:"reminded,omitempty"` // of RespondBy
	Missed    bool            `json:"missed,omitempty"`   // nobody had acknowledged it by then
	Commander string          `json:"commander,omitempty"`
	AckedAt   time.Time       `json:"acked_at,omitzero"`
	Note      string          `json:"note,omitempty"`
	ClosedBy  string          `json:"closed_by,omitempty"` // who closed it by hand
	Reason    string          `json:"close_reason,omitempty"`
	Alerts    []checks.Alert  `json:"alerts,omitempty"` // as the last transition of each left it: open ones first, the worst first

	RespondFrom time.Time `json:"respond_from,omitzero"` // when the time to respond began: at the opening, or when it became worse
	NewestAt    time.Time `json:"newest_at,omitzero"`    // when the last of its alerts came to it
}

// Open reports whether the incident is open.
func (i *Incident) Open() bool { return i.ClosedAt.IsZero() }

// Drill is the scenario of the drill that brought the incident about, "" where it is real.
func (i *Incident) Drill() string {
	for k := range i.Alerts {
		if name := i.Alerts[k].Drill(); name != "" {
			return name
		}
	}
	return ""
}

// Target is what a Book needs to know of a configured check.
type Target struct{ Name, Kind, Provider string }

// urgent reports whether somebody is to look at once.
func urgent(s checks.Severity) bool { return s == checks.P1 || s == checks.P2 }

// rank orders severities, the worst first.
func rank(s checks.Severity) int {
	for i, known := range []checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4} {
		if s == known {
			return i
		}
	}
	return 4
}

func worse(a, b checks.Severity) bool { return rank(a) < rank(b) }
