package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/exporters"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/status"
)

// host is an agent's surroundings: a simulator, a state directory, a file that can be changed.
type host struct {
	t        *testing.T
	dir      string
	provider string
	env      map[string]string
	text     string
	stdout   io.Writer
	more     []exporters.Kind // beside the built-in ones
	log      *strings.Builder
	mu       sync.Mutex // guards text and log
}

func newHost(t *testing.T) *host {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := simulator.New(simulator.Options{Seed: 1}).Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); serving.Wait() })
	knock(t, listener.Addr().String())
	h := &host{t: t, dir: t.TempDir(), provider: listener.Addr().String(), log: &strings.Builder{}, env: map[string]string{"KEY": "k-0123456789"}, stdout: io.Discard}
	h.text = fmt.Sprintf(`
listen: 127.0.0.1:0
grace: 2s
providers: {mistral: {base_url: "http://%s", api_key: {env: KEY}}}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {expect: [mistral-small-latest]}}
  - {name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model: mistral-small-latest}}
exporters: [{name: scrape, kind: prometheus}]
budget: {per_hour: 1, per_day: 1}
`, h.provider)
	return h
}

// knock waits until the simulator serves.
func knock(t *testing.T, address string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/admin/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *host) getenv(name string) string { return h.env[name] }

func (h *host) load() (*config.Config, error) {
	h.mu.Lock()
	text := h.text
	h.mu.Unlock()
	log := slog.New(slog.DiscardHandler)
	cfg, err := config.Parse("test.yaml", []byte(text), config.Options{
		Registry: h.registry(), Getenv: h.getenv, Secrets: secret.NewResolver(secret.Options{Getenv: h.getenv, Log: log}),
	})
	if err == nil {
		cfg.StateDir = filepath.Join(h.dir, "state")
	}
	return cfg, err
}

// config is what load reads.
func (h *host) config() *config.Config {
	h.t.Helper()
	cfg, err := h.load()
	if err != nil {
		h.t.Fatal(err)
	}
	return cfg
}

func (h *host) change(old, fresh string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !strings.Contains(h.text, old) {
		h.t.Fatalf("the file does not hold %q", old)
	}
	h.text = strings.ReplaceAll(h.text, old, fresh)
}

func (h *host) registry() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: append(exporterkinds.Kinds(), h.more...)}
}

func (h *host) options(cfg *config.Config) agent.Options {
	return agent.Options{
		Config: cfg, Reload: h.load, Registry: h.registry(), Version: "test", Log: slog.New(slog.NewTextHandler(h, nil)),
		Getenv: h.getenv, Stdout: h.stdout,
	}
}

// start runs the agent; the function that comes back stops it and wants a clean end.
func (h *host) start() (running *agent.Agent, reload chan<- os.Signal, stop func()) {
	h.t.Helper()
	running, err := agent.New(h.t.Context(), h.options(h.config()))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- running.Run(ctx, signals) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				h.t.Errorf("the agent ended with %v", err)
			}
		})
	}
	h.t.Cleanup(stop)
	return running, signals, stop
}

func (h *host) until(what string, holds func() bool) {
	h.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if holds() {
			return
		}
		<-tick.C
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t.Fatalf("never: %s; the log:\n%s", what, h.log)
}

func check(health status.Health, name string) status.Check {
	for _, c := range health.Checks {
		if c.Name == name {
			return c
		}
	}
	return status.Check{}
}

// stats reads what the simulator did.
func (h *host) stats(into any) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.provider+"/admin/stats", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		h.t.Fatal(err)
	}
}
