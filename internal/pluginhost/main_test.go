package pluginhost_test

import (
	"bytes"
	"context"
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

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/secret"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

//nolint:gochecknoglobals // made by TestMain and never again
var (
	built  string            // the bad plugin
	digest string            // of it
	locked manifest.Manifest // what it says of itself
)

// asAgent makes this test binary an agent that is killed: the program, the folder of sockets, and the file of the plugin.
const asAgent = "WINDSOCK_TEST_PLUGINHOST_AGENT"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(asAgent)); len(args) == 4 { //nolint:forbidigo // this binary is the agent of a test
		os.Exit(agent(args[0], args[1], args[2], args[3])) //nolint:forbidigo // likewise
	}
	os.Exit(run(m)) //nolint:forbidigo // of TestMain
}

// agent starts the plugin, says its number and waits to be killed.
func agent(program, sockets, mode, file string) int {
	process, err := launch.Start(context.Background(), launch.Program{
		Name: "bad", Path: program, Sockets: sockets, MTLS: true, Env: []string{"BAD_MODE=" + mode, "BAD_FILE=" + file},
		Policy: sandbox.Policy{Write: []string{filepath.Dir(file)}},
	})
	if err != nil {
		slog.Error("starting", "error", err) //nolint:sloglint // of a process of its own
		return 1
	}
	fmt.Println(process.PID()) //nolint:forbidigo // likewise
	select {}
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bad")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = build(dir)
	}
	if err != nil {
		slog.Error("building the bad plugin", "error", err) //nolint:sloglint // there is no test yet
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		slog.Error("leaking", "error", err) //nolint:sloglint // there is no test any more
		return 1
	}
	return code
}

// build makes the plugin and asks it what it is.
func build(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	built = filepath.Join(dir, "bad")
	if out, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", built, "./testdata/bad").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	sum, err := exec.CommandContext(ctx, "sha256sum", built).Output()
	if err != nil {
		return err
	}
	digest = string(sum[:64])
	process, err := launch.Start(ctx, launch.Program{Name: "bad", Path: built, Sockets: dir, MTLS: true})
	if err != nil {
		return err
	}
	defer process.Stop(time.Second)
	answer, err := pluginv1.NewBasePluginClient(process.Conn()).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return err
	}
	locked, err = manifest.FromWire(answer)
	return err
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

// bench is a host with the bad plugin.
type bench struct {
	*pluginhost.Host
	log *logged
}

// quick is a patience for tests.
func quick() pluginhost.Times {
	return pluginhost.Times{
		Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Overtime: 300 * time.Millisecond, Grace: time.Second, Drain: time.Second,
		Start: 10 * time.Second, Describe: 5 * time.Second,
	}
}

func host(tb testing.TB, times pluginhost.Times, plugins ...pluginhost.Plugin) bench {
	tb.Helper()
	return hostOf(tb, pluginhost.Options{Times: times}, plugins...)
}

func hostOf(tb testing.TB, o pluginhost.Options, plugins ...pluginhost.Plugin) bench {
	tb.Helper()
	dir, err := os.MkdirTemp("", "h") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		tb.Fatal(err)
	}
	log := &logged{}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Sockets, o.Scrubber, o.Version = dir, secret.NewScrubber(), "1.2.3"
	h, err := pluginhost.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	h.Replace(tb.Context(), plugins)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.Close(ctx)
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			tb.Errorf("the folder of sockets still holds %v", left)
		}
		_ = os.RemoveAll(dir)
	})
	return bench{h, log}
}

// entry is the bad plugin in a mode.
func entry(tb testing.TB, mode string) pluginhost.Plugin {
	tb.Helper()
	shared := tb.TempDir()
	return pluginhost.Plugin{
		Name: "bad", Path: built, SHA256: digest, Manifest: locked, MTLS: true, Secrets: []string{"pw"},
		Env:    map[string]string{"BAD_MODE": mode, "BAD_FILE": filepath.Join(shared, "done")},
		Policy: sandbox.Policy{Write: []string{shared}, Files: 256},
	}
}

// with is a check's instance in a mode.
func with(name, mode string) pluginhost.Instance {
	return pluginhost.Instance{Name: name, JSON: []byte(`{"mode":"` + mode + `"}`), Timeout: 5 * time.Second}
}

// state is that of the only plugin.
func (b bench) state(tb testing.TB) pluginhost.State {
	tb.Helper()
	all := b.States()
	if len(all) != 1 {
		tb.Fatalf("got %d plugins, want one", len(all))
	}
	return all[0]
}

// await waits until the plugin is as is wanted.
func (b bench) await(tb testing.TB, what string, want func(pluginhost.State) bool) pluginhost.State {
	tb.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got := b.state(tb)
		if want(got) {
			return got
		}
		if time.Now().After(end) {
			tb.Fatalf("%s: not within 15s: %+v\n%s", what, got, b.log)
		}
	}
}

func is(state string) func(pluginhost.State) bool {
	return func(s pluginhost.State) bool { return s.State == state }
}

// runs makes one run.
func runs(tb testing.TB, c checks.Check, timeout time.Duration) checks.Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	result, err := c.Run(ctx)
	if err != nil {
		tb.Fatalf("running: %v", err)
	}
	return result
}

// value is a secret that can change.
type value struct {
	mu      sync.Mutex
	text    string
	renewed int
}

func (v *value) set(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text = text
}

func (v *value) Read(context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.text == "" {
		return "", checks.ErrNoSecret
	}
	return v.text, nil
}

func (v *value) Renew(context.Context) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.renewed++
	return false, nil
}

func (v *value) Where() string { return "test" }

// secretly adds a secret to an instance.
func secretly(in pluginhost.Instance, v *value) pluginhost.Instance {
	in.JSON = []byte(strings.TrimSuffix(string(in.JSON), "}") + `,"password":{"secret":"pw"}}`)
	in.Secrets = map[string]checks.Secret{"pw": checks.NewSecret(v)}
	return in
}

// memory is a checks.Memory.
type memory struct {
	mu   sync.Mutex
	data []byte
}

func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data, nil
}

func (m *memory) Save(_ context.Context, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = data
	return nil
}
