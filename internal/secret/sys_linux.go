package secret

import (
	"errors"
	"os"
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
