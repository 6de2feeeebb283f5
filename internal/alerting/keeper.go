// Package alerting keeps the alerts of the running agent: what the rules say of each report, which incident that belongs to,
// what mutes it; and that all of it is stored with the report, in the order in which it was judged. It holds no rule of its
// own and tells nobody.
package alerting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

// The keys of what the store keeps for a Keeper.
const (
	alertKey    = "alert/"    // by fingerprint: the engine's
	IncidentKey = "incident/" // what the book keeps
	silencesKey = "silences"
)

// every is how often time alone moves alerts.
const every = time.Second

// Options is what outlives a reload.
type Options struct {
	Store *store.Store
	Log   *slog.Logger
	Book  *incident.Book
	Live  func() []exporters.Point // of the agent itself, what rules must know sooner than with the minute's snapshot; nil: nothing
	Noted func(incident.Outcome)   // is told what the book said, in order; it must not wait and not call back; nil: nobody
}

// Setup is what a configuration says.
type Setup struct {
	Engine  *alerts.Engine
	Rules   []alerts.Rule
	Windows []config.Maintenance

	Targets   []incident.Target
	Incidents incident.Options
}

// Keeper owns the engine and the book. All methods are safe for concurrent use.
type Keeper struct {
	o Options

	mu       sync.Mutex // guards the rest, and engine and book; never held while waiting for the disk
	setup    Setup
	started  bool
	silences []silenced // in the order in which they were made
	mutes    []alerts.Mute
	live     map[string]float64 // the values of Live that the engine has
	drill    *Drill             // that goes on; nil for none
}

// New makes a keeper that judges nothing before Start.
func New(setup Setup, o Options) *Keeper {
	o.Book.Configure(setup.Targets, setup.Incidents)
	return &Keeper{o: o, setup: setup, live: map[string]float64{}}
}

// Start takes over what the process before left, and begins to judge. last are the last verdicts of checks. The error says
// what could not be read; the keeper works all the same.
func (k *Keeper) Start(ctx context.Context, last []*checks.Report) error {
	k.mu.Lock()
	now := time.Now()
	silencesErr := k.restoreSilences(ctx)
	restored := k.o.Book.Restore(now, k.o.Store.States(IncidentKey))
	for _, report := range last {
		k.o.Book.Recall(report)
	}
	changed := k.setup.Engine.Restore(now, k.o.Store.States(alertKey))
	warmErr := k.warm(ctx, now)
	k.started = true
	changed = append(changed, k.mute(now, false)...)
	wait := k.keep(now, step{changed: changed, said: []incident.Outcome{restored}})
	reconciled := k.keep(now, step{said: []incident.Outcome{k.o.Book.Reconcile(now, k.setup.Engine.Alerts())}})
	over := k.endDrill(ctx, now)
	k.mu.Unlock()
	return errors.Join(silencesErr, warmErr, wait(ctx), reconciled(ctx), over(ctx))
}

// Run lets time move alerts until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := k.Tick(context.WithoutCancel(ctx)); err != nil {
				k.o.Log.Error("storing alerts", "error", err)
			}
		}
	}
}

// Stop ends judging: what is appended from now on is stored, and judged by nobody. It is for the end of the process.
func (k *Keeper) Stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.started = false
}

// Tick lets time move alerts once, and stores what follows.
func (k *Keeper) Tick(ctx context.Context) error {
	live := k.points()
	k.mu.Lock()
	if !k.started {
		k.mu.Unlock()
		return nil
	}
	now := time.Now()
	changed := k.mute(now, false)
	changed = append(changed, k.observe(now, live)...)
	changed = append(changed, k.setup.Engine.Step(now, nil)...)
	wait := k.keep(now, step{changed: changed})
	k.mu.Unlock()
	return wait(ctx)
}

// Append judges a record and stores it with all that follows. It returns when that is on disk; a record that changes no
// alert may wait for others as store.Gather does.
func (k *Keeper) Append(ctx context.Context, within time.Duration, record checks.Record) error {
	live := k.points()
	k.mu.Lock()
	now := time.Now()
	s := step{record: &record, within: within}
	switch {
	case !k.started:
	case record.Report != nil && record.Report.Final:
		s.changed = append(k.observe(now, live), k.setup.Engine.Step(now, record.Report)...)
	case record.Agent != nil:
		s.changed = k.snapshot(now, exporters.Points(record))
	}
	wait := k.keep(now, s)
	k.mu.Unlock()
	return wait(ctx)
}

// Replace takes over another configuration. Alerts whose rule or check is gone are resolved.
func (k *Keeper) Replace(ctx context.Context, setup Setup) error {
	k.mu.Lock()
	now := time.Now()
	var changed []alerts.Transition
	if k.started {
		changed = setup.Engine.Replace(now, k.setup.Engine)
	}
	k.setup = setup
	k.o.Book.Configure(setup.Targets, setup.Incidents)
	if k.started {
		changed = append(changed, k.mute(now, true)...)
	}
	wait := k.keep(now, step{changed: changed})
	k.mu.Unlock()
	return wait(ctx)
}

func (k *Keeper) points() []exporters.Point {
	if k.o.Live == nil {
		return nil
	}
	return k.o.Live()
}

// snapshot tells the engine of a snapshot. Of one that had to be cut nobody knows what it lacks.
func (k *Keeper) snapshot(now time.Time, points []exporters.Point) []alerts.Transition {
	if len(points) >= exporters.MaxPoints {
		return k.setup.Engine.Observe(now, points)
	}
	return k.setup.Engine.Snapshot(now, points)
}

// observe tells the engine of what changed since it was told last.
func (k *Keeper) observe(now time.Time, points []exporters.Point) []alerts.Transition {
	var fresh []exporters.Point
	for _, p := range points {
		parts := make([]string, 1, 1+2*len(p.Attrs))
		parts[0] = p.Name
		for _, a := range p.Attrs {
			parts = append(parts, a.Key, a.Value)
		}
		key := strings.Join(parts, "\x00")
		if was, known := k.live[key]; !known || was != p.Value {
			k.live[key] = p.Value
			fresh = append(fresh, p)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return k.setup.Engine.Observe(now, fresh)
}

// step is what is stored together.
type step struct {
	record  *checks.Record // what was judged; nil where only time moved
	within  time.Duration  // how long it may wait for others, where nothing follows from it
	changed []alerts.Transition
	said    []incident.Outcome
}

// keep begins to store a step with what the book says of it. The caller holds the lock, so that the store's order is that of
// judging, and waits without it.
func (k *Keeper) keep(now time.Time, s step) (wait func(context.Context) error) {
	moved := make([]*checks.Alert, len(s.changed))
	for i := range s.changed {
		moved[i] = &s.changed[i].Alert
	}
	if k.started {
		s.said = append(s.said, k.o.Book.Step(now, moved))
		if s.record != nil && s.record.Report != nil && s.record.Report.Final {
			s.said = append(s.said, k.o.Book.Saw(now, s.record.Report))
		}
	}
	along := store.Along{States: map[string][]byte{}}
	var records []checks.Record
	if s.record != nil {
		records = append(records, *s.record)
	}
	for i, a := range moved {
		along.States[alertKey+a.Fingerprint] = s.changed[i].State
		records = append(records, k.told(a))
	}
	for _, out := range s.said {
		for i := range out.Reminders {
			records = append(records, k.told(&out.Reminders[i]))
		}
		for key, state := range out.States {
			along.States[IncidentKey+key] = state
		}
		along.Events = append(along.Events, out.Events...)
		if k.o.Noted != nil {
			k.o.Noted(out)
		}
	}
	if len(records) > 1 { // people wait for it
		s.within = 0
	}
	return k.o.Store.BeginWith(s.within, along, records...)
}

// told is the record of a transition or a reminder.
func (k *Keeper) told(a *checks.Alert) checks.Record {
	tell, about := k.o.Log.Info, []any{"rule", a.Rule, "state", string(a.State), "severity", string(a.Severity)}
	if a.Opens() && a.Muted == "" {
		tell = k.o.Log.Warn
	}
	for _, more := range []struct{ key, value string }{
		{"check", a.Labels["check"]}, {"provider", a.Labels["provider"]}, {"incident", a.Incident}, {"muted", a.Muted},
	} {
		if more.value != "" {
			about = append(about, more.key, more.value)
		}
	}
	if a.Reminder {
		about = append(about, "reminder", true)
	}
	tell("alert", append(about, "summary", a.Summary)...)
	return checks.Record{ID: ulid.Make().String(), At: a.At, Alert: a}
}

// current are the alerts that are pending or open, with the incidents that they are in.
func (k *Keeper) current() []checks.Alert {
	all := k.setup.Engine.Alerts()
	for i := range all {
		k.o.Book.Fill(&all[i])
	}
	return all
}

// Open are the alerts that are open, and false while nobody knows.
func (k *Keeper) Open() (open []checks.Alert, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.started {
		return nil, false
	}
	all := k.current()
	open = all[:0]
	for i := range all {
		if all[i].State.Open() {
			open = append(open, all[i])
		}
	}
	return open, true
}

// View is what people ask a running agent for.
type View struct {
	Alerts []checks.Alert
	Rules  []alerts.Rule
	Mutes  []alerts.Mute  // that count now
	Drill  []checks.Alert // that a drill has opened
}

// View tells all at one moment.
func (k *Keeper) View() View {
	k.mu.Lock()
	defer k.mu.Unlock()
	view := View{Alerts: k.current(), Rules: k.setup.Rules, Mutes: append([]alerts.Mute(nil), k.mutes...)}
	if k.drill != nil {
		view.Drill = k.drill.alerts()
	}
	return view
}

// Ack notes who answers an incident, which target names: by its id, the rule or the fingerprint of one of its alerts. The
// error wraps ErrNone where the book knows no such incident, and ErrInvalid where by or note are no line.
func (k *Keeper) Ack(ctx context.Context, target, by, note string) error {
	if !line(by) || !line(note) {
		return fmt.Errorf("%w: by and note must be one line each of at most %d bytes", ErrInvalid, longestText)
	}
	k.mu.Lock()
	now := time.Now()
	out, err := k.o.Book.Ack(now, target, by, note)
	if err != nil {
		if wait, ok := k.ackDrill(now, target, by, note); ok {
			k.mu.Unlock()
			return wait(ctx)
		}
		k.mu.Unlock()
		return &unknownError{err}
	}
	wait := k.keep(now, step{said: []incident.Outcome{out}})
	k.mu.Unlock()
	return wait(ctx)
}

// WithBook lends the book, with the lock held, and stores what follows.
func (k *Keeper) WithBook(ctx context.Context, use func(now time.Time, book *incident.Book) incident.Outcome) error {
	k.mu.Lock()
	now := time.Now()
	out := use(now, k.o.Book)
	wait := k.keep(now, step{said: []incident.Outcome{out}})
	k.mu.Unlock()
	return wait(ctx)
}
