package alerting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

// drillKey is where the store keeps what a drill has told, so that a process that comes after it can end it.
const drillKey = "drill"

// ErrDrill means that another drill goes on.
var ErrDrill = errors.New("another drill goes on")

// DrillSetup is what a drill is made of.
type DrillSetup struct {
	Scenario string
	Engine   *alerts.Engine // of its own: what it sees is nothing that the real one has seen
	Targets  []incident.Target
	Told     func(a checks.Alert) // is told of each transition once it is on its way to the store; it must not wait and not call back
}

// Drill is alerts and incidents of a drill, beside the real ones: they are stored, muted and delivered as these are, say that
// they are a drill, and touch no alert and no incident that is real. All methods are safe for concurrent use.
type Drill struct {
	k      *Keeper
	setup  DrillSetup
	book   *incident.Book
	mutes  []alerts.Mute
	states map[string][]byte       // of the book, for whoever has to end it
	open   map[string]checks.Alert // by fingerprint
}

// remains is what the store keeps of a drill that goes on.
type remains struct {
	Scenario string            `json:"scenario"`
	Alerts   []checks.Alert    `json:"alerts,omitempty"`
	Book     map[string][]byte `json:"book,omitempty"`
}

// BeginDrill begins a drill, with a line in the timeline. The error wraps ErrDrill where another goes on.
func (k *Keeper) BeginDrill(ctx context.Context, setup DrillSetup, text string) (*Drill, error) {
	k.mu.Lock()
	switch {
	case k.drill != nil:
		k.mu.Unlock()
		return nil, ErrDrill
	case !k.started:
		k.mu.Unlock()
		return nil, errors.New("nobody judges alerts at this moment")
	}
	d := &Drill{k: k, setup: setup, book: incident.New(), states: map[string][]byte{}, open: map[string]checks.Alert{}}
	d.book.Configure(setup.Targets, k.setup.Incidents)
	k.drill = d
	wait := d.keep(time.Now(), nil, incident.Outcome{Events: []incident.Event{k.o.Book.Event(time.Now(), incident.EventMark, "", text)}})
	k.mu.Unlock()
	if err := wait(ctx); err != nil { // or no other drill could begin
		return nil, errors.Join(err, d.End(ctx, "drill "+setup.Scenario+" ended: it could not be stored"))
	}
	return d, nil
}

// See judges a report of the drill, which is not stored.
func (d *Drill) See(ctx context.Context, report *checks.Report) error {
	return d.step(ctx, func(now time.Time) []alerts.Transition { return d.setup.Engine.Step(now, report) })
}

// Observe judges points of the agent itself, as the drill has them.
func (d *Drill) Observe(ctx context.Context, points []exporters.Point) error {
	return d.step(ctx, func(now time.Time) []alerts.Transition { return d.setup.Engine.Observe(now, points) })
}

// Tick lets time move the drill's alerts.
func (d *Drill) Tick(ctx context.Context) error {
	return d.step(ctx, func(now time.Time) []alerts.Transition { return d.setup.Engine.Step(now, nil) })
}

func (d *Drill) step(ctx context.Context, judge func(now time.Time) []alerts.Transition) error {
	d.k.mu.Lock()
	if d.k.drill != d {
		d.k.mu.Unlock()
		return nil
	}
	now := time.Now()
	var changed []alerts.Transition
	if !slices.EqualFunc(d.mutes, d.k.mutes, func(a, b alerts.Mute) bool { return a.ID == b.ID && a.Until.Equal(b.Until) }) {
		d.mutes = d.k.mutes
		changed = d.setup.Engine.Mute(now, d.mutes)
	}
	wait := d.keep(now, append(changed, judge(now)...))
	d.k.mu.Unlock()
	return wait(ctx)
}

// End resolves what the drill opened, closes its incidents and says so in the timeline. A second call does nothing.
func (d *Drill) End(ctx context.Context, text string) error {
	d.k.mu.Lock()
	if d.k.drill != d {
		d.k.mu.Unlock()
		return nil
	}
	now := time.Now()
	empty, err := alerts.New(nil, nil, now)
	if err != nil {
		d.k.mu.Unlock()
		return fmt.Errorf("ending a drill: %w", err)
	}
	resolved := d.keep(now, empty.Replace(now, d.setup.Engine))
	closed := d.book.End(now)
	closed.Events = append(closed.Events, d.k.o.Book.Event(now, incident.EventMark, "", text))
	d.k.drill = nil
	ended := d.keep(now, nil, closed)
	d.k.mu.Unlock()
	return errors.Join(resolved(ctx), ended(ctx))
}

// keep begins to store transitions, marked, with what the drill's book says of them. The caller holds the keeper's lock.
func (d *Drill) keep(now time.Time, changed []alerts.Transition, said ...incident.Outcome) (wait func(context.Context) error) {
	moved := make([]*checks.Alert, len(changed))
	for i := range changed {
		moved[i] = new(asDrill(changed[i].Alert, d.setup.Scenario))
	}
	said = append(said, d.book.Step(now, moved))
	along := store.Along{States: map[string][]byte{}}
	var records []checks.Record
	for _, a := range moved {
		if d.open[a.Fingerprint] = *a; !a.State.Open() {
			delete(d.open, a.Fingerprint)
		}
		records = append(records, d.k.told(a))
	}
	for _, out := range said {
		for i := range out.Reminders {
			records = append(records, d.k.told(&out.Reminders[i]))
		}
		maps.Copy(d.states, out.States)
		along.Events = append(along.Events, out.Events...)
	}
	maps.DeleteFunc(d.states, func(_ string, state []byte) bool { return state == nil })
	if len(records) == 0 && len(along.Events) == 0 {
		return func(context.Context) error { return nil }
	}
	along.States[drillKey] = d.remains()
	wait = d.k.o.Store.BeginWith(0, along, records...)
	for _, a := range moved {
		d.setup.Told(*a)
	}
	return wait
}

// remains is nil once the drill is over.
func (d *Drill) remains() []byte {
	if d.k.drill != d {
		return nil
	}
	data, err := json.Marshal(remains{d.setup.Scenario, d.alerts(), d.states})
	if err != nil {
		return []byte("{}") // cannot be: numbers were made finite
	}
	return data
}

// alerts are the open ones, by fingerprint.
func (d *Drill) alerts() []checks.Alert {
	all := make([]checks.Alert, 0, len(d.open))
	for _, fingerprint := range slices.Sorted(maps.Keys(d.open)) {
		all = append(all, d.open[fingerprint])
	}
	return all
}

// asDrill is the alert as a drill's: its fingerprint is no real one's, and whatever is said of it says so first.
func asDrill(a checks.Alert, scenario string) checks.Alert {
	labels := maps.Clone(a.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[checks.LabelDrill] = scenario
	a.Labels, a.Fingerprint = labels, "drill-"+a.Fingerprint
	a.Summary = strings.TrimSpace("DRILL " + a.Summary)
	return a
}

// endDrill ends what a process before left of a drill. The caller holds the lock.
func (k *Keeper) endDrill(ctx context.Context, now time.Time) (wait func(context.Context) error) {
	data, err := k.o.Store.LoadState(ctx, drillKey)
	if err != nil || data == nil {
		return func(context.Context) error { return err }
	}
	var left remains
	if err := json.Unmarshal(data, &left); err != nil {
		err = fmt.Errorf("reading what is left of a drill: %w", err)
		return func(context.Context) error { return err }
	}
	book := incident.New()
	book.Restore(now, left.Book)
	var records []checks.Record
	moved := make([]*checks.Alert, len(left.Alerts))
	for i := range left.Alerts {
		a := left.Alerts[i]
		a.Previous, a.State, a.At, a.Reminder = a.State, checks.AlertResolved, now.Round(0).UTC(), false
		moved[i] = &a
	}
	said := []incident.Outcome{book.Step(now, moved), book.End(now)}
	for _, a := range moved {
		records = append(records, k.told(a))
	}
	along := store.Along{States: map[string][]byte{drillKey: nil}}
	for _, out := range said {
		along.Events = append(along.Events, out.Events...)
	}
	along.Events = append(along.Events, k.o.Book.Event(now, incident.EventMark, "", "drill "+left.Scenario+" ended: the agent was restarted"))
	return k.o.Store.BeginWith(0, along, records...)
}

// Told are the alerts that people know of or should: those that are open, and those of a drill; false while nobody knows.
func (k *Keeper) Told() (open []checks.Alert, known bool) {
	open, known = k.Open()
	if !known {
		return nil, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drill != nil {
		open = append(slices.Clone(open), k.drill.alerts()...)
	}
	return open, true
}

// DrillIncidents are the open incidents of a drill.
func (k *Keeper) DrillIncidents() []incident.Incident {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drill == nil {
		return nil
	}
	return k.drill.book.List()
}

// ackDrill acknowledges an incident of a drill. The caller holds the lock.
func (k *Keeper) ackDrill(now time.Time, target, by, note string) (wait func(context.Context) error, ok bool) {
	if k.drill == nil {
		return nil, false
	}
	out, err := k.drill.book.Ack(now, target, by, note)
	if err != nil {
		return nil, false
	}
	return k.drill.keep(now, nil, out), true
}
