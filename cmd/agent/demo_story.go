package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// expectation is one verdict that a phase of the story must bring.
type expectation struct {
	phase, check string
	status       checks.Status
	cause        checks.Cause
}

func (e expectation) String() string {
	return fmt.Sprintf("in phase %s, %s was never %s %s", e.phase, e.check, e.status, e.cause)
}

// alarm is one alert that a phase of the story must bring, as severe as it comes to be there.
type alarm struct {
	phase, rule string
	severity    checks.Severity
}

func (a alarm) String() string {
	return fmt.Sprintf("in phase %s, %s never fired as %s", a.phase, a.rule, a.severity)
}

// script is the story as it is written: the verdicts.
func script() []expectation {
	return []expectation{
		{simulator.PhaseHealthy, "models", checks.OK, checks.CauseNone},
		{simulator.PhaseHealthy, "chat-small", checks.OK, checks.CauseNone},
		{simulator.PhaseHealthy, "egress", checks.OK, checks.CauseNone},
		{simulator.PhaseSlow, "chat-small", checks.Degraded, checks.CauseSlow},
		{simulator.PhaseRateLimited, "chat-small", checks.Failed, checks.CauseRateLimited},
		{simulator.PhaseRateLimited, "chat-large", checks.OK, checks.CauseNone},
		{simulator.PhaseServerErrors, "models", checks.Failed, checks.CauseServer},
		{simulator.PhaseServerErrors, "chat-small", checks.Skipped, checks.CauseBreakerOpen},
		{simulator.PhaseKeyRevoked, "models", checks.Failed, checks.CauseAuth},
		{simulator.PhaseRecovered, "models", checks.OK, checks.CauseNone},
		{simulator.PhaseRecovered, "chat-small", checks.OK, checks.CauseNone},
		{simulator.PhaseRecovered, "chat-large", checks.OK, checks.CauseNone},
	}
}

// alarms are the alerts that go with it.
func alarms() []alarm {
	return []alarm{
		{simulator.PhaseSlow, "high-latency", checks.P2},
		{simulator.PhaseRateLimited, "rate-limited", checks.P2},
		{simulator.PhaseServerErrors, "api-down", checks.P1},
		{simulator.PhaseServerErrors, "circuit-open", checks.P2},
		{simulator.PhaseKeyRevoked, "auth-failure", checks.P1},
	}
}

// story knows what should be seen, and what was.
type story struct {
	mu        sync.Mutex // guards the rest
	phases    []phaseStart
	seen      map[expectation]bool
	last      map[string]*checks.Report
	rang      map[alarm]bool
	open      map[string]string // rules of the alerts that are open, by fingerprint
	named     map[string]bool   // incidents that alerts were part of, by id
	incidents []incident.Incident
	fired     int
	resolved  int
}

type phaseStart struct {
	name string
	at   time.Time
}

func newStory() *story {
	return &story{
		seen: map[expectation]bool{}, last: map[string]*checks.Report{}, rang: map[alarm]bool{}, open: map[string]string{}, named: map[string]bool{},
	}
}

func (s *story) enter(name string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phases = append(s.phases, phaseStart{name, at})
}

// phaseAt is the phase of a moment. The lock is held.
func (s *story) phaseAt(at time.Time) (phase string) {
	for _, p := range s.phases {
		if !at.Before(p.at) {
			phase = p.name
		}
	}
	return phase
}

// add takes a report into account and tells whether the check's verdict changed.
func (s *story) add(r *checks.Report) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := r.StartedAt
	if began.IsZero() {
		began = r.ScheduledAt
	}
	s.seen[expectation{s.phaseAt(began), r.Check, r.Status, r.Cause}] = true
	before := s.last[r.Check]
	s.last[r.Check] = r
	return before == nil || before.Status != r.Status || before.Cause != r.Cause
}

// alert takes the transition of an alert into account.
func (s *story) alert(a *checks.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Incident != "" {
		s.named[a.Incident] = true
	}
	switch {
	case a.State.Open():
		s.open[a.Fingerprint] = a.Rule
		s.rang[alarm{s.phaseAt(a.At), a.Rule, a.Severity}] = true
	default:
		delete(s.open, a.Fingerprint)
	}
	switch {
	case a.Opens():
		s.fired++
	case a.Closes():
		s.resolved++
	}
}

// read takes the incidents of the story from the store that the agent left.
func (s *story) read(ctx context.Context, dir string) error {
	got, err := agent.SeenIncidents(ctx, &config.Config{StateDir: dir}, demoEnv)
	if err != nil {
		return fmt.Errorf("reading the incidents: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.incidents = slices.DeleteFunc(got.Incidents, func(i incident.Incident) bool { return !s.named[i.ID] })
	slices.SortFunc(s.incidents, func(a, b incident.Incident) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return nil
}

// missing is what did not go as written.
func (s *story) missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, want := range script() {
		if !s.seen[want] {
			out = append(out, want.String())
		}
	}
	for _, want := range alarms() {
		if !s.rang[want] {
			out = append(out, want.String())
		}
	}
	return append(out, s.unwell()...)
}

// unwell is what is not well at the end. The lock is held.
func (s *story) unwell() []string {
	var out []string
	for _, name := range []string{"models", "chat-small", "chat-large", "egress"} {
		if r := s.last[name]; r == nil || r.Status != checks.OK && r.Status != checks.Degraded {
			out = append(out, "at the end, "+name+" is not well")
		}
	}
	for _, rule := range slices.Sorted(maps.Values(s.open)) {
		out = append(out, "at the end, "+rule+" is not resolved")
	}
	if len(s.incidents) < len(s.named) || len(s.named) == 0 {
		out = append(out, fmt.Sprintf("at the end, the store has %d incidents, and alerts named %d", len(s.incidents), len(s.named)))
	}
	for i := range s.incidents {
		if in := &s.incidents[i]; in.Open() {
			out = append(out, "at the end, the incident "+shortID(in.ID)+" is open")
		}
	}
	return out
}

// ending is how the story came out.
type ending struct {
	Fired     int                 `json:"fired"`
	Resolved  int                 `json:"resolved"`
	Incidents []incident.Incident `json:"incidents"`
}

func (s *story) end() ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ending{s.fired, s.resolved, slices.Clone(s.incidents)}
}

// shortID is as much of an incident's id as tells it from others: the time at which it was opened.
func shortID(id string) string { return id[:min(len(id), 10)] }
