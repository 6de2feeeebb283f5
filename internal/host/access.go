package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// The rights, as the kernel counts them.
const (
	mayRead   = 4
	mayWrite  = 2
	maySearch = 1 // of a folder; of a file: to execute it
)

// denial is what keeps an account from a file.
type denial struct {
	at     string // the part of the path that is in the way
	dir    bool   // it is a folder
	absent bool   // there is no such file
	unseen bool   // who asks may not look there, and cannot tell
	err    error  // of another kind: a loop of links, a disk that fails
	lacks  uint32
	owner  owner
}

// owner is whose a file is, and its mode.
type owner struct {
	uid, gid int
	mode     uint32
}

// said is what keeps an account from a file, in words.
func (o Options) said(d *denial) string {
	switch {
	case d.absent:
		return d.at + " does not exist"
	case d.unseen:
		return d.at + " is not for the eyes of who asks"
	case d.err != nil:
		return d.err.Error()
	}
	return fmt.Sprintf("%s belongs to %s:%s with mode %04o", d.at, o.userName(d.owner.uid), o.groupName(d.owner.gid), d.owner.mode&0o7777)
}

// may walks to the path and says what keeps the account from it; nil where nothing does. It judges by owners, groups and
// modes. Where a file has an access list it counts as open, because modes do not tell all.
func (a Account) may(path string, want uint32) *denial {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unfollowed(path, err)
	}
	ways := parents(path)
	for _, dir := range parents(target) {
		if !slices.Contains(ways, dir) {
			ways = append(ways, dir)
		}
	}
	for _, dir := range ways {
		if d := a.allowed(dir, maySearch); d != nil {
			return d
		}
	}
	return a.allowed(target, want)
}

// unfollowed is why a path leads nowhere. The part that is missing is found, because a folder may be what is.
func unfollowed(path string, err error) *denial {
	for _, dir := range append(parents(path), path) {
		_, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return &denial{at: dir, absent: true, dir: dir != path}
		case errors.Is(err, fs.ErrPermission):
			return &denial{at: filepath.Dir(dir), unseen: true}
		}
	}
	return &denial{at: path, err: err}
}

func (a Account) allowed(path string, want uint32) *denial {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return unfollowed(path, err)
	}
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if a.holds(&st, want, dir) || listed(path) {
		return nil
	}
	return &denial{at: path, dir: dir, lacks: want, owner: owner{int(st.Uid), int(st.Gid), st.Mode}}
}

// holds is the kernel's rule: the owner's bits for the owner alone, else the group's, else everybody's. Root passes, but
// for programs that nobody may execute.
func (a Account) holds(st *unix.Stat_t, want uint32, dir bool) bool {
	if a.UID == 0 {
		return want&maySearch == 0 || dir || st.Mode&0o111 != 0
	}
	bits := st.Mode & 7
	switch {
	case int(st.Uid) == a.UID:
		bits = st.Mode >> 6 & 7
	case slices.Contains(a.GIDs, int(st.Gid)):
		bits = st.Mode >> 3 & 7
	}
	return bits&want == want
}

// listed reports whether the file has a POSIX access list.
func listed(path string) bool {
	n, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// exchangeable is a folder on the way to a file in which others than root, the account and its own group could put another in
// its place; "" is none.
func (a Account) exchangeable(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	for _, dir := range append(parents(path), parents(target)...) {
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil {
			return ""
		}
		ours := int(st.Gid) == 0 || slices.Contains(a.GIDs[:1], int(st.Gid))
		open := st.Mode&unix.S_ISVTX == 0 && (st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && !ours)
		if open || int(st.Uid) != 0 && int(st.Uid) != a.UID {
			return dir
		}
	}
	return ""
}

// changeable is the part of a path that others than root and the account could change or exchange; "" is none. A sticky
// folder such as /tmp passes: there nobody can touch what is another's.
func (a Account) changeable(path string) (at string, o owner) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", owner{}
	}
	for _, part := range append(parents(target), target) {
		var st unix.Stat_t
		if unix.Stat(part, &st) != nil {
			return "", owner{}
		}
		found := owner{int(st.Uid), int(st.Gid), st.Mode}
		sticky := st.Mode&unix.S_ISVTX != 0 && part != target
		if found.uid != 0 && found.uid != a.UID || st.Mode&0o022 != 0 && !sticky {
			return part, found
		}
	}
	return "", owner{}
}
