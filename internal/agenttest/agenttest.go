// Package agenttest runs the real agent as a process of its own, in a world that a test can break: its configuration, its
// state directory, its standard output, the simulator and the backends. It holds no assertion about what is right.
package agenttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

// Key is the API key of every host's provider, in the environment variable KEY.
const Key = "canary-key-8f2e61b7c9d04a53"

// Patience is how long a test waits for what must come: long, because machines that run tests are slow.
const Patience = 60 * time.Second

// Build makes the binary in dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "windsock")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/windsock-monitor/windsock/cmd/agent") //nolint:gosec // our own source
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w: %s", err, out)
	}
	return path, nil
}

// Host is the surroundings of one agent.
type Host struct {
	Binary string
	Dir    string // holds all that follows
	Config string // path of the configuration
	State  string // the state directory
	Listen string // the address of the status pages
	Env    []string

	t    *testing.T
	last *Process
}

// NewHost makes the surroundings; the configuration is still to be written.
func NewHost(t *testing.T, binary string) *Host {
	t.Helper()
	dir := t.TempDir()
	return &Host{
		Binary: binary, Dir: dir, Config: filepath.Join(dir, "schedules.yaml"), State: filepath.Join(dir, "state"),
		Listen: FreeAddress(t), Env: []string{"KEY=" + Key}, t: t,
	}
}

// FreePort is a port of 127.0.0.1 that nobody has, and that no other test process of this host is given as long as this one
// lives: a socket of the port's name, which has no file, is the sign. It lies below those that the system hands out by
// itself, so that nobody gets it between now and its use. No process is started meanwhile: until it executes its program it
// would have the port too. Go itself starts one, the first time that it wants to know whether it may hold processes by a
// descriptor: it is asked before.
func FreePort(ctx context.Context) (string, error) {
	if own, err := os.FindProcess(os.Getpid()); err == nil {
		_ = own.Release()
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for range 200 {
		port := strconv.Itoa(20000 + rand.IntN(12000)) //nolint:gosec // any port will do
		sign, err := hang(port)
		if err != nil {
			continue // it is somebody's
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			_ = unix.Close(sign)
			continue
		}
		return port, listener.Close()
	}
	return "", errors.New("no port is free")
}

// hang hangs out the sign of a port, a bare descriptor: one that Go knows would be closed with the garbage.
func hang(port string) (int, error) {
	sign, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making a sign: %w", err)
	}
	if err := unix.Bind(sign, &unix.SockaddrUnix{Name: "@windsock-test-port-" + port}); err != nil {
		return 0, errors.Join(fmt.Errorf("hanging out a sign: %w", err), unix.Close(sign))
	}
	return sign, nil
}

// FreeAddress is 127.0.0.1 with a FreePort.
func FreeAddress(t *testing.T) string {
	t.Helper()
	port, err := FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// Listener listens on a TCP address.
func Listener(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Simulator serves a Mistral API on an address until the test ends, and returns where.
func Simulator(t *testing.T, address string, o simulator.Options) (*simulator.Server, string) {
	t.Helper()
	listener := Listener(t, address)
	server := simulator.New(o)
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); serving.Wait() })
	return server, listener.Addr().String()
}

// Write writes the configuration.
func (h *Host) Write(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.Config, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Process is one life of the agent.
type Process struct {
	PID int

	t     *testing.T
	ended chan int // the exit code, -1 after a signal
	code  int
	over  bool
}

// Start starts the agent, by way of a command where one is given ("prlimit", "--nofile=32"), which must end by becoming
// the agent. What it prints is appended to the files stdout and stderr.
func (h *Host) Start(by ...string) *Process {
	h.t.Helper()
	argv := append(slices.Clone(by), h.Binary, "run", "--config", h.Config)
	cmd := exec.CommandContext(context.WithoutCancel(h.t.Context()), argv[0], argv[1:]...) //nolint:gosec // the test's own words
	cmd.Dir = h.Dir
	cmd.Env = append([]string{"STATE_DIRECTORY=" + h.State, "PATH=" + os.Getenv("PATH"), "HOME=" + h.Dir}, h.Env...) //nolint:forbidigo // a test's command needs a path
	return h.launch(cmd)
}

func (h *Host) launch(cmd *exec.Cmd) *Process {
	h.t.Helper()
	out, errs := h.open("stdout"), h.open("stderr")
	defer func() { _ = out.Close(); _ = errs.Close() }()
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	p := &Process{PID: cmd.Process.Pid, t: h.t, ended: make(chan int, 1)}
	go func() {
		err := cmd.Wait()
		var exited *exec.ExitError
		if err != nil && !errors.As(err, &exited) {
			p.ended <- -1
			return
		}
		p.ended <- cmd.ProcessState.ExitCode()
	}()
	h.last = p
	h.t.Cleanup(func() {
		if !p.over {
			p.Signal(syscall.SIGCONT)
			p.End(syscall.SIGKILL)
		}
	})
	return p
}

func (h *Host) open(name string) *os.File {
	h.t.Helper()
	f, err := os.OpenFile(filepath.Join(h.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the test's directory
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// Signal sends a signal; to a process that has ended it is nothing.
func (p *Process) Signal(s syscall.Signal) { _ = syscall.Kill(p.PID, s) }

// Wait waits for the end and returns the exit code, -1 where a signal was the end.
func (p *Process) Wait() int {
	p.t.Helper()
	if p.over {
		return p.code
	}
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case p.code = <-p.ended:
		p.over = true
	case <-timer.C:
		p.t.Fatalf("the agent has not ended within %s", Patience)
	}
	return p.code
}

// Over reports whether the process has ended.
func (p *Process) Over() bool {
	if p.over {
		return true
	}
	select {
	case p.code = <-p.ended:
		p.over = true
	default:
	}
	return p.over
}

// End sends a signal and waits for the end.
func (p *Process) End(s syscall.Signal) int {
	p.t.Helper()
	p.Signal(s)
	return p.Wait()
}

// Stop ends the agent as an operator does, and wants exit code 0.
func (p *Process) Stop() {
	p.t.Helper()
	if code := p.End(syscall.SIGTERM); code != 0 {
		p.t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// Until waits for what must come, and fails the test with the end of the log where it does not.
func (h *Host) Until(what string, holds func() bool) {
	h.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return
		}
		if h.last != nil && h.last.Over() {
			h.t.Fatalf("the agent ended with code %d, waiting for %s; its log ends:\n%s", h.last.code, what, h.tail())
		}
	}
	h.t.Fatalf("waited %s for %s; the agent's log ends:\n%s", Patience, what, h.tail())
}

func (h *Host) tail() string {
	log := h.Log()
	return log[max(0, len(log)-4000):]
}

// Log is what the agent has logged.
func (h *Host) Log() string {
	data, _ := os.ReadFile(filepath.Join(h.Dir, "stderr"))
	return string(data)
}

// Page is a status page: its status code and body, 0 where nobody answers.
func (h *Host) Page(path string) (code int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Listen+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

// Health is /health; its zero value where nobody answers.
func (h *Host) Health() status.Health {
	var health status.Health
	if _, body := h.Page("/health"); json.Unmarshal([]byte(body), &health) != nil {
		return status.Health{}
	}
	return health
}

// UntilReady waits for the agent to serve.
func (h *Host) UntilReady() {
	h.t.Helper()
	h.Until("the agent to be ready", func() bool { return h.Health().Ready })
}

// Reports are the records of runs that the stdout exporter has written, in order, those that came twice included.
func (h *Host) Reports() []checks.Record {
	f, err := os.Open(filepath.Join(h.Dir, "stdout"))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var out []checks.Record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r checks.Record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Report != nil { // a line that kill -9 cut is no record
			out = append(out, r)
		}
	}
	return out
}

// Of are the reports of one check that ran and are final.
func (h *Host) Of(check string) []*checks.Report {
	var out []*checks.Report
	for _, r := range h.Reports() {
		if r.Report.Check == check && r.Report.Final && r.Report.Status != checks.Skipped {
			out = append(out, r.Report)
		}
	}
	return out
}

// Next waits for a run of the check that began after now, and returns it.
func (h *Host) Next(check string) *checks.Report {
	h.t.Helper()
	began := time.Now()
	var found *checks.Report
	h.Until("a run of "+check, func() bool {
		for _, r := range h.Of(check) {
			if r.StartedAt.After(began) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// Stored is what the store holds, in order. The agent must have ended.
func (h *Host) Stored() []checks.Record {
	h.t.Helper()
	s, err := store.Open(h.t.Context(), store.Options{Dir: h.State, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if kept := s.Health(); !kept.OK {
		h.t.Fatalf("the store: %s", kept.Problem)
	}
	var out []checks.Record
	err = s.Each(h.t.Context(), 0, func(e delivery.Entry) error { out = append(out, e.Record); return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// Problem is what /health says of a part, "" where it says nothing.
func (h *Host) Problem(part string) string {
	for _, p := range h.Health().Problems {
		if p.Part == part || strings.HasPrefix(p.Part, part+" ") {
			return p.What
		}
	}
	return ""
}
