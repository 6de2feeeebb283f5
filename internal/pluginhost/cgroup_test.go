package pluginhost_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// cgroups makes a control group of the test's own, where the system lets it.
func cgroups(t *testing.T) (*sandbox.Cgroups, string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		words := strings.Fields(before)
		if !strings.HasPrefix(after, "cgroup2 ") || len(words) < 5 {
			continue
		}
		dir, err := os.MkdirTemp(words[4], "windsock-test") //nolint:usetesting // a control group
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Errorf("the control group is not empty at the end: %v", err)
			}
		})
		groups, err := sandbox.OpenCgroups(dir)
		if err != nil {
			t.Skip(err)
		}
		return groups, dir
	}
	t.Skip("no cgroup v2 is mounted")
	return nil, ""
}

// Everything that a plugin started ends with it, whatever group it is in, and its control group with them.
func TestAControlGroupHoldsWhatAPluginStarts(t *testing.T) {
	t.Parallel()
	groups, dir := cgroups(t)
	p := entry(t, "escapes")
	times := quick()
	times.CrashWindow = time.Nanosecond
	h := hostOf(t, pluginhost.Options{Times: times, Cgroups: groups}, p)
	c := h.Check("bad", "probe", with("a", ""))
	for i := range 10 {
		runs(t, c, 10*time.Second)
		state := h.await(t, "becoming ready", is(pluginhost.Ready))
		members, err := os.ReadFile(filepath.Join(dir, "plugin-bad", "cgroup.procs"))
		if err != nil || !strings.Contains(string(members), strconv.Itoa(state.PID)+"\n") {
			t.Fatalf("got the members %q, %v, want process %d", members, err, state.PID)
		}
		grandchild, err := os.ReadFile(p.Env["BAD_FILE"])
		if err != nil || !strings.Contains(string(members), string(grandchild)+"\n") {
			t.Fatalf("got the members %q, %v, want the grandchild %s", members, err, grandchild)
		}
		if i%2 == 0 {
			kill(state.PID, syscall.SIGKILL)
		} else if err := h.Restart(t.Context(), "bad"); err != nil {
			t.Fatal(err)
		}
		h.await(t, "starting again", func(s pluginhost.State) bool { return s.State == pluginhost.Ready && s.PID != state.PID })
		if _, err := os.Stat("/proc/" + string(grandchild)); err == nil && !zombie(string(grandchild)) {
			t.Errorf("the grandchild %s is still there", grandchild)
		}
	}
	h.Replace(t.Context(), nil)
	if left, _ := filepath.Glob(filepath.Join(dir, "plugin-*")); len(left) > 0 {
		t.Errorf("got the control groups %v left", left)
	}
}

func zombie(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// A process can be born in another control group by clone3, whose flags no filter can see.
func TestNothingIsStartedInAnotherControlGroup(t *testing.T) {
	t.Parallel()
	groups, dir := cgroups(t)
	p := entry(t, "moves")
	p.Env["BAD_CGROUPS"] = filepath.Dir(dir)
	h := hostOf(t, pluginhost.Options{Times: quick(), Cgroups: groups}, p)
	runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second)
	said, err := os.ReadFile(p.Env["BAD_FILE"])
	if pid, bad := strconv.Atoi(string(said)); bad == nil {
		kill(pid, syscall.SIGKILL)
	}
	if err != nil || !strings.Contains(string(said), "function not implemented") {
		t.Errorf("got %q, %v, want it not to be possible", said, err)
	}
}
