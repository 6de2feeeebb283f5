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
