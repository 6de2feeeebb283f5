package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/breaker"
	"github.com/windsock-monitor/windsock/internal/mirage"
)

// The bounds of a drill in place.
const (
	drillLongest = 10 * time.Minute
	drillPace    = time.Second // between two runs of a check of a drill
	drillFast    = 50 * time.Millisecond
	drillTick    = 100 * time.Millisecond
	drillEnds    = 10 * time.Second // for the routes to take the end of what they were told
	drillShare   = 0.65             // of the time: the fault; the rest is for the end of the alerts
	drillOnce    = 3                // runs in which a check must go well before the fault
)

// DrillRequest is what POST /v1/drills is told.
type DrillRequest struct {
	Scenario string             `json:"scenario"` // its name, the value of the label drill
	What     string             `json:"what,omitempty"`
	Provider string             `json:"provider,omitempty"` // may be left out where there is one
	Faults   []DrillFault       `json:"faults"`             // all at once
	Expect   []DrillExpectation `json:"expect"`
	For      string             `json:"for,omitempty"`   // "5m"; ten minutes, which is the most, where absent
	Every    string             `json:"every,omitempty"` // between two runs of a check; a second where absent
	Lease    string             `json:"lease,omitempty"` // the drill ends where nobody has asked for its state for so long; absent: it does not
	Force    bool               `json:"force,omitempty"` // also while an incident is open
}

// DrillFault is one thing that goes wrong. Exactly one key is given.
type DrillFault struct {
	mirage.Fault

	UsedModel string `json:"used_model,omitempty"` // what becomes of a model that the checks use: retired, moved
}

// DrillExpectation is one alert for which the fault is kept.
type DrillExpectation struct {
	Rule     string            `json:"rule"`
	Severity []checks.Severity `json:"severity,omitempty"` // any of these; absent: whatever it is
	Seen     []string          `json:"seen_by,omitempty"`  // kinds of check any of which sees the fault; where none is drilled, the alert is not waited for
	Lasting  bool              `json:"lasting,omitempty"`  // it does not end with the fault: its rule looks further back
}

// DrillPhase is how far a drill is.
type DrillPhase string

// The phases, in their order.
const (
	DrillBaseline DrillPhase = "baseline" // all must be well, or nothing is shown
	DrillBroken   DrillPhase = "fault"
	DrillMended   DrillPhase = "recovery"
	DrillOver     DrillPhase = "over"
)

// DrillState is what GET /v1/drills answers: of the drill that goes on, else of the last one.
type DrillState struct {
	Scenario string       `json:"scenario"`
	Phase    DrillPhase   `json:"phase"`
	By       string       `json:"by,omitempty"`
	BeganAt  time.Time    `json:"began_at"`
	BrokeAt  time.Time    `json:"broke_at,omitzero"`
	MendedAt time.Time    `json:"mended_at,omitzero"`
	EndedAt  time.Time    `json:"ended_at,omitzero"`
	Until    time.Time    `json:"until"`         // when it ends at the latest
	Why      string       `json:"why,omitempty"` // it ended before all was shown
	Checks   []DrillCheck `json:"checks"`        // the second instances that were run
	LeftOut  []string     `json:"left_out,omitempty"`
	Missing  []string     `json:"missing,omitempty"` // rules that are expected and not configured
	Alerts   []DrillAlert `json:"alerts,omitempty"`  // in the order in which they fired
}

// DrillCheck is what a check saw last.
type DrillCheck struct {
	Name   string        `json:"name"`
	Kind   string        `json:"kind"`
	Runs   int           `json:"runs"`
	Status checks.Status `json:"status"`
	Cause  checks.Cause  `json:"cause,omitempty"`
}

// DrillAlert is what became of one alert.
type DrillAlert struct {
	Rule       string            `json:"rule"`
	Severity   checks.Severity   `json:"severity"` // at its worst
	Blame      checks.Blame      `json:"blame,omitempty"`
	State      checks.AlertState `json:"state"`
	FiredAt    time.Time         `json:"fired_at"`
	RaisedAt   time.Time         `json:"raised_at"` // when it became as severe as that
	ResolvedAt time.Time         `json:"resolved_at,omitzero"`
	ByDrill    bool              `json:"by_drill,omitempty"` // it ended with the drill, not by itself
	Lasting    bool              `json:"lasting,omitempty"`  // its rule looks further back than the drill lasts, so that only that can end it
	Muted      string            `json:"muted,omitempty"`
	Incident   string            `json:"incident,omitempty"`
	Routes     []DrillRoute      `json:"routes,omitempty"`

	fingerprint string
}

// DrillRoute is one exporter, and what it was told of an alert.
type DrillRoute struct {
	Exporter   string    `json:"exporter"`
	Kind       string    `json:"kind"`
	People     bool      `json:"people,omitempty"` // it tells people
	Wants      bool      `json:"wants"`            // its own match takes the alert
	ToldAt     time.Time `json:"told_at,omitzero"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	TellsEnds  bool      `json:"tells_ends,omitempty"`
	Why        string    `json:"why,omitempty"` // it was not told
}

// drills is the drill that goes on, and the last one. Its methods are safe for concurrent use.
type drills struct {
	a *Agent

	mu      sync.Mutex // guards the rest
	running *drill     // nil: none
	last    *drill
}

// notNowError is why no drill can begin at this moment.
type notNowError struct{ text string }

func (e *notNowError) Error() string { return e.text }

// askedError is a drill that was asked for wrongly.
type askedError struct{ text string }

func (e *askedError) Error() string { return e.text }

func askedWrongly(format string, args ...any) error { return &askedError{fmt.Sprintf(format, args...)} }

// begin begins a drill and returns its state.
func (d *drills) begin(ctx context.Context, asked *DrillRequest, by string) (DrillState, error) {
	plan, err := d.a.planDrill(asked, by)
	if err != nil {
		return DrillState{}, err
	}
	if err := d.a.drillable(ctx, plan); err != nil {
		return DrillState{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil {
		return DrillState{}, &notNowError{fmt.Sprintf("the drill %s goes on until %s: one at a time", d.running.plan.scenario, d.running.plan.until.Format(time.TimeOnly))}
	}
	made, err := d.a.newDrill(ctx, plan)
	if err != nil {
		return DrillState{}, err
	}
	d.running, d.last = made, made
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	made.stop = stop
	go func() {
		defer close(made.done)
		defer stop(nil)
		made.run(base)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = nil
	}()
	return made.state(), nil
}

// drillable refuses a drill while something is wrong: nobody needs both at once.
func (a *Agent) drillable(ctx context.Context, plan *drillPlan) error {
	incidents, err := a.history(ctx)
	if err != nil {
		return err
	}
	for i := range incidents.open {
		if one := &incidents.open[i]; !plan.force && !strings.HasPrefix(one.Title, "DRILL ") {
			return &notNowError{fmt.Sprintf("an incident is open: %s, %s, %s; --force drills all the same", one.ID, one.Severity, one.Title)}
		}
	}
	if state := a.breakers.States()[plan.provider]; plan.provider != "" && state != breaker.Closed {
		return &notNowError{fmt.Sprintf("the breaker of %s is %s: see what is wrong first", plan.provider, state)}
	}
	if n := stoppedByBudget(a.checkStates(time.Now())); n > 0 {
		return &notNowError{fmt.Sprintf("the budget keeps %d checks from running: see what is wrong first", n)}
	}
	return nil
}

// end ends the drill that goes on, and waits for it; false where none does.
func (d *drills) end(why string) bool {
	d.mu.Lock()
	running := d.running
	d.mu.Unlock()
	if running == nil {
		return false
	}
	running.stop(errors.New(why))
	<-running.done
	return true
}

// state is that of the drill that goes on, else of the last one; false where there was none.
func (d *drills) state() (DrillState, bool) {
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if last == nil {
		return DrillState{}, false
	}
	last.heard()
	return last.state(), true
}

// took is told that an exporter is done with an alert, by its worker.
func (d *drills) took(by *delivering, alert *checks.Alert, ok bool) {
	if alert.Drill() == "" {
		return
	}
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if last == nil {
		return
	}
	people, known := false, true
	if told, tells := by.get().(teller); tells {
		people, known = true, told.Tells(alert.Fingerprint)
	}
	last.took(by.name, alert, outcome{ok: ok, people: people, told: known})
}

// outcome is what an exporter made of an alert.
type outcome struct {
	ok     bool // it was not rejected
	people bool // it tells people
	told   bool // people know of the alert now
}

// drill is one drill.
type drill struct {
	plan *drillPlan
	a    *Agent
	rig  *drillRig
	keep *alerting.Drill
	stop context.CancelCauseFunc
	done chan struct{}

	mu    sync.Mutex // guards the rest
	now   DrillState
	asked time.Time     // when somebody asked for the state last
	news  chan struct{} // of one: something was seen
}

func (d *drill) heard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = time.Now()
}

// state is a copy.
func (d *drill) state() DrillState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.now
	s.Checks, s.LeftOut, s.Alerts = slices.Clone(s.Checks), slices.Clone(s.LeftOut), slices.Clone(s.Alerts)
	for i := range s.Alerts {
		s.Alerts[i].Routes = slices.Clone(s.Alerts[i].Routes)
	}
	return s
}

// told notes a transition of an alert of the drill. It is called while the keeper holds its lock.
func (d *drill) told(a checks.Alert) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.IndexFunc(d.now.Alerts, func(known DrillAlert) bool { return known.fingerprint == a.Fingerprint })
	if at < 0 && !a.State.Open() {
		return
	}
	if at < 0 {
		d.now.Alerts = append(d.now.Alerts, DrillAlert{
			Rule: a.Rule, Severity: a.Severity, FiredAt: a.At, RaisedAt: a.At, Routes: d.routes(&a), Lasting: d.plan.lasts(a.Rule), fingerprint: a.Fingerprint,
		})
		at = len(d.now.Alerts) - 1
	}
	known := &d.now.Alerts[at]
	known.State, known.Muted = a.State, a.Muted
	if a.State.Open() {
		known.Blame, known.Incident, known.ResolvedAt = cmp.Or(a.Blame, known.Blame), a.Incident, time.Time{}
		d.want(known, &a)
	} else {
		known.ResolvedAt, known.ByDrill = a.At, d.now.Phase == DrillOver
	}
	if a.Severity < known.Severity {
		known.Severity, known.RaisedAt = a.Severity, a.At
	}
	d.wake()
}

// routes are the exporters of the agent, and which of them should tell the alert.
func (d *drill) routes(a *checks.Alert) []DrillRoute {
	var all []DrillRoute
	for _, e := range d.rig.deliveries {
		r := DrillRoute{Exporter: e.name, Kind: e.kind, Wants: true, TellsEnds: true}
		built := e.get()
		if s, ok := built.(exporters.Selective); ok && !s.Wants(checks.TypeAlert) {
			continue
		}
		if _, page := built.(exporters.Handler); page { // of metrics, in which a drill leaves nothing
			continue
		}
		if n, ok := built.(notifier); ok {
			r.People, r.Wants, r.TellsEnds = true, n.Takes(*a), n.TellsEnds()
		}
		all = append(all, r)
	}
	return all
}

// notifier is implemented by exporters that tell people.
type notifier interface {
	teller
	Takes(alert checks.Alert) bool
	TellsEnds() bool
}

// want notes which routes should tell the alert as it is now.
func (d *drill) want(known *DrillAlert, a *checks.Alert) {
	for _, fresh := range d.routes(a) {
		for i := range known.Routes {
			if r := &known.Routes[i]; r.Exporter == fresh.Exporter {
				r.Wants, r.People, r.TellsEnds = r.Wants || fresh.Wants, fresh.People, fresh.TellsEnds
			}
		}
	}
}

// took notes what an exporter made of an alert.
func (d *drill) took(exporter string, a *checks.Alert, o outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().Round(0).UTC()
	for i := range d.now.Alerts {
		if d.now.Alerts[i].fingerprint != a.Fingerprint {
			continue
		}
		for k := range d.now.Alerts[i].Routes {
			if r := &d.now.Alerts[i].Routes[k]; r.Exporter == exporter {
				r.note(now, a, o)
			}
		}
	}
	d.wake()
}

func (r *DrillRoute) note(now time.Time, a *checks.Alert, o outcome) {
	switch {
	case !o.ok:
		r.Why = "the message was refused: the agent's log says why"
	case a.State.Open() && o.told && r.ToldAt.IsZero():
		r.ToldAt, r.Why = now, ""
	case a.State == checks.AlertResolved && (!o.people || !o.told) && !r.ToldAt.IsZero() && r.TellsEnds:
		r.ResolvedAt = now
	}
}

// wake lets the drill look at what it has. The caller holds the lock.
func (d *drill) wake() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}
