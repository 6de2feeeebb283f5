//go:build unix

package plugintest

import "syscall"

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) } //nolint:wrapcheck // the caller says what it did

func kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// there reports whether a process is there that can still do something.
func there(pid int) bool {
	return syscall.Kill(pid, 0) == nil && !isZombie(pid)
}
