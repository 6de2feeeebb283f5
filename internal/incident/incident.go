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
	States    map[string][]byte // to be kept, by incident id; nil bytes: forget it
	Changed   bool              // which checks are concerned may have changed
}

// Book holds the open incidents. It is not safe for concurrent use.
type Book struct{}

// New makes a book without incidents.
func New() *Book { return &Book{} }

// Step takes the transitions of alerts that came together (none where only the time has moved on), and gives each its
// Incident, RespondBy and Commander in place.
func (b *Book) Step(now time.Time, changed []*checks.Alert) Outcome { return Outcome{} }

// Saw takes a final report: the verdicts of the application's own path end an incident.
func (b *Book) Saw(now time.Time, report *checks.Report) Outcome { return Outcome{} }
