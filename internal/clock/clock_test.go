package clock_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/internal/clock"
)

func TestUptimeGoesWithTheHost(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells when it was booted")
	}
	up := clock.NewUptime()
	before := clock.SinceBoot()
	got := up.At(time.Now())
	after := clock.SinceBoot()
	const slack = 2 * time.Second // the clocks are read one after the other
	if got < before-slack || got > after+slack || before <= 0 {
		t.Errorf("up for %s, want %s to %s", got, before, after)
	}
}

func TestUptimeGoesWithTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := clock.NewUptime()
		before := up.At(time.Now())
		time.Sleep(time.Hour)
		if got := up.At(time.Now()) - before; before != 0 && (got < time.Hour-time.Second || got > time.Hour+time.Second) {
			t.Errorf("an hour took %s", got)
		}
	})
}

func BenchmarkUptime(b *testing.B) {
	up := clock.NewUptime()
	for b.Loop() {
		up.At(time.Now())
	}
}

func TestSteadyDoesNotFollowWhoSetsTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		steady := clock.NewSteady()
		if clock.SinceBoot() == 0 {
			t.Skip("nobody knows when this host was booted")
		}
		stamped := time.Now().Round(0)
		time.Sleep(time.Minute)
		ahead := clock.Stepped(steady, -72*time.Hour) // as if the process had begun before the clock was set forward
		behind := clock.Stepped(steady, 72*time.Hour)
		for name, tt := range map[string]struct {
			steady  *clock.Steady
			stamped time.Time
			old     bool // older than 59 s
			young   bool // younger than 61 s
		}{
			"a clock that nobody sets":                       {steady, stamped, true, true},
			"stamped before the clock went three days ahead": {ahead, stamped.Add(-72 * time.Hour), true, true},
			"stamped after it":                               {ahead, stamped, false, true},
			"stamped before the clock went three days back":  {behind, stamped.Add(72 * time.Hour), false, true},
			"stamped after that":                             {behind, stamped, true, true},
			"the wall clock alone":                           {nil, stamped, true, true},
		} {
			if got := tt.stamped.Before(tt.steady.Limit(time.Now(), 59*time.Second)); got != tt.old {
				t.Errorf("%s: older than 59 s is %v, want %v", name, got, tt.old)
			}
			if got := tt.stamped.Before(tt.steady.Limit(time.Now(), 61*time.Second)); got == tt.young {
				t.Errorf("%s: older than 61 s is %v, want %v", name, got, !tt.young)
			}
		}
	})
}
