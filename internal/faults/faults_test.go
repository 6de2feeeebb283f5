package faults_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// binary is the agent, built once for all tests.
//
//nolint:gochecknoglobals // set by TestMain and never again
var binary string

func TestMain(m *testing.M) {
	if args := os.Args; len(args) > 2 && args[1] == unmaking { //nolint:forbidigo // it is main here
		panic(unmake(args[2:]))
	}
	dir, err := os.MkdirTemp("", "windsock-faults-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = agenttest.Build(context.Background(), dir); err != nil {
		panic(err)
	}
	m.Run()
}

// world is an agent with its simulator and a collector.
type world struct {
	*agenttest.Host
	sim       *simulator.Server
	api       string // the simulator's address
	collector *agenttest.Collector
	backend   string // the collector's URL
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Host: agenttest.NewHost(t, binary), collector: agenttest.NewCollector()}
	w.sim, w.api = agenttest.Simulator(t, "127.0.0.1:0", simulator.Options{Seed: 1, Speed: 100})
	server := httptest.NewServer(w.collector)
	t.Cleanup(server.Close)
	w.backend = server.URL
	return w
}

// config is a configuration with the free list and a chat every second; more is added at its end.
func (w *world) config(exporters, more string) string {
	return fmt.Sprintf(`
location: here
listen: %s
grace: 3s
providers:
  mistral: {base_url: "http://%s", api_key: {env: KEY}, stall_after: 1s, breaker: {failures: 1000, reset: 60s}}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {expect: [mistral-small-latest]}}
  - {name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model: mistral-small-latest}}
exporters:
  - {name: lines, kind: stdout, with: {format: json}}
%sbudget: {per_hour: 5, per_day: 50}
%s`, w.Listen, w.api, exporters, more)
}

// otlp is the line of an exporter to the collector.
func (w *world) otlp() string {
	return fmt.Sprintf("  - {name: collector, kind: otel, timeout: 1s, with: {endpoint: %q, events: all}}\n", w.backend)
}

// start writes the plain configuration and starts the agent.
func (w *world) start(t *testing.T) *agenttest.Process {
	t.Helper()
	w.Write(w.config("", ""))
	p := w.Start()
	w.UntilReady()
	return p
}

// verdict wants the next run of a check to be what the fault says.
func (w *world) verdict(t *testing.T, check string, status checks.Status, causes ...checks.Cause) *checks.Report {
	t.Helper()
	r := w.Next(check)
	for _, cause := range causes {
		if r.Status == status && r.Cause == cause {
			return r
		}
	}
	t.Errorf("%s is %s %s (%s), want %s %v", check, r.Status, r.Cause, r.Summary, status, causes)
	return r
}

// inTime wants the next run of a check that was not cut by its deadline to have failed with the cause. On a machine that is
// busy, reading as far as the bound may take longer than the deadline allows; that is bounded too, and another run comes.
func (w *world) inTime(t *testing.T, check string, cause checks.Cause) {
	t.Helper()
	for range 60 {
		r := w.Next(check)
		if r.Status == checks.Failed && r.Cause == cause {
			return
		}
		if r.Cause != checks.CauseTimeout {
			t.Errorf("%s is %s %s (%s), want failed %s", check, r.Status, r.Cause, r.Summary, cause)
			return
		}
	}
	t.Errorf("%s never met %s within its deadline", check, cause)
}

// apply puts a fault on the simulator.
func (w *world) apply(t *testing.T, faults ...simulator.Fault) {
	t.Helper()
	w.sim.Clear()
	for _, fault := range faults {
		if err := w.sim.Apply(fault); err != nil {
			t.Fatal(err)
		}
	}
}

// heals wants the checks to be well again once the fault is gone.
func (w *world) heals(t *testing.T) {
	t.Helper()
	w.sim.Clear()
	for _, check := range []string{"models", "chat"} {
		w.Until(check+" to be well again", func() bool {
			all := w.Of(check)
			return len(all) > 0 && all[len(all)-1].Status == checks.OK
		})
	}
}

// missing counts the stored records that a backend has not got.
func missing(stored []checks.Record, got map[string]int) int {
	n := 0
	for _, r := range stored {
		if got[r.ID] == 0 {
			n++
		}
	}
	return n
}

// pause lets the world go on for a while: where nothing must happen there is nothing to wait for.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
