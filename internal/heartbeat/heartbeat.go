// Package heartbeat is the dead man's switch: it GETs an address while the agent is well, so that whoever hears no more of it
// raises the alarm. It decides nothing about the agent, which it is told, and shows nothing of the address, which is a
// credential: who knows it can silence the alarm.
package heartbeat

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Reason is the part of the agent that is not well, "" where all are.
type Reason string

// The reasons for which a heartbeat is withheld.
const (
	Scheduler Reason = "scheduler" // it does not tick
	Store     Reason = "store"     // it cannot be written, or not be read
	Export    Reason = "export"    // somebody is not told: an exporter is held, stuck or behind
)

// Reasons are all that there are.
func Reasons() []Reason { return []Reason{Scheduler, Store, Export} }

const (
	soon       = time.Second      // after a start or a change, so that exporters that begin anew have been refused if they will be
	retryFirst = 5 * time.Second  // the longest first wait within a beat
	answerMost = 10 * time.Second // for one answer
)

// Settings are what the configuration says. The zero value is off.
type Settings struct {
	URL   checks.Secret // read for each try, so that a file that was rotated counts
	Every time.Duration
	Way   outbound.Exchanger
	Place func(err error) error // gives what is wrong with the URL its place in the file; may be nil
	Hide  func(text string)     // is told the parts of the URL that no log may show; may be nil
}

// Options are what a Sender needs for all of its life.
type Options struct {
	// Well says whether the agent is well: the reason why not, and a sentence about it. It obeys the deadline of ctx.
	Well func(ctx context.Context) (Reason, string)
	Log  *slog.Logger
}

// Status is where a Sender stands. Sent, Failed and Withheld add up to the beats that were due and are over, each counted
// once, as the last of its tries ended.
type Status struct {
	On           bool
	Every        time.Duration
	LastSentAt   time.Time // zero: never
	Reason       Reason    // why nothing is sent; "" where it is, or fails
	Why          string    // a sentence about Reason
	Problem      string    // why the last try failed, without the URL; "" where it did not
	Sent, Failed int64
	Withheld     map[Reason]int64
}

// Sender sends heartbeats. Run does the work; the other methods are safe for concurrent use.
type Sender struct {
	o Options

	mu      sync.Mutex // guards the rest
	set     Settings
	changed chan struct{} // closed when set is replaced
	status  Status
}

// New makes a Sender that is off. It starts nothing.
func New(o Options) *Sender {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{o: o, changed: make(chan struct{}), status: Status{Withheld: map[Reason]int64{}}}
}

// Configure replaces the settings. A beat is due a second later, so that what was changed is seen to work.
func (s *Sender) Configure(set Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = set
	s.status.On, s.status.Every = set.Every > 0, set.Every
	s.status.Reason, s.status.Why, s.status.Problem = "", "", ""
	close(s.changed)
	s.changed = make(chan struct{})
}

// Status reads where the sender stands.
func (s *Sender) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	out.Withheld = maps.Clone(out.Withheld)
	return out
}

func (s *Sender) present() (Settings, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, s.changed
}

// Run sends until ctx ends, which also ends a try that is going on. It can be called once.
func (s *Sender) Run(ctx context.Context) {
	due := time.Now().Add(soon)
	for ctx.Err() == nil {
		set, changed := s.present()
		if set.Every <= 0 {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			due = time.Now().Add(soon)
			continue
		}
		if pause(ctx, changed, time.Until(due)) && s.beat(ctx, due, set, changed) {
			due = due.Add(set.Every)
		}
		switch now := time.Now(); {
		case isClosed(changed):
			due = now.Add(soon)
		case due.Before(now): // after a standstill there is one beat, not many
			due = now
		}
	}
}

// beat tries until one try is taken or little is left of the period, and counts the beat. It reports whether ctx and the
// settings are as they were.
func (s *Sender) beat(ctx context.Context, due time.Time, set Settings, changed <-chan struct{}) bool {
	last, first := due.Add(set.Every*3/4), min(set.Every/8, retryFirst)
	longest := first
	for {
		out := s.try(ctx, set, min(set.Every/2, answerMost, time.Until(due.Add(set.Every))))
		if ctx.Err() != nil && !out.sent { // nobody knows what would have become of it
			return false
		}
		s.note(out, set.Every)
		wait := first
		if out.err != nil {
			wait = longest/2 + rand.N(longest/2+1) //nolint:gosec // jitter is no secret
			longest *= 2
		}
		if out.sent || time.Now().Add(wait).After(last) {
			s.count(out)
			return true
		}
		if !pause(ctx, changed, wait) {
			s.count(out)
			return false
		}
	}
}

// outcome is what became of a try.
type outcome struct {
	sent   bool
	reason Reason
	why    string
	err    error
}

// try looks at the agent and, where it is well, sends once. most is how long that may take.
func (s *Sender) try(ctx context.Context, set Settings, most time.Duration) outcome {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if reason, why := s.o.Well(ctx); reason != "" {
		return outcome{reason: reason, why: why}
	}
	if err := set.send(ctx); err != nil {
		return outcome{err: err}
	}
	return outcome{sent: true}
}

// note keeps what became of a try, and logs it where it is news.
func (s *Sender) note(out outcome, every time.Duration) {
	s.mu.Lock()
	reason, problem := s.status.Reason, s.status.Problem
	s.status.Reason, s.status.Why, s.status.Problem = out.reason, out.why, ""
	if out.err != nil {
		s.status.Problem = out.err.Error()
	}
	if out.sent {
		s.status.LastSentAt = time.Now()
	}
	now := s.status
	s.mu.Unlock()
	switch {
	case out.sent && (reason != "" || problem != ""):
		s.o.Log.Info("heartbeat is sent again")
	case out.reason != "" && out.reason != reason:
		s.o.Log.Warn("heartbeat withheld", "reason", string(out.reason), "why", out.why, "every", every)
	case out.err != nil && now.Problem != problem:
		s.o.Log.Warn("heartbeat failed", "error", out.err, "every", every)
	}
}

// count counts a beat.
func (s *Sender) count(out outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case out.sent:
		s.status.Sent++
	case out.err != nil:
		s.status.Failed++
	default:
		s.status.Withheld[out.reason]++
	}
}

// pause waits and reports whether ctx and the settings are as they were.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
		return ctx.Err() == nil && !isClosed(changed)
	}
	return false
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
