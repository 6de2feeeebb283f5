//go:build unix

package datadog

import (
	"net"
	"syscall"
)

// pendingError is what the network said about packets that were sent: on the same host, that nobody listens.
func pendingError(conn net.Conn) error {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return err
	}
	var number int
	var getErr error
	if err := control.Control(func(fd uintptr) {
		number, getErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	}); err != nil {
		return err
	}
	if getErr != nil || number == 0 {
		return getErr
	}
	return syscall.Errno(number)
}
