package launch_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

func TestNoiseBeforeTheHandshakeIsSkipped(t *testing.T) {
	t.Parallel()
	p, log := program(t, "noise")
	process := start(t, p)
	process.Stop(time.Second)
	if got := strings.Count(log.String(), "banner line"); got != 5 {
		t.Errorf("got %d lines in the log, want 5: %s", got, log)
	}
	if got := process.Discarded(); got != 5*13 {
		t.Errorf("got %d bytes discarded, want 65", got)
	}
}

func TestLongLinesDoNotBlockThePlugin(t *testing.T) {
	t.Parallel()
	p, log := program(t, "long_line")
	process := start(t, p)
	word(t, p)
	within(t, 10*time.Second, "writing 2 MB to each pipe", exists(mark(p)))
	if err := process.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	within(t, 5*time.Second, "counting", func() bool { return process.Discarded() > 1<<20 || !running(process.PID()) })
	process.Stop(time.Second)
	if got := log.text.Len(); got > 1<<20 {
		t.Errorf("got %d bytes of log", got)
	}
}

func TestAFloodIsCutDown(t *testing.T) {
	t.Parallel()
	p, log := program(t, "flood")
	process := start(t, p)
	word(t, p)
	within(t, 20*time.Second, "writing 100,000 lines", exists(mark(p)))
	process.Stop(2 * time.Second)
	kept := strings.Count(log.String(), `line="line `)
	if dropped := process.Dropped(); kept < 500 || kept > 10_000 || dropped < 90_000 {
		t.Errorf("got %d lines kept and %d dropped, want about 1000 of 100,000 kept", kept, dropped)
	}
	if !strings.Contains(log.String(), "lines dropped: a plugin may log 200 a second") {
		t.Error("nobody is told of the dropped lines")
	}
	last := process.Exit().Stderr
	if len(last) != 20 || !strings.Contains(strings.Join(last, " "), "line 99999") {
		t.Errorf("got the last lines %q, want the very last", last)
	}
}

func TestAPieceOfNothingButLinesIsSoonDone(t *testing.T) {
	t.Parallel()
	log := &logged{}
	began := time.Now()
	launch.Print(slog.New(slog.NewTextHandler(log, nil)), []byte(strings.Repeat("\n", 4<<20)+"the end\n"))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("4 MiB of empty lines took %s", took)
	}
	if got := strings.Count(log.String(), "plugin printed"); got < 1000 || got > 4000 {
		t.Errorf("got %d lines in the log, want about 1000", got)
	}
}

func TestTheEnvironmentIsWhatWasGiven(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "environment")
	start(t, p)
	within(t, 5*time.Second, "writing its environment", exists(mark(p)))
	data, err := os.ReadFile(mark(p))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(data), "\x00") {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "BAD_") || name == "PATH" || name == "TMPDIR" || name == "WINDSOCK_PLUGIN_COOKIE" {
			continue
		}
		t.Errorf("got %q in the environment", line)
	}
}

func TestACrashIsToldWithItsLastWords(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "dies")
	process := start(t, p)
	word(t, p)
	select {
	case <-process.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("still running")
	}
	if got := process.Exit().String(); got != "exit status 2: panic: no such moon" {
		t.Errorf("got %q", got)
	}
	process.Kill()
}

func TestTheEndBySignalIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "")
	process := start(t, p)
	_ = syscall.Kill(process.PID(), syscall.SIGKILL)
	select {
	case <-process.Done():
	case <-time.After(time.Second):
		t.Fatal("not seen within a second")
	}
	if got := process.Exit(); got.Signal != "killed" || got.Killed {
		t.Errorf("got %+v, want killed by another", got)
	}
	process.Kill()
}

func TestAFrozenPluginIsStoppedInTime(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "")
	process := start(t, p)
	if err := syscall.Kill(process.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "freezing", func() bool { return state(process.PID()) == "T" })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := process.Health(ctx); err == nil {
		t.Error("a frozen plugin is well")
	}
	began := time.Now()
	process.Stop(500 * time.Millisecond)
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("took %s, want the grace of 0.5s and at most one more second", took)
	}
	if running(process.PID()) || !process.Exit().Killed {
		t.Errorf("still running, or not killed: %v", process.Exit())
	}
}

func TestAGrandchildDoesNotHideTheEnd(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"inherits", "escapes", "hides"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, _ := program(t, mode)
			process := start(t, p)
			within(t, 5*time.Second, "starting a grandchild", exists(mark(p)))
			data, _ := os.ReadFile(mark(p))
			grandchild, err := strconv.Atoi(string(data))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) })
			_ = syscall.Kill(process.PID(), syscall.SIGKILL)
			began := time.Now()
			<-process.Done()
			process.Kill()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			within(t, 2*time.Second, "ending the grandchild", func() bool { return !running(grandchild) })
		})
	}
}

// One that left the session and cleared its environment stays where there is neither a filter nor a control group, and holds
// nobody up.
func TestAGrandchildThatNobodyFindsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "leaves")
	p.Unsandboxed = true
	process := start(t, p)
	data, _ := os.ReadFile(mark(p))
	grandchild, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) })
	_ = syscall.Kill(process.PID(), syscall.SIGKILL)
	began := time.Now()
	process.Kill()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	if !running(grandchild) {
		t.Error("the grandchild is gone: this test shows nothing")
	}
}

func TestAnAttemptCanBeGivenUp(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "silent")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	_, err := launch.Start(ctx, p)
	if e, ok := errors.AsType[*launch.Error](err); !ok || e.Class != launch.Ours || time.Since(began) > 2*time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

// A tidy administrator removes the socket's file: the connection stays, for a plugin without streams too.
func TestASocketThatIsRemovedDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "bare"} {
		p, _ := program(t, mode)
		p.MTLS = mode == ""
		process := start(t, p)
		sockets, err := filepath.Glob(filepath.Join(p.Sockets, "*", "*"))
		if err != nil || len(sockets) != 1 {
			t.Fatalf("got the sockets %v, %v", sockets, err)
		}
		if err := os.Remove(sockets[0]); err != nil {
			t.Fatal(err)
		}
		if err := process.Health(t.Context()); err != nil {
			t.Errorf("mode %q: %v", mode, err)
		}
		process.Stop(time.Second)
	}
}

// Every process of the agent's user can reach the socket, and gets no word from the plugin.
func TestAStrangerGetsNoAnswer(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "")
	start(t, p)
	sockets, err := filepath.Glob(filepath.Join(p.Sockets, "*", "*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("got the sockets %v, %v", sockets, err)
	}
	for name, how := range map[string]credentials.TransportCredentials{
		"without a certificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
		"without TLS":           insecure.NewCredentials(),
	} {
		conn, err := grpc.NewClient("unix://"+sockets[0], grpc.WithTransportCredentials(how))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if cancel(); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, want that the connection is refused", name, err)
		}
		_ = conn.Close()
	}
}

// hostOf starts a plugin, says its number and waits to be killed.
func hostOf(path string) int {
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		return 1
	}
	process, err := launch.Start(context.Background(), launch.Program{Name: "shop", Path: path, Sockets: dir, MTLS: true})
	if err != nil {
		slog.Error("starting", "error", err) //nolint:sloglint // of a process of its own
		return 1
	}
	fmt.Println(process.PID(), dir) //nolint:forbidigo // of a process of its own
	select {}
}

func TestAPluginDiesWithItsAgent(t *testing.T) {
	t.Parallel()
	for range 5 {
		host := exec.CommandContext(t.Context(), "/proc/self/exe")
		host.Env = []string{asHost + "=" + built}
		out, err := host.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		var dir string
		if _, err := fmt.Fscan(out, &pid, &dir); err != nil {
			t.Fatal(err)
		}
		if !running(pid) {
			t.Errorf("process %d is not running", pid)
		}
		_ = host.Process.Kill()
		_ = host.Wait()
		within(t, 5*time.Second, "dying with its agent", func() bool { return !running(pid) })
		_ = os.RemoveAll(dir)
	}
}

// go-plugin panics on records of hclog whose message, level or time is not a text. The agent does not.
func TestOddRecordsInTheLog(t *testing.T) {
	t.Parallel()
	p, log := program(t, "odd_log")
	process := start(t, p)
	defer process.Stop(time.Second)
	within(t, 10*time.Second, "the line after them", func() bool { return strings.Contains(log.String(), "after odd lines") })
	for _, line := range []string{`{\"@message\":1}`, `@level`, `null`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %s: %s", line, log)
		}
	}
}

func TestAPluginHasNoBroker(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "brokers")
	p.MTLS = false
	process := start(t, p)
	for range 200 {
		if err := process.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	process.Stop(time.Second)
	if exists(mark(p))() {
		t.Error("the plugin's broker was called")
	}
}
