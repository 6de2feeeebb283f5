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

func TestTheWayOutOfAnothersStateDirectory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ who, dir, want string }{
		"a directory of one's own making":       {"joe", "/srv/state", "the agent runs as joe: chown -R joe:joe /srv/state"},
		"the service's, by hand":                {"joe", "/var/lib/windsock", "`systemctl start windsock` starts it; an agent by hand needs a state_dir of its own"},
		"an instance's, by hand":                {"joe", "/var/lib/windsock@staging", "`systemctl start windsock@staging` starts it"},
		"the service's, which somebody took it": {"windsock", "/var/lib/windsock", "the agent runs as windsock: chown -R windsock:windsock /var/lib/windsock"},
	} {
		if got := host.StateWay(tt.who, tt.dir); !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want …%s…", name, got, tt.want)
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
