// Package breaker says whether paid calls to a provider are allowed. It is pure: no clock, no lock, no log, no I/O; `now`
// is an argument, and the caller keeps calls apart.
package breaker

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// State is where a breaker stands. The numbers are those of the metric windsock.breaker.state.
type State uint8

// The states.
const (
	Closed   State = 0 // paid runs are allowed
	HalfOpen State = 1 // one paid run at a time, whose outcome decides
	Open     State = 2 // no paid run; after the reset time a successful models list leads to HalfOpen
)

// String is the word of the state: "closed", "half_open", "open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	case Open:
		return "open"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// The defaults for settings that are not positive.
const (
	defaultFailures = 5
	defaultReset    = time.Minute
)

// Breaker is the breaker of one provider. Use New.
type Breaker struct {
	threshold int
	reset     time.Duration

	state    State
	failures int          // counted in a row
	cause    checks.Cause // of the newest counted failure
	since    time.Time    // when the state was entered; zero before the first change
	probeAt  time.Time    // Open: when a list may lead on
	granted  time.Time    // HalfOpen: when the run in flight was allowed; zero where none is
}

// New makes a closed breaker that opens after a number of counted failures in a row and asks for a list after the reset
// time. Settings that are not positive are 5 and a minute.
func New(failures int, reset time.Duration) Breaker {
	var b Breaker
	b.Configure(failures, reset)
	return b
}

// Configure changes the settings and keeps the state.
func (b *Breaker) Configure(failures int, reset time.Duration) {
	b.threshold, b.reset = failures, reset
	if failures <= 0 {
		b.threshold = defaultFailures
	}
	if reset <= 0 {
		b.reset = defaultReset
	}
	if b.state == Open {
		b.probeAt = earlier(b.probeAt, b.since.Add(b.reset))
	}
}

// State is where the breaker stands.
func (b *Breaker) State() State { return b.state }

// Status is what there is to show.
type Status struct {
	State    State
	Since    time.Time    // when the state was entered; zero before the first change
	Failures int          // counted in a row
	Cause    checks.Cause // of the newest of them
	ProbeAt  time.Time    // Open: from when a models list is asked for
}

// Status reads the breaker.
func (b *Breaker) Status() Status {
	st := Status{State: b.state, Since: b.since, Failures: b.failures, Cause: b.cause}
	if b.state == Open {
		st.ProbeAt = b.probeAt
	}
	return st
}

// Verdict says whether a paid run may begin. Why is for a person, empty where it may.
type Verdict struct {
	Allowed bool
	Why     string
}

// Allow asks for one paid run. Whoever is allowed reports the run with Record, or gives it back with Release; a run that
// does neither loses its place after the reset time, so that a lost one does not hold the breaker half-open for ever.
func (b *Breaker) Allow(now time.Time) Verdict {
	switch b.state {
	case Closed:
		return Verdict{Allowed: true}
	case HalfOpen:
		if !b.granted.IsZero() && within(now, b.granted, b.reset) {
			return Verdict{Why: "the circuit breaker is half-open and waits for the run in flight"}
		}
		b.granted = now
		return Verdict{Allowed: true}
	case Open:
	}
	if b.WantsProbe(now) {
		return Verdict{Why: fmt.Sprintf("the circuit breaker is open since %s (%s) and waits for a models list", stamp(b.since), b.cause)}
	}
	return Verdict{Why: fmt.Sprintf("the circuit breaker is open since %s (%s), until %s", stamp(b.since), b.cause, stamp(b.probeAt))}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// within reports whether now lies in the time d after start, or before it by less: a clock that was set back further does
// not stretch a wait.
func within(now, start time.Time, d time.Duration) bool { return now.Sub(start).Abs() < d }

// Release gives back a permission whose run did not take place, because the budget refused it, say.
func (b *Breaker) Release() { b.granted = time.Time{} }

// WantsProbe reports whether the time has come for a models list. A clock that was set back does not put it off beyond one
// reset time.
func (b *Breaker) WantsProbe(now time.Time) bool {
	return b.state == Open && (!now.Before(b.probeAt) || b.probeAt.Sub(now) > b.reset)
}

// Listed reports a models list. When the breaker wants one, a successful list leads to half-open, a failed one starts the
// wait anew; at all other times it changes nothing, because lists can work while every paid call fails.
func (b *Breaker) Listed(now time.Time, ok bool) {
	switch {
	case !b.WantsProbe(now):
	case ok:
		b.enter(HalfOpen, now)
	default:
		b.probeAt = now.Add(b.reset)
	}
}

// Record reports a paid run that has ended. Counted is a failure whose cause is Counted in the table of causes; any other
// answer of the provider, a 401 or 400 among them, ends the row and closes a half-open breaker. Our own faults and skips say
// nothing. Records that are not final are ignored, but give their permission back for the run that confirms. Runs that
// began before the present state did are ignored.
func (b *Breaker) Record(now time.Time, r *checks.Report) {
	if r.StartedAt.Before(b.since) || b.state == Open {
		return
	}
	if !r.StartedAt.Before(b.granted) { // not one that was given up and came back
		b.Release()
	}
	if !r.Final || !r.Status.Reached() {
		return
	}
	info, _ := r.Cause.Info()
	if r.Status != checks.Failed || !info.Counted {
		b.failures, b.cause = 0, checks.CauseNone
		if b.state == HalfOpen {
			b.enter(Closed, now)
		}
		return
	}
	b.failures, b.cause = b.failures+1, r.Cause
	if b.state == HalfOpen || b.failures >= b.threshold {
		b.enter(Open, now)
		b.probeAt = now.Add(b.reset)
	}
}

func (b *Breaker) enter(s State, now time.Time) {
	b.state, b.since, b.probeAt, b.granted = s, now, time.Time{}, time.Time{}
}

// snapshot is the durable form. A run in flight is not in it: it did not survive either.
type snapshot struct {
	Version  int          `json:"version"`
	State    string       `json:"state"`
	Since    time.Time    `json:"since,omitzero"`
	Failures int          `json:"failures,omitempty"`
	Cause    checks.Cause `json:"cause,omitempty"`
	ProbeAt  time.Time    `json:"probe_at,omitzero"`
}

const version = 1

// Snapshot is the state as a small piece of JSON, for Restore.
func (b *Breaker) Snapshot() []byte {
	data, err := json.Marshal(snapshot{version, b.state.String(), b.since.UTC().Round(0), b.failures, b.cause, b.probeAt.UTC().Round(0)})
	if err != nil { // a year beyond 9999; the state is then not worth keeping
		return nil
	}
	return data
}

// Restore takes over what Snapshot wrote. Times that cannot be, because the clock was wrong then or is now, are brought
// into reach of now. An error leaves the breaker as it was.
func (b *Breaker) Restore(now time.Time, data []byte) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("reading the state of a breaker: %w", err)
	}
	if s.Version != version {
		return fmt.Errorf("reading the state of a breaker: version %d, want %d", s.Version, version)
	}
	state := Closed
	switch s.State {
	case Closed.String():
	case HalfOpen.String():
		state = HalfOpen
	case Open.String():
		state = Open
	default:
		return fmt.Errorf("reading the state of a breaker: state %q, want closed, half_open or open", s.State)
	}
	if _, known := s.Cause.Info(); !known {
		s.Cause = checks.CauseNone
	}
	b.state, b.since, b.granted = state, earlier(s.Since, now), time.Time{}
	b.failures, b.cause = min(max(s.Failures, 0), b.threshold), s.Cause
	b.probeAt = time.Time{}
	if state == Closed {
		b.failures = min(b.failures, b.threshold-1)
	}
	if state == Open {
		b.probeAt = earlier(s.ProbeAt, now.Add(b.reset))
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
