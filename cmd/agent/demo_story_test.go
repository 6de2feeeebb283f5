package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/incident"
)

// asWritten is a story in which everything came that was expected, in its phase, and all is well at the end.
func asWritten(t *testing.T) *story {
	t.Helper()
	s, at := newStory(), time.Now()
	entered := map[string]time.Time{}
	for _, e := range script() {
		if entered[e.phase].IsZero() {
			at = at.Add(time.Minute)
			entered[e.phase] = at
			s.enter(e.phase, at)
		}
		s.add(&checks.Report{Check: e.check, StartedAt: at, Result: checks.Result{Status: e.status, Cause: e.cause}})
	}
	s.add(&checks.Report{Check: "egress", StartedAt: at, Result: checks.Result{Status: checks.OK}})
	for _, a := range alarms() {
		s.alert(&checks.Alert{Rule: a.rule, Fingerprint: a.rule, State: checks.AlertFiring, Severity: a.severity, At: entered[a.phase], Incident: "01A"})
		s.alert(&checks.Alert{Rule: a.rule, Fingerprint: a.rule, State: checks.AlertResolved, Previous: checks.AlertFiring, Severity: a.severity, At: at, Incident: "01A"})
	}
	s.incidents = []incident.Incident{{ID: "01A", OpenedAt: at, ClosedAt: at}}
	if missing := s.missing(); len(missing) > 0 {
		t.Fatalf("as written, but %q", missing)
	}
	return s
}

func TestTheDemoFailsWhereAnAlertDoesNotGoAsWritten(t *testing.T) {
	first := alarms()[0]
	tests := map[string]struct {
		change func(s *story)
		want   string
	}{
		"it never fired":           {func(s *story) { delete(s.rang, first) }, first.String()},
		"it was not so severe":     {func(s *story) { delete(s.rang, first); s.rang[alarm{first.phase, first.rule, checks.P4}] = true }, first.String()},
		"it came in another phase": {func(s *story) { delete(s.rang, first); s.rang[alarm{"healthy", first.rule, first.severity}] = true }, first.String()},
		"it is not resolved": {func(s *story) {
			s.alert(&checks.Alert{Rule: "blind", Fingerprint: "b", State: checks.AlertFiring, Incident: "01A"})
		}, "at the end, blind is not resolved"},
		"its incident is open":        {func(s *story) { s.incidents[0].ClosedAt = time.Time{} }, "at the end, the incident 01A is open"},
		"its incident is not kept":    {func(s *story) { s.incidents = nil }, "at the end, the store has 0 incidents, and alerts named 1"},
		"no alert is of any incident": {func(s *story) { s.incidents, s.named = nil, nil }, "at the end, the store has 0 incidents, and alerts named 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := asWritten(t)
			test.change(s)
			if got := s.missing(); !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want %q", strings.Join(got, "; "), test.want)
			}
		})
	}
}

func TestTheDemoCountsWhatFiredAndWhatResolved(t *testing.T) {
	s := asWritten(t)
	s.alert(&checks.Alert{Rule: "x", Fingerprint: "x", State: checks.AlertPending})
	s.alert(&checks.Alert{Rule: "x", Fingerprint: "x", State: checks.AlertResolved, Previous: checks.AlertPending}) // came to nothing
	s.alert(&checks.Alert{Rule: "x", Fingerprint: "x", State: checks.AlertFiring, Previous: checks.AlertFiring})    // goes on
	if end := s.end(); end.Fired != len(alarms()) || end.Resolved != len(alarms()) {
		t.Errorf("%d fired, %d resolved, want %d of each", end.Fired, end.Resolved, len(alarms()))
	}
}
