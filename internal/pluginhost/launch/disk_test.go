package launch_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

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
