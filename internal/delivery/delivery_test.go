package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

var errDown = errors.New("connection refused")

func TestRecordsArriveInOrderAndInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		m.add(25)
		c := deliver(t, m, b, delivery.Options{BatchSize: 10})
		pass(time.Minute)
		m.add(3)
		pass(time.Second)
		m.balance(t, "x")
		c.mustStop()
		wantIDs(t, b.ids(), 1, 28)
		if want := []int{10, 10, 5, 3}; !slices.Equal(b.calls(), want) {
			t.Errorf("batches of %v, want %v", b.calls(), want)
		}
		if b.closes() != 1 || b.most != 1 {
			t.Errorf("closed %d times, %d exports at a time; want 1 and 1", b.closes(), b.most)
		}
		if st := c.Status(); st.Sent != 28 || st.LastSentAt.IsZero() || st.Reason != "" {
			t.Errorf("got %+v, want 28 sent and no complaint", st)
		}
	})
}

func TestBackendDownForHoursAndBack(t *testing.T) {
	tests := map[string]struct {
		maxAge  time.Duration
		expired int64
	}{
		"all is younger than max_age":   {24 * time.Hour, 0},
		"what is older expires":         {4 * time.Hour, 120},
		"no max_age at all loses never": {0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), &backend{}
				b.set(failing(exporters.Retry(errDown, 0)))
				c := deliver(t, m, b, delivery.Options{MaxAge: tt.maxAge, BatchSize: 50})
				began := time.Now()
				for range 6 * 60 {
					m.add(1)
					pass(time.Minute)
				}
				m.balance(t, "x")
				if st := c.Status(); st.Failures == 0 || st.NextTry.Before(time.Now()) || !strings.Contains(st.LastError, "connection refused") {
					t.Errorf("got %+v while the backend is down, want its error and the next try", st)
				}
				if got := len(b.calls()); got < 6*60/5 || got > 400 {
					t.Errorf("%d attempts in six hours, want about one in two minutes", got)
				}
				b.set(nil)
				pass(6 * time.Minute)
				m.balance(t, "x")
				cursor, counts := m.books("x")
				if cursor.Pos != 360 || counts.Sent+counts.Expired[delivery.ExpiredMaxAge] != 360 {
					t.Errorf("at %d with %+v, want all 360 sent or expired", cursor.Pos, counts)
				}
				if got := counts.Expired[delivery.ExpiredMaxAge]; got < tt.expired || got > tt.expired+min(tt.expired, 6) {
					t.Errorf("%d expired, want %d and what grew old in the last wait", got, tt.expired)
				}
				ids := b.ids()
				wantIDs(t, ids, 361-len(ids), 360)
				for i, r := range b.records() {
					if want := began.Add(time.Duration(360-len(ids)+i) * time.Minute); !r.At.Equal(want) {
						t.Fatalf("%s carries %s, want its own time %s", r.ID, r.At, want)
					}
				}
				c.mustStop()
			})
		})
	}
}

func TestSlowBackendHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, slow, quick := newMemory(), &backend{}, &backend{}
		slow.set(func(ctx context.Context, _ []checks.Record) (exporters.Outcome, error) {
			<-ctx.Done()
			return exporters.Outcome{}, ctx.Err()
		})
		a := deliver(t, m, slow, delivery.Options{Name: "slow"})
		b := deliver(t, m, quick, delivery.Options{Name: "quick"})
		for range 60 {
			m.add(2)
			pass(time.Second)
		}
		wantIDs(t, quick.ids(), 1, 120)
		if st := a.Status(); st.Sent != 0 || st.Failures == 0 {
			t.Errorf("got %+v of the slow one, want failures", st)
		}
		m.balance(t, "slow")
		m.balance(t, "quick")
		slow.set(nil)
		pass(10 * time.Minute)
		wantIDs(t, slow.ids(), 1, 120)
		a.mustStop()
		b.mustStop()
	})
}

func TestABatchThatTakesTooLongComesAgainInHalves(t *testing.T) {
	for name, fault := range map[string]error{
		"told as a retry":              exporters.Retry(errors.New("sending: i/o timeout"), 0),
		"a deadline of the exporter's": exporters.Retry(fmt.Errorf("sending: %w", context.DeadlineExceeded), 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), &backend{}
				own := 10 * time.Second
				if errors.Is(fault, context.DeadlineExceeded) {
					own = 5 * time.Second
				}
				b.set(func(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
					patience := time.NewTimer(own)
					defer patience.Stop()
					work := time.NewTimer(time.Duration(len(batch)) * 100 * time.Millisecond)
					defer work.Stop()
					select {
					case <-work.C:
						return exporters.Outcome{}, nil
					case <-patience.C:
					case <-ctx.Done():
					}
					return exporters.Outcome{}, fault
				})
				m.add(1000)
				c := deliver(t, m, b, delivery.Options{Timeout: 10 * time.Second})
				pass(30 * time.Minute)
				wantIDs(t, b.ids(), 1, 1000)
				m.balance(t, "x")
				c.mustStop()
			})
		})
	}
}

func TestHoldKeepsEverythingUntilTheKeyIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(failing(exporters.Hold(errors.New("sending metrics: status 401, want 2xx"))))
		m.add(10)
		c := deliver(t, m, b, delivery.Options{MaxAge: 48 * time.Hour})
		pass(24 * time.Hour)
		st := c.Status()
		if !st.Held || !strings.Contains(st.Reason, "401") || st.Attempts["hold"] > 24*60 || st.Attempts["hold"] < 24*6 {
			t.Errorf("got %+v, want held with its reason, tried every one to ten minutes", st)
		}
		if got := strings.Count(c.logged(), "export held"); got != 1 {
			t.Errorf("the log tells of it %d times, want once", got)
		}
		m.balance(t, "x")
		b.set(nil)
		pass(10 * time.Minute)
		wantIDs(t, b.ids(), 1, 10)
		if st := c.Status(); st.Held || st.Reason != "" || st.LastError == "" {
			t.Errorf("got %+v, want all well, and the last error kept", st)
		}
		c.mustStop()
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, tt := range map[string]struct{ after, least, most time.Duration }{
		"a wish of a minute":             {time.Minute, time.Minute, 61 * time.Second},
		"a wish of a day is five minute": {24 * time.Hour, 5 * time.Minute, 301 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), &backend{}
				b.set(failing(exporters.Retry(errDown, tt.after)))
				m.add(1)
				c := deliver(t, m, b, delivery.Options{})
				b.set(nil)
				pass(10 * time.Minute)
				if len(b.attempts()) != 2 {
					t.Fatalf("%d attempts, want 2", len(b.attempts()))
				}
				if waited := b.attempts()[1].Sub(b.attempts()[0]); waited < tt.least || waited > tt.most {
					t.Errorf("waited %s, want %s to %s", waited, tt.least, tt.most)
				}
				c.mustStop()
			})
		})
	}
}

func TestSplitFindsTheSizeThatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(func(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
			if len(batch) > 30 {
				return exporters.Outcome{}, exporters.Split(errors.New("status 413"))
			}
			return exporters.Outcome{}, nil
		})
		m.add(1000)
		c := deliver(t, m, b, delivery.Options{BatchSize: 200})
		pass(time.Second)
		wantIDs(t, b.ids(), 1, 1000)
		if tries := len(b.calls()); tries > 60 {
			t.Errorf("%d attempts for 1000 records of which 30 fit, want about 45", tries)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

func TestOneRecordThatIsTooLargeIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(refusing(exporters.Split, "r00007"))
		m.add(20)
		c := deliver(t, m, b, delivery.Options{BatchSize: 16})
		pass(time.Second)
		if _, counts := m.books("x"); counts.Rejected[delivery.RejectedTooLarge] != 1 || counts.Sent != 19 {
			t.Errorf("got %+v, want one too large and the others sent", counts)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

// refusing answers batches that hold one of the ids with an error.
func refusing(kind func(error) error, ids ...string) func(context.Context, []checks.Record) (exporters.Outcome, error) {
	return func(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
		for _, r := range batch {
			if slices.Contains(ids, r.ID) {
				return exporters.Outcome{}, kind(errors.New("invalid payload"))
			}
		}
		return exporters.Outcome{}, nil
	}
}

func TestPoisonIsBisectedToTheBadRecord(t *testing.T) {
	tests := map[string][]string{
		"the first":        {"r00001"},
		"the last":         {"r00100"},
		"one in the midst": {"r00037"},
		"two neighbours":   {"r00050", "r00051"},
		"four of them":     {"r00003", "r00060", "r00061", "r00099"},
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), &backend{}
				b.set(refusing(exporters.Poison, bad...))
				m.add(100)
				c := deliver(t, m, b, delivery.Options{BatchSize: 100})
				pass(time.Second)
				if _, counts := m.books("x"); counts.Rejected[delivery.RejectedPoison] != int64(len(bad)) || counts.Sent != int64(100-len(bad)) {
					t.Errorf("got %+v, want %d rejected and the others sent", counts, len(bad))
				}
				if tries := len(b.calls()); tries > 16*len(bad) {
					t.Errorf("%d attempts to find %d of 100, want about 14 for each", tries, len(bad))
				}
				if !strings.Contains(c.logged(), bad[0]) {
					t.Errorf("the log does not name %s", bad[0])
				}
				m.balance(t, "x")
				c.mustStop()
			})
		})
	}
}

func TestEverythingIsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(failing(exporters.Poison(errors.New("status 400"))))
		m.add(50)
		c := deliver(t, m, b, delivery.Options{})
		pass(time.Second)
		if _, counts := m.books("x"); counts.Rejected[delivery.RejectedPoison] != 50 {
			t.Errorf("got %+v, want 50 rejected", counts)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

func TestRejectionsOfTheBackendAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(func(context.Context, []checks.Record) (exporters.Outcome, error) {
			return exporters.Outcome{Rejected: []exporters.Rejection{
				{Index: 1, Reason: "too_old"},
				{Index: 1, Reason: "too_old"},
				{Index: 3, Reason: "Anything: at all!"},
				{Index: 4, Reason: ""},
				{Index: -1, Reason: "too_old"},
				{Index: 99, Reason: "too_old"},
			}}, nil
		})
		m.add(10)
		c := deliver(t, m, b, delivery.Options{})
		pass(time.Second)
		if _, counts := m.books("x"); counts.Sent != 7 || counts.Rejected["too_old"] != 1 || counts.Rejected[delivery.RejectedByBackend] != 2 || len(counts.Rejected) != 2 {
			t.Errorf("got %+v, want 7 sent, 1 too_old, 2 rejected", counts)
		}
		m.balance(t, "x")
		c.mustStop()
	})
}

func TestPanicIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(func(context.Context, []checks.Record) (exporters.Outcome, error) { panic("nil map") })
		m.add(1)
		c := deliver(t, m, b, delivery.Options{})
		pass(10 * time.Second)
		if st := c.Status(); st.Attempts["panic"] < 2 || !strings.Contains(st.LastError, "panicked: nil map") {
			t.Errorf("got %+v, want some panics", st)
		}
		b.set(nil)
		pass(10 * time.Minute)
		wantIDs(t, b.ids(), 1, 1)
		c.mustStop()
	})
}

func TestExportThatIgnoresItsContextIsWaitedForAndShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		release := make(chan struct{})
		b.set(func(context.Context, []checks.Record) (exporters.Outcome, error) {
			<-release
			return exporters.Outcome{}, nil
		})
		m.add(1)
		c := deliver(t, m, b, delivery.Options{Timeout: 5 * time.Second})
		pass(time.Hour)
		if st := c.Status(); !st.Stuck || time.Since(st.InFlightSince) != time.Hour || len(b.calls()) != 1 {
			t.Errorf("got %+v after %d calls, want one call, stuck for an hour", st, len(b.calls()))
		}
		close(release)
		pass(time.Second)
		if st := c.Status(); st.Stuck || st.Sent != 1 {
			t.Errorf("got %+v, want it sent", st)
		}
		c.mustStop()
	})
}

func TestExportThatNeverComesBackDoesNotKeepTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		release := make(chan struct{})
		b.set(func(context.Context, []checks.Record) (exporters.Outcome, error) {
			<-release
			return exporters.Outcome{}, nil
		})
		m.add(1)
		c := deliver(t, m, b, delivery.Options{})
		close(c.drain)
		pass(time.Second)
		c.kill()
		before := time.Now()
		if err := <-c.ended; err == nil || !strings.Contains(err.Error(), "did not come back") {
			t.Errorf("Run gave %v, want the exporter named", err)
		}
		if waited := time.Since(before); waited > 20*time.Second {
			t.Errorf("Run ended %s after its context, want a few seconds", waited)
		}
		if b.closes() != 0 {
			t.Error("the exporter was closed during its export")
		}
		m.balance(t, "x")
		close(release)
	})
}

// A drill, whose other times are compressed, waits less after errors; nothing else is faster.
func TestASpeedShortensTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), &backend{}
		b.set(failing(exporters.Hold(errors.New("status 401, want 2xx"))))
		m.add(1)
		c := deliver(t, m, b, delivery.Options{Speed: 30})
		pass(time.Minute)
		if st := c.Status(); !st.Held || st.Attempts["hold"] < 3 || st.Attempts["hold"] > 31 {
			t.Errorf("got %+v, want held, tried every two to twenty seconds", st)
		}
		b.set(nil)
		pass(20 * time.Second)
		wantIDs(t, b.ids(), 1, 1)
		c.mustStop()
	})
}
