package look_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/look"
)

// The system's resolver goes on with a question that nobody waits for any more, until its own time is over.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).exchange"), goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("internal/singleflight.(*Group).doCall"))
}

// patience is how long a test waits for what ends within its limit.
const patience = time.Minute

func nothing(string) string { return "" }

func options(t *testing.T, text string) look.Options {
	t.Helper()
	registry := config.Registry{Checks: checkkinds.Kinds()}
	cfg, err := config.Parse("test.yaml", []byte(text), config.Options{Registry: registry, Getenv: nothing})
	if err != nil {
		t.Fatal(err)
	}
	cfg.StateDir = t.TempDir()
	network, err := look.Network(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	return look.Options{
		Config: cfg, Provider: &cfg.Providers[0], Registry: registry, Network: network, Log: slog.New(slog.DiscardHandler),
		Scrub: func(s string) string { return s }, Getenv: nothing, Limit: time.Second,
	}
}

// silentSocket is the control socket of an agent that hangs.
func silentSocket(t *testing.T, dir string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	held.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); held.Wait() })
}

// Names that nobody resolves, hosts that take no connection, servers that take one and say nothing, an agent that hangs, a
// key whose program does not end, and calls that ignore that their time is over: all is told, and the end comes.
func TestEverythingHangs(t *testing.T) { //nolint:paralleltest // the resolver is everybody's
	resolver := net.DefaultResolver
	net.DefaultResolver = outboundtest.Resolver(t, outboundtest.Silence)
	t.Cleanup(func() { net.DefaultResolver = resolver })
	hung, _ := outboundtest.Hung(t)
	black := outboundtest.Blackhole(t)
	for name, base := range map[string]string{"the name": "https://api.example", "the connection": "https://" + strings.TrimPrefix(black, "http://"), "the answer": hung} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // as above
			o := options(t, fmt.Sprintf(`
providers: {mistral: {base_url: %q, api_key: {command: [/bin/sleep, "600"]}}}
checks:
  - {name: page, kind: status_page, schedule: "@every 1h", with: {url: %q}}
`, base, hung))
			silentSocket(t, o.Config.StateDir)
			o.Reference, o.App, o.Prometheus, o.Model = "reference.example:443", hung, hung, "mistral-small-latest"
			o.Agent = look.NewRunning(o.Config, nothing, func(context.Context) string { return "" }, 200*time.Millisecond)
			stuck := make(chan struct{})
			defer close(stuck)
			o.Ping = func(context.Context) triage.Step { <-stuck; return triage.Step{} }
			o.Smoke = o.Ping
			steps := ended(t, t.Context(), o)
			for _, want := range triage.Names()[1:] {
				step, made := steps[want]
				switch {
				case want == triage.AppLog || want == triage.Headroom || want == triage.Retirements:
				case !made:
					t.Errorf("%s is not told of", want)
				case step.Verdict == triage.OK && want != triage.DNS && want != triage.Connect:
					t.Errorf("%s is %s: %s", want, step.Verdict, step.Detail)
				case step.Detail == "":
					t.Errorf("%s says nothing", want)
				}
			}
			if step := steps[triage.Ping]; step.Verdict != triage.Unknown || !strings.Contains(step.Detail, "did not end within") {
				t.Errorf("the ping is %s: %s", step.Verdict, step.Detail)
			}
		})
	}
}

// ended wants Run to end by itself.
func ended(t *testing.T, ctx context.Context, o look.Options) map[triage.Name]triage.Step {
	t.Helper()
	done := make(chan []triage.Step, 1)
	go func() {
		steps, _, _ := look.Run(ctx, o)
		done <- steps
	}()
	select {
	case steps := <-done:
		all := map[triage.Name]triage.Step{}
		for _, s := range steps {
			all[s.Name] = s
		}
		return all
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	return nil
}

func TestWhatIsStoppedEndsAtOnce(t *testing.T) {
	t.Parallel()
	hung, reached := outboundtest.Hung(t)
	o := options(t, fmt.Sprintf("providers: {mistral: {base_url: %q, api_key: {file: %s}}}\nchecks: [{name: way, kind: egress, schedule: \"@every 1h\", with: {hosts: [{host: 127.0.0.1}]}}]\n", hung, keyFile(t)))
	o.Limit = patience
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { <-reached; stop() }()
	steps := ended(t, ctx, o)
	if step := steps[triage.ModelsList]; step.Verdict != triage.Unknown {
		t.Errorf("the list is %s: %s", step.Verdict, step.Detail)
	}
	if step := steps[triage.Key]; step.Verdict != triage.OK {
		t.Errorf("the key is %s: %s", step.Verdict, step.Detail)
	}
}

func keyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("key-0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
