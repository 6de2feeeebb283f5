package schedule_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// step sets the wall clock of w.
func (w *world) step(by time.Duration) {
	w.t.Helper()
	w.wallOff.Add(int64(by))
}

// suspend lets the host sleep: the wall clock goes on, the steady one stands still.
func (w *world) suspend(d time.Duration) {
	w.t.Helper()
	w.wallOff.Add(int64(d))
	w.asleep.Add(int64(d))
}

func TestClockStepForward(t *testing.T) {
	for name, by := range map[string]time.Duration{"four minutes": 4 * time.Minute, "three days": 72 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, schedule.Options{}, nil, aligned(t, "cron", "* * * * *"), aligned(t, "grid", "@every 60s"))
				w.pass(90 * time.Second)
				w.step(by)
				w.pass(2 * time.Second)
				if got := len(w.times("cron")); got != 1 {
					t.Errorf("cron ran %d times just after the step, want no burst", got-1)
				}
				w.wantGaps(gap{"cron", checks.CauseMissed, w.began.Add(2 * time.Minute), int(by / time.Minute), "clock stepped"})
				w.pass(2 * time.Minute)
				at := w.times("cron")
				if got, want := at[1], w.began.Add(by+2*time.Minute); !got.Equal(want) {
					t.Errorf("cron ran next at %s, want %s", got, want)
				}
				if got := len(w.times("grid")); got != 3 {
					t.Errorf("the grid ran %d times in 3m32s, want 3: a step does not move it", got)
				}
				if got := w.s.Stats(); got.ClockSteps != 1 || got.Changed != "the wall clock stepped by "+by.String() || time.Since(got.ChangedAt) > 3*time.Minute {
					t.Errorf("counted %d steps, the last one %q at %s; want 1 by %s", got.ClockSteps, got.Changed, got.ChangedAt, by)
				}
				if text := w.log.String(); strings.Count(text, "wall clock stepped") != 1 {
					t.Errorf("the log says %q, want the step once", text)
				}
				w.end()
			})
		})
	}
}

func TestClockStepBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "often", "*/5 * * * *"), aligned(t, "daily", "0 2 * * *"), aligned(t, "grid", "@every 5m"))
		w.pass(2*time.Hour + time.Minute)
		often, grid := len(w.times("often")), len(w.times("grid"))
		w.step(-time.Hour)
		w.pass(time.Hour)
		if got := len(w.times("often")) - often; got != 12 {
			t.Errorf("*/5 ran %d times in the hour after a step back, want 12", got)
		}
		if got := len(w.times("grid")) - grid; got != 12 {
			t.Errorf("the grid ran %d times in the hour after a step back, want 12", got)
		}
		w.wantTimes("daily", "02:00:00")
		w.pass(24 * time.Hour)
		w.wantTimes("daily", "02:00:00", "02:00:00")
		w.wantGaps()
		w.end()
	})
}

func TestClockThatWasWrongAndIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "daily", "0 9 * * *"))
		w.pass(8 * time.Hour)
		w.step(2 * time.Hour)
		w.pass(10 * time.Second)
		w.step(-2 * time.Hour)
		w.pass(2 * time.Hour)
		w.wantTimes("daily", "09:00:00")
		w.wantGaps(gap{"daily", checks.CauseMissed, w.began.Add(9 * time.Hour), 1, "clock stepped"})
		w.end()
	})
}

func TestSlewIsFollowedWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "cron", "*/10 * * * * *"), aligned(t, "grid", "@every 10s"))
		for range 100 {
			w.step(-30 * time.Millisecond)
			w.pass(3 * time.Second)
		}
		if st := w.s.Stats(); st.ClockSteps != 0 || st.Skipped != nil && total(st.Skipped)+total(st.Missed) != 0 {
			t.Errorf("got %+v, want no step and nothing lost", st)
		}
		seen := map[time.Time]bool{}
		for _, at := range w.times("cron") {
			if seen[at] || at.Second()%10 != 0 {
				t.Errorf("cron ran for %s, twice or off its time", at)
			}
			seen[at] = true
		}
		w.end()
	})
}

func TestSuspend(t *testing.T) {
	tests := map[string]struct {
		missed     schedule.Missed
		cron, grid int
		catchUps   int
	}{
		"skip counts what was slept over": {schedule.MissedSkip, 8, 480, 0},
		"run_once runs the newest of it":  {schedule.MissedRunOnce, 7, 479, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cron, grid := aligned(t, "cron", "30 * * * *"), aligned(t, "grid", "@every 60s")
				cron.Missed, grid.Missed = tt.missed, tt.missed
				w := newWorld(t, schedule.Options{}, nil, cron, grid)
				w.pass(90 * time.Second)
				w.suspend(8 * time.Hour)
				w.pass(2 * time.Second)
				slots := map[string]int{}
				for _, g := range w.told() {
					slots[g.name] += g.slots
				}
				if slots["cron"] != tt.cron || slots["grid"] != tt.grid {
					t.Errorf("missed %v, want %d of cron and %d of the grid", slots, tt.cron, tt.grid)
				}
				catchUps := 0
				for _, s := range w.runs() {
					if s.Trigger == checks.TriggerCatchUp {
						catchUps++
					}
				}
				if st := w.s.Stats(); catchUps != tt.catchUps || st.ClockSteps != 0 || int(total(st.Missed)) != int(st.Missed[schedule.MissedSuspend]) {
					t.Errorf("%d caught up, %d steps, missed %v; want %d, none and all of it by sleep", catchUps, st.ClockSteps, st.Missed, tt.catchUps)
				}
				if st := w.s.Stats(); st.Changed != "the host was suspended for 8h0m0s" || strings.Count(w.log.String(), "host was suspended") != 1 {
					t.Errorf("told of %q; the log says %q, want the sleep once", st.Changed, w.log.String())
				}
				before := len(w.times("grid"))
				w.pass(time.Minute)
				if got := len(w.times("grid")) - before; got != 1 {
					t.Errorf("the grid ran %d times in the minute after, want 1", got)
				}
				w.end()
			})
		})
	}
}

// A host whose steady clock counts sleep looks like one whose scheduler stood still: the timers fire late, all at once.
func TestStandstillRunsTheNewestAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "quick", "@every 1s"), aligned(t, "slow", "@every 60s"))
		w.pass(58500 * time.Millisecond)
		ran := len(w.runs())
		w.suspend(1900 * time.Millisecond)
		w.pass(600 * time.Millisecond)
		if got := len(w.times("slow")); got != 1 {
			t.Errorf("the check of a minute ran %d times, want once, though late", got)
		}
		st := w.s.Stats()
		if got := st.Missed[schedule.MissedLate]; got != 1 || len(w.runs())-ran != 3 {
			t.Errorf("missed %d of the second's slots and ran %d, want 1 and 3", got, len(w.runs())-ran)
		}
		w.end()
	})
}

func TestDaylightSavingInTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, day := range []string{"2000-03-25T12:00:00Z", "2000-10-28T12:00:00Z"} {
			time.Sleep(time.Until(at(t, day)))
			paris := mustParse(t, "30 2 * * *", "Europe/Paris")
			w := newWorld(t, schedule.Options{}, nil, schedule.Entry{Name: "night", Spec: paris})
			w.pass(40 * time.Hour)
			if got := len(w.times("night")); got != 2 {
				t.Errorf("ran %d times in the two nights after %s, want 2", got, day)
			}
			w.end()
		}
	})
}

func TestSwapUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []schedule.Entry
		for i := range 50 {
			expr := []string{"@every 2s", "@every 3s", "*/2 * * * * *"}[i%3]
			entries = append(entries, schedule.Entry{Name: strconv.Itoa(i), Spec: mustParse(t, expr, ""), Host: strconv.Itoa(i % 5), Overlap: []schedule.Overlap{"", schedule.OverlapQueue}[i%2]})
		}
		w := newWorld(t, schedule.Options{PerHost: 30}, func(_ context.Context, s schedule.Slot) {
			time.Sleep(time.Duration(len(s.Name)) * 300 * time.Millisecond)
		}, entries...)
		for i := range 100 {
			w.pass(time.Duration(137*(i%11)) * time.Millisecond)
			if err := w.s.Swap(entries); err != nil {
				t.Fatal(err)
			}
		}
		w.end()
		for _, e := range entries {
			at := w.times(e.Name)
			for i := 1; i < len(at); i++ {
				want := at[i-1].Add(e.Spec.Interval())
				if !at[i].Equal(want) {
					t.Fatalf("%s: slot %s follows %s, want %s", e.Name, at[i], at[i-1], want)
				}
			}
		}
		if st := w.s.Stats(); total(st.Skipped)+total(st.Missed) != 0 {
			t.Errorf("skipped %v, missed %v; want every slot to run", st.Skipped, st.Missed)
		}
	})
}

func TestSwapChangesRemovesAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		a, b := aligned(t, "a", "@every 10s"), aligned(t, "b", "@every 10s")
		b.Overlap = schedule.OverlapQueue
		running := map[string]*atomic.Int64{"a": {}, "b": {}}
		w := newWorld(t, schedule.Options{}, func(_ context.Context, s schedule.Slot) {
			if running[s.Name].Add(1) > 1 {
				t.Errorf("two runs of %s at a time", s.Name)
			}
			defer running[s.Name].Add(-1)
			if s.Name == "b" {
				<-release
			}
		}, a, b)
		w.pass(25 * time.Second) // b runs since 10, its slot of 20 waits
		swap(t, w, aligned(t, "a", "@every 60s"))
		w.pass(20 * time.Second)
		w.wantTimes("a", "00:00:10", "00:00:20")
		w.wantGaps(gap{"b", checks.CauseMissed, w.began.Add(20 * time.Second), 1, "removed"})
		swap(t, w, aligned(t, "a", "@every 60s"), b)
		w.pass(10 * time.Second) // the slot of 50 waits for the run of 10, which never ended
		if got := len(w.times("b")); got != 1 {
			t.Errorf("b began %d runs, want 1: the first is still going", got)
		}
		close(release)
		w.pass(10 * time.Second)
		w.wantTimes("a", "00:00:10", "00:00:20", "00:01:00")
		w.wantTimes("b", "00:00:10", "00:00:50", "00:01:00")
		w.end()
	})
}

func TestSwapThatBringsBackACheckMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := aligned(t, "a", "@every 10s"), aligned(t, "b", "@every 10s")
		w := newWorld(t, schedule.Options{}, nil, a, b)
		w.pass(15 * time.Second)
		swap(t, w, a)
		w.pass(30 * time.Second)
		b.LastRun, b.Missed = w.began.Add(10*time.Second), schedule.MissedRunOnce // as the store remembers it
		swap(t, w, a, b)
		w.pass(10 * time.Second)
		w.wantTimes("b", "00:00:10", "00:00:50")
		w.wantGaps()
		w.end()
	})
}

func TestSwapOfWrongEntriesChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "a", "@every 10s"))
		if err := w.s.Swap([]schedule.Entry{{Name: "b"}}); err == nil {
			t.Error("Swap of an entry without schedule gave no error")
		}
		w.pass(10 * time.Second)
		w.wantTimes("a", "00:00:10")
		w.end()
	})
}

func TestStatsOfEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "b", "*/5 * * * *"), aligned(t, "a", "@every 60s"))
		w.pass(6 * time.Minute)
		st := w.s.Stats()
		if len(st.Entries) != 2 || st.Entries[0].Name != "a" || st.Entries[0].Interval != time.Minute {
			t.Fatalf("got %+v, want a and b", st.Entries)
		}
		if got, want := st.Entries[1].LastSlot, w.began.Add(5*time.Minute); !got.Equal(want) {
			t.Errorf("the last slot of b is %s, want %s", got, want)
		}
		if got, want := st.Entries[1].NextSlot, w.began.Add(10*time.Minute); !got.Equal(want) {
			t.Errorf("the next slot of b is %s, want %s", got, want)
		}
		if age := time.Since(st.LastTick); age > time.Second {
			t.Errorf("the loop ticked %s ago, want within a second", age)
		}
		if got := w.s.TakeLateness().Runs; got != 7 {
			t.Errorf("TakeLateness gave %d runs, want 7", got)
		}
		if got := w.s.TakeLateness().Runs; got != 0 {
			t.Errorf("TakeLateness gave %d runs again, want 0", got)
		}
		w.end()
	})
}

func swap(t *testing.T, w *world, entries ...schedule.Entry) {
	t.Helper()
	if err := w.s.Swap(entries); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkScheduler10k(b *testing.B) {
	var entries []schedule.Entry
	for i := range 10000 {
		entries = append(entries, schedule.Entry{Name: strconv.Itoa(i), Spec: mustParse(b, "@every 1s", "")})
	}
	runs := make(chan struct{}, 1<<16)
	s, err := schedule.New(entries, schedule.Options{Run: func(context.Context, schedule.Slot) { runs <- struct{}{} }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for b.Loop() {
		<-runs
	}
	cancel()
	go func() {
		for range runs {
		}
	}()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	close(runs)
	late := s.TakeLateness()
	b.ReportMetric(float64(late.P50.Microseconds()), "p50-late-us")
	b.ReportMetric(float64(late.P99.Microseconds()), "p99-late-us")
}

// TestFault06TheYear2038IsAYear: nothing here counts seconds in 32 bits.
func TestFault06TheYear2038IsAYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, schedule.Options{}, nil, aligned(t, "cron", "* * * * *"), aligned(t, "grid", "@every 60s"))
		last := time.Unix(1<<31-1, 0).Add(-30 * time.Second)
		w.step(last.Sub(w.began))
		w.pass(5 * time.Minute)
		if cron, grid := len(w.times("cron")), len(w.times("grid")); cron < 5 || grid < 5 {
			t.Errorf("over the end of 32 bits cron ran %d times and the grid %d, want 5 at least", cron, grid)
		}
		w.end()
	})
}

// TestSwapOfTheScheduleLosesNoSlot changes a check's interval there and back, often at the very moment of a slot.
func TestSwapOfTheScheduleLosesNoSlot(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			specs := []schedule.Entry{aligned(t, "a", "@every 5m"), aligned(t, "a", "@every 30s"), aligned(t, "a", "*/2 * * * *")}
			current := specs[0]
			w := newWorld(t, schedule.Options{}, nil, current)
			var want []time.Time
			for from := w.began; from.Sub(w.began) < 3*time.Hour; {
				time.Sleep(time.Duration(1+r.IntN(40)) * 15 * time.Second) // the loop may or may not have looked at what is due now
				next := specs[r.IntN(len(specs))]
				swap(t, w, next)
				now := time.Now()
				step := current.Spec.Interval()
				for at := from.Truncate(step).Add(step); !at.After(now); at = at.Add(step) {
					want = append(want, at.UTC())
				}
				from, current = now, next
			}
			w.pass(0)
			w.end()
			if got := w.times("a"); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("seed %d: %d slots ran, want %d", seed, len(got), len(want))
			}
			w.wantGaps()
		})
	}
}
