package exportertest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Told is one thing that a notifier's backend was told of one alert.
type Told struct {
	Event string // opened, changed, resolved, reminder
	Rule  string
}

// Notifier is what the suite needs to know about a kind that tells people of alerts.
type Notifier struct {
	Kind exporters.Kind
	Key  string // as in Options
	// Sink starts a backend on a loopback listener, which ends with the test. Before each request it asks answer what to do:
	// 0 is to take it, anything else a status to refuse it with. told is what it took, in order, alert by alert.
	Sink func(t *testing.T, answer func() int) (c Case, told func() []Told)
}

// RunNotifier runs the part of the suite that is about telling people: everything once, every end told, whatever fails.
// Kinds pass Run too.
func RunNotifier(t *testing.T, o Notifier) {
	t.Helper()
	t.Run("an alert is told when it opens and when it is over", func(t *testing.T) { opensAndEnds(t, o) })
	t.Run("what is muted is not told, and what was told is ended though it is muted", func(t *testing.T) { muted(t, o) })
	t.Run("what is more severe is told once more", func(t *testing.T) { rises(t, o) })
	t.Run("a failure in the middle tells nothing twice", func(t *testing.T) { middle(t, o) })
	t.Run("a restart ends what was told before it", func(t *testing.T) { restarted(t, o) })
	t.Run("an end whose record was lost is told by Refresh, once", func(t *testing.T) { lostEnd(t, o) })
	t.Run("an end that is refused is counted and tried again", func(t *testing.T) { refusedEnd(t, o) })
	t.Run("an unreadable state stops nothing", func(t *testing.T) { unreadable(t, o) })
}

// teller is a notifier under test with its backend.
type teller struct {
	*subject
	t    *testing.T
	o    Notifier
	c    Case
	told func() []Told
	now  time.Time
	at   int

	mu      sync.Mutex // guards answers
	answers []int      // of the next requests; 0 after them
}

func (x *teller) next() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.answers) == 0 {
		return 0
	}
	status := x.answers[0]
	x.answers = x.answers[1:]
	return status
}

// answer sets what the backend says to the next requests.
func (x *teller) answer(statuses ...int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answers = statuses
}

func newTeller(t *testing.T, o Notifier) *teller {
	t.Helper()
	x := &teller{t: t, o: o, now: time.Now().Add(-10 * time.Minute).UTC().Truncate(time.Second)}
	x.c, x.told = o.Sink(t, x.next)
	x.subject = open(t, Options{Kind: o.Kind, Key: o.Key}, x.c)
	return x
}

// record is a transition of the alert of a rule, a second after the one before.
func (x *teller) record(rule string, state checks.AlertState, change func(*checks.Alert)) checks.Record {
	x.at++
	at := x.now.Add(time.Duration(x.at) * time.Second)
	a := &checks.Alert{
		Rule: rule, Fingerprint: "f-" + rule, State: state, Severity: checks.P2, Since: x.now, At: at, Value: 3, Threshold: 2,
		Labels: map[string]string{"check": "chat"}, Summary: rule + " holds", Impact: "nobody can chat", Action: "look", Incident: "01K" + rule,
	}
	if change != nil {
		change(a)
	}
	return checks.Record{ID: fmt.Sprintf("01K%023d", x.at), At: at, Alert: a}
}

func (x *teller) want(want ...Told) {
	x.t.Helper()
	if diff := cmp.Diff(want, x.told()); diff != "" {
		x.t.Errorf("what was told (-want +got):\n%s", diff)
	}
}

func (x *teller) refresh(open ...checks.Alert) ([]byte, error) {
	x.t.Helper()
	r, ok := x.Exporter.(exporters.Refresher)
	if !ok {
		x.t.Fatal("a notifier that is no exporters.Refresher")
	}
	ctx, cancel := context.WithTimeout(x.t.Context(), 10*time.Second)
	defer cancel()
	return r.Refresh(ctx, open)
}

// reopen is a new notifier of the same backend that goes on from a state.
func (x *teller) reopen(state []byte) {
	x.t.Helper()
	c := x.c
	c.Env.State = state
	x.subject = open(x.t, Options{Kind: x.o.Kind, Key: x.o.Key}, c)
}

func opensAndEnds(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	x.accepted(t, []checks.Record{
		x.record("a", checks.AlertPending, nil), x.record("a", checks.AlertFiring, nil), x.record("a", checks.AlertNoData, nil),
		x.record("a", checks.AlertFiring, nil), x.record("b", checks.AlertPending, nil), x.record("b", checks.AlertResolved, nil),
	})
	x.want(Told{"opened", "a"})
	x.accepted(t, []checks.Record{x.record("a", checks.AlertResolved, nil)})
	x.want(Told{"opened", "a"}, Told{"resolved", "a"})
	if s, ok := x.Exporter.(exporters.Selective); !ok || !s.Wants(checks.TypeAlert) || s.Wants(checks.TypeReport) {
		t.Error("a notifier wants alerts and no reports (exporters.Selective)")
	}
}

func muted(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	hush := func(a *checks.Alert) { a.Muted = "silence/1" }
	x.accepted(t, []checks.Record{
		x.record("a", checks.AlertFiring, hush), x.record("a", checks.AlertResolved, hush),
		x.record("b", checks.AlertFiring, hush), x.record("b", checks.AlertFiring, nil), x.record("b", checks.AlertResolved, hush),
	})
	x.want(Told{"opened", "b"}, Told{"resolved", "b"})
}

func rises(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	worse := func(a *checks.Alert) { a.Severity = checks.P1 }
	x.accepted(t, []checks.Record{x.record("a", checks.AlertFiring, nil)})
	x.accepted(t, []checks.Record{x.record("a", checks.AlertFiring, worse), x.record("a", checks.AlertFiring, worse)})
	x.accepted(t, []checks.Record{x.record("a", checks.AlertResolved, worse)})
	got := x.told()
	if n := len(got); n != 3 || got[0] != (Told{"opened", "a"}) || got[1] != (Told{"changed", "a"}) || got[2] != (Told{"resolved", "a"}) {
		t.Errorf("told %v, want opened, changed, resolved", got)
	}
}

func middle(t *testing.T, o Notifier) {
	t.Helper()
	for _, status := range []int{http.StatusInternalServerError, http.StatusTooManyRequests, http.StatusUnauthorized} {
		x := newTeller(t, o)
		batch := []checks.Record{x.record("a", checks.AlertFiring, nil), x.record("b", checks.AlertFiring, nil), x.record("a", checks.AlertResolved, nil)}
		x.answer(0, status)
		_, err := x.send(t, batch)
		n, state := exporters.ProgressOf(err)
		if err == nil {
			continue // the backend takes all alerts at once
		}
		x.reopen(state)
		x.accepted(t, batch[n:])
		x.want(Told{"opened", "a"}, Told{"opened", "b"}, Told{"resolved", "a"})
	}
}

func restarted(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	state := x.accepted(t, []checks.Record{x.record("a", checks.AlertFiring, nil)})
	x.answer(slices.Repeat([]int{http.StatusBadGateway}, 3)...)
	end := []checks.Record{x.record("a", checks.AlertResolved, nil)}
	for range 3 {
		if _, err := x.send(t, end); ClassOf(err) != Retry {
			t.Fatalf("%v (%s), want Retry", err, ClassOf(err))
		}
	}
	x.reopen(state)
	x.accepted(t, end)
	x.want(Told{"opened", "a"}, Told{"resolved", "a"})
}

func lostEnd(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	fires := x.record("a", checks.AlertFiring, nil)
	x.accepted(t, []checks.Record{fires})
	if _, err := x.refresh(*fires.Alert); err != nil {
		t.Errorf("refreshing what is open: %v", err)
	}
	state, err := x.refresh()
	if err != nil || state == nil {
		t.Fatalf("refreshing: state %q, %v, want the state after it", state, err)
	}
	x.noKey(t, "the state", string(state))
	x.reopen(state)
	x.accepted(t, []checks.Record{x.record("a", checks.AlertResolved, nil)})
	got := slices.Compact(x.told()) // a backend that forgets is told again
	if want := []Told{{"opened", "a"}, {"resolved", "a"}}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

func refusedEnd(t *testing.T, o Notifier) {
	t.Helper()
	x := newTeller(t, o)
	x.accepted(t, []checks.Record{x.record("a", checks.AlertFiring, nil)})
	x.answer(http.StatusBadRequest)
	outcome, err := x.send(t, []checks.Record{x.record("a", checks.AlertResolved, nil)})
	if ClassOf(err) != Poison && (err != nil || len(outcome.Rejected) != 1) {
		t.Errorf("%v, rejected %v, want it rejected", err, outcome.Rejected)
	}
	if _, err := x.refresh(); err != nil {
		t.Errorf("refreshing: %v", err)
	}
	x.want(Told{"opened", "a"}, Told{"resolved", "a"})
}

func unreadable(t *testing.T, o Notifier) {
	t.Helper()
	for _, state := range []string{"{", `{"v":99}`, "null", `{"v":1,"open":null}`, `{"v":1,"open":{"f":{}}}`} {
		x := newTeller(t, o)
		x.reopen([]byte(state))
		x.accepted(t, []checks.Record{x.record("a", checks.AlertFiring, nil), x.record("a", checks.AlertResolved, nil)})
		x.want(Told{"opened", "a"}, Told{"resolved", "a"})
	}
}

// Alerts are records of n alerts that begin to fire, each with an incident of its own where apart is true.
func Alerts(at time.Time, n int, apart bool) []checks.Record {
	out := make([]checks.Record, 0, n)
	for i := range n {
		incident := "01KINCIDENT"
		if apart {
			incident = fmt.Sprintf("01KINCIDENT%d", i)
		}
		out = append(out, checks.Record{ID: fmt.Sprintf("01KALERT%018d", i), At: at, Alert: &checks.Alert{
			Rule: "api-down", Fingerprint: fmt.Sprintf("f%d", i), State: checks.AlertFiring, Severity: checks.P1, Blame: checks.BlameProvider,
			Since: at.Add(-time.Minute), At: at, Value: 3, Threshold: 3, Labels: map[string]string{"check": fmt.Sprintf("chat-%d", i)},
			Summary: "chat failed 3 times in a row", Runbook: "api-down", Incident: incident,
		}})
	}
	return out
}
