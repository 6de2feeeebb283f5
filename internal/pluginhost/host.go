// Package pluginhost runs the plugins of a configuration, one process for each, and turns them into checks and exporters
// that nobody can tell from the built-in ones. It starts them, asks for their health, starts them again with patience, and
// gives up on those that do not stand. A plugin's fault is an Error of its own checks and a retry of its own exports, and
// nothing else. It believes no answer before it has looked at it, and keeps no queue: schedule, retry and budget are
// others' business.
package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// Options are what the agent lends its plugins.
type Options struct {
	Log      *slog.Logger     // nil throws it away
	Sockets  string           // a folder of our own for the plugins' folders; its path is short
	Cgroups  *sandbox.Cgroups // nil: the limits of memory and processes are not held
	Scrubber *secret.Scrubber // takes secrets out of logs and results; nil: one that knows those that were sent
	Version  string           // the agent's
	Zone     string           // TZ, as the agent has it; "" gives none
	Dev      bool             // plugins may differ from what was locked
	Guests   map[string]Guest // plugins that somebody else started, by the name of their entry: they are called in the stead of a process of ours
	Times    Times
}

// Guest is a plugin that a person started in a debugger.
type Guest struct {
	PID    int
	Socket string // absolute
}

// Times are the host's patience. What is zero has its default.
type Times struct {
	Start       time.Duration // 10s: until the handshake
	Describe    time.Duration // 1s
	Configure   time.Duration // 5s: for one instance
	Health      time.Duration // 10s: between two questions for its health
	HealthLimit time.Duration // 2s: for the answer
	Backoff     time.Duration // 250ms: before the first restart; it doubles
	MaxBackoff  time.Duration // 30s
	Steady      time.Duration // 60s: ready for so long is well again
	CrashWindow time.Duration // 10min: five crashes in it are too many
	HalfOpen    time.Duration // 15min: between two attempts in quarantine
	Drain       time.Duration // 5s
	Grace       time.Duration // 3s: from the shutdown to SIGKILL
	Overtime    time.Duration // 1s: after its deadline a run may still answer
}

func (t *Times) fill() {
	for _, one := range []struct {
		d         *time.Duration
		otherwise time.Duration
	}{
		{&t.Start, 10 * time.Second},
		{&t.Describe, time.Second},
		{&t.Configure, 5 * time.Second},
		{&t.Health, 10 * time.Second},
		{&t.HealthLimit, 2 * time.Second},
		{&t.Backoff, 250 * time.Millisecond},
		{&t.MaxBackoff, 30 * time.Second},
		{&t.Steady, time.Minute},
		{&t.CrashWindow, 10 * time.Minute},
		{&t.HalfOpen, 15 * time.Minute},
		{&t.Drain, 5 * time.Second},
		{&t.Grace, 3 * time.Second},
		{&t.Overtime, time.Second},
	} {
		*one.d = cmp.Or(*one.d, one.otherwise)
	}
}

// Plugin is an entry of the configuration with what was locked of it.
type Plugin struct {
	Name     string
	Path     string
	SHA256   string
	Manifest manifest.Manifest
	Env      map[string]string
	Secrets  []string // the names of those that it may be sent
	Policy   sandbox.Policy
	Pids     int // of its control group; 0: no bound
	Runs     int // calls at the same time; 0: 16
	MTLS     bool
}

// Host runs plugins. Its methods may be called at the same time.
type Host struct {
	o Options

	mu      sync.Mutex
	plugins map[string]*supervisor // guarded by mu
	closed  bool                   // guarded by mu
}

// New makes a host, and the folder of sockets. Nothing is left of an agent before: neither there, nor of what its plugins started. Nothing is started.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Scrubber == nil {
		o.Scrubber = secret.NewScrubber()
	}
	o.Times.fill()
	if err := os.MkdirAll(o.Sockets, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the plugins' sockets: %w", err)
	}
	if err := launch.Clear(o.Sockets, o.Log); err != nil {
		return nil, err
	}
	return &Host{o: o, plugins: map[string]*supervisor{}}, nil
}

// Replace makes the entries those of a new configuration. One that did not change keeps its process and its instances; one
// that did is drained and started as it is now, and leaves quarantine; one that is gone is stopped, within ctx. Checks and
// exporters of an entry go on across it.
func (h *Host) Replace(ctx context.Context, entries []Plugin) {
	h.mu.Lock()
	var gone []*supervisor
	if !h.closed {
		for name, s := range h.plugins {
			if !slices.ContainsFunc(entries, func(p Plugin) bool { return p.Name == name }) {
				gone = append(gone, s)
				delete(h.plugins, name)
			}
		}
		for _, p := range entries {
			if s, known := h.plugins[p.Name]; known {
				s.change(p)
			} else {
				h.plugins[p.Name] = supervise(&h.o, p) //nolint:contextcheck // it lives as long as the host
			}
		}
	}
	h.mu.Unlock()
	closeAll(ctx, gone)
}

// Restart drains a plugin and starts it again, out of quarantine too, and waits until it is ready or failed.
func (h *Host) Restart(ctx context.Context, name string) error {
	s, err := h.find(name)
	if err != nil {
		return err
	}
	return s.restart(ctx)
}

func (h *Host) find(name string) (*supervisor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, known := h.plugins[name]
	switch {
	case h.closed:
		return nil, errors.New("the agent stops")
	case !known:
		return nil, fmt.Errorf("there is no plugin %q in the configuration", name)
	}
	return s, nil
}

// States tells of every plugin, in the order of their names.
func (h *Host) States() []State {
	h.mu.Lock()
	all := make([]*supervisor, 0, len(h.plugins))
	for _, s := range h.plugins {
		all = append(all, s)
	}
	h.mu.Unlock()
	out := make([]State, 0, len(all))
	for _, s := range all {
		out = append(out, s.tell())
	}
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Close stops every plugin at the same time: drained, shut down, killed, all within ctx. It returns when all are gone.
// Calls that come later fail.
func (h *Host) Close(ctx context.Context) {
	h.mu.Lock()
	h.closed = true
	all := make([]*supervisor, 0, len(h.plugins))
	for _, s := range h.plugins {
		all = append(all, s)
	}
	h.mu.Unlock()
	closeAll(ctx, all)
}

func closeAll(ctx context.Context, all []*supervisor) {
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() { s.close(ctx) })
	}
	wg.Wait()
}

// same reports whether an entry is what it was.
func same(a, b Plugin) bool { return reflect.DeepEqual(a, b) }
