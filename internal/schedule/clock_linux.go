package schedule

import (
	"time"

	"golang.org/x/sys/unix"
)

// suspendedTime is how long the host has been asleep since it was booted: CLOCK_BOOTTIME counts sleep, CLOCK_MONOTONIC and
// Go's timers do not (clock_gettime(2)). Zero where the kernel cannot say; a sleep then looks like a step of the wall clock.
func suspendedTime() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
