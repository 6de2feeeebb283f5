package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// built is the plugin of the tests as a program.
func built(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "shop")
	out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", path, "./testdata/plugin").CombinedOutput()
	if err != nil {
		tb.Fatalf("building the plugin: %v\n%s", err, out)
	}
	return path
}

// dispensed is the agent's side of go-plugin.
type dispensed struct{ plugin.NetRPCUnsupportedPlugin }

func (dispensed) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host serves nothing")
}

func (dispensed) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return clientOf(conn), nil
}

// lines is a buffer that may be written while it is read.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// hosted is a plugin that runs as the agent runs it, without the sandbox.
func hosted(tb testing.TB, config *plugin.ClientConfig) (*plugin.Client, client) {
	tb.Helper()
	config.HandshakeConfig, config.AllowedProtocols, config.SkipHostEnv = wire.Handshake(), []plugin.Protocol{plugin.ProtocolGRPC}, true
	config.VersionedPlugins, config.AutoMTLS = map[int]plugin.PluginSet{wire.Protocol: {"shop": dispensed{}}}, true
	config.Logger = hclog.NewNullLogger()
	host := plugin.NewClient(config)
	tb.Cleanup(host.Kill)
	protocol, err := host.Client()
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := protocol.Dispense("shop")
	if err != nil {
		tb.Fatal(err)
	}
	c, _ := raw.(client)
	return host, c
}

func TestProcess(t *testing.T) {
	path := built(t)
	t.Run("serves the agent", func(t *testing.T) { servesTheAgent(t, path) })
	t.Run("ends on SIGTERM after the run that goes on", func(t *testing.T) { endsOnSIGTERM(t, path) })
	t.Run("ends when the agent is gone", func(t *testing.T) { endsWithItsParent(t, path) })
	t.Run("tells a person what it is", func(t *testing.T) { tellsAPerson(t, path) })
	t.Run("describes itself", func(t *testing.T) { describesItself(t, path) })
	t.Run("is found by an agent under a debugger", func(t *testing.T) { servesADebugger(t, path) })
}

func servesTheAgent(t *testing.T, path string) {
	t.Helper()
	var stderr, stdout lines
	host, c := hosted(t, &plugin.ClientConfig{Cmd: exec.Command(path), Stderr: &stderr, SyncStdout: &stdout}) //nolint:noctx // go-plugin ends it
	d, err := c.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil || d.GetName() != "shop" {
		t.Fatalf("got %v, %v", d, err)
	}
	c.configured(t, "flood", "login", `{"url":"http://a","flood":200000}`)
	c.configured(t, "panic", "login", `{"url":"http://a","says":"panic"}`)
	c.configured(t, "lake", "lake", ``)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if r, err := c.Run(ctx, &pluginv1.RunRequest{InstanceId: "flood"}); err != nil || r.GetResult().GetSummary() != "200 from http://a" {
		t.Errorf("a run that prints a lot: got %v, %v", r, err)
	}
	if _, err := c.Run(ctx, &pluginv1.RunRequest{InstanceId: "panic"}); err == nil {
		t.Error("a run that panics: got no error")
	}
	// 8 MiB are more than gRPC takes by itself.
	big := reports(1)
	big[0].GetReport().Labels = map[string]string{"big": strings.Repeat("x", 8<<20)}
	if o, err := c.export(t, "lake", big); err != nil || string(o.State) != "+1" {
		t.Errorf("a large batch: got %v, %v", o, err)
	}
	host.Kill()
	if !host.Exited() {
		t.Error("it did not end")
	}
	levels := map[string]bool{}
	for line := range strings.Lines(stderr.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the line %q of its log is no JSON: %v", line, err)
			continue
		}
		level, _ := entry["@level"].(string)
		levels[level] = true
		stamp, _ := entry["@timestamp"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", stamp); err != nil || entry["@message"] == nil {
			t.Errorf("the line %q has no message or no time as go-plugin reads them: %v", line, err)
		}
	}
	if !levels["info"] || !levels["error"] || !strings.Contains(stderr.String(), "the shop burns") {
		t.Errorf("got levels %v, want info and error with the panic, in %s", levels, stderr.String())
	}
}

// started is a plugin that runs by itself, with the line of its handshake.
type started struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	socket string
}

// start runs a program with the environment of a plugin, and waits for the handshake.
func start(t *testing.T, argv ...string) *started {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = []string{wire.CookieKey + "=" + wire.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	parts := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(parts) < 5 || parts[0] != "1" || parts[1] != "1" || parts[2] != "unix" || parts[4] != "grpc" {
		t.Fatalf("got handshake %q, %v", line, err)
	}
	return &started{cmd, r, parts[3]}
}

// ended waits for its end, which must be soon.
func (s *started) ended(t *testing.T, within time.Duration) {
	t.Helper()
	late := time.AfterFunc(within, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if _, err := io.Copy(io.Discard, s.out); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("got %v, want exit 0 within %v", err, within)
	}
	if _, err := os.Stat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its socket: got %v, want it gone", err)
	}
}

func (s *started) client(t *testing.T) client {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return clientOf(conn)
}

func endsOnSIGTERM(t *testing.T, path string) {
	t.Helper()
	s := start(t, path)
	c := s.client(t)
	c.configured(t, "i", "login", `{"url":"http://a","wait":"300ms"}`)
	c.configured(t, "hang", "login", `{"url":"http://a","says":"hang"}`)
	ran, hung := make(chan error, 1), make(chan error, 1)
	run := func(id string, into chan error) {
		_, err := c.Run(t.Context(), &pluginv1.RunRequest{InstanceId: id})
		into <- err
	}
	go run("i", ran)
	go run("hang", hung)
	time.Sleep(100 * time.Millisecond) // for both to be there; a run that comes too late is refused, and the test says so
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Errorf("the run that went on: %v", err)
	}
	if err := <-hung; err == nil {
		t.Error("a run that never ends was waited for")
	}
	s.ended(t, 5*time.Second)
}

func endsWithItsParent(t *testing.T, path string) {
	t.Helper()
	s := start(t, "/bin/sh", "-c", path+" & wait")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, s.out) // the plugin has the other end
	}()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Error("it lives on 10s after its parent")
	}
	_ = s.cmd.Wait()
	if _, err := os.Stat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its socket: got %v, want it gone", err)
	}
}

// ran is what a program prints until it ends.
func ran(t *testing.T, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &err, []string{"PATH=/usr/bin"}
	if fault := cmd.Run(); fault != nil {
		if _, ok := errors.AsType[*exec.ExitError](fault); !ok {
			t.Fatal(fault)
		}
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func tellsAPerson(t *testing.T, path string) {
	t.Helper()
	for _, args := range [][]string{{path}, {path, "--nonsense"}} {
		stdout, stderr, code := ran(t, args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "shop 1.2.3 is a plugin of Windsock") || !strings.Contains(stderr, "windsock plugins test "+path) {
			t.Errorf("%v: got exit %d, %q and %q, want a sentence that says what to do", args[1:], code, stdout, stderr)
		}
	}
}

func describesItself(t *testing.T, path string) {
	t.Helper()
	stdout, stderr, code := ran(t, path, "--describe")
	var got struct {
		Name  string `json:"name"`
		Kinds []struct {
			Type       string         `json:"type"`
			Parameters map[string]any `json:"parameters"`
		} `json:"kinds"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || stderr != "" {
		t.Fatalf("got exit %d, %v and %q", code, err, stderr)
	}
	if got.Name != "shop" || len(got.Kinds) != 6 || got.Kinds[3].Type != "exporter" || got.Kinds[0].Parameters["type"] != "object" {
		t.Errorf("got %+v", got)
	}
}

func servesADebugger(t *testing.T, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "--debug")
	cmd.Env = []string{"TMPDIR=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	text := ""
	for !strings.Contains(text, wire.ReattachVariable+"='") {
		line, err := r.ReadString('\n')
		if text += line; err != nil {
			t.Fatalf("got %q, %v", text, err)
		}
	}
	value := regexp.MustCompile(`(?m)^` + wire.ReattachVariable + `='(.*)'$`).FindStringSubmatch(text)
	if value == nil {
		t.Fatalf("got %q, want a line for the shell", text)
	}
	found, err := wire.ParseReattach(value[1])
	if err != nil {
		t.Fatal(err)
	}
	running := &started{cmd, r, found["shop"].Addr.String()}
	if d, err := running.client(t).Describe(t.Context(), &pluginv1.DescribeRequest{}); err != nil || d.GetName() != "shop" {
		t.Errorf("got %v, %v", d, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	running.ended(t, 5*time.Second)
}
