//go:build linux && (amd64 || arm64)

package shim_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/sandbox/shim"
)

const (
	allowed    = 0x7fff0000
	refused    = 0x00050000 | uint32(unix.EPERM)
	notInvited = 0x00050000 | uint32(unix.ENOSYS)
)

// A kernel with an old Landlock is seldom where tests run: what the filter does for it is looked at by itself.
func TestTheFilterHoldsWhatAnOldLandlockDoesNot(t *testing.T) {
	const here = 0xffffff9c // AT_FDCWD
	for name, test := range map[string]struct {
		number   uint32
		args     []uint32
		old, new uint32
	}{
		"empty by name":                   {unix.SYS_TRUNCATE, nil, refused, allowed},
		"empty by a descriptor":           {unix.SYS_FTRUNCATE, []uint32{3}, allowed, allowed},
		"open to read and empty":          {unix.SYS_OPENAT, []uint32{here, 0, unix.O_RDONLY | unix.O_TRUNC | unix.O_CLOEXEC}, refused, allowed},
		"open for nothing and empty":      {unix.SYS_OPENAT, []uint32{here, 0, unix.O_ACCMODE | unix.O_TRUNC}, refused, allowed},
		"open for nothing":                {unix.SYS_OPENAT, []uint32{here, 0, unix.O_ACCMODE}, allowed, allowed},
		"open to read":                    {unix.SYS_OPENAT, []uint32{here, 0, unix.O_RDONLY | unix.O_CLOEXEC}, allowed, allowed},
		"open to write and empty":         {unix.SYS_OPENAT, []uint32{here, 0, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC}, allowed, allowed},
		"open to read, write and empty":   {unix.SYS_OPENAT, []uint32{here, 0, unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC}, allowed, allowed},
		"open with flags that are hidden": {unix.SYS_OPENAT2, []uint32{here}, notInvited, allowed},
		"change a mode":                   {unix.SYS_FCHMODAT, []uint32{here}, refused, refused},
		"read":                            {unix.SYS_READ, nil, allowed, allowed},
	} {
		t.Run(name, func(t *testing.T) {
			for abi, want := range map[int]uint32{0: test.new, 1: test.old, 2: test.old, 3: test.new, 7: test.new} {
				for _, spec := range []shim.Spec{{}, {Isolated: true}, {Bounded: true}} {
					if got := shim.Verdict(&spec, abi, test.number, test.args...); got != want {
						t.Errorf("Landlock %d, %+v: got %#x, want %#x", abi, spec, got, want)
					}
				}
			}
		})
	}
}

func TestTheFilterHoldsAProgramInItsSession(t *testing.T) {
	for name, test := range map[string]struct {
		number     uint32
		args       []uint32
		held, free uint32
	}{
		"begin a session":                      {unix.SYS_SETSID, nil, refused, allowed},
		"begin a group":                        {unix.SYS_SETPGID, nil, allowed, allowed},
		"live on without its parent":           {unix.SYS_PRCTL, []uint32{unix.PR_SET_PDEATHSIG, 0}, refused, allowed},
		"be only asked to end":                 {unix.SYS_PRCTL, []uint32{unix.PR_SET_PDEATHSIG, uint32(unix.SIGTERM)}, refused, allowed},
		"end with its parent":                  {unix.SYS_PRCTL, []uint32{unix.PR_SET_PDEATHSIG, uint32(unix.SIGKILL)}, allowed, allowed},
		"name itself":                          {unix.SYS_PRCTL, []uint32{unix.PR_SET_NAME, 0}, allowed, allowed},
		"start a child of its parent":          {unix.SYS_CLONE, []uint32{unix.CLONE_PARENT | uint32(unix.SIGCHLD)}, refused, allowed},
		"start a child":                        {unix.SYS_CLONE, []uint32{uint32(unix.SIGCHLD)}, allowed, allowed},
		"start a child whose flags are hidden": {unix.SYS_CLONE3, nil, notInvited, notInvited},
	} {
		t.Run(name, func(t *testing.T) {
			for _, held := range []bool{true, false} {
				want := test.free
				if held {
					want = test.held
				}
				if got := shim.Verdict(&shim.Spec{Session: held, Bounded: true}, 7, test.number, test.args...); got != want {
					t.Errorf("held %v: got %#x, want %#x", held, got, want)
				}
			}
		})
	}
}
