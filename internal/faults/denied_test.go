package faults_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
)

// unmaking is the first argument of this binary where it is to become another program that may make no file.
const unmaking = "unmaking"

// unmake becomes argv under a rule of Landlock's that no owner and no mode shows, as a denial of SELinux's: no file, no
// folder and no socket can be made.
func unmake(argv []string) error {
	runtime.LockOSThread()
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), 8, 0)
	if errno != 0 {
		return fmt.Errorf("needs Landlock: %w", errno)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return syscall.Exec(argv[0], argv, syscall.Environ())
}

// TestStartWhereSomethingElseRefuses: owner and mode of the state directory let the agent in, and it is refused all the same.
// It works in memory, and the line says where to look.
func TestStartWhereSomethingElseRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.Mkdir(w.State, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Write(w.config("", ""))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := w.Start(self, unmaking)
	w.UntilReady()
	w.verdict(t, "models", checks.OK, checks.CauseNone)
	w.said(t, "the store cannot write; records are kept in memory until it can",
		`owner and mode of \S+/state let \S+ in, so something else refuses: .ausearch -m avc -ts recent. and .journalctl -k \| grep -i denied. show what does"`)
	if code := p.End(syscall.SIGTERM); code != 1 {
		t.Errorf("exit code %d, want 1: records were lost", code)
	}
}
