package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// judge refuses files that others could have written or can read, with the command that mends it.
func (r *Resolver) judge(path string, info os.FileInfo, credential bool) error {
	mode := info.Mode()
	if !mode.IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Size() > MaxSize {
		return fmt.Errorf("%d bytes, want at most %d", info.Size(), MaxSize)
	}
	owner := ownerOf(info)
	switch {
	case !owner.known:
		return nil // a system without owners and modes
	case !mayOwn(owner.uid, path):
		return fmt.Errorf("owned by %s, not by %s; run: %s", userName(owner.uid), trusted(), mend(path))
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("mode %04o lets others write it; run: %s", mode.Perm(), mendMode(path, owner))
	case mode.Perm()&0o004 != 0:
		return fmt.Errorf("mode %04o lets everybody read it; run: %s", mode.Perm(), mendMode(path, owner))
	case mode.Perm()&0o040 != 0 && !credential && owner.gid != os.Getegid() && owner.gid != 0:
		// A credential's group bits are the mask of systemd's access list, not a group's right.
		r.warnOnce("a group that is not the agent's can read it", "file "+path, "mode", fmt.Sprintf("%04o", mode.Perm()), "gid", owner.gid, "run", mend(path))
	}
	return nil
}

// judgeFolders refuses a path on which somebody else could exchange the file: the folders of the name and of what it links
// to, up to the root.
func (r *Resolver) judgeFolders(path string) error {
	dirs := []string{filepath.Dir(path)}
	if target, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(target) != dirs[0] {
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, dir := range dirs {
		for {
			if err := judgeFolder(dir); err != nil {
				return err
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return nil
}

// judgeFolder refuses a folder whose files somebody else than root, the agent's user and its group can exchange. Where the
// sticky bit is set only the file's owner can, who is judged by the file.
func judgeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fileError(err)
	}
	owner, mode := ownerOf(info), info.Mode()
	switch {
	case !owner.known:
		return nil
	case owner.uid != 0 && owner.uid != os.Geteuid():
		return fmt.Errorf("the folder %s belongs to %s, who could exchange the file; move it, or run: chown root %s", dir, userName(owner.uid), quoted(dir))
	case mode&os.ModeSticky != 0:
		return nil
	case mode.Perm()&0o002 != 0:
		return fmt.Errorf("everybody can exchange the file: mode %04o of %s; run: chmod o-w %s", mode.Perm(), dir, quoted(dir))
	case mode.Perm()&0o020 != 0 && owner.gid != 0 && owner.gid != os.Getegid():
		return fmt.Errorf("a group that is not the agent's can exchange the file: mode %04o of %s; run: chmod g-w %s", mode.Perm(), dir, quoted(dir))
	}
	return nil
}

// unreadable says why a file cannot be looked at, with the way out where it is known. The error wraps os.ErrPermission or
// errAbsent where it is one.
func (r *Resolver) unreadable(path string, err error) error {
	plain := fileError(err)
	inUnit := r.getenv("INVOCATION_ID") != ""
	switch {
	case inUnit && (below(path, "/home") || below(path, "/root") || below(path, "/run/user")):
		return fmt.Errorf("%w; a unit with ProtectHome= does not see home folders: move it to /etc/windsock/secrets", plain)
	case inUnit && (below(path, "/tmp") || below(path, "/var/tmp")):
		return fmt.Errorf("%w; a unit with PrivateTmp= has a /tmp and a /var/tmp of its own: move it to /etc/windsock/secrets", plain)
	case !errors.Is(err, fs.ErrPermission):
		return plain
	}
	switch dir, run := openFolder(path); {
	case dir != "" && !forKeys(dir):
		return fmt.Errorf("%w: %s is not for the agent to enter; put the key into a file below /etc/windsock/secrets, and name that", plain, quoted(dir))
	case run != "":
		return fmt.Errorf("%w; run: %s", plain, run)
	}
	if info, err := os.Stat(path); err == nil && ownerOf(info).allows(info.Mode()) {
		return fmt.Errorf("%w, though owner and mode allow it: SELinux or AppArmor may not; look at: journalctl -k | grep -iE 'avc|denied'", plain)
	}
	return fmt.Errorf("%w; run: %s", plain, mend(path))
}

// openFolder is the folder on the way to the file that the agent may not enter, and the command that opens it; "" where there is none.
func openFolder(path string) (closed, run string) {
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case err != nil: // the closed one is above it
		case searchable(dir):
			return "", ""
		case ownerOf(info).uid == os.Geteuid():
			return dir, "chmod u+x " + quoted(dir)
		default:
			return dir, fmt.Sprintf("chown root:%s %s && chmod 0750 %s", quoted(groupName(os.Getegid())), quoted(dir), quoted(dir))
		}
	}
	return "", ""
}

// forKeys reports whether a folder may be opened for the agent without opening more than keys: no home, and none of the system's own.
func forKeys(dir string) bool {
	return filepath.Dir(dir) != "/" && filepath.Dir(dir) != "/home" && !below(dir, "/root")
}

func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// mend is the command by which a file becomes one that root writes and the agent reads. Who asks as root may look at the
// file of an installed agent, which has a user of its own.
func mend(path string) string {
	group, mode := groupName(os.Getegid()), "0640"
	if os.Geteuid() == 0 {
		if _, err := user.LookupGroup(installed); err == nil && below(path, "/etc/windsock") {
			group = installed
		} else {
			group, mode = "root", "0600"
		}
	}
	path = quoted(path)
	return fmt.Sprintf("chown root:%s %s && chmod %s %s", quoted(group), path, mode, path)
}

// mendMode is mend for a file that already is the agent's own, which needs no root.
func mendMode(path string, of owner) string {
	if of.uid == os.Geteuid() && of.uid != 0 {
		return "chmod 0600 " + quoted(path)
	}
	return mend(path)
}

// installed is the user and the group of an installed agent.
const installed = "windsock"

// mayOwn reports whether a key file may be this user's: root, the agent's, and where root looks at the file of an installed
// agent, also that one's.
func mayOwn(uid int, path string) bool {
	if uid == 0 || uid == os.Geteuid() {
		return true
	}
	if os.Geteuid() != 0 || !below(path, "/etc/windsock") {
		return false
	}
	agent, err := user.Lookup(installed)
	return err == nil && agent.Uid == strconv.Itoa(uid)
}

// quoted is the text as one word of a shell.
func quoted(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:,=") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// nobody is how a user namespace (PrivateUsers=) shows everybody who is not in it.
const nobody = 65534

func userName(uid int) string {
	if uid == nobody {
		return "another user"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// trusted are the users who may own a key file.
func trusted() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return "root or " + userName(os.Geteuid())
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

type owner struct {
	uid, gid int
	changed  int64 // ctime in nanoseconds
	known    bool
}

// allows reports whether the bits let the agent read the file.
func (o owner) allows(mode os.FileMode) bool {
	switch {
	case !o.known:
		return false
	case o.uid == os.Geteuid():
		return mode.Perm()&0o400 != 0
	case o.gid == os.Getegid():
		return mode.Perm()&0o040 != 0
	default:
		return mode.Perm()&0o004 != 0
	}
}
