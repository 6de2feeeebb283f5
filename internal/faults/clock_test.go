//go:build faults

package faults_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/schedule"
)

// TestFault06TheKernelTellsWhenTheClockIsSet sets the wall clock to what it says, which to the kernel is a step like any other.
func TestFault06TheKernelTellsWhenTheClockIsSet(t *testing.T) {
	needs(t)
	words := schedule.WatchClocks(t.Context())
	if words == nil {
		t.Fatal("needs a kernel with timerfd_create(2)")
	}
	for range 3 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
			t.Fatal(err)
		}
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
			t.Fatalf("needs the right to set the clock: %v", err)
		}
		select {
		case _, more := <-words:
			if !more {
				t.Fatal("the watch ended")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the clock was set and nobody said so")
		}
	}
}
