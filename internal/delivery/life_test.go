package delivery_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

func TestOpenIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		tries := 0
		m.add(5)
		c := deliver(t, m, b, delivery.Options{Open: func(context.Context, []byte) (exporters.Exporter, error) {
			switch tries++; tries {
			case 1:
				return nil, errors.New("no such secret")
			case 2:
				panic("half built")
			case 3:
				return nil, nil //nolint:nilnil // the mistake under test
			}
			return b, nil
		}})
		if st := c.Status(); st.Open || !strings.Contains(st.Reason, "opening the exporter: no such secret") || st.NextTry.IsZero() {
			t.Errorf("got %+v, want the reason", st)
		}
		pass(time.Minute)
		if st := c.Status(); !st.Open || st.Sent != 5 || st.Reason != "" {
			t.Errorf("got %+v, want it open", st)
		}
		c.mustStop()
	})
}

func TestOpenThatFailsDoesNotKeepTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deliver(t, newMemory(), nil, delivery.Options{Open: func(context.Context, []byte) (exporters.Exporter, error) {
			return nil, errors.New("no such secret")
		}})
		before := time.Now()
		c.mustStop()
		if waited := time.Since(before); waited > 2*time.Second {
			t.Errorf("took %s to stop, want about one", waited)
		}
	})
}

func TestStoreThatDropsOrFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(failing(errDown))
		m.add(100)
		c := deliver(t, m, b, delivery.Options{})
		pass(time.Second)
		m.drop(30)
		m.fail(nil, errors.New("database is locked"))
		b.set(nil)
		pass(10 * time.Minute)
		if st := c.Status(); !strings.Contains(st.Reason, "reading the store: database is locked") {
			t.Errorf("got %+v, want the store's error", st)
		}
		m.fail(nil, nil)
		pass(10 * time.Minute)
		wantIDs(t, b.ids(), 31, 100)
		if _, counts := m.books("x"); counts.Expired[delivery.ExpiredStoreFull] != 30 {
			t.Errorf("got %+v, want 30 expired as store_full", counts)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

func TestCommitThatFailsDoesNotExportTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		m.fail(errors.New("disk full"), nil)
		m.add(5)
		c := deliver(t, m, b, delivery.Options{})
		pass(time.Hour)
		if len(b.calls()) != 1 || !strings.Contains(c.Status().Reason, "moving the cursor: disk full") {
			t.Errorf("%d exports, %+v; want one, and the reason", len(b.calls()), c.Status())
		}
		m.fail(nil, nil)
		m.add(5)
		pass(time.Hour)
		wantIDs(t, b.ids(), 1, 10)
		if st := c.Status(); st.Reason != "" || st.Failures != 0 {
			t.Errorf("got %+v, want all well", st)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

func TestKillBetweenExportAndCommitDeliversAgainWithTheSameState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, first := newMemory(), &backend{}
		first.set(stateful(first))
		m.add(5)
		c := deliver(t, m, first, delivery.Options{BatchSize: 5})
		pass(time.Second)
		m.fail(errors.New("killed"), nil)
		m.add(5)
		pass(time.Second)
		c.kill()
		if err := <-c.ended; err == nil || !strings.Contains(err.Error(), "moving the cursor") {
			t.Errorf("Run gave %v, want the cursor that did not move", err)
		}
		wantIDs(t, first.ids(), 1, 10)
		m.balance(t, "x")

		m.fail(nil, nil)
		second := &backend{}
		second.set(stateful(second))
		again := deliver(t, m, second, delivery.Options{BatchSize: 5})
		pass(time.Second)
		wantIDs(t, second.ids(), 6, 10)
		if string(second.state) != "5" {
			t.Errorf("opened with state %q, want that of the cursor, 5", second.state)
		}
		if cursor, _ := m.books("x"); string(cursor.State) != "10" {
			t.Errorf("the state is %q, want 10: the same number as the first time", cursor.State)
		}
		m.balance(t, "x")
		again.mustStop()
	})
}

// stateful keeps the total of accepted records as state.
func stateful(b *backend) func(context.Context, []checks.Record) (exporters.Outcome, error) {
	total := -1
	return func(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
		if total < 0 {
			total, _ = strconv.Atoi(string(b.state))
		}
		total += len(batch)
		return exporters.Outcome{State: []byte(strconv.Itoa(total))}, nil
	}
}

func TestDrain(t *testing.T) {
	tests := map[string]struct {
		answer  func(context.Context, []checks.Record) (exporters.Outcome, error)
		sent    int64
		atLeast time.Duration // until Run ends; the grace period is ten seconds
		atMost  time.Duration
	}{
		"what is there is delivered": {nil, 120, 0, time.Second},
		"a dead backend is tried until the grace period ends": {
			failing(exporters.Retry(errDown, time.Hour)), 0, 10 * time.Second, 11 * time.Second,
		},
		"what is held stays": {failing(exporters.Hold(errDown)), 0, 0, time.Second},
		"a slow backend is cut off": {func(ctx context.Context, _ []checks.Record) (exporters.Outcome, error) {
			<-ctx.Done()
			return exporters.Outcome{}, ctx.Err()
		}, 0, 10 * time.Second, 11 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), &backend{}
				b.set(tt.answer)
				c := deliver(t, m, b, delivery.Options{BatchSize: 7, Timeout: time.Minute})
				m.add(120)
				before := time.Now()
				grace := time.AfterFunc(10*time.Second, c.kill)
				defer grace.Stop()
				c.mustStop()
				if took := time.Since(before); took < tt.atLeast || took > tt.atMost {
					t.Errorf("ended after %s, want %s to %s", took, tt.atLeast, tt.atMost)
				}
				if _, counts := m.books("x"); counts.Sent != tt.sent {
					t.Errorf("sent %d, want %d", counts.Sent, tt.sent)
				}
				if b.closes() != 1 {
					t.Errorf("closed %d times, want once", b.closed)
				}
				m.balance(t, "x")
			})
		})
	}
}

func TestErrorsAreShownSafely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(failing(errors.New("post https://user:hunter2@hooks.example/x?key=sesame: refused\n\x1b[31mred " + strings.Repeat("z", 9999))))
		m.add(1)
		c := deliver(t, m, b, delivery.Options{})
		st := c.Status()
		for _, secret := range []string{"hunter2", "sesame", "\x1b", "\n"} {
			if strings.Contains(st.LastError, secret) || strings.Contains(st.Reason, secret) || strings.Contains(c.logged(), "hunter2") {
				t.Errorf("%q shows %q", st.LastError, secret)
			}
		}
		if len(st.LastError) > 240 {
			t.Errorf("the error has %d bytes, want at most 240", len(st.LastError))
		}
		c.kill()
		if err := <-c.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunNeedsItsOptions(t *testing.T) {
	open := func(context.Context, []byte) (exporters.Exporter, error) { return &backend{}, nil }
	for name, o := range map[string]delivery.Options{
		"no name":  {Queue: newMemory(), Open: open},
		"no queue": {Name: "x", Open: open},
		"no open":  {Name: "x", Queue: newMemory()},
	} {
		if err := delivery.New(o).Run(t.Context(), nil); err == nil {
			t.Errorf("%s: Run gave no error", name)
		}
	}
}

// Whatever an exporter answers, and however often the agent is killed: every record is sent, rejected or expired, in order,
// counted once, and the exporter's totals are those of its cursor.
func TestPropertyOfARandomExporter(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playRandomly(t, seed) })
		})
	}
}

func playRandomly(t *testing.T, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 7))
	m := newMemory()
	var last string // the newest record that was ever taken
	seen := map[string]bool{}
	calm := false
	// Records whose number ends in 13 are poison; totals are counted by the exporter itself, from its state.
	answer := func(b *backend) func(context.Context, []checks.Record) (exporters.Outcome, error) {
		taken, rnd := -1, rand.New(rand.NewPCG(rnd.Uint64(), seed))
		return func(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
			if taken < 0 {
				taken, _ = strconv.Atoi(string(b.state))
			}
			switch dice := rnd.IntN(12); {
			case calm:
			case dice == 0:
				return exporters.Outcome{}, exporters.Retry(errDown, time.Duration(rnd.IntN(100))*time.Second)
			case dice == 1:
				return exporters.Outcome{}, exporters.Hold(errDown)
			case dice == 2:
				panic("bad luck")
			case dice == 3:
				<-ctx.Done()
				return exporters.Outcome{}, ctx.Err()
			}
			if len(batch) > 40 {
				return exporters.Outcome{}, exporters.Split(errDown)
			}
			for _, r := range batch {
				if strings.HasSuffix(r.ID, "13") {
					return exporters.Outcome{}, exporters.Poison(errDown)
				}
			}
			var outcome exporters.Outcome
			for i, r := range batch {
				if r.ID <= last && !seen[r.ID] {
					t.Errorf("seed %d: %s came after %s", seed, r.ID, last)
				}
				last, seen[r.ID] = max(last, r.ID), true
				if strings.HasSuffix(r.ID, "27") {
					outcome.Rejected = append(outcome.Rejected, exporters.Rejection{Index: i, Reason: "old"})
				}
			}
			taken += len(batch) - len(outcome.Rejected)
			outcome.State = []byte(strconv.Itoa(taken))
			return outcome, nil
		}
	}
	for range 12 {
		b := &backend{}
		b.set(answer(b))
		c := deliver(t, m, b, delivery.Options{BatchSize: 100, MaxAge: time.Duration(1+rnd.IntN(3)) * time.Hour})
		for range 20 {
			m.add(rnd.IntN(30))
			m.fail(map[bool]error{true: errDown}[rnd.IntN(9) == 0], map[bool]error{true: errDown}[rnd.IntN(9) == 0])
			pass(time.Duration(rnd.IntN(240)) * time.Second)
		}
		m.fail(nil, nil)
		m.balance(t, "x")
		c.kill()
		if err := <-c.ended; err != nil && !errors.Is(err, errDown) { // a commit that was cut off is part of the game
			t.Errorf("Run: %v", err)
		}
		m.balance(t, "x")
		if b.most > 1 {
			t.Errorf("seed %d: %d exports at a time", seed, b.most)
		}
	}
	calm = true
	b := &backend{}
	b.set(answer(b))
	c := deliver(t, m, b, delivery.Options{BatchSize: 100})
	c.mustStop()
	m.balance(t, "x")
	cursor, counts := m.books("x")
	if cursor.Pos != m.last {
		t.Errorf("seed %d: at %d after the drain, want %d", seed, cursor.Pos, m.last)
	}
	if got, _ := strconv.Atoi(string(cursor.State)); int64(got) != counts.Sent {
		t.Errorf("seed %d: the exporter's total is %d, want what was sent, %d", seed, got, counts.Sent)
	}
}
