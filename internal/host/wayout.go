package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// nobody is the number under which a user namespace, as of PrivateUsers=, shows whom it does not know.
const nobody = 65534

// denied is where to look when nothing that can be seen refuses: SELinux, AppArmor and Landlock say so there only.
const denied = "`ausearch -m avc -ts recent` and `journalctl -k | grep -i denied` show what does"

// StateWayOut is the way out where this process cannot use its state directory, in one line that says who owns what is in
// the way and what to do; "" where nobody knows.
func StateWayOut(dir string, err error) string {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), strings.Contains(text, "disk is full"):
		return fmt.Sprintf("free space: `df -h %[1]s` and `df -i %[1]s` show what is full; nothing else needs to be done", quote(dir))
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("its file system is read-only: `findmnt -T %[1]s` shows it; below a unit with ProtectSystem=strict a directory of your own needs ReadWritePaths=%[1]s", quote(dir))
	case err == nil:
		return ""
	}
	a := asker(Options{})
	if d := a.state(dir); d != nil {
		return stateWay(a, dir, d)
	}
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return fmt.Sprintf("owner and mode of %s let %s in, so something else refuses: %s", dir, a.Name, denied)
	}
	return ""
}

// state is what keeps an account from a state directory or from one of the files in it; nil where nothing does.
func (a Account) state(dir string) *denial {
	if d := a.may(dir, mayRead|mayWrite|maySearch); d != nil {
		return d
	}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			if d := a.may(filepath.Join(dir, entry.Name()), mayRead|mayWrite); d != nil {
				return d
			}
		}
	}
	return nil
}

func stateWay(a Account, dir string, d *denial) string {
	agents := a.Name + ":" + a.Group
	switch {
	case d.absent:
		return fmt.Sprintf("%s does not exist, and %s may not make it: install -d -m 0700 -o %s -g %s %s", d.at, a.Name, a.Name, a.Group, quote(dir))
	case d.err != nil || d.unseen:
		return fmt.Sprintf("%s cannot look into it: namei -l %s", a.Name, quote(dir))
	case !within(d.at, dir):
		return fmt.Sprintf("%s, on the way there, is not open to %s: chmod o+x %s", d.whose(), a.Name, quote(d.at))
	case d.owner.uid == a.UID:
		return fmt.Sprintf("%s: chmod u+rwX %s", d.whose(), quote(d.at))
	}
	if unit := serviceOf(dir); unit != "" && a.Name != "windsock" {
		return fmt.Sprintf("%s, for the service: `systemctl start %s` starts it; an agent by hand needs a state_dir of its own. Where the unit's User= is %s: chown -R %s %s",
			d.whose(), unit, a.Name, agents, quote(dir))
	}
	return fmt.Sprintf("%s, and the agent runs as %s: chown -R %s %s", d.whose(), a.Name, agents, quote(dir))
}

// serviceOf is the unit whose state directory dir is, as it is installed; "" for another directory.
func serviceOf(dir string) string {
	parent, name := filepath.Split(filepath.Clean(dir))
	if parent != "/var/lib/" || name != "windsock" && !strings.HasPrefix(name, "windsock@") {
		return ""
	}
	return name
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// whose is whom a part of a path belongs to, in names.
func (d *denial) whose() string {
	o := Options{}
	text := fmt.Sprintf("%s belongs to %s:%s with mode %04o", d.at, o.userName(d.owner.uid), o.groupName(d.owner.gid), d.owner.mode&0o7777)
	if d.owner.uid == nobody || d.owner.gid == nobody {
		text += fmt.Sprintf(" (nobody is also whom PrivateUsers= hides: `stat -c %%U:%%G %s` shows whom)", quote(d.at))
	}
	return text
}

// why says in words what nobody can mend by owners and modes.
func (d *denial) why() string {
	switch {
	case d.absent:
		return d.at + " does not exist"
	case d.unseen:
		return d.at + " is not for the eyes of who asks"
	}
	return d.err.Error()
}

// SocketWayOut is the way out where this process may not connect to another's Unix socket; "" where nobody knows. unit is
// the service that it runs as, "" for none.
func SocketWayOut(unit, path string, err error) string {
	if !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM) {
		return ""
	}
	a := asker(Options{})
	d := a.may(path, mayWrite)
	if d == nil {
		return fmt.Sprintf("owner and mode of %s let %s in, so something else refuses: %s", path, a.Name, denied)
	}
	if d.unseen {
		if folder := a.allowed(d.at, maySearch); folder != nil {
			d = folder
		}
	}
	if d.absent || d.unseen || d.err != nil {
		return fmt.Sprintf("%s: namei -l %s", d.why(), quote(path))
	}
	if unit == "" {
		unit = "windsock"
	}
	m := machine{service: &Service{Unit: unit + ".service"}}
	group := m.groupName(d.owner.gid)
	switch {
	case d.owner.gid == nobody:
		group = "dd-agent" // what a user namespace hides is most often this
	case d.dir && d.owner.mode&0o010 == 0:
		return fmt.Sprintf("%s, on the way there, is not open to %s: chmod o+x %s", d.whose(), a.Name, quote(d.at))
	case d.owner.mode&0o020 == 0 && !d.dir:
		return d.whose() + ": its owner must let others write to it (the Datadog Agent makes it srwx-w--w-)"
	}
	return fmt.Sprintf("%s, and %s is not in that group: %s", d.whose(), a.Name, m.joinGroup(group))
}
