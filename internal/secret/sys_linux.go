package secret

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// openFlags keep a named pipe from blocking the open.
const openFlags = syscall.O_NONBLOCK | syscall.O_CLOEXEC | syscall.O_NOCTTY

func ownerOf(info os.FileInfo) owner {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}
	}
	return owner{uid: int(st.Uid), gid: int(st.Gid), changed: st.Ctim.Nano(), known: true}
}

func notDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// group gives the command a process group of its own, so that what it started dies with it.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
