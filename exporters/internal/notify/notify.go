// Package notify is what the exporters that tell people have in common: which alerts are told, in which messages, what was
// told before, and that each thing told is ended once, whatever failed in between. It knows no product and no protocol, and
// it never tells the end of what it did not tell the beginning of.
package notify

import (
	"context"
	"errors"
	"log/slog"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Kind is what a message says.
type Kind string

// The kinds of message.
const (
	Opened   Kind = "opened"   // alerts that were not told before
	Changed  Kind = "changed"  // alerts that are more severe than was told
	Resolved Kind = "resolved" // alerts that were told and are over
	Reminder Kind = "reminder" // alerts that were told and are still open
)

// Message is one thing to tell. The texts of its alerts are valid UTF-8, their numbers finite.
type Message struct {
	Kind   Kind
	Group  string         // what is told together: "incident=01K…", or the values of group_by
	Key    string         // the same for the same message again: an idempotency key of 32 letters and digits
	Alerts []checks.Alert // those that changed, at least one
	Before []checks.Alert // the same as they were told last; zero in an opened one
	Open   []checks.Alert // all of the group that are told and open once this message is told, the most severe first
	Ref    []byte         // what Send returned last for the group; nil before
}

// Sender sends one message to people.
type Sender interface {
	// Send makes one attempt and obeys the deadline of ctx. It is never called concurrently. err is made by exporters.Retry,
	// Hold, Split or Poison. ref is kept with the group until its last alert is resolved; nil keeps the one that was.
	Send(ctx context.Context, m Message) (ref []byte, err error)
}

// Keeper is a Sender whose backend forgets what is not repeated. Keep is called about once a minute with all that is told
// and open, by fingerprint.
type Keeper interface {
	Keep(ctx context.Context, open []checks.Alert) error
}

// Knocker is a Sender that can find out whether its backend is there, without a message. The error holds no secret.
type Knocker interface {
	Knock(ctx context.Context) error
}

// Notifier is an exporter that tells people of alerts. It is not safe for concurrent use.
type Notifier struct {
	params Params
	route  route
	sender Sender
	log    *slog.Logger
	name   string
	told   *told
	spoilt map[string]bool // ids of records that were refused ahead of their turn
}

var (
	_ exporters.Exporter  = (*Notifier)(nil)
	_ exporters.Refresher = (*Notifier)(nil)
	_ exporters.Selective = (*Notifier)(nil)
	_ exporters.Routing   = (*Notifier)(nil)
)

// New makes a notifier that goes on from env.State. Nothing is sent. Where s is an io.Closer too, Close closes it.
func New(p Params, env exporters.Env, s Sender) (*Notifier, error) {
	if s == nil {
		return nil, errors.New("a notifier without a sender")
	}
	matching, err := newRoute(p.Match)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	state, err := loadTold(env.State)
	if err != nil {
		log.Error("what people were told is unreadable and is kept aside; ends of it may not be told", "error", err)
	}
	return &Notifier{params: p, route: matching, sender: s, log: log, name: env.Name, told: state, spoilt: map[string]bool{}}, nil
}

// Tells reports whether people were told of the alert, and not yet of its end.
func (n *Notifier) Tells(fingerprint string) bool {
	_, told := n.told.Open[fingerprint]
	return told
}

// Takes implements exporters.Routing. It may be called at any time by anyone.
func (n *Notifier) Takes(alert checks.Alert) bool { return alert.Muted == "" && n.route.takes(&alert) }

// TellsEnds reports whether people are told of ends too. It may be called at any time by anyone.
func (n *Notifier) TellsEnds() bool { return n.params.SendResolved }

// Reach implements exporters.Routing.
func (n *Notifier) Reach(ctx context.Context) error {
	if knocker, ok := n.sender.(Knocker); ok {
		return knocker.Knock(ctx)
	}
	return nil
}

// Wants implements exporters.Selective.
func (n *Notifier) Wants(t checks.RecordType) bool { return t == checks.TypeAlert }
