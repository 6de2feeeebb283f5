package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

// host is a machine whose clock can be set.
type host struct {
	wall time.Time
	up   time.Duration
}

func newHost() *host { return &host{wall: time.Now(), up: 100 * time.Hour} }

func (h *host) read() (time.Time, time.Duration) { return h.wall, h.up }
func (h *host) set(by time.Duration)             { h.wall = h.wall.Add(by) }

// pass lets time pass; asleep or not makes no difference.
func (h *host) pass(d time.Duration) {
	h.wall = h.wall.Add(d)
	h.up += d
}

func (h *host) open(t *testing.T, dir string) *store.Store {
	t.Helper()
	return open(t, store.Options{Dir: dir, BootID: "one"}.WithClock(h.read))
}

func window(d time.Duration) []store.Limit {
	return []store.Limit{{Window: d, Name: "window", Amount: 10}}
}

// now is a claim of this moment.
func nowClaim(id string, amount checks.PicoUSD) store.Claim {
	return store.Claim{ID: id, Check: "chat", Provider: "p", Model: "m", Trigger: checks.TriggerSchedule, Amount: amount}
}

func (h *host) total(t *testing.T, s *store.Store) checks.PicoUSD {
	t.Helper()
	return spent(t, s, h.wall.Add(-40*24*time.Hour), h.wall.Add(400*24*time.Hour))
}

func TestAClockThatIsSetForwardRefillsNothing(t *testing.T) {
	t.Parallel()
	for name, span := range map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "month": 30 * 24 * time.Hour} {
		for what, again := range map[string]func(t *testing.T, h *host, s *store.Store, dir string) *store.Store{
			"while it runs": func(_ *testing.T, _ *host, s *store.Store, _ string) *store.Store { return s },
			"and tidied": func(t *testing.T, h *host, s *store.Store, _ string) *store.Store {
				t.Helper()
				if err := s.Expire(t.Context(), h.wall); err != nil {
					t.Fatal(err)
				}
				return s
			},
			"and stopped": func(t *testing.T, h *host, s *store.Store, dir string) *store.Store {
				t.Helper()
				shut(t, s)
				return h.open(t, dir)
			},
			"and killed": func(t *testing.T, h *host, _ *store.Store, dir string) *store.Store {
				t.Helper()
				return h.open(t, killedCopy(t, dir))
			},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				dir, h := t.TempDir(), newHost()
				s := h.open(t, dir)
				if _, ok := reserve(t, s, nowClaim("open", 4), nil); !ok {
					t.Fatal("not reserved")
				}
				paid(t, s, nowClaim("paid", 6), checks.Usage{Cost: 6})
				h.pass(10 * time.Minute)
				h.set(span)
				if denial, ok := reserve(t, s, nowClaim("x", 1), window(span)); ok || denial.Spent != 10 {
					t.Errorf("set by %s: reserved %v, %+v", span, ok, denial)
				}
				s = again(t, h, s, dir)
				h.pass(span - 11*time.Minute)
				if denial, ok := reserve(t, s, nowClaim("y", 1), window(span)); ok || denial.Spent != 10 {
					t.Errorf("a minute too early: reserved %v, %+v", ok, denial)
				}
				h.pass(2*time.Minute + time.Hour) // of some only the hour is known
				if denial, ok := reserve(t, s, nowClaim("z", 10), window(span)); !ok {
					t.Errorf("when the window is over: %+v", denial)
				}
			})
		}
	}
}

// killedCopy is the directory as a kill at this moment leaves it.
func killedCopy(t *testing.T, dir string) string {
	t.Helper()
	to := copyDir(t, dir)
	if err := os.Remove(filepath.Join(to, "windsock.lock")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return to
}

func TestAClockThatIsSetWhileNoAgentRunsRefillsNothing(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"forward": 3 * time.Hour, "back": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, h := t.TempDir(), newHost()
			s := h.open(t, dir)
			paid(t, s, nowClaim("paid", 10), checks.Usage{Cost: 10})
			shut(t, s)
			h.set(by)
			for i := range 3 {
				s = h.open(t, dir)
				if denial, ok := reserve(t, s, nowClaim(strconv.Itoa(i), 1), window(time.Hour)); ok || denial.Spent != 10 {
					t.Errorf("start %d: reserved %v, %+v", i, ok, denial)
				}
				shut(t, s)
			}
		})
	}
}

func TestSleepOfTheHostIsTimeThatPassed(t *testing.T) {
	t.Parallel()
	h := newHost()
	s := h.open(t, t.TempDir())
	paid(t, s, nowClaim("paid", 10), checks.Usage{Cost: 10})
	h.pass(61 * time.Minute)
	if denial, ok := reserve(t, s, nowClaim("x", 10), window(time.Hour)); !ok {
		t.Errorf("after an hour's sleep: %+v", denial)
	}
}

func TestAClockThatSwingsDoesNotCountTwiceNorForEver(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"by minutes": 5*time.Minute + 7*time.Second, "by hours": 7 * time.Hour, "by days": 50 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, h := t.TempDir(), newHost()
			s := h.open(t, dir)
			paid(t, s, nowClaim("old", 4), checks.Usage{Cost: 4})
			h.pass(3 * 24 * time.Hour)
			paid(t, s, nowClaim("paid", 6), checks.Usage{Cost: 6})
			for i := range 40 {
				h.pass(time.Minute)
				if i%2 == 0 {
					h.set(by)
				} else {
					h.set(-by)
				}
				if _, ok := reserve(t, s, nowClaim(fmt.Sprint("x", i), 5), window(time.Hour)); ok {
					t.Fatalf("swing %d: reserved", i)
				}
				if err := s.Expire(t.Context(), h.wall); err != nil {
					t.Fatal(err)
				}
				if i%5 == 4 {
					shut(t, s)
					s = h.open(t, dir)
				}
				if got := h.total(t, s); got != 10 {
					t.Fatalf("swing %d: %d in all, want 10", i, got)
				}
			}
			h.pass(30 * time.Minute)
			if denial, ok := reserve(t, s, nowClaim("free", 10), window(time.Hour)); !ok {
				t.Errorf("70 minutes after the run: %+v", denial)
			}
			h.pass(28 * 24 * time.Hour)
			if denial, ok := reserve(t, s, nowClaim("month", 1), []store.Limit{{Window: 30 * 24 * time.Hour, Name: "m", Amount: 16}}); ok || denial.Spent != 16 {
				t.Errorf("within the month: reserved %v, %+v; want 6 and 10 spent", ok, denial)
			}
		})
	}
}

func TestTheSumsMoveWithTheClock(t *testing.T) {
	t.Parallel()
	dir, h := t.TempDir(), newHost()
	h.wall = h.wall.Truncate(time.Hour).Add(20 * time.Minute)
	s := h.open(t, dir)
	paid(t, s, nowClaim("paid", 6), checks.Usage{Cost: 6})
	before := spending(t, s)
	h.set(-5 * time.Hour)
	if _, ok := reserve(t, s, nowClaim("x", 0), nil); !ok {
		t.Fatal("not reserved")
	}
	after := spending(t, s)
	if len(after) == 0 || !after[0].Hour.Equal(before[0].Hour.Add(-5*time.Hour)) || after[0].Cost != 6 {
		t.Errorf("%+v became %+v", before, after)
	}
	shut(t, s)
	s = h.open(t, dir)
	same(t, "after a restart", spending(t, s), after)
}
