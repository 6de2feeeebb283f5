package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const lockName = "windsock.lock"

// lockDir takes the directory's lock and writes our pid into it. The lock dies with the process; the file stays.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := openOwn(path)
	if err != nil {
		// A read-only file system locks as well.
		var roErr error
		if f, roErr = os.Open(path); roErr != nil { //nolint:gosec // the operator's state directory
			return nil, fmt.Errorf("locking the state directory: %w", err)
		}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid := holder(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: pid}
		}
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	_ = f.Truncate(0) // the pid is a courtesy: a full disk must not stand in the way
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return f, nil
}

func holder(f *os.File) int {
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// unlock gives the lock back in so many words: a program that is being started holds a copy of the descriptor for a moment,
// and with it a lock that only ends with its last descriptor.
func unlock(f *os.File) {
	_ = f.Truncate(0)
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}
