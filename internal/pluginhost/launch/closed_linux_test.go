package launch_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

// A folder that a plugin has closed to itself is no place to hide in, and does not stay.
func TestAFolderThatAPluginClosed(t *testing.T) {
	t.Parallel()
	for _, closed := range [][]string{{"a"}, {"a/b"}, {"a/b", "a"}, {"."}, {"a/b", "a", "."}} {
		over := make(chan struct{})
		go func() {
			defer close(over)
			if asNobody(t) {
				closeAndClear(t, closed)
			}
		}()
		<-over
	}
}

func closeAndClear(t *testing.T, closed []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "closed") //nolint:usetesting // root's folder is closed to nobody
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "a", "b", "c"), []byte("x"), 0o600)
	}
	for _, folder := range closed {
		err = errors.Join(err, os.Chmod(filepath.Join(dir, folder), 0))
	}
	if err != nil {
		t.Error(err)
		return
	}
	if got, want := launch.Overfull(dir, 1<<20, 300), "its folder for temporary files cannot be looked into"; got != want {
		t.Errorf("%q closed: got %q, want %q", closed, got, want)
	}
	if err := launch.RemoveLeft(dir); err != nil {
		t.Errorf("%q closed: %v", closed, err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%q closed: got %v, want that nothing is left", closed, err)
	}
}

// asNobody makes the thread of this goroutine one that files are closed to. It ends with the goroutine.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return true
	}
	runtime.LockOSThread()
	const nobody = 65534
	if err := unix.Setfsuid(nobody); err != nil {
		t.Error(err)
		return false
	}
	return true
}
