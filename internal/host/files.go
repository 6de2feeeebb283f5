package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// datadogDropIn is shipped, and lets the agent's user into the group of the Datadog Agent.
const datadogDropIn = "/usr/share/windsock/drop-ins/datadog.conf"

// user says who the agent runs as.
func (m machine) user(context.Context) []Finding {
	a, unit := m.service.Account, m.service.Unit
	switch {
	case a.Missing && unit != "":
		return one(Finding{
			"user", Wrong, fmt.Sprintf("%s has User=%s, and there is no such user: it ends with status 217/USER", unit, a.Name), m.createUser(a),
		})
	case m.service.Problem != "":
		return one(Finding{"user", Warning, "not known, because systemd does not tell: what follows is judged for " + a.Name + ", who asks", "systemctl show -p User " + unitOf(m.Config)})
	case unit == "" && os.Geteuid() == 0:
		return one(Finding{
			"user", Warning, "no unit of systemd runs this configuration; an agent that is started by hand here runs as root, which it never needs",
			m.asWindsock(),
		})
	case unit == "":
		return one(ok("user", "%s (uid %d), who asks: no unit of systemd runs this configuration", a.Name, a.UID))
	case a.UID == 0:
		return one(Finding{
			"user", Warning, unit + " runs the agent as root, which it never needs",
			fmt.Sprintf("%s && mkdir -p /etc/systemd/system/%[2]s.d && printf '[Service]\\nUser=windsock\\nGroup=windsock\\n' >/etc/systemd/system/%[2]s.d/user.conf && systemctl daemon-reload && systemctl restart %[2]s",
				m.createUser(Account{Name: "windsock"}), unit),
		})
	}
	for group := range strings.FieldsSeq(m.service.props["Group"] + " " + m.service.props["SupplementaryGroups"]) {
		if _, found := m.groupID(group); !found {
			return one(Finding{
				"user", Wrong, fmt.Sprintf("%s wants the group %s, and there is no such group: it ends with status 216/GROUP", unit, group),
				fmt.Sprintf("groupadd --system %s   # or take it out: grep -rl %s /etc/systemd/system/%s.d/", quote(group), quote(group), unit),
			})
		}
	}
	return one(ok("user", "%s (uid %d, groups %s) by %s; what follows is judged for it", a.Name, a.UID, m.groups(a), unit))
}

// asWindsock runs the agent by hand as it should be run.
func (m machine) asWindsock() string {
	run := "runuser -u windsock -- windsock run --config " + quote(m.Config)
	if _, _, found := m.lookup("windsock"); found {
		return run
	}
	return m.createUser(Account{Name: "windsock"}) + " && " + run
}

func (m machine) createUser(a Account) string {
	if _, err := os.Stat(m.at("/usr/lib/sysusers.d/windsock.conf")); err == nil && a.Name == "windsock" {
		return "systemd-sysusers /usr/lib/sysusers.d/windsock.conf"
	}
	return "useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --user-group " + quote(a.Name)
}

func (m machine) groups(a Account) string {
	var out []string
	for _, gid := range a.GIDs {
		out = append(out, m.groupName(gid))
	}
	return strings.Join(out, ", ")
}

// files judges the configuration, plugins.lock and all files that the configuration names, for the service's user.
func (m machine) files(context.Context) []Finding {
	a := m.service.Account
	if a.Missing {
		return nil // said, and nothing can be told
	}
	list := []File{{"configuration", m.Config, Read}}
	if lock := filepath.Join(filepath.Dir(m.Config), "plugins.lock"); m.Config != "" && exists(lock) {
		list = append(list, File{"plugins.lock", lock, Read})
	}
	for _, f := range m.Files {
		if !slices.ContainsFunc(list, func(known File) bool { return known.Path == f.Path && known.Use == f.Use }) {
			list = append(list, f)
		}
	}
	var out []Finding
	well := 0
	for _, f := range list {
		if found := m.file(a, f); found.Level != OK {
			out = append(out, found)
			continue
		}
		well++
	}
	switch {
	case len(out) > 0:
		return out
	case well == 1:
		return one(ok("files", "%s can read %s", a.Name, m.Config))
	}
	return one(ok("files", "%s can use all %d files that the configuration needs", a.Name, well))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Judge says whether the service's user can use a file, as Look does. Its level is OK where it can.
func Judge(s *Service, o Options, f File) Finding { return machine{o, s}.file(s.Account, f) }

func (m machine) file(a Account, f File) Finding {
	out := Finding{Subject: f.What, Level: Wrong}
	if hidden, how := m.hidden(f); hidden != "" {
		out.Detail, out.Fix = hidden, how
		return out
	}
	if d := a.may(f.Path, rightsFor(f.Use)); d != nil {
		out.Detail = fmt.Sprintf("%s (uid %d) cannot %s %s: %s", a.Name, a.UID, f.Use.verb(), f.Path, m.said(d))
		out.Fix = m.way(a, f, d)
		if d.unseen {
			out.Level, out.Detail = Warning, fmt.Sprintf("%s cannot be judged: %s", f.Path, m.said(d))
		}
		return out
	}
	switch f.Use {
	case Secret:
		return m.tooOpen(a, f)
	case Run:
		if at, by := a.changeable(f.Path); at != "" {
			out.Detail = fmt.Sprintf("others can change %s: %s belongs to %s with mode %04o", f.Path, at, m.userName(by.uid), by.mode&0o7777)
			out.Fix = fmt.Sprintf("chown root:root %[1]s && chmod go-w %[1]s", quote(at))
			return out
		}
	case Read, Connect:
	}
	return ok(f.What, "%s can %s %s", a.Name, f.Use.verb(), f.Path)
}

func (u Use) verb() string {
	switch u {
	case Run:
		return "execute"
	case Connect:
		return "connect to"
	case Read, Secret:
	}
	return "read"
}

func rightsFor(u Use) uint32 {
	switch u {
	case Run:
		return mayRead | maySearch // it is read too, for its digest and its first line
	case Connect:
		return mayWrite
	case Read, Secret:
	}
	return mayRead
}

// hidden is what the unit takes out of the agent's sight, whatever its mode.
func (m machine) hidden(f File) (detail, fix string) {
	if m.service.Unit == "" {
		return "", ""
	}
	home := slices.ContainsFunc([]string{"/home/", "/root/", "/run/user/"}, func(dir string) bool { return strings.HasPrefix(f.Path, dir) })
	temporary := strings.HasPrefix(f.Path, "/tmp/") || strings.HasPrefix(f.Path, "/var/tmp/")
	moved := "/etc/windsock/" + filepath.Base(f.Path)
	if f.Use == Run {
		moved = "/usr/local/bin/" + filepath.Base(f.Path)
	}
	fix = fmt.Sprintf("install -m 0640 -o root -g %s %s %s, and write that path", quote(m.service.Account.Group), quote(f.Path), quote(moved))
	switch {
	case home && (m.service.props["ProtectHome"] == "yes" || m.service.props["ProtectHome"] == "tmpfs"):
		return fmt.Sprintf("%s is hidden from the agent by ProtectHome=%s of %s", f.Path, m.service.props["ProtectHome"], m.service.Unit), fix
	case temporary && !slices.Contains([]string{"", "no"}, m.service.props["PrivateTmp"]):
		return fmt.Sprintf("%s is hidden from the agent by PrivateTmp=yes of %s", f.Path, m.service.Unit), fix
	}
	return "", ""
}

// way is the command that lets the account in.
func (m machine) way(a Account, f File, d *denial) string {
	group := quote(a.Group)
	switch {
	case d.unseen:
		return "sudo windsock validate --online " + quote(m.Config)
	case d.absent && f.Use == Secret:
		return fmt.Sprintf("install -m 0640 -o root -g %s /dev/stdin %s", group, quote(f.Path)) + "   # then type the value and Ctrl-D"
	case d.absent || d.err != nil:
		return "put the file there, or correct the path: namei -l " + quote(f.Path)
	case d.dir && strings.HasPrefix(d.at+"/", configDir):
		return fmt.Sprintf("chown root:%s %[2]s && chmod 0750 %[2]s", group, quote(d.at))
	case f.Use == Connect && !d.dir && d.owner.mode&0o020 != 0 && d.owner.gid != 0 && m.service.Unit != "":
		return m.joinGroup(m.groupName(d.owner.gid))
	case d.dir && d.owner.mode&0o010 != 0 && d.owner.gid != 0 && m.service.Unit != "":
		return m.joinGroup(m.groupName(d.owner.gid))
	case d.dir:
		return "chmod o+x " + quote(d.at)
	case f.Use == Connect:
		return fmt.Sprintf("chgrp %s %[2]s && chmod g+w %[2]s", group, quote(d.at))
	case f.Use == Secret || strings.HasPrefix(d.at, configDir):
		return fmt.Sprintf("chown root:%s %[2]s && chmod 0640 %[2]s", group, quote(d.at))
	case f.Use == Run:
		return "chmod 0755 " + quote(d.at)
	}
	return "chmod 0644 " + quote(d.at)
}

// joinGroup puts the service into a group.
func (m machine) joinGroup(group string) string {
	unit := m.service.Unit
	enable := fmt.Sprintf("mkdir -p /etc/systemd/system/%[1]s.d && printf '[Service]\\nSupplementaryGroups=%[2]s\\n' >/etc/systemd/system/%[1]s.d/group-%[2]s.conf", unit, group)
	if group == "dd-agent" && exists(m.at(datadogDropIn)) {
		enable = fmt.Sprintf("install -D -m 0644 %s -t /etc/systemd/system/%s.d/", datadogDropIn, unit)
	}
	return enable + " && systemctl daemon-reload && systemctl restart " + unit
}

// tooOpen refuses what the agent would refuse: a secret that others can write or everybody can read.
func (m machine) tooOpen(a Account, f File) Finding {
	var st unix.Stat_t
	if err := unix.Stat(f.Path, &st); err != nil {
		return Finding{f.What, Wrong, err.Error(), ""}
	}
	tighten := fmt.Sprintf("chown root:%s %[2]s && chmod 0640 %[2]s", quote(a.Group), quote(f.Path))
	mode := st.Mode & 0o7777
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return Finding{f.What, Wrong, f.Path + " is not a regular file", "namei -l " + quote(f.Path)}
	case int(st.Uid) != 0 && int(st.Uid) != a.UID:
		return Finding{f.What, Wrong, fmt.Sprintf("%s belongs to %s, want root or %s: the agent refuses it", f.Path, m.userName(int(st.Uid)), a.Name), tighten}
	case mode&0o022 != 0:
		return Finding{f.What, Wrong, fmt.Sprintf("mode %04o of %s lets others write it: the agent refuses it", mode, f.Path), tighten}
	case mode&0o004 != 0:
		return Finding{f.What, Wrong, fmt.Sprintf("mode %04o of %s lets everybody read it: the agent refuses it", mode, f.Path), tighten}
	case st.Size == 0:
		return Finding{f.What, Wrong, f.Path + " is empty", fmt.Sprintf("install -m 0640 -o root -g %s /dev/stdin %s   # then type the value and Ctrl-D", quote(a.Group), quote(f.Path))}
	case a.exchangeable(f.Path) != "":
		dir := a.exchangeable(f.Path)
		return Finding{f.What, Wrong, fmt.Sprintf("others can exchange %s in its folder %s: the agent refuses it", f.Path, dir), fmt.Sprintf("chown root:%s %[2]s && chmod o-w,g-w %[2]s", quote(a.Group), quote(dir))}
	case mode&0o040 != 0 && int(st.Gid) != 0 && !slices.Contains(a.GIDs[:1], int(st.Gid)):
		return Finding{f.What, Warning, fmt.Sprintf("the group %s can read %s too", m.groupName(int(st.Gid)), f.Path), tighten}
	}
	return ok(f.What, "%s can read %s, and nobody else", a.Name, f.Path)
}
