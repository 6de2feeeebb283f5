package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// heard is a service manager that counts.
type heard struct {
	mu    sync.Mutex // guards the rest
	fed   int
	lines []string
}

func (h *heard) Tell(_ agent.Turn, line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) Watchdog() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fed++
}

func (h *heard) Interval() time.Duration { return 20 * time.Millisecond }

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fed
}

// deaf is an exporter that does not hear its context until it is let go.
type deaf struct{ let chan struct{} }

func (d deaf) Export(context.Context, []checks.Record) (exporters.Outcome, error) {
	<-d.let
	return exporters.Outcome{}, nil
}

// TestADeliveryThatHangsStarvesTheWatchdog, though the scheduler and the agent's own loop go on; when it turns again the
// watchdog is fed again.
func TestADeliveryThatHangsStarvesTheWatchdog(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("{name: scrape, kind: prometheus}", "{name: deaf, kind: deaf, timeout: 1s}")
	d := deaf{make(chan struct{})}
	h.more = []exporters.Kind{exporters.NewKind("deaf", "Hears nothing.", struct{}{}, func(struct{}, exporters.Env) (exporters.Exporter, error) { return d, nil })}
	manager := &heard{}
	options := h.options(h.config())
	options.Notify = manager
	running, err := agent.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx, make(chan os.Signal)) }()
	h.until("the watchdog to be fed", func() bool { return manager.count() > 0 })
	h.until("the log to say what hangs", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Contains(h.log.String(), `level=ERROR msg="the watchdog is not fed, so that the service manager starts the agent anew: a part of it does not turn" stuck="the delivery to deaf"`)
	})
	before, ticks := manager.count(), running.Health(t.Context()).Schedule.LastTick
	h.until("the scheduler to go on", func() bool { return running.Health(t.Context()).Schedule.LastTick.Sub(ticks) > time.Second })
	if fed := manager.count(); fed != before {
		t.Errorf("the watchdog was fed %d times while a delivery hung", fed-before)
	}
	close(d.let)
	h.until("the watchdog to be fed again", func() bool { return manager.count() > before+3 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestASchedulerThatHangsStarvesTheWatchdog: one that has not begun turns as little as one that hangs.
func TestASchedulerThatHangsStarvesTheWatchdog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := schedule.New(nil, schedule.Options{Run: func(context.Context, schedule.Slot) {}})
		if err != nil {
			t.Fatal(err)
		}
		look := agent.Feeding(agent.Loop{Ask: s.Ask, Turned: func() time.Time { return s.Stats().LastTick }})
		look()
		for range 3 {
			time.Sleep(time.Second)
			if look() {
				t.Error("the watchdog was fed though the scheduler does not turn")
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for range 100 {
			time.Sleep(10 * time.Millisecond) // less than the loop's own rhythm: it turns because it is asked to
			if !look() {
				t.Error("the watchdog was not fed though the scheduler turns")
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestALongStartAsksForTime: at once, every ten seconds, and not for ever.
func TestALongStartAsksForTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "windsock.db"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		manager := &heard{}
		end := agent.SayStarting(manager, dir)
		time.Sleep(25 * time.Second)
		end()
		want := []string{
			"starting: opening the store " + dir + " (3 MiB)",
			"starting: opening the store " + dir + " (3 MiB), for 10s now; after an end that was not clean it is read through",
			"starting: opening the store " + dir + " (3 MiB), for 20s now; after an end that was not clean it is read through",
		}
		if !slices.Equal(manager.lines, want) {
			t.Errorf("told %q, want %q", manager.lines, want)
		}
		manager.lines = nil
		end = agent.SayStarting(manager, dir)
		time.Sleep(time.Hour)
		end()
		if n := len(manager.lines); n != 1+15*6 {
			t.Errorf("a start that never ends was told %d times, want a quarter of an hour long", n)
		}
	})
}
