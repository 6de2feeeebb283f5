package secret

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
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

// searchable reports whether the agent may enter the folder.
func searchable(dir string) bool { return unix.Access(dir, unix.X_OK) == nil }
