package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// openOwn opens a file of the state directory for reading and writing, and makes it with mode 0600 where it is missing. What
// root makes in a directory of another user becomes that user's, so that the agent can use what `sudo windsock check` left;
// there root follows no link, because the directory's owner decides where that leads.
func openOwn(path string) (*os.File, error) {
	flags := os.O_RDWR | os.O_CREATE
	uid, gid, foreign := ownerOf(filepath.Dir(path))
	if foreign {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // the operator's state directory
	if err != nil || !foreign {
		return f, err
	}
	if err := give(f, uid, gid); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// GiveAway gives a file that root made in another user's directory to that user; of anybody else's it does nothing.
func GiveAway(f *os.File) error {
	if uid, gid, foreign := ownerOf(filepath.Dir(f.Name())); foreign {
		return give(f, uid, gid)
	}
	return nil
}

// asOwner does work on files of a directory with the rights of its owner, where we are root and it is another user's: that one
// may exchange any name in it meanwhile, also for a link to a file of root's. The work may not leave its goroutine.
func asOwner(dir string, work func() error) error {
	uid, gid, foreign := ownerOf(dir)
	if !foreign {
		return work()
	}
	runtime.LockOSThread()
	defer func() {
		_, _ = unix.SetfsuidRetUid(0)
		_, _ = unix.SetfsgidRetGid(os.Getegid())
		if now, err := unix.SetfsuidRetUid(-1); err == nil && now == 0 { // else the thread ends with its goroutine
			runtime.UnlockOSThread()
		}
	}()
	_, _ = unix.SetfsgidRetGid(gid) // these tell no failure
	_, _ = unix.SetfsuidRetUid(uid)
	if now, err := unix.SetfsuidRetUid(-1); err != nil || now != uid {
		return fmt.Errorf("taking the rights of the owner of %q: user %d, not %d: %w", dir, now, uid, os.ErrPermission)
	}
	return work()
}

// ownerOf is whose a directory is. foreign: it is not root's, and we are root.
func ownerOf(dir string) (uid, gid int, foreign bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), stat.Uid != 0
}

// give changes the owner of a file of root's. One with a second name may be a file from elsewhere, and is left alone.
func give(f *os.File, uid, gid int) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("looking at %q: %w", f.Name(), err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || stat.Uid != 0 || stat.Nlink > 1 {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("giving %q to its directory's owner: %w", f.Name(), err)
	}
	return nil
}
