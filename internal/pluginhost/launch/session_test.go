package launch_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// left is the number of the process that the plugin left behind.
func left(t *testing.T, p launch.Program) int {
	t.Helper()
	within(t, 5*time.Second, "starting a grandchild", exists(mark(p)))
	data, _ := os.ReadFile(mark(p))
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatalf("got %q: %v", data, err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// filtered skips what needs a filter of system calls where there is none.
func filtered(t *testing.T) {
	t.Helper()
	if !sandbox.Look().Seccomp {
		t.Skip("no seccomp for this kernel or architecture")
	}
}

func TestNothingIsLeftOfAPluginThatIsStopped(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"inherits", "escapes", "hides"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, _ := program(t, mode)
			process := start(t, p)
			pid := left(t, p)
			if !running(pid) {
				t.Fatal("the grandchild ended before: this test shows nothing")
			}
			process.Stop(5 * time.Second)
			if running(pid) {
				t.Error("the grandchild is still running")
			}
		})
	}
}

func TestAProcessThatForksAndEndsAgainAndAgainIsEndedToo(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "forks")
	plugin := start(t, p)
	word(t, p)
	generations := func() int64 {
		info, err := os.Stat(mark(p))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	within(t, 5*time.Second, "forking", func() bool { return generations() > 0 })
	plugin.Kill()
	const all = 3000
	end := generations()
	for range 20 {
		time.Sleep(time.Millisecond)
		if got := generations(); got != end || got == all {
			t.Fatalf("got %d generations, and then %d of %d, want that none comes after the end", end, got, all)
		}
	}
}

// The kernel calls a process a zombie whose first thread has ended, whatever its others do.
func TestAProcessWithoutItsFirstThreadIsEndedToo(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "beheads")
	process := start(t, p)
	pid := left(t, p)
	threads := func() int {
		all, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		return len(all)
	}
	within(t, 5*time.Second, "ending its first thread", func() bool { return state(pid) == "Z" })
	if threads() < 2 {
		t.Fatal("its other threads have ended: this test shows nothing")
	}
	process.Stop(5 * time.Second)
	if threads() > 1 {
		t.Error("its other threads are still running")
	}
}

func TestAPluginCannotLeaveItsSessionNorOutliveTheAgent(t *testing.T) {
	t.Parallel()
	filtered(t)
	for _, mode := range []string{"leaves", "survives"} {
		p, _ := program(t, mode)
		start(t, p)
		got, err := os.ReadFile(mark(p))
		if pid, bad := strconv.Atoi(string(got)); bad == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil || !strings.HasSuffix(string(got), syscall.EPERM.Error()) {
			t.Errorf("%s: got %q, %v, want it denied", mode, got, err)
		}
	}
}

// The number of a session can be another's by the next start, and another's processes are not ours to kill.
func TestOnlyTheSessionThatWasBegunIsEnded(t *testing.T) {
	t.Parallel()
	filtered(t)
	p, _ := program(t, "hides")
	plugin := start(t, p)
	pid := left(t, p)
	session, err := process.SessionOf(plugin.PID())
	if err != nil {
		t.Fatal(err)
	}
	boot, began := session, session
	boot.Boot, began.Began = "b0071d", began.Began+"0"
	for name, other := range map[string]process.Session{"another boot": boot, "another leader": began} {
		if killed, all := other.EndLeft(); killed != 0 || !all {
			t.Errorf("%s: got %d killed, all %v", name, killed, all)
		}
	}
	if !running(pid) || !running(plugin.PID()) {
		t.Error("the plugin was ended")
	}
	// who waits for the plugin here ends what it started as well, and may be the first
	if killed, all := session.EndLeft(); killed < 1 || killed > 2 || !all || running(pid) || running(plugin.PID()) {
		t.Errorf("got %d killed, all %v, want the plugin and what it started", killed, all)
	}

	free, err := os.StartProcess("/bin/sleep", []string{"sleep", "600"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Kill(); _, _ = free.Wait() }()
	session, err = process.SessionOf(free.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if killed, _ := session.EndLeft(); killed != 0 || !running(free.Pid) {
		t.Errorf("got %d killed, want a process spared that no agent confined", killed)
	}
}
