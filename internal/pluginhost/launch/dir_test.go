package launch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

func TestAFolderOfSocketsThatAKilledOneLeftIsFound(t *testing.T) {
	t.Setenv("TMPDIR", short(t))
	first, err := launch.SocketsOf("/var/lib/a")
	if err != nil {
		t.Fatal(err)
	}
	again, err := launch.SocketsOf("/var/lib/a")
	if err != nil || again != first {
		t.Errorf("got %q, %v, want %q again", again, err, first)
	}
	if other, err := launch.SocketsOf("/var/lib/b"); err != nil || other == first {
		t.Errorf("got %q, %v for another owner", other, err)
	}
}

// In a folder where everybody can write somebody else may have been there before.
func TestAFolderOfSocketsThatIsAnothersIsNotTaken(t *testing.T) {
	for name, put := range map[string]func(dir string) error{
		"open to others": func(dir string) error { return os.Chmod(dir, 0o755) },
		"a link": func(dir string) error {
			if err := os.Rename(dir, dir+".real"); err != nil {
				return err
			}
			return os.Symlink(dir+".real", dir)
		},
		"a file": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", short(t))
			dir, err := launch.SocketsOf("x")
			if err != nil {
				t.Fatal(err)
			}
			if err := put(dir); err != nil {
				t.Fatal(err)
			}
			got, err := launch.SocketsOf("x")
			if err != nil || got == dir {
				t.Errorf("got %q, %v, want another folder than %q", got, err, dir)
			}
			_ = os.RemoveAll(got)
		})
	}
}

func TestFoldersOfSocketsAreShort(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 60))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	dir, err := launch.TempSockets()
	if err != nil || len(dir) > launch.LongestSockets {
		t.Errorf("got %q, %v, want at most %d bytes", dir, err, launch.LongestSockets)
	}
	_ = os.RemoveAll(dir)
}

// short is a folder with a short path.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "s") //nolint:usetesting // that of the test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
