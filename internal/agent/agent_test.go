package agent_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

func TestAWellAgentIsHealthy(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	running, _, _ := h.start()
	var health status.Health
	h.until("agent and provider healthy", func() bool {
		health = running.Health(t.Context())
		return check(health, "chat").Status == checks.OK && health.Status == status.Healthy && health.Services["mistral"].Status == status.Healthy
	})
	if !running.Alive() || !health.Ready {
		t.Errorf("alive %v, ready %v", running.Alive(), health.Ready)
	}
	if len(health.Budget) != 2 || health.Budget[0].SpentUSD <= 0 {
		t.Errorf("the budget does not show what was spent: %+v", health.Budget)
	}
}

// TestBeforeTheFirstResultNothingIsGreen: missing is never green.
func TestBeforeTheFirstResultNothingIsGreen(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("run_at_start: true", "run_at_start: false")
	h.change(`"@every 1s"`, `"@every 1h"`)
	running, _, _ := h.start()
	h.until("ready", func() bool { return running.Health(t.Context()).Ready })
	health := running.Health(t.Context())
	if got := health.Services["mistral"].Status; got == status.Healthy {
		t.Errorf("the provider is %s without a result", got)
	}
	if got := check(health, "chat").Status; got != checks.Unknown {
		t.Errorf("the check is %s without a result, want unknown", got)
	}
}

// TestNothingOfTheWorldKeepsTheAgentFromStarting: no key, no backend, no port.
func TestNothingOfTheWorldKeepsTheAgentFromStarting(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	holder, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close() }()
	delete(h.env, "KEY")
	h.change("127.0.0.1:0", holder.Addr().String())
	h.change("{name: scrape, kind: prometheus}", `{name: dead, kind: otel, with: {endpoint: "http://127.0.0.1:1"}}`)
	running, _, _ := h.start()
	h.until("the missing key, the dead backend and the taken port are said", func() bool {
		said := map[string]bool{}
		for _, p := range running.Health(t.Context()).Problems {
			said[p.Part] = true
		}
		return said["check chat"] && said["exporter dead"] && said["listener"]
	})
	c := check(running.Health(t.Context()), "chat")
	if c.Status != checks.Error || c.Cause != checks.CauseConfig || c.Blame != checks.BlameOurs {
		t.Errorf("without a key the check is %s %s %s, want error config ours", c.Status, c.Cause, c.Blame)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	running, reload, _ := h.start()
	h.until("ready", func() bool { return running.Health(t.Context()).Ready })
	reloaded := func() time.Time { return running.Health(t.Context()).Config.ReloadedAt }
	do := func(wantOK bool) {
		t.Helper()
		before := reloaded()
		reload <- syscall.SIGHUP
		h.until("the reload is over", func() bool { return reloaded().After(before) })
		if got := running.Health(t.Context()).Config; got.ReloadOK != wantOK {
			t.Fatalf("reload ok is %v (%s), want %v", got.ReloadOK, got.Error, wantOK)
		}
	}
	h.change("name: chat", "name: talk")
	do(true)
	h.until("the renamed check runs", func() bool { return check(running.Health(t.Context()), "talk").Status == checks.OK })
	h.change("kind: chat", "kind: chatt")
	do(false)
	if got := running.Health(t.Context()); check(got, "talk").Name == "" || got.Status != status.Degraded {
		t.Errorf("after a refused reload: %s, checks %v; want the old ones, degraded", got.Status, got.Checks)
	}
	h.change("kind: chatt", "kind: chat")
	h.until("the page is open", func() bool { return len(running.Handlers()) == 1 })
	for range 20 {
		do(true)
	}
	if got := len(running.Handlers()); got != 1 {
		t.Errorf("%d pages after the reloads, want 1", got)
	}
}

// TestAnEndLeavesNothingRunning: every goroutine is waited for.
func TestAnEndLeavesNothingRunning(t *testing.T) {
	h := newHost(t)
	before := goleak.IgnoreCurrent()
	running, reload, stop := h.start()
	h.until("a result", func() bool { return check(running.Health(context.Background()), "chat").Status == checks.OK })
	reload <- syscall.SIGHUP
	h.until("a reload", func() bool { return !running.Health(context.Background()).Config.ReloadedAt.IsZero() })
	stop()
	goleak.VerifyNone(t, before)
}

func TestAWriteThatTheEndCutsIsToldToTheNextProcess(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	reader, stuck := io.Pipe()
	t.Cleanup(func() { _ = reader.Close() })
	for name, out := range map[string]io.Writer{"nobody reads": stuck, "somebody reads": io.Discard} {
		h.stdout = out
		h.change("exporters: [", "exporters: [{name: lines, kind: stdout}, ")
		running, _, stop := h.start()
		h.until("a result", func() bool { return check(running.Health(t.Context()), "models").Status == checks.OK })
		stop()
		h.change("{name: lines, kind: stdout}, ", "")
		s := opened(t, filepath.Join(h.dir, "state"))
		if got, want := s.Unclean(), out == stuck; got != want {
			t.Errorf("%s: unclean is %v, want %v", name, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// lines is a standard output that keeps what it gets.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// The first record comes at once: it is of the slots that were missed while no agent ran.
func TestANewExporterMissesNothingOfItsFirstRun(t *testing.T) {
	t.Parallel()
	const count = 40
	h := newHost(t)
	out := &lines{}
	h.stdout = out
	for i := range count {
		h.change("exporters: [", fmt.Sprintf("exporters: [{name: lines-%d, kind: stdout}, ", i))
	}
	dir, before := filepath.Join(h.dir, "state"), time.Now().Add(-time.Hour)
	s := opened(t, dir)
	for _, name := range []string{"models", "chat"} {
		record := checks.OfReport(&checks.Report{
			ID: "before-" + name, Check: name, ScheduledAt: before, StartedAt: before, Trigger: checks.TriggerSchedule, Final: true, Slots: 1,
			Result: checks.Pass("well"),
		})
		if err := s.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	running, _, stop := h.start()
	h.until("a result", func() bool { return check(running.Health(t.Context()), "models").Status == checks.OK })
	stop()
	s = opened(t, dir)
	defer func() { _ = s.Close() }()
	err := s.Each(t.Context(), 2, func(e delivery.Entry) error {
		if got := strings.Count(out.text.String(), `"id":"`+e.Record.ID+`"`); got != count {
			t.Errorf("record %d was written by %d exporters, want all %d", e.Pos, got, count)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheLastResultsOutliveARestart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first, _, stop := h.start()
	h.until("a result", func() bool { return check(first.Health(t.Context()), "chat").Status == checks.OK })
	stop()
	h.change(`"@every 1s"`, `"@every 1h"`)
	h.change("run_at_start: true", "run_at_start: false")
	second, _, _ := h.start()
	if got := check(second.Health(t.Context()), "chat"); got.Status != checks.OK || got.LastRun.IsZero() {
		t.Errorf("after the restart the check is %s, last run %s; want ok and its time", got.Status, got.LastRun)
	}
}

// TestTheBreakersResetSpansTwoPaidIntervals: a shorter one would be over before it had kept a run from being paid.
func TestTheBreakersResetSpansTwoPaidIntervals(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("providers: {mistral:", `providers: {other: {base_url: "http://127.0.0.1:1", api_key: {env: KEY}}, mistral:`)
	h.change("kind: models,", "kind: models, provider: mistral,")
	h.change("kind: chat,", "kind: chat, provider: mistral,")
	for interval, want := range map[string]time.Duration{"20s": time.Minute, "30s": time.Minute, "45s": 90 * time.Second, "1h": 2 * time.Hour} {
		h.change(`chat, kind: chat, provider: mistral, schedule: "@every 1s"`, `chat, kind: chat, provider: mistral, schedule: "@every `+interval+`"`)
		cfg, err := h.load()
		if err != nil {
			t.Fatal(err)
		}
		var jobs []*pipeline.Job
		for _, c := range cfg.Checks {
			job := &pipeline.Job{Name: c.Name, Provider: c.Provider}
			if c.Kind == "chat" {
				job.Check = paidCheck{}
			}
			jobs = append(jobs, job)
		}
		got := agent.BreakersOf(cfg, jobs)
		if got["mistral"] != (pipeline.BreakerSettings{Failures: 5, Reset: want}) {
			t.Errorf("chat every %s: got %+v, want 5 failures and %s", interval, got["mistral"], want)
		}
		if got["other"].Reset != time.Minute {
			t.Errorf("a provider without paid checks: got %+v, want what the file says", got["other"])
		}
		h.change(`"@every `+interval+`"`, `"@every 1s"`)
	}
}

type paidCheck struct{ checks.Check }

func (paidCheck) MaxCost(time.Time) (checks.PicoUSD, bool) { return 1, true }

func TestCostOf(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	cfg, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	cost := agent.CostOf(cfg, h.registry())
	if cost.WorstPerDay <= 0 || !cost.PricesKnown || cost.PriceDate == "" {
		t.Errorf("got %+v", cost)
	}
	cfg.Checks = append(cfg.Checks, cfg.Checks[1])
	if twice := agent.CostOf(cfg, h.registry()); twice.WorstPerDay != 2*cost.WorstPerDay {
		t.Errorf("two chats cost %s, one %s", twice.WorstPerDay, cost.WorstPerDay)
	}
}

// TestAnOldResultIsNotGreen: what the store remembers of a time long before is overdue, until the check has run again.
func TestAnOldResultIsNotGreen(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change(`"@every 1s"`, `"@every 1h"`)
	h.change("run_at_start: true", "run_at_start: false")
	kept, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(h.dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-5 * time.Hour)
	for id, name := range map[string]string{"01M85KQ0000000000000000001": "models", "01M85KQ0000000000000000002": "chat"} {
		report := &checks.Report{
			ID: id, Check: name, Kind: name, Provider: "mistral", ScheduledAt: long, StartedAt: long,
			Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1, Result: checks.Pass("well"),
		}
		if err := kept.Append(t.Context(), checks.OfReport(report)); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	running, _, _ := h.start()
	health := running.Health(t.Context())
	if !check(health, "chat").Overdue || health.Services["mistral"].Status == status.Healthy || health.Status == status.Healthy {
		t.Errorf("five hours after its last result the check is overdue=%v, the provider %s, the agent %s",
			check(health, "chat").Overdue, health.Services["mistral"].Status, health.Status)
	}
}

// TestCountersOfTheAgentDoNotStartOverAtARestart: the snapshots of two lives add up to what was delivered.
func TestCountersOfTheAgentDoNotStartOverAtARestart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for range 2 {
		running, _, stop := h.start()
		before := running.Health(t.Context()).Exporters[0].Sent
		h.until("something is sent", func() bool { return running.Health(t.Context()).Exporters[0].Sent > before })
		stop()
	}
	kept, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(h.dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	told := 0.0
	if err := kept.Each(t.Context(), 0, func(e delivery.Entry) error {
		if e.Record.Agent != nil {
			for _, m := range e.Record.Agent.Measurements {
				if m.Name == "windsock.export.sent" {
					told += m.Value
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	totals, err := kept.Deliveries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if told <= 0 || told > float64(totals[0].Counts.Sent) {
		t.Errorf("the snapshots add up to %v records sent, the store counts %d", told, totals[0].Counts.Sent)
	}
}

// What is sent after the last snapshot of a process is told by the first one of the next.
func TestCountersOfTheAgentMissNothingAtARestart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, last := range []bool{false, false, true} {
		if last { // nothing runs, so that everything is sent before the last snapshot
			h.change("@every 1s", "@every 10h")
			h.change("run_at_start: true", "run_at_start: false")
		}
		running, _, stop := h.start()
		h.until("a result", func() bool { return check(running.Health(t.Context()), "chat").Status == checks.OK })
		if last {
			h.until("an empty queue", func() bool { return running.Health(t.Context()).Exporters[0].Queue == 0 })
		}
		stop()
	}
	s := opened(t, filepath.Join(h.dir, "state"))
	defer func() { _ = s.Close() }()
	told, at := 0.0, delivery.Position(0)
	err := s.Each(t.Context(), 0, func(e delivery.Entry) error {
		if e.Record.Agent == nil {
			return nil
		}
		at = e.Pos
		for _, m := range e.Record.Agent.Measurements {
			if m.Name == "windsock.export.sent" {
				told += m.Value
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := float64(at - 1); told != want {
		t.Errorf("the snapshots add up to %v records sent, want the %v before the last one", told, want)
	}
}
