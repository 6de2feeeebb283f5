package schedule

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// WatchClocks gives a word whenever the host's wall clock was set or the host was asleep, until ctx ends; then the channel
// is closed. It is nil where the kernel cannot say: timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
func WatchClocks(ctx context.Context) <-chan struct{} {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	if armClock(fd) != nil {
		_ = timer.Close()
		return nil
	}
	words := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { _ = timer.Close() })
	go func() {
		defer close(words)
		defer stop()
		var count [8]byte
		for {
			_, err := timer.Read(count[:])
			if err != nil && !errors.Is(err, syscall.ECANCELED) || armClock(fd) != nil {
				_ = timer.Close()
				return
			}
			signal(words)
		}
	}()
	return words
}

// armClock sets a timer that never comes, but is cancelled when the clock is set.
func armClock(fd int) error {
	const never = 1 << 33 // Unix seconds: the year 2242
	at := unix.ItimerSpec{Value: unix.Timespec{Sec: never}}
	return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &at, nil)
}
