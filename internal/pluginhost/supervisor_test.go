package pluginhost_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

func kill(pid int, signal syscall.Signal) {
	if pid > 1 {
		_ = syscall.Kill(pid, signal)
	}
}

// What is wrong with a plugin is told in one sentence, and at once.
func TestPluginsThatDoNotBecomeReady(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode    string
		change  func(*pluginhost.Plugin)
		state   string
		problem string
	}{
		"missing":              {"", func(p *pluginhost.Plugin) { p.Path = "/nonexistent/bad" }, pluginhost.Backoff, `there is no file "/nonexistent/bad"`},
		"another digest":       {"", func(p *pluginhost.Plugin) { p.SHA256 = strings.Repeat("0", 64) }, pluginhost.Quarantined, "run: windsock plugins lock"},
		"another manifest":     {"updated", nil, pluginhost.Quarantined, `it is not the one that was locked (version: "1.0.0" is now "2.0.0"); if it was updated on purpose, run: windsock plugins lock`},
		"a manifest of no use": {"nameless", nil, pluginhost.Quarantined, `what it says of itself cannot be used: its name is "Bad Name"`},
		"no manifest":          {"mute", nil, pluginhost.Quarantined, "it did not say what it is: "},
		"of another program":   {"other", nil, pluginhost.Quarantined, "it is a plugin of another program"},
		"no handshake":         {"hello", nil, pluginhost.Quarantined, `it printed "hello, world"; is it a plugin?`},
		"a panic":              {"panics", nil, pluginhost.Quarantined, "panic: no such planet"},
		"another protocol":     {"future", nil, pluginhost.Quarantined, "update the agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := entry(t, test.mode)
			if test.change != nil {
				test.change(&p)
			}
			times := quick()
			times.Describe = 300 * time.Millisecond
			if test.mode != "mute" {
				times.Describe = 5 * time.Second
			}
			h := host(t, times, p)
			c := h.Check("bad", "probe", with("a", ""))
			state := h.await(t, "failing", func(s pluginhost.State) bool { return s.State == test.state && s.Problem != "" })
			if !strings.Contains(state.Problem, test.problem) || state.PID != 0 {
				t.Errorf("got the problem %q and process %d, want %q", state.Problem, state.PID, test.problem)
			}
			got := runs(t, c, 500*time.Millisecond)
			if got.Status != checks.Error || got.Cause != checks.CauseInternal || !strings.HasPrefix(got.Summary, "plugin bad: ") {
				t.Errorf("got %+v, want an error", got)
			}
			if test.state == pluginhost.Quarantined && test.problem != "" && !strings.HasPrefix(got.Summary, "plugin bad: quarantined: ") {
				t.Errorf("got %q, want that it is quarantined", got.Summary)
			}
		})
	}
}

func TestSocketsOfAnAgentThatWasKilledAreCleared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "plugin-dir1", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := pluginhost.New(pluginhost.Options{Sockets: dir}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v left", left, err)
	}
}

// killed has an agent with the plugin in a mode, kills it, and waits until the plugin has ended. It returns the folder of
// sockets, the plugin's number and what the plugin left in its file.
func killed(t *testing.T, mode string) (sockets string, plugin int, left string) {
	t.Helper()
	if !sandbox.Look().Seccomp {
		t.Skip("no seccomp for this kernel or architecture")
	}
	sockets, err := os.MkdirTemp("", "h") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	file := filepath.Join(t.TempDir(), "done")
	agent := exec.CommandContext(t.Context(), "/proc/self/exe")
	agent.Env = []string{asAgent + "=" + strings.Join([]string{built, sockets, mode, file}, " ")}
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fscan(out, &plugin)
	_ = agent.Process.Kill()
	_ = agent.Wait()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); !zombie(strconv.Itoa(plugin)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the plugin is still running")
		}
	}
	return sockets, plugin, string(data)
}

// No parent is left to end what the plugins of a killed agent have started: the agent that comes next does.
func TestWhatPluginsOfAKilledAgentStartedEndsWithTheNextStart(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"inherits", "escapes", "hides"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sockets, plugin, left := killed(t, mode)
			pid, err := strconv.Atoi(left)
			if err != nil || zombie(left) {
				t.Fatalf("what it started has ended (%v): this test shows nothing", err)
			}
			t.Cleanup(func() { kill(pid, syscall.SIGKILL) })
			if _, err := pluginhost.New(pluginhost.Options{Sockets: sockets}); err != nil {
				t.Fatal(err)
			}
			if still, _ := process.EndSession(plugin); still > 0 || !zombie(left) {
				t.Errorf("got %d processes that are still running", still)
			}
		})
	}
}

func TestAPluginThatFailsHarmsNoOther(t *testing.T) {
	t.Parallel()
	bad, good := entry(t, "hello"), entry(t, "")
	bad.Name = "worse"
	h := host(t, quick(), bad, good)
	h.Check("worse", "probe", with("a", ""))
	for range 20 {
		if got := runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second); got.Status != checks.OK {
			t.Errorf("got %+v", got)
		}
	}
}

func TestCrashesLeadToQuarantineAndAnOperatorLeadsOut(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	bad, good := h.Check("bad", "probe", with("bad", "exits")), h.Check("bad", "probe", with("good", ""))
	for h.state(t).Restarts[pluginhost.ReasonCrash] < 5 {
		runs(t, bad, 10*time.Second)
	}
	state := h.await(t, "quarantine", is(pluginhost.Quarantined))
	if state.Problem != "it crashed: exit status 9" || time.Until(state.NextTry) < 14*time.Minute || state.Restarts[pluginhost.ReasonCrash] != 5 {
		t.Errorf("got %+v", state)
	}
	if got := runs(t, good, 10*time.Second); got.Status != checks.Error || got.Summary != "plugin bad: quarantined: it crashed: exit status 9" {
		t.Errorf("got %+v", got)
	}
	if err := h.Restart(t.Context(), "bad"); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, good, 10*time.Second); got.Status != checks.OK {
		t.Errorf("got %+v", got)
	}
	if err := h.Restart(t.Context(), "good"); err == nil {
		t.Error("a plugin that is not there was restarted")
	}
}

func TestARestartThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, "updated"))
	h.Check("bad", "probe", with("a", ""))
	h.await(t, "quarantine", is(pluginhost.Quarantined))
	if err := h.Restart(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "it is not the one that was locked") {
		t.Errorf("got %v", err)
	}
}

func TestQuarantineIsTriedNowAndThen(t *testing.T) {
	t.Parallel()
	times := quick()
	times.HalfOpen = 20 * time.Millisecond
	p := entry(t, "")
	p.Path = filepath.Join(t.TempDir(), "plugin") // what stands there changes
	stand(t, "/bin/true", p.Path)
	p.SHA256 = ""
	h := hostOf(t, pluginhost.Options{Times: times, Dev: true}, p)
	h.Check("bad", "probe", with("a", ""))
	h.await(t, "quarantine", is(pluginhost.Quarantined))
	h.await(t, "trying again", func(s pluginhost.State) bool { return s.Restarts[pluginhost.ReasonStart] > 5 })
	if n := strings.Count(h.log.String(), `level=ERROR msg="plugin failed"`); n > 2 {
		t.Errorf("%d errors in the log for one and the same problem", n)
	}
	stand(t, built, p.Path)
	h.await(t, "becoming ready", is(pluginhost.Ready))
}

func stand(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

func TestAFrozenPluginIsStartedAgain(t *testing.T) {
	t.Parallel()
	times := quick()
	times.Health, times.HealthLimit = 30*time.Millisecond, 100*time.Millisecond
	h := host(t, times, entry(t, ""))
	c := h.Check("bad", "probe", with("a", ""))
	before := runs(t, c, 10*time.Second).Summary
	kill(h.state(t).PID, syscall.SIGSTOP)
	h.await(t, "starting again", func(s pluginhost.State) bool { return s.Restarts[pluginhost.ReasonHealth] == 1 })
	if got := runs(t, c, 10*time.Second); got.Status != checks.OK || got.Summary == before {
		t.Errorf("got %+v, want a new process", got)
	}
}

func TestTheEndIsInTimeWhateverPluginsDo(t *testing.T) {
	t.Parallel()
	times := quick()
	times.Drain, times.Grace = 5*time.Second, 3*time.Second
	frozen, waiting, well := entry(t, ""), entry(t, "silent"), entry(t, "")
	frozen.Name, waiting.Name = "frozen", "waiting"
	h := host(t, times, frozen, waiting, well)
	for _, name := range []string{"frozen", "bad"} {
		runs(t, h.Check(name, "probe", with("a", "")), 10*time.Second)
	}
	h.Check("waiting", "probe", with("a", ""))
	for _, s := range h.States() {
		if s.Name == "frozen" {
			kill(s.PID, syscall.SIGSTOP)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	h.Close(ctx)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s, want the grace of a second and at most one more", took)
	}
	result, err := h.Check("bad", "probe", with("a", "")).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the agent stops") {
		t.Errorf("got %+v, %v after the end", result, err)
	}
}

// First the calls end, then the process by itself; only one that does not is killed.
func TestAPluginIsDrainedThenShutDown(t *testing.T) {
	t.Parallel()
	p := entry(t, "ends")
	h := host(t, quick(), p)
	runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second)
	h.Replace(t.Context(), nil)
	if got, err := os.ReadFile(p.Env["BAD_FILE"]); string(got) != "drained, then shut down" {
		t.Errorf("got %q, %v, want that it was drained and then ended by itself", got, err)
	}
}

func TestAPluginThatDoesNotDrainIsStoppedInTime(t *testing.T) {
	t.Parallel()
	times := quick()
	times.Drain = 100 * time.Millisecond
	h := host(t, times, entry(t, "undrained"))
	runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second)
	since := h.state(t).Since
	if err := h.Restart(t.Context(), "bad"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.log.String(), "plugin was not drained") || h.state(t).Since.Equal(since) {
		t.Errorf("got %+v: %s", h.state(t), h.log)
	}
}

func TestAnEntryThatChanges(t *testing.T) {
	t.Parallel()
	broken, good := entry(t, "updated"), entry(t, "")
	h := host(t, quick(), broken)
	c := h.Check("bad", "probe", with("a", ""))
	h.await(t, "quarantine", is(pluginhost.Quarantined))
	h.Replace(t.Context(), []pluginhost.Plugin{good})
	first := runs(t, c, 10*time.Second)
	if first.Status != checks.OK {
		t.Errorf("got %+v, want that it left quarantine", first)
	}
	h.Replace(t.Context(), []pluginhost.Plugin{good})
	for range 100 {
		if got := runs(t, c, 10*time.Second); got.Summary != first.Summary {
			t.Fatalf("got %q after %q, want the same process", got.Summary, first.Summary)
		}
	}
	good.Runs = 3
	h.Replace(t.Context(), []pluginhost.Plugin{good})
	h.await(t, "starting again", func(s pluginhost.State) bool { return s.Restarts[pluginhost.ReasonAsked] == 1 })
	if got := runs(t, c, 10*time.Second); got.Status != checks.OK || got.Summary == first.Summary {
		t.Errorf("got %+v, want a new process", got)
	}
	h.Replace(t.Context(), nil)
	if got := h.States(); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
	if got := runs(t, c, time.Second); got.Status != checks.Error || got.Summary != "plugin bad: it was stopped" {
		t.Errorf("got %+v", got)
	}
}

// Nobody notices a death but the runs that it cut off.
func TestDeathsUnderLoad(t *testing.T) {
	t.Parallel()
	times := quick()
	times.CrashWindow = time.Nanosecond // quarantine has its own test
	h := host(t, times, entry(t, ""))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var good, cut atomic.Int64
	for i := range 8 {
		c := h.Check("bad", "probe", with(strconv.Itoa(i), ""))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch got := runs(t, c, 10*time.Second); {
				case got.Status == checks.OK:
					good.Add(1)
				case got.Status == checks.Error && strings.HasPrefix(got.Summary, "plugin bad: it crashed: signal: killed"):
					cut.Add(1)
				default:
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	for range 10 {
		before := good.Load()
		state := h.await(t, "runs", func(s pluginhost.State) bool { return s.State == pluginhost.Ready && good.Load() > before+20 })
		kill(state.PID, syscall.SIGKILL)
		h.await(t, "seeing the death", func(s pluginhost.State) bool { return s.PID != state.PID })
	}
	close(stop)
	wg.Wait()
	if cut.Load() == 0 || good.Load() < 200 {
		t.Errorf("got %d good runs and %d cut off", good.Load(), cut.Load())
	}
}
