package launch_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

func TestWhatIsTooMuchInAFolder(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path string, size int) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, to, from string) {
		t.Helper()
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"nothing":     {func(*testing.T, string) {}, ""},
		"a few files": {func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "a", "b"), 1<<19) }, ""},
		"much in one": {func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "a", "b"), 2<<20) }, "holds more than 1 MiB"},
		"much in all": {func(t *testing.T, dir string) {
			t.Helper()
			for i := range 5 {
				write(t, filepath.Join(dir, strconv.Itoa(i), "b"), 1<<18)
			}
		}, "holds more than 1 MiB"},
		"many": {func(t *testing.T, dir string) {
			t.Helper()
			for i := range 301 {
				write(t, filepath.Join(dir, strconv.Itoa(i)), 0)
			}
		}, "holds more than 300 files"},
		"deep": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, strings.Repeat("d/", 34), "b"), 1)
		}, "has more than 32 folders within each other"},
		"a link to much": {func(t *testing.T, dir string) {
			t.Helper()
			outside := t.TempDir()
			write(t, filepath.Join(outside, "much"), 2<<20)
			link(t, outside, filepath.Join(dir, "folder"))
			link(t, filepath.Join(outside, "much"), filepath.Join(dir, "file"))
		}, ""},
		"a pipe that nobody writes": {func(t *testing.T, dir string) {
			t.Helper()
			if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tc.make(t, dir)
			if tc.want != "" {
				tc.want = "its folder for temporary files " + tc.want
			}
			if got := launch.Overfull(dir, 1<<20, 300); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := launch.Overfull("/nonexistent", 1, 1); got != "" {
		t.Errorf("got %q of a folder that is not there", got)
	}
}

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
