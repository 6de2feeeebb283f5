// Package clock reads the clocks of the host that package time does not know. It judges nothing and keeps no state.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	steady = 50 * time.Millisecond // so long may a reading take, or the process stood still in it
	tries  = 3
)

// Suspended is how long the host has been asleep since it was booted: CLOCK_BOOTTIME counts sleep, CLOCK_MONOTONIC and
// Go's timers do not (clock_gettime(2)). Zero where the kernel cannot say; a sleep then looks like a step of the wall clock.
func Suspended() time.Duration {
	var asleep time.Duration
	for range tries {
		before, boot, after := now(unix.CLOCK_MONOTONIC), now(unix.CLOCK_BOOTTIME), now(unix.CLOCK_MONOTONIC)
		if boot == 0 || before == 0 {
			return 0
		}
		if asleep = boot - before; after-before < steady {
			break
		}
	}
	return asleep
}

// SinceBoot is how long ago the host was booted, sleep included; zero where the kernel cannot say.
func SinceBoot() time.Duration { return now(unix.CLOCK_BOOTTIME) }

func now(id int32) time.Duration {
	var at unix.Timespec
	if unix.ClockGettime(id, &at) != nil {
		return 0
	}
	return time.Duration(at.Nano())
}
