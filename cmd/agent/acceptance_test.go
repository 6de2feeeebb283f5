package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/store"
)

const canaryKey = "canary-key-8f2e61b7c9d04a53"

const acceptanceConfig = `
location: acceptance
labels: {env: test, service: checkout}
listen: %s
providers:
  mistral: {base_url: "http://%s", api_key: {env: MISTRAL_API_KEY}, breaker: {failures: 1000, reset: 60s}}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, with: {expect: [mistral-small-latest]}}
  - {name: chat-a, kind: chat, schedule: "@every 1s", timeout: 900ms, with: {model: mistral-small-latest}}
  - {name: chat-b, kind: chat, schedule: "@every 1s", timeout: 900ms, with: {model: no-such-model}}
  - {name: egress, kind: egress, schedule: "@every 1s", timeout: 900ms, with: {hosts: [{host: 127.0.0.1, port: %s, tls: false}]}}
exporters:
  - {name: lines, kind: stdout, with: {format: json}}
  - {name: collector, kind: otel, with: {endpoint: "%s", protocol: http/protobuf, events: all}}
  - {name: statsd, kind: datadog, with: {address: "unix://%s"}}
  - {name: scrape, kind: prometheus}
budget: {per_hour: 5, per_day: 50}
log: {level: debug}
`

// TestNothingIsLost is the promise of the product: the agent runs against the simulator with every exporter on, is killed
// in the middle, a backend is down for a while, and afterwards every backend has what the store has.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.start()
	w.until("results at every backend", func() bool { return w.otlp.Events() > 20 && w.statsd.Count() > 40 })
	w.otlp.Down.Store(true)
	refusedBefore := w.otlp.Refused.Load()
	w.until("the backend refusing", func() bool { return w.otlp.Refused.Load() > refusedBefore })
	kill(t, first, syscall.SIGKILL)
	second := w.start()
	w.until("the backend refusing after the restart", func() bool { return w.otlp.Refused.Load() > refusedBefore+2 })
	before := w.otlp.Events()
	w.otlp.Down.Store(false)
	w.until("the backlog at the backend", func() bool { return w.otlp.Events() > before+20 })
	w.until("a scrape", func() bool { return len(w.scrape()) > 0 })
	scraped := w.scrape()
	kill(t, second, syscall.SIGTERM)

	records := w.records()
	if len(records) < 40 {
		t.Fatalf("the store holds %d records, want at least 40", len(records))
	}
	w.checkLines(records)
	w.checkEvents(records)
	w.checkMetrics(records)
	w.checkStatsd(records)
	w.checkScrape(records, scraped)
	w.checkCanary()
}

// world is everything around the agent.
type world struct {
	t      *testing.T
	dir    string
	config string
	listen string
	otlp   *agenttest.Collector
	statsd *agenttest.Statsd
	sim    *simulator.Server

	simulator string // its address, where the test asks itself
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), otlp: agenttest.NewCollector()}
	backend := httptest.NewServer(w.otlp)
	t.Cleanup(backend.Close)
	w.statsd = agenttest.NewStatsd(t, filepath.Join(w.dir, "dsd.sock"))
	provider := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	w.sim = simulator.New(simulator.Options{Keys: map[string]bool{canaryKey: true}, Seed: 1, Speed: 10, Log: slog.New(slog.DiscardHandler)})
	var served sync.WaitGroup
	served.Go(func() {
		if err := w.sim.Serve(ctx, provider); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); served.Wait() })
	spare, err := agenttest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.listen = net.JoinHostPort("127.0.0.1", spare)
	_, port, _ := net.SplitHostPort(provider.Addr().String())
	w.config = filepath.Join(w.dir, "schedules.yaml")
	text := fmt.Sprintf(acceptanceConfig, w.listen, provider.Addr(), port, backend.URL, filepath.Join(w.dir, "dsd.sock"))
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs the agent as a process of its own; what it prints is appended to the files of the run before.
func (w *world) start(env ...string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), "windsock", "run", "--config", w.config)
	cmd.Env = []string{"STATE_DIRECTORY=" + filepath.Join(w.dir, "state"), "MISTRAL_API_KEY=" + canaryKey}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = w.appendTo("stdout"), w.appendTo("stderr")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func (w *world) appendTo(name string) *os.File {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = f.Close() })
	return f
}

// read is what the agent has printed so far.
func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func kill(t *testing.T, cmd *exec.Cmd, with syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(with); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if with == syscall.SIGTERM && err != nil {
		t.Errorf("SIGTERM: got %v, want exit 0", err)
	}
}

func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(w.dir, "stderr"))
	w.t.Fatalf("waited %s for %s; the agent's log ends:\n%s", patience, what, log[max(0, len(log)-4000):])
}

// records is what the store holds, in order.
func (w *world) records() []checks.Record {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Dir: filepath.Join(w.dir, "state"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var out []checks.Record
	if err := s.Each(w.t.Context(), 0, func(e delivery.Entry) error { out = append(out, e.Record); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) checkLines(records []checks.Record) {
	w.t.Helper()
	f, err := os.Open(filepath.Join(w.dir, "stdout"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	seen := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r checks.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // the line that kill -9 cut; its record comes again
		}
		seen[r.ID]++
	}
	missing(w.t, "stdout", records, seen)
}

func (w *world) checkEvents(records []checks.Record) {
	w.t.Helper()
	missing(w.t, "otel events", records, w.otlp.IDs())
}

func missing(t *testing.T, where string, records []checks.Record, seen map[string]int) {
	t.Helper()
	lost := 0
	for _, r := range records {
		if seen[r.ID] == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d of %d records are missing", where, lost, len(records))
	}
}

// checkMetrics wants every (metric, attributes, timestamp) of the store, gauges with their value, and each counter to have
// come to what the store adds up to, and no further.
func (w *world) checkMetrics(records []checks.Record) {
	w.t.Helper()
	points, most := w.otlp.Points(), w.otlp.Highest()
	totals, lost, wrong := map[string]float64{}, 0, 0
	for _, record := range records {
		for _, p := range exporters.Points(record) {
			got, ok := points[agenttest.PointKey(p, p.At.UnixNano())]
			switch {
			case !ok:
				lost++
				w.t.Logf("missing: %s %v at %s", p.Name, p.Attrs, p.At)
			case p.Kind == exporters.Gauge && got != p.Value:
				wrong++
			case p.Kind == exporters.Counter:
				key := agenttest.PointKey(p, 0)
				totals[key] += p.Value
			}
		}
	}
	if lost > 0 || wrong > 0 {
		w.t.Errorf("otel metrics: %d points missing, %d gauges wrong", lost, wrong)
	}
	for key, want := range totals {
		if highest := most[key]; !near(highest, want) {
			w.t.Errorf("otel counter %s reached %v, the store adds up to %v", key, highest, want)
		}
	}
	for key, highest := range most {
		if _, known := totals[key]; !known {
			w.t.Errorf("otel counter %s reached %v, the store has none", key, highest)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

// checkStatsd wants every (metric, tags, second) of the store with its value: of a count the sum of that second, of a gauge
// the last one. A backend keeps what came last.
func (w *world) checkStatsd(records []checks.Record) {
	w.t.Helper()
	type series struct {
		name, tags string
		at         int64
	}
	want := map[series]float64{}
	for _, record := range records {
		for _, p := range exporters.Points(record) {
			tags := make([]string, 0, len(p.Attrs))
			for _, a := range p.Attrs {
				tags = append(tags, strings.ToLower(a.Key+":"+a.Value))
			}
			key := series{exporters.DatadogName(p.Name), strings.Join(tags, ","), p.At.Unix()}
			if p.Kind == exporters.Counter {
				want[key] += p.Value
			} else {
				want[key] = p.Value
			}
		}
	}
	lost, wrong := 0, 0
	for key, value := range want {
		switch got, ok := w.statsd.Last(key.name, key.at, strings.Split(key.tags, ",")); {
		case !ok:
			lost++
			w.t.Logf("missing: %s %s at %d", key.name, key.tags, key.at)
		case !near(got, value):
			wrong++
			w.t.Logf("wrong: %s %s at %d is %v, want %v", key.name, key.tags, key.at, got, value)
		}
	}
	if lost+wrong > 0 {
		w.t.Errorf("datadog: %d points missing, %d wrong", lost, wrong)
	}
}

// scrape reads /metrics; nil where nobody answers.
func (w *world) scrape() map[string]*dto.MetricFamily {
	status, body := fetch(http.MethodGet, "http://"+w.listen+"/metrics", "")
	if status != http.StatusOK {
		return nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		w.t.Fatalf("reading the scrape: %v", err)
	}
	return families
}

// checkScrape wants the page to be the store at one moment: there is a record up to which the totals of all checks are
// those of the page, and the page's durations are the last ones up to there. A total that is too high matches no moment.
func (w *world) checkScrape(records []checks.Record, families map[string]*dto.MetricFamily) {
	w.t.Helper()
	runs, durations := byCheck(families["probe_runs_total"]), byCheck(families["probe_duration_seconds"])
	seen, last := map[string]float64{}, map[string]float64{}
	for _, record := range records {
		if record.Report != nil && record.Report.Final {
			delete(last, record.Report.Check) // a run that was skipped has no duration, and the one before is not its own
		}
		for _, p := range exporters.Points(record) {
			switch p.Name {
			case "probe.runs":
				seen[label(p.Attrs, "check")] += p.Value
			case "probe.duration":
				last[label(p.Attrs, "check")] = p.Value
			}
		}
		if maps.Equal(seen, runs) && maps.Equal(last, durations) {
			return
		}
	}
	w.t.Errorf("prometheus: runs %v with durations %v stand at no moment of the store, which ends at %v and %v", runs, durations, seen, last)
}

// byCheck sums the series of a metric by check.
func byCheck(family *dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "check" {
				out[l.GetValue()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return out
}

func label(attrs []exporters.Attr, key string) string {
	for _, a := range attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// checkCanary wants the key nowhere in what the agent wrote or sent.
func (w *world) checkCanary() {
	w.t.Helper()
	for _, name := range []string{"stdout", "stderr", "state/windsock.db", "state/windsock.db-wal"} {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil && !os.IsNotExist(err) {
			w.t.Error(err)
		}
		leaks(w.t, name, string(data))
	}
	leaks(w.t, "otlp", w.otlp.Raw())
	leaks(w.t, "statsd", w.statsd.Raw())
}
