package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// alertWorld is what an agent watches, and who is told: a simulated provider, an application, a Prometheus, and a webhook
// that notes what it gets. All of it can break. Times are divided by speed.
type alertWorld struct {
	t     *testing.T
	name  string
	speed float64
	dir   string
	sim   *simulator.Server
	sink  *alertSink

	mu      sync.Mutex // guards the rest
	text    string     // of the file
	env     map[string]string
	loses   bool               // ending it loses records, and it says so
	broken  bool               // the application, the heartbeat's receiver and the collector
	queries map[string]float64 // what the Prometheus answers, by question; no answer for others
	told    []checks.Alert     // transitions, as the stdout exporter writes them
	reports int
	rest    []byte // of the line that is not whole yet
	log     bytes.Buffer
	urls    map[string]string // by word in the file
}

func newAlertWorld(t *testing.T, name string, speed float64, checksText, extra string) *alertWorld {
	t.Helper()
	w := &alertWorld{
		t: t, name: name, speed: speed, dir: t.TempDir(), sim: simulator.New(simulator.Options{Seed: 1}), sink: &alertSink{}, urls: map[string]string{},
		env: map[string]string{"KEY": "k-0123456789", "OTHER": "k-9876543210"}, queries: map[string]float64{},
	}
	w.serve("SIMULATOR", w.sim.Handler())
	w.serve("APP", w.unlessBroken(`{"status":"healthy"}`))
	w.serve("COLLECTOR", w.unlessBroken(""))
	w.serve("PROMETHEUS", http.HandlerFunc(w.answerQuery))
	w.env["SINK"] = w.serve("SINK", w.sink)
	w.env["HEARTBEAT"] = w.serve("HEARTBEAT", w.unlessBroken(""))
	w.text = `
listen: ""
grace: 3s
providers: {mistral: {base_url: "http://SIMULATOR", api_key: {env: KEY}, fallback_api_key: {env: OTHER}}}
checks:
` + checksText + `
exporters:
  - {name: sink, kind: webhook, with: {url: {env: SINK}}}
  - {name: lines, kind: stdout}
` + extra
	return w
}

// serve opens a server and lets the file name its address by a word.
func (w *alertWorld) serve(word string, h http.Handler) string {
	server := httptest.NewServer(h)
	w.t.Cleanup(server.Close)
	w.urls[word] = strings.TrimPrefix(server.URL, "http://")
	return server.URL
}

func (w *alertWorld) unlessBroken(answer string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if w.isBroken() {
			http.Error(rw, "broken", http.StatusInternalServerError)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, answer)
	})
}

func (w *alertWorld) isBroken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *alertWorld) setBroken(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = yes
}

// query has the Prometheus answer a question of the checklist.
func (w *alertWorld) query(name string, value float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries[name] = value
}

func (w *alertWorld) answerQuery(rw http.ResponseWriter, r *http.Request) {
	asked := r.FormValue("query")
	w.mu.Lock()
	defer w.mu.Unlock()
	type sample struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"`
	}
	result := []sample{}
	for _, q := range traffic.Questions(traffic.Checklist()) {
		if value, known := w.queries[q.Name]; known && q.PromQL == asked {
			labels := map[string]string{}
			for _, by := range q.By {
				labels[by] = "app-1"
			}
			result = append(result, sample{labels, [2]any{float64(time.Now().UnixMilli()) / 1000, fmt.Sprint(value)}})
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

// Write takes the agent's lines: its records and its log.
func (w *alertWorld) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		var record checks.Record
		err := json.Unmarshal(line, &record)
		switch {
		case err != nil:
		case record.Alert != nil:
			w.told = append(w.told, *record.Alert)
		case record.Report != nil:
			w.reports++
		}
		w.rest = rest
	}
}

func (w *alertWorld) getenv(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.env[name]
}

func (w *alertWorld) setenv(name, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.env[name] = value
}

func (w *alertWorld) change(old, fresh string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.text, old) {
		w.t.Errorf("%s: the file does not hold %q", w.name, old)
	}
	w.text = strings.ReplaceAll(w.text, old, fresh)
}

func (w *alertWorld) load() (*config.Config, error) {
	w.mu.Lock()
	text := w.text
	for word, address := range w.urls {
		text = strings.ReplaceAll(text, word+"/", address+"/")
		text = strings.ReplaceAll(text, word+`"`, address+`"`)
	}
	w.mu.Unlock()
	cfg, err := config.Parse(filepath.Join(w.dir, "test.yaml"), []byte(text), config.Options{
		Registry: w.registry(), Getenv: w.getenv, Secrets: secret.NewResolver(secret.Options{Getenv: w.getenv, Log: slog.New(slog.DiscardHandler)}),
	})
	if err != nil {
		return nil, err
	}
	cfg.StateDir = filepath.Join(w.dir, "state")
	return config.Compress(cfg, w.speed), nil
}

func (w *alertWorld) registry() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
}

// lockedLog is the agent's log in the world's memory.
type lockedLog struct{ w *alertWorld }

func (l lockedLog) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(p)
}

// start runs the agent until stop, which waits for its end.
func (w *alertWorld) start() (reload chan<- os.Signal, stop func(), err error) {
	cfg, err := w.load()
	if err != nil {
		return nil, nil, err
	}
	running, err := agent.New(context.Background(), agent.Options{
		Config: cfg, Reload: w.load, Registry: w.registry(), Version: "test", Log: slog.New(slog.NewTextHandler(lockedLog{w}, nil)),
		Getenv: w.getenv, Stdout: w,
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- running.Run(ctx, signals) }()
	var once sync.Once
	return signals, func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil && !w.loses {
				w.t.Errorf("%s: the agent ended with %v", w.name, err)
			}
		})
	}, nil
}

// until waits for something to hold, for minutes if the machine is busy.
func (w *alertWorld) until(what string, holds func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 200 * 50 { // a notifier that was down for a minute is tried again within two
		if holds() {
			return true
		}
		<-tick.C
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	tail := w.log.Bytes()
	w.t.Errorf("%s: never: %s; told %v; the sink has %v; the log ends:\n%s", w.name, what, brief(w.told), w.sink.brief(), tail[max(0, len(tail)-1500):])
	return false
}

func brief(all []checks.Alert) []string {
	out := make([]string, 0, len(all))
	for i := range all {
		a := &all[i]
		out = append(out, fmt.Sprintf("%s %s→%s %s %s %q", a.Rule, a.Previous, a.State, a.Severity, a.Muted, a.Summary))
	}
	return out
}

// state is the last that was told of the rule's alerts.
func (w *alertWorld) state(rule string) checks.AlertState {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range slices.Backward(w.told) {
		if a.Rule == rule {
			return a.State
		}
	}
	return ""
}

// last is the last transition of the rule's alerts into an open state.
func (w *alertWorld) last(rule string) checks.Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range slices.Backward(w.told) {
		if a.Rule == rule && a.State.Open() {
			return a
		}
	}
	return checks.Alert{}
}

// alertSink is a webhook that notes which alerts began and ended, and can be down.
type alertSink struct {
	mu   sync.Mutex // guards the rest
	down bool
	got  []sinkAlert
}

type sinkAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Fingerprint string            `json:"fingerprint"`
	kind        string            // opened, changed, resolved, reminder
}

// ServeHTTP reads Alertmanager's webhook.
func (s *alertSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Alerts []sinkAlert `json:"alerts"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		for _, a := range body.Alerts {
			a.kind = r.Header.Get("X-Windsock-Kind")
			s.got = append(s.got, a)
		}
	}
}

func (s *alertSink) setDown(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = yes
}

// of is what came of a rule, in order, as "opened P1"; changes of an open alert and reminders are left out.
func (s *alertSink) of(rule string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.got {
		if a.Labels["alertname"] == rule && (a.kind == "opened" || a.kind == "resolved") {
			out = append(out, a.kind)
		}
	}
	return out
}

func (s *alertSink) brief() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, a := range s.got {
		out = append(out, a.Labels["alertname"]+" "+a.kind+" "+a.Labels["severity"])
	}
	return out
}
