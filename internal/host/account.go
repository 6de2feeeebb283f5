package host

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// Account is a user with its groups.
type Account struct {
	Name, Group string // Group is the name of the first one
	UID         int
	GIDs        []int // the first one is its own
	Missing     bool  // there is no such user
}

// asker is who runs this process.
func asker(o Options) Account {
	a := Account{UID: os.Geteuid(), GIDs: []int{os.Getegid()}}
	more, _ := os.Getgroups()
	for _, gid := range more {
		if !slices.Contains(a.GIDs, gid) {
			a.GIDs = append(a.GIDs, gid)
		}
	}
	a.Name, a.Group = o.userName(a.UID), o.groupName(a.GIDs[0])
	return a
}

// account is a user of the host by the names of a unit. "" is root.
func (o Options) account(name, group string, more []string) Account {
	a := Account{Name: name, Group: group}
	if name == "" {
		a.Name = "root"
	}
	uid, gid, found := o.lookup(a.Name)
	if !found {
		a.Missing = true
		return a
	}
	a.UID, a.GIDs = uid, []int{gid}
	if group == "" {
		a.Group = o.groupName(gid)
	} else if own, found := o.groupID(group); found {
		a.GIDs[0] = own
	}
	for _, entry := range o.entries("/etc/group") {
		if len(entry) > 3 && slices.Contains(strings.Split(entry[3], ","), a.Name) {
			more = append(more, entry[0])
		}
	}
	for _, group := range more {
		if id, found := o.groupID(group); found && !slices.Contains(a.GIDs, id) {
			a.GIDs = append(a.GIDs, id)
		}
	}
	return a
}

// lookup finds a user in /etc/passwd, else, in earnest, where the system's libraries do.
func (o Options) lookup(name string) (uid, gid int, found bool) {
	for _, entry := range o.entries("/etc/passwd") {
		if len(entry) > 3 && (entry[0] == name || entry[2] == name) {
			uid, bad := strconv.Atoi(entry[2])
			gid, worse := strconv.Atoi(entry[3])
			return uid, gid, bad == nil && worse == nil
		}
	}
	if o.Root != "" {
		return 0, 0, false
	}
	known, err := user.Lookup(name)
	if err != nil {
		return 0, 0, false
	}
	uid, _ = strconv.Atoi(known.Uid)
	gid, _ = strconv.Atoi(known.Gid)
	return uid, gid, true
}

// entries are the lines of passwd or group, of three fields at least.
func (o Options) entries(path string) [][]string {
	var out [][]string
	for line := range strings.Lines(o.text(path)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 2 {
			out = append(out, fields)
		}
	}
	return out
}

// groupID is the number of a group, which systemd takes for a name too.
func (o Options) groupID(name string) (int, bool) {
	for _, entry := range o.entries("/etc/group") {
		if entry[0] == name {
			id, err := strconv.Atoi(entry[2])
			return id, err == nil
		}
	}
	if id, err := strconv.Atoi(name); err == nil {
		return id, true
	}
	if o.Root != "" {
		return 0, false
	}
	known, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(known.Gid)
	return id, err == nil
}

// groupName is a group's name, or its number where it has none.
func (o Options) groupName(gid int) string { return o.nameOf("/etc/group", gid) }

// userName is a user's name, or its number where it has none.
func (o Options) userName(uid int) string { return o.nameOf("/etc/passwd", uid) }

func (o Options) nameOf(path string, id int) string {
	number := strconv.Itoa(id)
	for _, entry := range o.entries(path) {
		if entry[2] == number {
			return entry[0]
		}
	}
	return number
}
