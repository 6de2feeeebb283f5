package pluginhost_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

func TestPatience(t *testing.T) {
	t.Parallel()
	type failure struct {
		how   pluginhost.Failure
		after time.Duration // since the one before
		ready time.Duration
		want  pluginhost.Verdict
	}
	waits := func(d time.Duration) pluginhost.Verdict { return pluginhost.Verdict{Wait: d} }
	quarantine := pluginhost.Verdict{Quarantined: true, Wait: 15 * time.Minute}
	const ms = time.Millisecond
	for name, failures := range map[string][]failure{
		"five crashes in ten minutes": {
			{pluginhost.Crashed, 0, time.Second, waits(250 * ms)},
			{pluginhost.Crashed, time.Second, time.Second, waits(500 * ms)},
			{pluginhost.Crashed, time.Second, time.Second, waits(time.Second)},
			{pluginhost.Crashed, time.Second, time.Second, waits(2 * time.Second)},
			{pluginhost.Crashed, time.Second, time.Second, quarantine},
		},
		"five crashes in an hour": {
			{pluginhost.Crashed, 0, time.Hour, waits(250 * ms)},
			{pluginhost.Crashed, 12 * time.Minute, time.Hour, waits(250 * ms)},
			{pluginhost.Crashed, 12 * time.Minute, time.Hour, waits(250 * ms)},
			{pluginhost.Crashed, 12 * time.Minute, time.Hour, waits(250 * ms)},
			{pluginhost.Crashed, 12 * time.Minute, time.Hour, waits(250 * ms)},
		},
		"three handshakes in a row": {
			{pluginhost.Unfit, 0, 0, waits(250 * ms)},
			{pluginhost.Unfit, time.Second, 0, waits(500 * ms)},
			{pluginhost.Unfit, time.Second, 0, quarantine},
			{pluginhost.Unfit, 15 * time.Minute, 0, quarantine},
		},
		"a crash between handshakes": {
			{pluginhost.Unfit, 0, 0, waits(250 * ms)},
			{pluginhost.Unfit, time.Second, 0, waits(500 * ms)},
			{pluginhost.Crashed, time.Second, time.Second, waits(time.Second)},
			{pluginhost.Unfit, time.Second, 0, waits(2 * time.Second)},
		},
		"a crash soon after quarantine": {
			{pluginhost.Unfit, 0, 0, waits(250 * ms)},
			{pluginhost.Unfit, time.Second, 0, waits(500 * ms)},
			{pluginhost.Unfit, time.Second, 0, quarantine},
			{pluginhost.Crashed, 15 * time.Minute, time.Second, quarantine},
			{pluginhost.Crashed, 15 * time.Minute, time.Hour, waits(250 * ms)},
		},
		"another file is not tried again": {
			{pluginhost.Different, 0, 0, pluginhost.Verdict{Quarantined: true, Never: true}},
		},
		"a missing file is looked for without end": {
			{pluginhost.Absent, 0, 0, waits(250 * ms)},
			{pluginhost.Absent, 0, 0, waits(500 * ms)},
			{pluginhost.Absent, 0, 0, waits(time.Second)},
			{pluginhost.Absent, 0, 0, waits(2 * time.Second)},
			{pluginhost.Absent, 0, 0, waits(4 * time.Second)},
			{pluginhost.Absent, 0, 0, waits(8 * time.Second)},
			{pluginhost.Absent, 0, 0, waits(16 * time.Second)},
			{pluginhost.Absent, 0, 0, waits(30 * time.Second)},
			{pluginhost.Absent, 0, 0, waits(30 * time.Second)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, now := pluginhost.NewPatience(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, f := range failures {
				now = now.Add(f.after)
				if got := p.Failed(f.how, now, f.ready); got != f.want {
					t.Errorf("failure %d: got %+v, want %+v", i+1, got, f.want)
				}
			}
		})
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := pluginhost.NewLimiter(4)
		full := func() int { // how many have a place
			n := 0
			for ; n < 10; n++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err := l.Enter(ctx)
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v, want that the time was up", err)
					}
					break
				}
			}
			return n
		}
		leave := func(n int) {
			for range n {
				l.Leave(false)
			}
		}
		if got := full(); got != 4 {
			t.Errorf("got %d places, want 4", got)
		}
		l.Leave(true) // the plugin has too much to do
		leave(3)
		if got := full(); got != 2 {
			t.Errorf("got %d places after an overload, want half", got)
		}
		leave(2)
		for range 200 {
			if err := l.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.Leave(false)
		}
		if got := full(); got != 4 {
			t.Errorf("got %d places after 200 good calls, want all again", got)
		}
		entered := make(chan int, 2)
		for i := range 2 {
			go func() { _ = l.Enter(t.Context()); entered <- i }()
			synctest.Wait()
		}
		leave(1)
		if got := <-entered; got != 0 {
			t.Errorf("got %d first, want who came first", got)
		}
		leave(1)
		<-entered
	})
}
