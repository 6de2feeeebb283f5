package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// agentLeaf is the cgroup that the agent moves into: one that has children may hold no process itself.
const agentLeaf = "agent"

// Cgroups is the cgroup below which each program gets its own.
type Cgroups struct {
	root        string
	controllers []string // those that bound the programs
}

// Cgroup is one program's. Make's caller kills what is in it and removes it.
type Cgroup struct{ dir string }

// OpenCgroups takes the cgroup at root, a folder of a cgroup2 file system that is the agent's to divide. "" finds the
// agent's own where it was delegated (systemd's Delegate=), moves all of the agent into a leaf of it, and turns on the
// bounds of memory and processes. The error says why there is none.
func OpenCgroups(root string) (*Cgroups, error) {
	if root != "" {
		c := &Cgroups{root: root}
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			return nil, fmt.Errorf("%q is no cgroup: %w", root, err)
		}
		_ = c.enable() // what is missing is refused where it is asked for
		c.controllers = c.words("cgroup.subtree_control")
		return c, nil
	}
	root, err := delegated("/proc/self")
	if err != nil {
		return nil, err
	}
	c := &Cgroups{root: root}
	if err := c.retreat(); err != nil {
		return nil, fmt.Errorf("moving the agent into a cgroup of its own: %w", err)
	}
	if err := c.enable(); err != nil {
		return nil, fmt.Errorf("turning on the bounds of memory and processes in %q: %w", root, err)
	}
	c.controllers = c.words("cgroup.subtree_control")
	return c, nil
}

// delegated finds the cgroup of the process that proc describes, or its parent where that is a leaf for the agent, and
// returns it where systemd gave it away.
func delegated(proc string) (string, error) {
	path, err := ownPath(proc)
	if err != nil {
		return "", err
	}
	mount, within, err := mountOf(proc)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(within, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", fmt.Errorf("the agent's cgroup %q is not to be seen here", path)
	}
	dir := filepath.Join(mount, rel)
	if filepath.Base(dir) == agentLeaf && isDelegated(filepath.Dir(dir)) {
		dir = filepath.Dir(dir)
	}
	switch {
	case !exists(filepath.Join(dir, "cgroup.type")):
		return "", errors.New("the agent runs in the root cgroup")
	case !isDelegated(dir):
		return "", fmt.Errorf("%q is not delegated: the unit has no Delegate=memory pids (drop-in plugins.conf)", dir)
	}
	for _, path := range []string{dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control")} {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return "", fmt.Errorf("%q cannot be written (%w): the unit may have ProtectControlGroups=yes", path, err)
		}
	}
	for _, controller := range []string{"memory", "pids"} {
		if !slices.Contains(wordsOf(dir, "cgroup.controllers"), controller) {
			return "", fmt.Errorf("%q has no controller of %s: the unit has no Delegate=memory pids, or the system has none in cgroup v2", dir, controller)
		}
	}
	return dir, nil
}

// ownPath is the line of cgroup2 in /proc/self/cgroup: 0::/system.slice/windsock.service.
func ownPath(proc string) (string, error) {
	data, err := os.ReadFile(filepath.Join(proc, "cgroup")) //nolint:gosec // a file of the kernel's
	if err != nil {
		return "", fmt.Errorf("looking for the agent's cgroup: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path, nil
		}
	}
	return "", errors.New("the system has no cgroup v2")
}

// mountOf finds where the file system of cgroup2 is mounted, and what part of it.
func mountOf(proc string) (mount, within string, err error) {
	data, err := os.ReadFile(filepath.Join(proc, "mountinfo")) //nolint:gosec // a file of the kernel's
	if err != nil {
		return "", "", fmt.Errorf("looking for the mounted cgroups: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		// 31 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
		fields, after, _ := strings.Cut(line, " - ")
		words := strings.Fields(fields)
		if len(words) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			return words[4], words[3], nil
		}
	}
	return "", "", errors.New("no cgroup v2 is mounted")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isDelegated reports whether systemd gave the cgroup away. Since 251 it says so in an attribute that every user may read;
// before, a folder that belongs to the agent's user, who is not root, is one.
func isDelegated(dir string) bool {
	value := make([]byte, 8)
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, name, value); err == nil {
			return string(value[:n]) == "1"
		}
	}
	var st unix.Stat_t
	return os.Geteuid() != 0 && unix.Stat(dir, &st) == nil && int(st.Uid) == os.Geteuid()
}

// retreat moves every process of the cgroup itself into the agent's leaf.
func (c *Cgroups) retreat() error {
	leaf := filepath.Join(c.root, agentLeaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // the system's way with cgroups
		return err
	}
	for range 10 { // until nobody forks meanwhile
		pids := c.words("cgroup.procs")
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := set(leaf, "cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// enable turns on the controllers that bound the programs.
func (c *Cgroups) enable() error {
	return errors.Join(set(c.root, "cgroup.subtree_control", "+memory"), set(c.root, "cgroup.subtree_control", "+pids"))
}

func (c *Cgroups) words(file string) []string { return wordsOf(c.root, file) }

func wordsOf(dir, file string) []string {
	data, err := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // a file of the kernel's
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// Root is the folder of the cgroup that is divided.
func (c *Cgroups) Root() string { return c.root }

// Make makes the cgroup of a program, empty: what an earlier one of the name held is killed. memory is in bytes, without
// swap; pids counts threads; 0 bounds nothing.
func (c *Cgroups) Make(name string, memory int64, pids int) (*Cgroup, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`).MatchString(name) || name == agentLeaf {
		return nil, fmt.Errorf("making a cgroup: %q is no name for one", name)
	}
	g := &Cgroup{filepath.Join(c.root, name)}
	if exists(g.dir) {
		if err := errors.Join(g.Kill(), g.Remove()); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil { //nolint:gosec // the system's way with cgroups
		return nil, fmt.Errorf("making a cgroup: %w", err)
	}
	if err := c.bound(g.dir, memory, pids); err != nil {
		return nil, errors.Join(fmt.Errorf("bounding the cgroup %q: %w", g.dir, err), g.Remove())
	}
	return g, nil
}

func (c *Cgroups) bound(dir string, memory int64, pids int) error {
	for controller, wanted := range map[string]bool{"memory": memory > 0, "pids": pids > 0} {
		if wanted && !slices.Contains(c.controllers, controller) {
			return fmt.Errorf("there is no controller of %s", controller)
		}
	}
	if memory > 0 {
		if err := set(dir, "memory.max", strconv.FormatInt(memory, 10)); err != nil {
			return err
		}
		_ = set(dir, "memory.swap.max", "0")  // a kernel without swap has none of it
		_ = set(dir, "memory.oom.group", "1") // all of the program or nothing; since Linux 4.19
	}
	if pids > 0 {
		return set(dir, "pids.max", strconv.Itoa(pids))
	}
	return nil
}

func set(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0) //nolint:gosec // a file of the kernel's
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Dir is the cgroup's folder, for Policy.Cgroup.
func (g *Cgroup) Dir() string { return g.dir }

// Kill kills every process of the cgroup, also those that left their session. The ends come a moment later.
func (g *Cgroup) Kill() error {
	err := set(g.dir, "cgroup.kill", "1")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs")) // before Linux 5.14
	if err != nil {
		return fmt.Errorf("killing the cgroup %q: %w", g.dir, err)
	}
	for word := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return nil
}

// Remove removes the cgroup, and waits, for two seconds at the most, until those that were killed are gone.
func (g *Cgroup) Remove() error {
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := os.Remove(g.dir)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, unix.EBUSY) && time.Now().Before(until):
			continue
		}
		return fmt.Errorf("removing a cgroup: %w", err)
	}
}

// Peak is the most memory that the program had, in bytes; false where nobody counts (before Linux 5.19, or unbounded).
func (g *Cgroup) Peak() (int64, bool) {
	data, err := os.ReadFile(filepath.Join(g.dir, "memory.peak"))
	if err != nil {
		return 0, false
	}
	peak, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return peak, err == nil
}

// OOMKills is how many processes of the program the kernel killed for want of memory.
func (g *Cgroup) OOMKills() int {
	data, err := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}
