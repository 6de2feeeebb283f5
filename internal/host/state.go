package host

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/store"
)

// state judges the state directory, what is in it, and the runtime directory, for the service's user.
func (m machine) state(context.Context) []Finding {
	const subject = "state directory"
	a := m.service.Account
	switch {
	case m.StateDir == "":
		return one(Finding{subject, Wrong, "there is no place for the state", "set state_dir in " + quote(m.Config)})
	case a.Missing:
		return nil
	case !exists(m.StateDir):
		return one(m.unmade(a))
	}
	own := fmt.Sprintf("chown -R %s:%s %[3]s && chmod 0700 %[3]s", quote(a.Name), quote(a.Group), quote(m.StateDir))
	if d := a.may(m.StateDir, mayRead|mayWrite|maySearch); d != nil {
		if d.unseen {
			return one(Finding{subject, Warning, "it cannot be judged: " + m.said(d), "sudo windsock validate --online " + quote(m.Config)})
		}
		return one(Finding{subject, Wrong, fmt.Sprintf("%s (uid %d) cannot write it: %s", a.Name, a.UID, m.said(d)), own})
	}
	var out []Finding
	if strange := a.foreign(m.StateDir); strange != "" {
		out = append(out, Finding{subject, Wrong, fmt.Sprintf("%s cannot write %s in it, as a rule because root made it", a.Name, strange), own})
	}
	var st unix.Stat_t
	if unix.Stat(m.StateDir, &st) == nil && st.Mode&0o007 != 0 {
		out = append(out, Finding{subject, Warning, fmt.Sprintf("mode %04o of %s lets everybody look into what was recorded", st.Mode&0o7777, m.StateDir), "chmod 0700 " + quote(m.StateDir)})
	}
	if m.RuntimeDir != "" && m.RuntimeDir != m.StateDir && exists(m.RuntimeDir) {
		if d := a.may(m.RuntimeDir, mayWrite|maySearch); d != nil && !d.unseen {
			out = append(out, Finding{"runtime directory", Wrong, fmt.Sprintf("%s cannot make its sockets there: %s", a.Name, m.said(d)), fmt.Sprintf("chown %s:%s %s", quote(a.Name), quote(a.Group), quote(m.RuntimeDir))})
		}
	}
	if len(out) == 0 {
		return one(ok(subject, "%s can write %s", a.Name, m.StateDir))
	}
	return out
}

// unmade judges a state directory that is not there yet.
func (m machine) unmade(a Account) Finding {
	const subject = "state directory"
	if made, _ := m.service.Directories(); made == m.StateDir {
		return ok(subject, "%s is made by %s when it starts", m.StateDir, m.service.Unit)
	}
	dir := m.StateDir
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	switch d := a.may(dir, mayWrite|maySearch); {
	case d == nil:
		return ok(subject, "%s is made when the agent starts", m.StateDir)
	case d.unseen:
		return Finding{subject, Warning, "it cannot be judged: " + m.said(d), "sudo windsock validate --online " + quote(m.Config)}
	}
	return Finding{
		subject, Wrong, fmt.Sprintf("%s is not there, and %s cannot make it", m.StateDir, a.Name),
		fmt.Sprintf("install -d -m 0700 -o %s -g %s %s", quote(a.Name), quote(a.Group), quote(m.StateDir)),
	}
}

// foreign is a file of the directory that the account cannot write; "" is none.
func (a Account) foreign(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeSymlink != 0 || !entry.Type().IsRegular() && !entry.IsDir() {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if d := a.allowed(path, mayRead|mayWrite); d != nil && !d.absent && !d.unseen {
			return entry.Name()
		}
	}
	return ""
}

// disk judges where the state is kept: its file system, and the room that is left.
func (m machine) disk(context.Context) []Finding {
	if m.StateDir == "" {
		return nil
	}
	dir := m.StateDir
	var st unix.Statfs_t
	for unix.Statfs(dir, &st) != nil {
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
	kind := fileSystem(st.Type)
	free := int64(st.Bavail) * st.Frsize
	if st.Frsize == 0 {
		free = int64(st.Bavail) * st.Bsize
	}
	var used int64
	if g, err := store.GlanceAt(m.StateDir, m.at("/proc")); err == nil {
		used = g.Bytes
	}
	seen := volume{dir: dir, kind: kind, free: free, wanted: max(m.MaxStore-used, 0), inodes: st.Files, freeInodes: st.Ffree, readOnly: st.Flags&unix.ST_RDONLY != 0}
	return one(seen.judge(m.MaxStore))
}

// volume is a file system, as it is for the store.
type volume struct {
	dir, kind          string
	free, wanted       int64 // bytes; wanted: that the store may still grow by
	inodes, freeInodes uint64
	readOnly           bool
}

// judge says what is wrong with it. At most one thing: the worst.
func (v volume) judge(most int64) Finding {
	const subject = "disk"
	inodes := fmt.Sprintf("%d inodes free", v.freeInodes)
	if v.inodes == 0 {
		inodes = "inodes are not counted"
	}
	room := fmt.Sprintf("%s on %s: %s and %s, the store may grow by %s to %s", v.kind, v.dir, size(v.free)+" free", inodes, size(v.wanted), size(most))
	find := "findmnt -T " + quote(v.dir)
	const fewInodes, least = 100, 64 << 20
	switch {
	case v.readOnly:
		return Finding{subject, Wrong, v.dir + " is on a file system that cannot be written: the agent keeps records in memory only, and starts no paid check", "mount -o remount,rw $(findmnt -n -o TARGET -T " + quote(v.dir) + ")"}
	case v.inodes > 0 && v.freeInodes < fewInodes:
		return Finding{subject, Wrong, room, "df -i " + quote(v.dir)}
	case v.free < least:
		return Finding{subject, Wrong, room + ": there is no room for records", "df -h " + quote(v.dir) + "; journalctl --vacuum-size=200M"}
	case remote(v.kind):
		return Finding{subject, Warning, v.dir + " is on " + v.kind + ": SQLite's log needs memory that is shared by one machine's processes, and locks that hold; records can be lost or damaged", find + "   # then set state_dir to a local disk"}
	case v.kind == "tmpfs" || v.kind == "overlay":
		return Finding{subject, Warning, v.dir + " is on " + v.kind + ": what was recorded and spent is forgotten with the host or the container", find + "   # then set state_dir to a disk or a volume that stays"}
	case v.free < v.wanted:
		return Finding{subject, Warning, room + ": it does not fit", "df -h " + quote(v.dir) + "   # make room, or set a smaller store.max_size"}
	}
	return ok(subject, "%s", room)
}

func remote(kind string) bool {
	switch kind {
	case "nfs", "cifs", "smb2", "9p", "afs", "ceph", "fuse":
		return true
	}
	return false
}

// fileSystem names the magic numbers of statfs(2) that matter here.
func fileSystem(magic int64) string {
	known := map[int64]string{
		0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0xca451a4e: "bcachefs",
		0x01021994: "tmpfs", 0x858458f6: "tmpfs", 0x794c7630: "overlay",
		0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "cifs", 0x01021997: "9p", 0x5346414f: "afs", 0x00c36400: "ceph", 0x65735546: "fuse",
	}
	if name, found := known[magic&0xffffffff]; found {
		return name
	}
	return fmt.Sprintf("a file system of type %#x", magic)
}

// store says what the files of the store tell, and who holds them.
func (m machine) store(context.Context) []Finding {
	const subject = "store"
	if m.StateDir == "" {
		return nil
	}
	g, err := store.GlanceAt(m.StateDir, m.at("/proc"))
	if err != nil {
		return one(Finding{subject, Warning, "it cannot be judged: " + err.Error(), "sudo windsock validate --online " + quote(m.Config)})
	}
	var out []Finding
	if g.Version > g.Known {
		out = append(out, Finding{
			subject, Wrong, fmt.Sprintf("a newer windsock wrote it (schema %d, this one knows %d): this one does not start on it", g.Version, g.Known),
			fmt.Sprintf("windsock version   # install that version again, or move the state aside: mv %[1]s %[1]s.newer", quote(m.StateDir)),
		})
	}
	if n := len(g.Aside); n > 0 {
		out = append(out, Finding{
			subject, Warning, fmt.Sprintf("%d databases that were damaged lie in %s, the last one %s", n, m.StateDir, filepath.Base(g.Aside[n-1])),
			"rm " + quote(filepath.Join(m.StateDir, "windsock.db.corrupt-")) + "*   # once nobody wants to look at them",
		})
	}
	switch running := m.service.running(); {
	case g.Holder != 0 && running != 0 && g.Holder != running:
		out = append(out, Finding{
			subject, Wrong, fmt.Sprintf("held by %s, which is not the process of %s (%d)", m.process(g.Holder), m.service.Unit, running), fmt.Sprintf("kill %d", g.Holder),
		})
	case g.Holder != 0 && m.service.Unit != "" && running == 0:
		out = append(out, Finding{
			subject, Wrong, fmt.Sprintf("held by %s, and %s does not run: it cannot start beside it", m.process(g.Holder), m.service.Unit), fmt.Sprintf("kill %d", g.Holder),
		})
	case g.Holder != 0:
		out = append(out, ok(subject, "held by %s, %s", m.process(g.Holder), stored(g)))
	case !g.Found:
		out = append(out, ok(subject, "none yet"))
	case len(out) == 0:
		out = append(out, ok(subject, "held by nobody, %s", stored(g)))
	}
	return out
}

func stored(g store.Glance) string {
	text := size(g.Bytes)
	switch {
	case g.Version == 0:
	case g.Version < g.Known:
		text += fmt.Sprintf(", schema %d, which becomes %d at the next start", g.Version, g.Known)
	default:
		text += fmt.Sprintf(", schema %d", g.Version)
	}
	return text
}

// holder is the process that holds the store; 0 is none.
func (m machine) holder() int {
	g, _ := store.GlanceAt(m.StateDir, m.at("/proc"))
	return g.Holder
}

// process names a process: "windsock (pid 812)".
func (m machine) process(pid int) string {
	if name := strings.TrimSpace(m.text(fmt.Sprintf("/proc/%d/comm", pid))); name != "" {
		return fmt.Sprintf("%s (pid %d)", name, pid)
	}
	return fmt.Sprintf("the process %d", pid)
}
