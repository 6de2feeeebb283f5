package store

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	politeNice = 10
	politeSync = 20 * time.Millisecond
)

// politely runs work that writes one large file so that an agent beside it hardly feels it: with a lower priority of the
// processor and of the disk, where the system knows such, and with what was written going to the disk all the time, not in
// one flood at the end that every other write waits for.
func politely(path string, work func() error) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0) //nolint:gosec // named by us
	if err != nil {
		return fmt.Errorf("opening %q: %w", path, err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its priority with it
		lowerPriority()
		done <- work()
	}()
	beat := time.NewTicker(politeSync)
	defer beat.Stop()
	for {
		select {
		case err := <-done:
			return errors.Join(err, f.Close())
		case <-beat.C:
			_ = unix.Fdatasync(int(f.Fd())) // the last one, which counts, follows
		}
	}
}

// lowerPriority is for the thread that calls it. The numbers are those of linux/ioprio.h: the lowest of the best-effort class.
func lowerPriority() {
	const whoProcess, bestEffortLowest = 1, 2<<13 | 7
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, politeNice)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, 0, bestEffortLowest)
}
