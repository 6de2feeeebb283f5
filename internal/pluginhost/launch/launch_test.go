package launch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// asHost makes this test binary the agent of TestAPluginDiesWithItsAgent.
const asHost = "WINDSOCK_TEST_LAUNCH_HOST"

// built is the bad plugin.
var built string //nolint:gochecknoglobals // made by TestMain and never again

func TestMain(m *testing.M) {
	if path := os.Getenv(asHost); path != "" { //nolint:forbidigo // this binary is the agent of a test
		os.Exit(hostOf(path)) //nolint:forbidigo // likewise
	}
	os.Exit(run(m)) //nolint:forbidigo // of TestMain
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bad")
	if err == nil {
		built = filepath.Join(dir, "bad")
		var out []byte
		if out, err = exec.CommandContext(context.Background(), "go", "build", "-ldflags=-s -w", "-o", built, "../testdata/bad").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		slog.Error("building the bad plugin", "error", err) //nolint:sloglint // there is no test yet
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		slog.Error("leaking", "error", err) //nolint:sloglint // there is no test any more
		return 1
	}
	if left := children(); code == 0 && len(left) > 0 {
		slog.Error("processes are left", "pids", left) //nolint:sloglint // likewise
		return 1
	}
	return code
}

// children are the processes that this one started and that are still there, zombies too.
func children() []string {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	var all []string
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		all = append(all, strings.Fields(string(data))...)
	}
	return all
}

// logged collects the log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// program is the bad plugin in a mode, with a folder of sockets that the test finds empty again at its end.
func program(tb testing.TB, mode string) (launch.Program, *logged) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "p") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if all, _ := os.ReadDir(dir); err != nil || len(left) > 0 || len(all) > 0 {
			tb.Errorf("the folder of sockets still holds %v %v", all, left)
		}
		_ = os.RemoveAll(dir)
	})
	log := &logged{}
	shared := tb.TempDir()
	return launch.Program{
		Name: "shop", Path: built, Sockets: dir, MTLS: true, StartTimeout: 10 * time.Second,
		Env:    []string{"PATH=/usr/bin:/bin", "BAD_MODE=" + mode, "BAD_FILE=" + filepath.Join(shared, "done")},
		Policy: sandbox.Policy{Write: []string{shared}},
		Log:    slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, log
}

// mark is the file that the plugin leaves.
func mark(p launch.Program) string {
	for _, v := range p.Env {
		if path, ok := strings.CutPrefix(v, "BAD_FILE="); ok {
			return path
		}
	}
	return ""
}

func start(tb testing.TB, p launch.Program) *launch.Process {
	tb.Helper()
	process, err := launch.Start(tb.Context(), p)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(process.Kill)
	return process
}

// within waits for something that a process does.
func within(tb testing.TB, most time.Duration, what string, done func() bool) {
	tb.Helper()
	for end := time.Now().Add(most); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %s", what, most)
		}
	}
}

// word tells the plugin to do what it was started for.
func word(t *testing.T, p launch.Program) {
	t.Helper()
	if err := os.WriteFile(mark(p)+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

// state is the letter of a process: R, S, T, Z; "" where there is none.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// running reports whether a process is there and no zombie.
func running(pid int) bool { return !strings.Contains("ZX", state(pid)) }

func TestAPluginStartsAnswersAndEnds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*launch.Program){
		"with certificates":    func(*launch.Program) {},
		"without certificates": func(p *launch.Program) { p.MTLS = false },
		"without the shim":     func(p *launch.Program) { p.Unsandboxed = true },
		"with its digest":      func(p *launch.Program) { p.SHA256 = sumOf(t, built) },
		"in another language":  func(p *launch.Program) { p.MTLS = false; p.Env = append(p.Env, "BAD_MODE=bare") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := program(t, "")
			change(&p)
			process := start(t, p)
			if err := process.Health(t.Context()); err != nil {
				t.Errorf("health: %v", err)
			}
			if !running(process.PID()) || !process.Exit().At.IsZero() {
				t.Errorf("process %d is not running: %v", process.PID(), process.Exit())
			}
			began := time.Now()
			process.Stop(5 * time.Second)
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("took %s to stop", took)
			}
			if running(process.PID()) {
				t.Error("still running")
			}
		})
	}
}

func sumOf(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestAGoodEndIsClean(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "")
	process := start(t, p)
	process.Stop(5 * time.Second)
	if got := process.Exit(); got.Code != 0 || got.Signal != "" || got.Killed {
		t.Errorf("got %+v, want exit status 0 by itself", got)
	}
	process.Stop(time.Second) // again
	process.Kill()
}

// Each program fails in its way, within its time, leaves nothing, and the operator gets a sentence.
func TestWhatDoesNotBecomeAPlugin(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct {
		class launch.Class
		text  string
	}{
		"babble":         {launch.Handshake, `it made no handshake; it printed "loading module 0"`},
		"silent":         {launch.Handshake, "it made no handshake within 1s"},
		"endless":        {launch.Handshake, "it made no handshake within 1s; it printed \"" + strings.Repeat("y", 200) + "…\""},
		"panics":         {launch.Crash, "it ended before its handshake: exit status 2: panic: no such planet"},
		"quits":          {launch.Handshake, `it made no handshake and ended with status 3; it said "usage: bad FILE"; is it a plugin?`},
		"hello":          {launch.Handshake, `it made no handshake and ended with status 0; it printed "hello, world"; is it a plugin?`},
		"closed":         {launch.Handshake, "it made no handshake and ended with status 7; is it a plugin?"},
		"other":          {launch.Handshake, "it is a plugin of another program: it does not know the agent's cookie"},
		"future":         {launch.Protocol, "it speaks version 2 of the protocol, this agent speaks 1; update the agent"},
		"core":           {launch.Protocol, "it speaks version 2 of the handshake, this agent speaks 1; update the plugin or the agent"},
		"netrpc":         {launch.Protocol, "it speaks netrpc, and this agent speaks gRPC"},
		"tcp":            {launch.Refused, "it listens on tcp 127.0.0.1:80, want a unix socket in PLUGIN_UNIX_SOCKET_DIR"},
		"elsewhere":      {launch.Refused, "it listens on /run/docker.sock, want a socket in PLUGIN_UNIX_SOCKET_DIR"},
		"above":          {launch.Refused, "/../x.sock, want a socket in PLUGIN_UNIX_SOCKET_DIR"},
		"linked":         {launch.Refused, "it says that it listens on s, where there is no socket"},
		"absent":         {launch.Refused, "it says that it listens on s, where there is no socket"},
		"no_certificate": {launch.Handshake, "it offers no certificate; give it one, or say mtls: off in its entry"},
		"deaf":           {launch.Handshake, "it made its handshake and did not answer within 1s"},
		"sick":           {launch.Handshake, "its health is NOT_SERVING, want SERVING"},
		"inherits":       {"", ""},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, _ := program(t, mode)
			p.StartTimeout = 10 * time.Second
			if strings.Contains(want.text, "within 1s") {
				p.StartTimeout = time.Second
			}
			p.MTLS = mode != "deaf" && mode != "sick"
			began := time.Now()
			process, err := launch.Start(t.Context(), p)
			if want.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				process.Kill()
				return
			}
			e, ok := errors.AsType[*launch.Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Class != want.class || !strings.HasSuffix(e.Error(), want.text) || !strings.HasPrefix(e.Error(), "plugin shop: ") {
				t.Errorf("got %s %q, want %s %q", e.Class, e, want.class, want.text)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestFilesThatAreRefusedBeforeTheyRun(t *testing.T) {
	t.Parallel()
	arm := []byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xb7\x00" + strings.Repeat("\x00", 60))
	for name, test := range map[string]struct {
		content []byte
		mode    os.FileMode
		class   launch.Class
		text    string
	}{
		"a script of a shell":       {[]byte("#!/bin/sh\necho hi\n"), 0o755, launch.Format, "is a script of /bin/sh, and a plugin speaks gRPC; run it with a check of kind exec"},
		"a shell by env":            {[]byte("#!/usr/bin/env -S bash\n"), 0o755, launch.Format, "is a script of bash, and a plugin speaks gRPC; run it with a check of kind exec"},
		"another architecture":      {arm, 0o755, launch.Format, "is built for arm64, and this host is amd64"},
		"a program cut off":         {[]byte("\x7fELF\x02"), 0o755, launch.Format, "is cut off after 5 bytes"},
		"a program for Windows":     {[]byte("MZ\x90"), 0o755, launch.Format, "is a program for Windows, and this host runs linux"},
		"text":                      {[]byte("hello"), 0o755, launch.Format, "is neither a program nor a script that begins with #!"},
		"nothing in it":             {nil, 0o755, launch.Format, "is empty"},
		"not executable":            {[]byte("#!/usr/bin/python3\n"), 0o644, launch.Refused, "is not executable; chmod 0755 makes it so"},
		"a script of no such thing": {[]byte("#!\n"), 0o755, launch.Format, "names no interpreter behind #!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := program(t, "")
			p.Path = filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(p.Path, test.content, test.mode); err != nil {
				t.Fatal(err)
			}
			expect(t, p, test.class, test.text)
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		p, _ := program(t, "")
		p.Path = "/nonexistent/plugin"
		expect(t, p, launch.Missing, `there is no file "/nonexistent/plugin"`)
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		p, _ := program(t, "")
		p.Path = t.TempDir()
		expect(t, p, launch.Refused, "is not a file")
	})
	t.Run("refused by who judges", func(t *testing.T) {
		t.Parallel()
		p, _ := program(t, "")
		p.Open = func() (*os.File, error) { return nil, errors.New("writable by others") }
		expect(t, p, launch.Refused, "writable by others")
	})
	t.Run("another digest", func(t *testing.T) {
		t.Parallel()
		p, _ := program(t, "")
		p.SHA256 = strings.Repeat("ab", 32)
		expect(t, p, launch.Digest, "has the SHA-256 "+sumOf(t, built)+", and "+p.SHA256+" was locked; if it was updated on purpose, run: windsock plugins lock")
	})
	t.Run("no folder for its socket", func(t *testing.T) {
		t.Parallel()
		p, _ := program(t, "")
		p.Sockets = "/nonexistent"
		expect(t, p, launch.Ours, "no such file or directory")
	})
}

func expect(t *testing.T, p launch.Program, class launch.Class, text string) {
	t.Helper()
	_, err := launch.Start(t.Context(), p)
	e, ok := errors.AsType[*launch.Error](err)
	if !ok || e.Class != class || !strings.HasSuffix(e.Error(), text) {
		t.Errorf("got %v, want %s %q", err, class, text)
	}
}

func TestTheDigestIsOfTheOpenFile(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "")
	p.Path = filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(p.Path, []byte("#!/usr/bin/python3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.SHA256 = sumOf(t, built)
	p.Open = func() (*os.File, error) { return os.Open(built) } // what was opened runs, whatever the path says by now
	start(t, p).Stop(time.Second)
}

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
	for _, mode := range []string{"inherits", "escapes"} {
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

// One that left the session and cleared its environment stays where there is no control group, and holds nobody up.
func TestAGrandchildThatNobodyFindsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "hides")
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
