//go:build linux

package sandbox_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

// divisible is a cgroup of this test's own, or the reason to skip it.
func divisible(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir := filepath.Join(root, "windsock-test-"+strconv.Itoa(os.Getpid())+"-"+t.Name())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("the cgroups are not this user's: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	t.Skip("no cgroup v2 is mounted where it is looked for")
	return ""
}

func words(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// What leaves its session, and clears its environment, is in the cgroup all the same, and ends with it.
func TestACgroupHoldsAllOfAProgram(t *testing.T) {
	root := divisible(t)
	groups, err := sandbox.OpenCgroups(root)
	if err != nil {
		t.Fatal(err)
	}
	group, err := groups.Make("shop", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := spawntest.Dir(t)
	const body = `setsid env -i /bin/sh -c 'echo $$ >"$0/new"; mv "$0/new" "$0/pid"; exec sleep 300' "$0" >/dev/null 2>&1 & while ! [ -e "$0/pid" ]; do sleep 0.01; done`
	c := sh(body, sandbox.Policy{Write: []string{dir}, Cgroup: group.Dir()})
	c.Argv = []string{"sh", "-c", body, dir}
	if got := run(t, "/bin/sh", c); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	pids := spawntest.Await(t, dir+"/pid")
	if got := words(t, group.Dir()+"/cgroup.procs"); len(pids) != 1 || !slices.Contains(got, strconv.Itoa(pids[0])) {
		t.Errorf("the cgroup has %v, want %v in it", got, pids)
	}
	if err := errors.Join(group.Kill(), group.Remove(), group.Remove()); err != nil {
		t.Error(err)
	}
	spawntest.Gone(t, pids...)
	if _, err := os.Stat(group.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
}

// A cgroup that an agent left behind is emptied before it is given to the next program.
func TestACgroupIsMadeAnew(t *testing.T) {
	groups, err := sandbox.OpenCgroups(divisible(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := groups.Make("shop", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd, w := start(t, "/bin/sh")
	if err := errors.Join(sh("sleep 300", sandbox.Policy{Cgroup: first.Dir()}).Send(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	for len(words(t, first.Dir()+"/cgroup.procs")) == 0 && t.Context().Err() == nil { // it joins before anything else
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	second, err := groups.Make("shop", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := wait(t, cmd); got.code != -1 {
		t.Errorf("got %+v, want the old program killed", got)
	}
	if err := second.Remove(); err != nil {
		t.Error(err)
	}
}

func TestCgroupsThatCannotBe(t *testing.T) {
	root := divisible(t)
	groups, err := sandbox.OpenCgroups(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "..", "a/b", "agent", ".x"} {
		if _, err := groups.Make(name, 0, 0); err == nil {
			t.Errorf("made a cgroup named %q", name)
		}
	}
	if have := words(t, root+"/cgroup.subtree_control"); !slices.Contains(have, "memory") {
		if _, err := groups.Make("shop", 1<<20, 0); err == nil || !strings.Contains(err.Error(), "no controller of memory") {
			t.Errorf("got %v, want to be told that memory cannot be bounded", err)
		}
		if _, err := os.Stat(root + "/shop"); err == nil {
			t.Error("it left a cgroup without bounds behind")
		}
	}
	if _, err := sandbox.OpenCgroups(t.TempDir()); err == nil {
		t.Error("took a folder for a cgroup")
	}
}

// What systemd makes of a unit is seldom where tests run: these folders look as it does.
func TestTheDelegatedCgroup(t *testing.T) {
	for name, test := range map[string]struct {
		within, delegate, controllers string
		want                          string // of the error
	}{
		"of the unit":               {within: "", delegate: "1", controllers: "cpu memory pids"},
		"of an agent in its leaf":   {within: "/agent", delegate: "1", controllers: "memory pids"},
		"not delegated":             {delegate: "0", controllers: "memory pids", want: "not delegated"},
		"of another leaf":           {within: "/other", delegate: "1", controllers: "memory pids", want: "not delegated"},
		"without controllers":       {delegate: "1", want: "no controller of memory"},
		"with one of them":          {delegate: "1", controllers: "memory", want: "no controller of pids"},
		"with one of another sense": {delegate: "1", controllers: "memoryx pids", want: "no controller of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			mount, proc := t.TempDir(), t.TempDir()
			unit := mount + "/windsock.service"
			for _, dir := range []string{unit, unit + "/agent", unit + "/other"} {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, dir+"/cgroup.type", "domain")
				write(t, dir+"/cgroup.procs", "")
				write(t, dir+"/cgroup.subtree_control", "")
			}
			write(t, unit+"/cgroup.controllers", test.controllers+"\n")
			write(t, proc+"/cgroup", "0::/windsock.service"+test.within+"\n")
			write(t, proc+"/mountinfo", "31 24 0:27 / "+mount+" rw,nosuid - cgroup2 cgroup2 rw\n")
			if err := unix.Setxattr(unit, "user.delegate", []byte(test.delegate), 0); err != nil {
				t.Skipf("no attributes here: %v", err)
			}
			got, err := sandbox.Delegated(proc)
			if test.want == "" && (err != nil || got != unit) {
				t.Errorf("got %q, %v, want %q", got, err, unit)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %q, %v, want an error with %q", got, err, test.want)
			}
		})
	}
}

// TestAskDelegated is no test of its own: as a process of another user it looks for the cgroup that its argument describes.
func TestAskDelegated(t *testing.T) {
	if flag.NArg() != 1 {
		return
	}
	if _, err := sandbox.Delegated(flag.Arg(0)); err != nil {
		t.Fatal(err)
	}
}

// systemd before 251 leaves no mark: there a cgroup that belongs to the agent's user is one that was given to it.
func TestTheDelegatedCgroupOfAnOldSystemd(t *testing.T) {
	if os.Geteuid() != 0 {
		return // it takes root to be another
	}
	const stranger = 54321
	outer := t.TempDir()
	if err := os.Chmod(filepath.Dir(outer), 0o755); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	reader, unit := outer+"/reader", outer+"/windsock.service"
	if err := os.WriteFile(reader, own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(unit, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"/cgroup": "0::/windsock.service\n", "/mountinfo": "31 24 0:27 / " + outer + " rw,nosuid - cgroup2 cgroup2 rw\n",
		"/windsock.service/cgroup.type": "domain", "/windsock.service/cgroup.procs": "", "/windsock.service/cgroup.subtree_control": "",
		"/windsock.service/cgroup.controllers": "memory pids\n",
	} {
		write(t, outer+name, text)
		if err := os.Chmod(outer+name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for owner, want := range map[int]string{stranger: "", 0: "is not delegated"} {
		if err := os.Chown(unit, owner, owner); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(unit, 0o777); err != nil { // owned, and not only writable
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), reader, "-test.run=^TestAskDelegated$", outer)
		cmd.Dir, cmd.Env = "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
		if out, err := cmd.CombinedOutput(); (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("of user %d: got %v, %s, want %q", owner, err, out, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
