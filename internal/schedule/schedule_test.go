package schedule_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// world is a scheduler in a bubble, with all that it said and clocks that can be bent.
type world struct {
	t     *testing.T
	s     *schedule.Scheduler
	began time.Time
	log   bytes.Buffer
	stop  context.CancelFunc
	ended chan struct{}

	wallOff, asleep atomic.Int64

	mu    sync.Mutex
	slots []run
	gaps  []gap
}

// run is a slot whose run began.
type run struct {
	schedule.Slot

	began time.Time
}

// runs and told are what there was until now.
func (w *world) runs() []run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slots)
}

func (w *world) told() []gap {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.gaps)
}

type gap struct {
	name  string
	cause checks.Cause
	from  time.Time
	slots int
	why   string
}

// newWorld starts a scheduler whose runs do body, which may be nil.
func newWorld(t *testing.T, o schedule.Options, body func(ctx context.Context, s schedule.Slot), entries ...schedule.Entry) *world {
	t.Helper()
	w := &world{t: t, began: time.Now(), ended: make(chan struct{})}
	o.Run = func(ctx context.Context, s schedule.Slot) {
		w.mu.Lock()
		w.slots = append(w.slots, run{s, time.Now()})
		w.mu.Unlock()
		if body != nil {
			body(ctx, s)
		}
	}
	o.Skip = func(name string, cause checks.Cause, from time.Time, slots int, why string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.gaps = append(w.gaps, gap{name, cause, from, slots, why})
	}
	o.Wall = func() time.Time { return time.Now().Add(time.Duration(w.wallOff.Load())) }
	o.Suspended = func() time.Duration { return time.Duration(w.asleep.Load()) }
	o.Log = slog.New(slog.NewTextHandler(&w.log, nil))
	s, err := schedule.New(entries, o)
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = cancel
	go func() {
		defer close(w.ended)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	synctest.Wait()
	return w
}

// pass lets fake time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	w.balance()
}

// end stops the scheduler and waits for it.
func (w *world) end() {
	w.t.Helper()
	w.stop()
	<-w.ended
	synctest.Wait()
	w.balance()
	if st := w.s.Stats(); st.Running != 0 || st.Waiting != 0 {
		w.t.Errorf("after the end %d runs and %d waiting slots are left, want none", st.Running, st.Waiting)
	}
}

// balance is the oracle: every slot has exactly one outcome, and what was told is what was counted.
func (w *world) balance() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.s.Stats()
	sum := st.Done + total(st.Skipped) + total(st.Missed) + int64(st.Running) + int64(st.Waiting)
	if st.Scheduled != sum {
		w.t.Errorf("scheduled %d, but done %d, skipped %v, missed %v, running %d, waiting %d", st.Scheduled, st.Done, st.Skipped, st.Missed, st.Running, st.Waiting)
	}
	if begun := int64(len(w.slots)); begun != st.Done+int64(st.Running) {
		w.t.Errorf("%d runs began, want %d done and %d running", begun, st.Done, st.Running)
	}
	told := map[checks.Cause]int64{}
	for _, g := range w.gaps {
		told[g.cause] += int64(g.slots)
	}
	held := st.Running > 0 // what came while a run was going is told after it
	if told[checks.CauseOverlap] > total(st.Skipped) || told[checks.CauseMissed] > total(st.Missed) || !held &&
		(told[checks.CauseOverlap] != total(st.Skipped) || told[checks.CauseMissed] != total(st.Missed)) {
		w.t.Errorf("told of %v, want %d overlaps and %d missed", told, total(st.Skipped), total(st.Missed))
	}
}

func total(counts map[string]int64) int64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n
}

// times are the ScheduledAt of one name's runs, in order.
func (w *world) times(name string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []time.Time
	for _, s := range w.slots {
		if s.Name == name {
			times = append(times, s.ScheduledAt)
		}
	}
	return times
}

// wantTimes compares with clock readings of UTC, "15:04:05".
func (w *world) wantTimes(name string, want ...string) {
	w.t.Helper()
	var got []string
	for _, at := range w.times(name) {
		got = append(got, at.UTC().Format(time.TimeOnly))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		w.t.Errorf("%s ran at %v, want %v", name, got, want)
	}
}

func (w *world) wantGaps(want ...gap) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.gaps) != len(want) {
		w.t.Fatalf("got gaps %v, want %v", w.gaps, want)
	}
	for i, g := range w.gaps {
		if g.name != want[i].name || g.cause != want[i].cause || g.slots != want[i].slots || !g.from.Equal(want[i].from) || !strings.Contains(g.why, want[i].why) {
			w.t.Errorf("gap %d is %v, want %v", i, g, want[i])
		}
	}
}

func aligned(t *testing.T, name, expr string) schedule.Entry {
	t.Helper()
	return schedule.Entry{Name: name, Spec: mustParse(t, expr, ""), NoSpread: true}
}

func TestEveryRunsOnItsGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "a", "@every 20s"))
		w.pass(time.Minute)
		w.wantTimes("a", "00:00:20", "00:00:40", "00:01:00")
		w.end()
		if got := w.s.Stats().Lateness; got.Runs != 3 || got.Max != 0 {
			t.Errorf("got lateness %+v, want three runs on time", got)
		}
	})
}

func TestCronRunsAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{Location: "par1"}, nil, schedule.Entry{Name: "nine", Spec: mustParse(t, "0 9 * * *", "Europe/Paris")})
		w.pass(49 * time.Hour)
		w.wantTimes("nine", "08:00:00", "08:00:00")
		w.end()
	})
}

func TestSpreadIsStableAndWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10000
		var entries []schedule.Entry
		for i := range n {
			entries = append(entries, schedule.Entry{Name: fmt.Sprintf("check-%d", i), Spec: mustParse(t, "@every 60s", "")})
		}
		w := newWorld(t, schedule.Options{Location: "par1"}, nil, entries...)
		w.pass(time.Minute)
		first := map[string]time.Time{}
		perSecond := map[int64]int{}
		for _, s := range w.runs() {
			first[s.Name] = s.ScheduledAt
			perSecond[s.ScheduledAt.Unix()]++
		}
		if len(w.runs()) != n || len(first) != n {
			t.Errorf("%d runs of %d checks in the first period, want %d of each", len(w.runs()), len(first), n)
		}
		for second, count := range perSecond {
			if count > 4*n/60 {
				t.Errorf("%d runs within second %d, want about %d", count, second, n/60)
			}
		}
		w.end()

		time.Sleep(17 * time.Second)
		again := newWorld(t, schedule.Options{Location: "par1"}, nil, entries...)
		again.pass(time.Minute)
		for _, s := range again.runs() {
			if moved := s.ScheduledAt.Sub(first[s.Name]) % time.Minute; moved != 0 {
				t.Fatalf("%s moved by %s over a restart, want its offset kept", s.Name, moved)
			}
		}
		again.end()
	})
}

func TestOverlap(t *testing.T) {
	tests := map[string]struct {
		overlap       schedule.Overlap
		done, skipped int64
		want          []string
	}{
		"skip leaves out what comes while a run is going": {
			schedule.OverlapSkip, 3, 4, []string{"00:00:10", "00:00:40", "00:01:10"},
		},
		"queue keeps the newest slot and no more": {
			schedule.OverlapQueue, 3, 3, []string{"00:00:10", "00:00:30", "00:01:00"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := aligned(t, "slow", "@every 10s")
				e.Overlap = tt.overlap
				w := newWorld(t, schedule.Options{}, func(context.Context, schedule.Slot) { time.Sleep(25 * time.Second) }, e)
				w.pass(75 * time.Second)
				w.end()
				w.wantTimes("slow", tt.want...)
				st := w.s.Stats()
				if st.Done != tt.done || total(st.Skipped) != tt.skipped {
					t.Errorf("got %d done, skipped %v; want %d and %d", st.Done, st.Skipped, tt.done, tt.skipped)
				}
			})
		})
	}
}

func TestNeverTwoRunsOfOneEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		e := aligned(t, "a", "@every 1s")
		e.Overlap, e.RunAtStart = schedule.OverlapQueue, true
		w := newWorld(t, schedule.Options{}, func(_ context.Context, s schedule.Slot) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Duration(300+s.ScheduledAt.Unix()%7*400) * time.Millisecond)
			running.Add(-1)
		}, e)
		w.pass(10 * time.Minute)
		w.end()
		if most.Load() != 1 {
			t.Errorf("%d runs at a time, want 1", most.Load())
		}
	})
}

func TestPanicIsDoneAndStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{MaxConcurrent: 1, PerHost: 1}, func(_ context.Context, s schedule.Slot) {
			if s.Name == "bad" {
				panic("index out of reach")
			}
		}, schedule.Entry{Name: "bad", Spec: mustParse(t, "@every 1s", ""), Host: "h"}, schedule.Entry{Name: "good", Spec: mustParse(t, "@every 1s", ""), Host: "h"})
		w.pass(10 * time.Second)
		w.end()
		if bad, good := len(w.times("bad")), len(w.times("good")); bad < 10 || good < 10 {
			t.Errorf("bad ran %d times and good %d, want 10 of each", bad, good)
		}
		if st := w.s.Stats(); st.Panics != int64(len(w.times("bad"))) {
			t.Errorf("got %d panics, want %d", st.Panics, len(w.times("bad")))
		}
		if text := w.log.String(); !strings.Contains(text, "index out of reach") || !strings.Contains(text, "check=bad") || !strings.Contains(text, "goroutine") {
			t.Errorf("the log says %q, want the check, the panic and its stack", text)
		}
	})
}

func TestRunThatIgnoresItsContextHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := aligned(t, "hung", "@every 10s")
		hung.Host = "h"
		other := aligned(t, "other", "@every 10s")
		other.Host = "h"
		w := newWorld(t, schedule.Options{PerHost: 2}, func(_ context.Context, s schedule.Slot) {
			if s.Name == "hung" {
				<-release
			}
		}, hung, other)
		w.pass(time.Hour)
		if got := len(w.times("other")); got != 360 {
			t.Errorf("the other check ran %d times in an hour, want 360", got)
		}
		if st := w.s.Stats(); st.Skipped[schedule.SkippedOverlap] != 359 || st.Entries[0].RunningSince.IsZero() {
			t.Errorf("the hung check skipped %v, running since %s; want 359 overlaps and a time", st.Skipped, st.Entries[0].RunningSince)
		}
		close(release)
		w.end()
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Bool
		entries := []schedule.Entry{aligned(t, "a", "@every 10s"), aligned(t, "b", "@every 10s")}
		w := newWorld(t, schedule.Options{MaxConcurrent: 1}, func(ctx context.Context, _ schedule.Slot) {
			time.Sleep(4 * time.Second)
			cancelled.Store(cancelled.Load() || ctx.Err() != nil)
		}, entries...)
		w.pass(11 * time.Second)
		before := time.Now()
		w.end()
		if waited := time.Since(before); waited != 3*time.Second {
			t.Errorf("Run ended after %s, want the 3s that the run still took", waited)
		}
		if cancelled.Load() {
			t.Error("the run that had begun was cancelled, want it left to end")
		}
		if st := w.s.Stats(); st.Done != 1 || st.Missed[schedule.MissedShutdown] != 1 {
			t.Errorf("got %d done, missed %v; want 1 and 1 at shutdown", st.Done, st.Missed)
		}
		w.wantGaps(gap{w.told()[0].name, checks.CauseMissed, w.began.Add(10 * time.Second), 1, "shutting down"})
	})
}

func TestCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, most, mostHost atomic.Int64
		perHost := map[string]*atomic.Int64{"x": {}, "y": {}}
		var entries []schedule.Entry
		for i := range 40 {
			e := aligned(t, fmt.Sprintf("c%02d", i), "@every 60s")
			e.Host = []string{"x", "x", "x", "y"}[i%4]
			entries = append(entries, e)
		}
		host := func(name string) string {
			for _, e := range entries {
				if e.Name == name {
					return e.Host
				}
			}
			return ""
		}
		w := newWorld(t, schedule.Options{MaxConcurrent: 5, PerHost: 4}, func(_ context.Context, s schedule.Slot) {
			h := perHost[host(s.Name)]
			most.Store(max(most.Load(), all.Add(1)))
			mostHost.Store(max(mostHost.Load(), h.Add(1)))
			time.Sleep(2 * time.Second)
			all.Add(-1)
			h.Add(-1)
		}, entries...)
		w.pass(119 * time.Second)
		if most.Load() != 5 || mostHost.Load() != 4 {
			t.Errorf("%d runs at a time, %d on one host; want 5 and 4", most.Load(), mostHost.Load())
		}
		st := w.s.Stats()
		if st.Done != 40 || st.Lateness.Max < 14*time.Second || st.Lateness.Max > 18*time.Second {
			t.Errorf("%d done, the last %s late; want 40, and eight to ten rounds of 2s", st.Done, st.Lateness.Max)
		}
		w.end()
	})
}

func TestSlotThatWaitsBeyondItsNextIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{MaxConcurrent: 1}, func(context.Context, schedule.Slot) { time.Sleep(25 * time.Second) },
			aligned(t, "a", "@every 10s"), aligned(t, "b", "@every 10s"))
		w.pass(10 * time.Minute)
		w.end()
		st := w.s.Stats()
		if st.Skipped[schedule.SkippedWaited] == 0 || st.Skipped[schedule.SkippedOverlap] == 0 {
			t.Errorf("skipped %v, want both reasons", st.Skipped)
		}
		if a, b := len(w.times("a")), len(w.times("b")); a < 10 || b < 10 || a+b > 24 {
			t.Errorf("a ran %d times and b %d, want turns", a, b)
		}
		if st.Lateness.Max >= 10*time.Second+stepTolerance {
			t.Errorf("a run began %s late, want less than its interval", st.Lateness.Max)
		}
	})
}

const stepTolerance = time.Millisecond

// A process that is killed in a run starts again after the newest slot of which it has told: that must not be a later one.
func TestWhatComesWhileARunIsGoingIsToldAfterIt(t *testing.T) {
	for name, overlap := range map[string]schedule.Overlap{"skip": schedule.OverlapSkip, "queue": schedule.OverlapQueue} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				e := aligned(t, "a", "@every 10s")
				e.Overlap = overlap
				w := newWorld(t, schedule.Options{}, func(context.Context, schedule.Slot) { <-release }, e)
				w.pass(35 * time.Second)
				if st := w.s.Stats(); total(st.Skipped) == 0 {
					t.Fatalf("got %+v, want slots that were skipped", st)
				}
				w.wantGaps()
				w.wallOff.Add(int64(-time.Hour)) // whatever the reason
				w.pass(time.Second)
				w.wantGaps()
				close(release)
				w.pass(time.Second)
				if len(w.told()) == 0 {
					t.Error("nothing was told after the run")
				}
				w.end()
			})
		})
	}
}
