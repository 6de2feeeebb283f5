//go:build faults || soak

package faults_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// soakFor is how long the soak goes on.
//
//nolint:gochecknoglobals // a flag of the test binary
var soakFor = flag.Duration("soak", time.Minute, "how long the soak goes on")

// soak is a world that goes wrong at random.
type soak struct {
	*world
	t       *testing.T
	p       *agenttest.Process
	text    string
	key     string
	keys    int
	done    map[string]int
	samples *samples
	began   time.Time
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	w := newWorld(t)
	s := &soak{world: w, t: t, done: map[string]int{}, samples: newSamples()}
	s.key = "key-number-0-0123456789abcdef"
	w.sim, w.api = agenttest.Simulator(t, "127.0.0.1:0", simulator.Options{Seed: 1, Speed: 20, Keys: map[string]bool{s.key: true}})
	s.writeKey()
	statsd := filepath.Join(w.Dir, "dsd.sock")
	agenttest.NewStatsd(t, statsd)
	var more strings.Builder
	for i := range 8 {
		fmt.Fprintf(&more, "  - {name: list-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, with: {}}\n", i)
		fmt.Fprintf(&more, "  - {name: talk-%d, kind: chat, schedule: \"@every 2s\", timeout: 1900ms, with: {model: mistral-small-latest}}\n", i)
	}
	fmt.Fprintf(&more, "  - {name: slow, kind: models, schedule: \"*/5 * * * * *\", timeout: 3s, confirm: 1s, with: {}}\n")
	text := w.config(w.otlp()+fmt.Sprintf("  - {name: statsd, kind: datadog, with: {address: \"unix://%s\"}}\n  - {name: scrape, kind: prometheus}\n", statsd), "")
	text = strings.Replace(text, "{env: KEY}", "{file: "+filepath.Join(w.Dir, "key")+"}", 1)
	text = strings.Replace(text, "failures: 1000, reset: 60s", "failures: 10, reset: 5s", 1)
	s.text = strings.Replace(text, "exporters:\n", more.String()+"exporters:\n", 1)
	w.Write(s.text)
	return s
}

func (s *soak) writeKey() {
	s.t.Helper()
	path := filepath.Join(s.Dir, "key")
	if err := os.WriteFile(path+".new", []byte(s.key+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

// admin speaks to the simulator as anybody else does.
func (s *soak) admin(method, path, body string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), agenttest.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.api+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s %s: status %d", method, path, body, resp.StatusCode)
	}
}

// trouble is one thing that goes wrong, or right again.
func (s *soak) trouble() {
	faults := []string{
		`{"error":"capacity","probability":0.5}`, `{"route":"chat","error":"internal"}`, `{"latency":"3s","jitter":"2s"}`,
		`{"route":"chat","stall_after":1}`, `{"route":"chat","truncate_after":1}`, `{"reset":"mid_body","probability":0.3}`,
		`{"route":"chat","error":"rate_limited","retry_after":"2s"}`, `{"huge_body":20000000,"probability":0.2}`,
		`{"gzip_bomb":50000000,"probability":0.2}`, `{"error":"captive_portal"}`, `{"redirect":"http://127.0.0.1:1/"}`,
		`{"body":"invalid_utf8","status":200}`, `{"status":401,"echo_key":true}`,
	}
	actions := []struct {
		name string
		do   func()
	}{
		{"fault", func() { s.admin(http.MethodPost, "/admin/faults", faults[rand.IntN(len(faults))]) }},
		{"clear", func() { s.admin(http.MethodDelete, "/admin/faults", "") }},
		{"clear", func() { s.admin(http.MethodDelete, "/admin/faults", "") }},
		{"backend down", func() { s.collector.Down.Store(true) }},
		{"backend up", func() { s.collector.Down.Store(false) }},
		{"reload", func() {
			s.Write(strings.Replace(s.text, "name: talk-0", fmt.Sprintf("name: talk-0-%d", rand.IntN(2)), 1))
			s.p.Signal(syscall.SIGHUP)
		}},
		{"bad reload", func() { s.Write(s.text + "what: is this\n"); s.p.Signal(syscall.SIGHUP) }},
		{"key rotation", func() {
			s.keys++
			old := s.key
			s.key = fmt.Sprintf("key-number-%d-0123456789abcdef", s.keys)
			s.admin(http.MethodPost, "/admin/keys", fmt.Sprintf(`{"accept":%q,"revoke":%q}`, s.key, old))
			s.writeKey()
		}},
		{"stop", func() {
			s.p.Signal(syscall.SIGSTOP)
			pause(1500 * time.Millisecond)
			s.p.Signal(syscall.SIGCONT)
		}},
	}
	a := actions[rand.IntN(len(actions))]
	s.done[a.name]++
	a.do()
}

// run lets things go wrong every two seconds, and looks at the process every second.
func (s *soak) run(d time.Duration) {
	s.p = s.Start()
	s.UntilReady()
	s.began = time.Now()
	for i := 0; time.Since(s.began) < d; i++ {
		if i%2 == 0 {
			s.trouble()
		}
		pause(time.Second)
		if _, page := s.Page("/metrics"); page == "" {
			s.t.Error("no page")
		}
		if at := time.Since(s.began); at > d/5 {
			s.samples.add(at.Minutes(), s.Health().Process)
		}
		if s.p.Over() {
			s.t.Fatalf("the agent ended in the soak; its log ends:\n%s", s.Log()[max(0, len(s.Log())-4000):])
		}
	}
}

// settle lets everything be well again and ends the agent.
func (s *soak) settle() {
	s.admin(http.MethodDelete, "/admin/faults", "")
	s.collector.Down.Store(false)
	s.Write(s.text)
	s.Until("the reload", func() bool {
		s.p.Signal(syscall.SIGHUP)
		pause(time.Second)
		return s.Health().Config.ReloadOK
	})
	s.Until("the backlog to be gone", func() bool {
		for _, e := range s.Health().Exporters {
			if e.Queue > 60 || e.Held {
				return false
			}
		}
		return s.Health().Ready
	})
	s.heals(s.t)
	s.p.Stop()
}

// account is the oracle: what was due, and what the store says became of it.
func (s *soak) account() {
	t := s.t
	stored := s.Stored()
	accounted(t, stored)
	snapshots := 0
	for _, r := range stored {
		if r.Agent == nil {
			continue
		}
		names := map[string]bool{}
		for _, m := range r.Agent.Measurements {
			names[m.Name] = true
		}
		if snapshots++; !names["windsock.process.memory.usage"] || !names["windsock.process.goroutines"] || !names["windsock.process.open_file_descriptors"] {
			t.Errorf("the agent's own state lacks what its process takes: %v", names)
		}
	}
	lines := map[string]int{}
	for _, r := range s.Reports() {
		lines[r.ID]++
	}
	var reports []checks.Record
	for _, r := range stored {
		if r.Report != nil {
			reports = append(reports, r)
		}
	}
	if n := missing(reports, lines); n > 0 {
		t.Errorf("standard output misses %d of %d reports", n, len(reports))
	}
	if n := missing(stored, s.collector.IDs()); n > 0 {
		t.Errorf("the collector misses %d of %d records", n, len(stored))
	}
	for _, where := range []string{s.Log(), s.collector.Raw()} {
		if strings.Contains(where, s.key) {
			t.Error("the key is in the log or at the collector")
		}
	}
	t.Logf("%s of trouble %v: %d records, %d snapshots", time.Since(s.began).Round(time.Second), s.done, len(stored), snapshots)
}

// TestSoakUnderRandomFaults: memory, goroutines and descriptors are flat, every slot is accounted for, no record is lost.
// A minute in `make test-faults`, as long as you like in `make soak`. The slopes of a minute are mostly noise: only what
// grows without shame is found there.
func TestSoakUnderRandomFaults(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	s.run(*soakFor)
	most := tolerance{goroutines: 60, files: 60}
	if *soakFor >= 5*time.Minute {
		most = tolerance{goroutines: 2, files: 1, memory: 768 << 10}
	}
	s.samples.flat(t, "minute", most)
	s.settle()
	s.account()
}
