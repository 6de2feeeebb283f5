package usagelog

import (
	"os"
	"syscall"
)

// openFlags keep a pipe that took the log's place from blocking.
const openFlags = syscall.O_NONBLOCK | syscall.O_CLOEXEC | syscall.O_NOCTTY

// ownFlag refuses a link.
const ownFlag = syscall.O_NOFOLLOW

// identity is what a file keeps when it is renamed.
func identity(info os.FileInfo) (dev, ino uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return st.Dev, st.Ino
}
