package launch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

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
		"other":          {launch.Handshake, "it is a plugin of another program: it does not know the agent's cookie; correct the path, or take the entry out"},
		"future":         {launch.Protocol, "it speaks version 2 of the protocol, this agent speaks 1; update the agent"},
		"core":           {launch.Protocol, "it speaks version 2 of the handshake, this agent speaks 1; update the plugin or the agent"},
		"netrpc":         {launch.Protocol, "it speaks netrpc, and this agent speaks gRPC"},
		"tcp":            {launch.Refused, "it listens on tcp 127.0.0.1:80, want a unix socket in PLUGIN_UNIX_SOCKET_DIR"},
		"elsewhere":      {launch.Refused, "it listens on /run/docker.sock, want a socket in PLUGIN_UNIX_SOCKET_DIR"},
		"above":          {launch.Refused, "/../x.sock, want a socket in PLUGIN_UNIX_SOCKET_DIR"},
		"linked":         {launch.Refused, "it says that it listens on s, where there is no socket"},
		"absent":         {launch.Refused, "it says that it listens on s, where there is no socket"},
		"no_certificate": {launch.Handshake, "it offers no certificate; give it one, or say mtls: false in its entry"},
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
		"another architecture":      {arm, 0o755, launch.Format, "is built for arm64, and this host is amd64; install the build for that"},
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
		expect(t, p, launch.Missing, `there is no file "/nonexistent/plugin"; put the program there, or correct the path`)
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

// go-plugin panics where it has no certificate of its own and the plugin offers one.
func TestACertificateThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	p, _ := program(t, "unasked")
	p.MTLS = false
	_, err := launch.Start(t.Context(), p)
	e, ok := errors.AsType[*launch.Error](err)
	if !ok || e.Class != launch.Handshake || !strings.Contains(e.Text, "it offers a certificate that it was not asked for") {
		t.Errorf("got %v, want it refused", err)
	}
}
