//go:build !linux

package shim

import "syscall"

// serve says that there is no shim here: the agent's home is Linux.
func serve() {
	_, _ = syscall.Write(2, []byte(Prefix+"plugins are confined on Linux only\n"))
	syscall.Exit(ExitTyped)
}
