package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/internal/host"
)

func pathError(number syscall.Errno) error {
	return fmt.Errorf("locking the state directory: %w", &fs.PathError{Op: "open", Path: "x", Err: number})
}

// TestTheWayOutOfAStateDirectory: what owners and modes explain is in internal/faults, with users of its own.
func TestTheWayOutOfAStateDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		err  error
		want string // at the start; "" is nothing
	}{
		"full":                          {pathError(syscall.ENOSPC), "free space: `df -h " + dir},
		"over a quota":                  {pathError(syscall.EDQUOT), "free space: "},
		"full, in SQLite's words":       {errors.New("checking the database: database or disk is full (13)"), "free space: "},
		"read-only":                     {pathError(syscall.EROFS), "its file system is read-only: `findmnt -T " + dir},
		"refused by what nobody sees":   {pathError(syscall.EACCES), "owner and mode of " + dir + " let "},
		"not permitted by the same":     {pathError(syscall.EPERM), "owner and mode of " + dir + " let "},
		"something that nobody foresaw": {errors.New("bad weather"), ""},
		"nothing":                       {nil, ""},
	} {
		got := host.StateWayOut(dir, test.err)
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q…", name, got, test.want)
		}
		if strings.HasPrefix(test.want, "owner") && !strings.Contains(got, "ausearch -m avc") {
			t.Errorf("%s: %q does not say where a security module tells", name, got)
		}
	}
}

func TestTheWayOutOfASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dsd.socket")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := host.SocketWayOut("windsock", path, pathError(syscall.EACCES)); !strings.Contains(got, "so something else refuses: `ausearch") {
		t.Errorf("got %q, want the security modules named", got)
	}
	if got := host.SocketWayOut("windsock", path, pathError(syscall.ECONNREFUSED)); got != "" {
		t.Errorf("got %q for a socket that nobody listens on", got)
	}
}
