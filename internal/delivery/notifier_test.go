package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// notifier is a backend that wants alerts only, and is refreshed.
type notifier struct {
	backend

	again   func(ctx context.Context, open []checks.Alert) ([]byte, error)
	renewed []time.Time
}

func (n *notifier) Wants(t checks.RecordType) bool { return t == checks.TypeAlert }

func (n *notifier) Refresh(ctx context.Context, open []checks.Alert) ([]byte, error) {
	n.mu.Lock()
	n.inside++
	n.most = max(n.most, n.inside)
	n.renewed = append(n.renewed, time.Now())
	again := n.again
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.inside--
		n.mu.Unlock()
	}()
	if again == nil {
		return nil, nil
	}
	return again(ctx, open)
}

func (n *notifier) renew(again func(ctx context.Context, open []checks.Alert) ([]byte, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.again = again
}

func (n *notifier) refreshes() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.renewed)
}

// put appends a record of now.
func (m *memory) put(r checks.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	if r.At.IsZero() {
		r.At = time.Now()
	}
	r.ID = fmt.Sprintf("r%05d", m.last)
	m.entries = append(m.entries, delivery.Entry{Pos: m.last, Record: r})
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) report() { m.put(checks.Record{Report: &checks.Report{}}) }

func (m *memory) alert(fingerprint string, state checks.AlertState) {
	now := time.Now()
	m.put(checks.Record{Alert: &checks.Alert{Fingerprint: fingerprint, State: state, Since: now, At: now}})
}

// known is what is open, as Options.Alerts gives it.
type known struct {
	mu    sync.Mutex // guards all
	open  []checks.Alert
	blind bool
}

func (k *known) alerts() ([]checks.Alert, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.open), !k.blind
}

func (k *known) set(blind bool, open ...checks.Alert) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.blind = open, blind
}

func notify(t *testing.T, m *memory, n *notifier, k *known, o delivery.Options) *courier {
	t.Helper()
	o.Open = func(_ context.Context, state []byte) (exporters.Exporter, error) {
		n.state = state
		return n, nil
	}
	if k != nil {
		o.Alerts = k.alerts
	}
	return deliver(t, m, &n.backend, o)
}

func (n *notifier) heard() string {
	var all []string
	for _, r := range n.records() {
		all = append(all, r.Alert.Fingerprint+" "+string(r.Alert.State))
	}
	return strings.Join(all, ", ")
}

func TestOnlyWhatIsWantedIsSentAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		c := notify(t, m, n, nil, delivery.Options{})
		for i := range 1000 {
			m.report()
			if i%100 == 50 {
				m.alert(strconv.Itoa(i), checks.AlertFiring)
			}
			time.Sleep(time.Millisecond)
		}
		pass(2 * time.Second)
		cursor, counts := m.books("x")
		if len(n.records()) != 10 || counts.Sent != 10 || total(counts.Rejected)+total(counts.Expired) != 0 || cursor.Pos != 1010 {
			t.Errorf("%d records, counts %+v, at %d; want the ten alerts, and the cursor behind everything", len(n.records()), counts, cursor.Pos)
		}
		c.mustStop()
	})
}

func TestTheCursorOfWhatIsPassedOverMovesOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		commits := 0
		m.committed = func() { commits++ }
		c := notify(t, m, n, nil, delivery.Options{})
		for range 10_000 {
			m.report()
			time.Sleep(time.Millisecond)
		}
		pass(2 * time.Second)
		if cursor, _ := m.books("x"); cursor.Pos != 10_000 || commits < 5 || commits > 12 {
			t.Errorf("at %d after %d commits in ten seconds, want 10000 and about ten", cursor.Pos, commits)
		}
		c.mustStop()
	})
}

func TestAnAlertIsToldAtOnceWhileReportsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		c := notify(t, m, n, nil, delivery.Options{})
		var appended []time.Time
		for i := range 3000 {
			m.report()
			if i%300 == 299 {
				appended = append(appended, time.Now())
				m.alert(strconv.Itoa(i), checks.AlertFiring)
			}
			time.Sleep(time.Millisecond)
		}
		pass(time.Second)
		if len(n.attempts()) != len(appended) {
			t.Fatalf("%d exports of %d alerts", len(n.attempts()), len(appended))
		}
		for i, at := range n.attempts() {
			if waited := at.Sub(appended[i]); waited > 100*time.Millisecond {
				t.Errorf("alert %d waited %s, want no more than 100ms", i, waited)
			}
		}
		c.mustStop()
	})
}

func TestProgressIsCommittedAndNotSentAgain(t *testing.T) {
	for name, fault := range map[string]error{
		"a retry": exporters.Retry(errDown, 0), "a hold": exporters.Hold(errDown), "a poison": exporters.Poison(errDown), "a split": exporters.Split(errDown),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, n := newMemory(), &notifier{}
				var taken []string
				failed := false
				n.set(func(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
					for i, r := range batch {
						if i == 3 && !failed {
							failed = true
							return exporters.Outcome{Rejected: []exporters.Rejection{{Index: 1, Reason: "refused"}, {Index: 5, Reason: "refused"}}},
								exporters.Progress(i, []byte("three"), fault)
						}
						taken = append(taken, r.ID)
					}
					return exporters.Outcome{State: []byte("all")}, nil
				})
				for i := range 8 {
					m.report()
					m.alert(strconv.Itoa(i), checks.AlertFiring)
				}
				c := notify(t, m, n, nil, delivery.Options{})
				synctest.Wait() // before the first wait, which may be as short as 100ms, is over
				if cursor, counts := m.books("x"); !exporters.IsPoison(fault) && !exporters.IsSplit(fault) && (cursor.Pos != 6 || string(cursor.State) != "three" || counts.Sent != 2 || counts.Rejected["refused"] != 1) {
					t.Errorf("at %d with %q and %+v, want the first three done, one of them rejected", cursor.Pos, cursor.State, counts)
				}
				pass(15 * time.Minute)
				cursor, counts := m.books("x")
				if len(taken) != 8 || len(slices.Compact(slices.Sorted(slices.Values(taken)))) != 8 || counts.Sent != 7 || cursor.Pos != 16 || string(cursor.State) != "all" {
					t.Errorf("taken %v, %+v, at %d; want all eight once", taken, counts, cursor.Pos)
				}
				c.mustStop()
			})
		})
	}
}

func TestProgressWithoutARecordKeepsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		n.set(failing(exporters.Progress(0, []byte("told ahead"), exporters.Retry(errDown, 0))))
		m.alert("a", checks.AlertFiring)
		c := notify(t, m, n, nil, delivery.Options{})
		pass(time.Second)
		if cursor, counts := m.books("x"); cursor.Pos != 0 || string(cursor.State) != "told ahead" || counts.Sent != 0 {
			t.Errorf("at %d with %q and %+v, want the state only", cursor.Pos, cursor.State, counts)
		}
		c.halt()
	})
}

func TestProgressBeyondTheBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		n.set(failing(exporters.Progress(7, nil, exporters.Retry(errDown, 0))))
		m.alert("a", checks.AlertFiring)
		c := notify(t, m, n, nil, delivery.Options{})
		pass(time.Second)
		if cursor, counts := m.books("x"); cursor.Pos != 1 || counts.Sent != 1 {
			t.Errorf("at %d with %+v, want the one record done", cursor.Pos, counts)
		}
		c.mustStop()
	})
}

func TestProgressOfAnAttemptThatTheEndCutsOffIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		n.set(func(ctx context.Context, _ []checks.Record) (exporters.Outcome, error) {
			<-ctx.Done()
			return exporters.Outcome{}, exporters.Progress(1, []byte("one"), ctx.Err())
		})
		m.alert("a", checks.AlertFiring)
		m.alert("b", checks.AlertFiring)
		c := notify(t, m, n, nil, delivery.Options{})
		c.halt()
		if cursor, counts := m.books("x"); cursor.Pos != 1 || string(cursor.State) != "one" || counts.Sent != 1 {
			t.Errorf("at %d with %q and %+v, want the first done", cursor.Pos, cursor.State, counts)
		}
	})
}

func TestRefreshComesOnceAMinuteWhateverWaits(t *testing.T) {
	hangs := func(ctx context.Context, _ []checks.Record) (exporters.Outcome, error) {
		<-ctx.Done()
		return exporters.Outcome{}, ctx.Err()
	}
	for name, tt := range map[string]struct {
		answer func(context.Context, []checks.Record) (exporters.Outcome, error)
		alerts int
	}{
		"idle": {nil, 0}, "retrying": {failing(exporters.Retry(errDown, 0)), 1}, "held": {failing(exporters.Hold(errDown)), 1},
		"wished away": {failing(exporters.Retry(errDown, time.Hour)), 1}, "hanging": {hangs, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, n, k := newMemory(), &notifier{}, &known{}
				n.set(tt.answer)
				n.again = func(context.Context, []checks.Alert) ([]byte, error) {
					return fmt.Append(nil, "state ", len(n.refreshes())), errDown
				}
				c := notify(t, m, n, k, delivery.Options{})
				for range tt.alerts {
					m.alert("a", checks.AlertFiring)
				}
				pass(time.Hour)
				times := n.refreshes()
				if len(times) < 50 || len(times) > 60 || n.most != 1 {
					t.Errorf("%d times in an hour, %d calls at a time; want about 60 and 1", len(times), n.most)
				}
				for i := 1; i < len(times); i++ {
					if apart := times[i].Sub(times[i-1]); apart < time.Minute || apart > 80*time.Second {
						t.Errorf("refreshes %s apart, want about a minute", apart)
					}
				}
				if cursor, _ := m.books("x"); string(cursor.State) != fmt.Sprint("state ", len(times)) || cursor.Pos != 0 {
					t.Errorf("at %d with %q, want the state of the last refresh though it failed", cursor.Pos, cursor.State)
				}
				if got := strings.Count(c.logged(), "refresh failed"); got != 1 {
					t.Errorf("the log tells of it %d times, want once", got)
				}
				c.halt()
			})
		})
	}
}

// TestARefreshThatTellsSomethingEndsTheWait: a backend that takes a message is back, however long Export was to wait.
func TestARefreshThatTellsSomethingEndsTheWait(t *testing.T) {
	for name, refusal := range map[string]error{"held": exporters.Hold(errDown), "wished away": exporters.Retry(errDown, time.Hour)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, n, k := newMemory(), &notifier{}, &known{}
				n.set(failing(refusal))
				c := notify(t, m, n, k, delivery.Options{})
				m.alert("a", checks.AlertFiring)
				for time.Until(c.Status().NextTry) < 4*time.Minute {
					pass(time.Second)
				}
				n.set(nil)
				n.renew(func(context.Context, []checks.Alert) ([]byte, error) { return nil, nil })
				pass(61 * time.Second)
				if got := n.heard(); got != "" {
					t.Errorf("heard %q, though the refresh had nothing to tell and says nothing of the backend", got)
				}
				n.renew(func(context.Context, []checks.Alert) ([]byte, error) { return []byte("told"), nil })
				pass(62 * time.Second)
				if got := n.heard(); got != "a firing" {
					t.Errorf("heard %q a minute after the backend took something, want the alert", got)
				}
				c.halt()
			})
		})
	}
}

func TestRefreshComesOnceAMinuteWhileMuchIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n, k := newMemory(), &notifier{}, &known{}
		c := notify(t, m, n, k, delivery.Options{})
		for range 600 {
			m.alert("a", checks.AlertFiring)
			pass(time.Second)
		}
		if got := len(n.refreshes()); got < 9 || got > 10 {
			t.Errorf("%d times in ten minutes, want ten", got)
		}
		c.mustStop()
	})
}

func TestNothingIsRefreshedWhileNobodyKnowsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n, k := newMemory(), &notifier{}, &known{blind: true}
		c := notify(t, m, n, k, delivery.Options{})
		pass(10 * time.Minute)
		if got := len(n.refreshes()); got != 0 {
			t.Errorf("%d times, want none", got)
		}
		k.set(false, checks.Alert{Fingerprint: "a", State: checks.AlertFiring})
		got := make(chan []checks.Alert, 3)
		n.renew(func(_ context.Context, open []checks.Alert) ([]byte, error) { got <- open; return nil, nil })
		pass(2 * time.Minute)
		if open := <-got; len(open) != 1 || open[0].Fingerprint != "a" {
			t.Errorf("refreshed with %v, want what is open", open)
		}
		c.mustStop()
	})
}

func TestARefreshThatPanicsOrIgnoresItsEndStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n, k := newMemory(), &notifier{}, &known{}
		n.again = func(context.Context, []checks.Alert) ([]byte, error) { panic("half done") }
		c := notify(t, m, n, k, delivery.Options{})
		pass(90 * time.Second)
		m.alert("a", checks.AlertFiring)
		pass(time.Second)
		if n.heard() != "a firing" {
			t.Errorf("heard %q, want the alert", n.heard())
		}
		release := make(chan struct{})
		n.renew(func(context.Context, []checks.Alert) ([]byte, error) { <-release; return nil, nil })
		pass(90 * time.Second)
		c.kill()
		if err := <-c.ended; err == nil || !strings.Contains(err.Error(), "did not come back") {
			t.Errorf("%v, want that it did not come back", err)
		}
		close(release)
	})
}

func TestAnEndOutlivesADeadNotifierForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n, k := newMemory(), &notifier{}, &known{}
		c := notify(t, m, n, k, delivery.Options{MaxAge: time.Hour})
		m.alert("told", checks.AlertFiring)
		pass(time.Second)
		n.set(failing(exporters.Retry(errDown, 0)))
		m.alert("told", checks.AlertResolved)
		m.alert("over", checks.AlertFiring) // opens and ends while nobody can be told
		m.report()
		pass(time.Minute)
		m.alert("over", checks.AlertResolved)
		m.alert("open", checks.AlertFiring)
		open := checks.Alert{Fingerprint: "open", State: checks.AlertFiring, Since: time.Now()}
		again := checks.Alert{Fingerprint: "again", State: checks.AlertFiring, Since: time.Now().Add(time.Hour)}
		m.alert("again", checks.AlertFiring)
		m.alert("again", checks.AlertResolved)
		k.set(false, open, again)
		pass(72 * time.Hour)
		n.set(nil)
		pass(10 * time.Minute)
		const want = "told firing, told resolved, over resolved, open firing, again resolved"
		if got := n.heard(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
		if _, counts := m.books("x"); counts.Expired[delivery.ExpiredMaxAge] != 2 {
			t.Errorf("%+v, want the two beginnings expired of what was over", counts)
		}
		c.mustStop()
	})
}

func TestWhereNobodyKnowsWhatIsOpenNoAlertExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		n.set(failing(exporters.Retry(errors.New("down"), 0)))
		c := notify(t, m, n, nil, delivery.Options{MaxAge: time.Hour})
		m.alert("a", checks.AlertFiring)
		m.alert("a", checks.AlertResolved)
		pass(24 * time.Hour)
		n.set(nil)
		pass(10 * time.Minute)
		if got := n.heard(); got != "a firing, a resolved" {
			t.Errorf("heard %q, want both", got)
		}
		c.mustStop()
	})
}

func TestADrainLeavesTheCursorBehindWhatWasPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newMemory(), &notifier{}
		c := notify(t, m, n, nil, delivery.Options{})
		m.report()
		pass(2 * time.Second)
		for range 5 {
			m.report()
		}
		pass(20 * time.Millisecond)
		c.mustStop()
		if cursor, _ := m.books("x"); cursor.Pos != 6 {
			t.Errorf("at %d, want 6", cursor.Pos)
		}
	})
}
