package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// TestTheKeyIsNowhere runs the agent through every fault of the simulator, the ones that quote the key among them, and
// looks for the key in everything that it wrote, sent and served.
func TestTheKeyIsNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cmd := w.start()
	var served strings.Builder
	for name, fault := range unkind() {
		if err := w.sim.Apply(fault); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen := w.failures("chat-a")
		w.until("a failure under the fault "+name, func() bool { return w.failures("chat-a") > seen })
		for _, page := range []string{"/health", "/health/mistral", "/metrics", "/"} {
			_, body := fetch(http.MethodGet, "http://"+w.listen+page, "")
			served.WriteString(body)
		}
		w.sim.Clear()
	}
	if err := w.sim.Apply(simulator.Fault{Status: http.StatusBadRequest, Message: echoes(), EchoKey: true}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "chat-a", "models"}, {"check", "-o", "json", "chat-a"}, {"status"}, {"status", "-o", "json"}, {"validate", "--online"}} {
		served.WriteString(w.run(args...))
	}
	kill(t, cmd, syscall.SIGTERM)
	leaks(t, "what was served", served.String())
	for _, want := range []string{`"services"`, "probe_success", "bad_request", "agent "} {
		if !strings.Contains(served.String(), want) {
			t.Errorf("nothing that was served holds %q", want)
		}
	}
	w.checkCanary()
}

// TestADumpHoldsNoKey: SIGQUIT, as systemd's watchdog sends SIGABRT, prints every goroutine.
func TestADumpHoldsNoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cmd := w.start()
	if err := w.sim.Apply(simulator.Fault{Latency: time.Hour}); err != nil { // so that requests are in flight
		t.Fatal(err)
	}
	w.until("a run that ends without an answer", func() bool { return w.failures("chat-a") > 0 })
	kill(t, cmd, syscall.SIGQUIT)
	if dump := w.read("stderr"); !strings.Contains(dump, "goroutine ") {
		t.Errorf("no dump in %s", dump)
	}
	w.checkCanary()
}

// unkind are the faults of the simulator, each with the key wherever it can be put.
func unkind() map[string]simulator.Fault {
	headers := map[string]string{}
	for _, name := range []string{
		"Mistral-Correlation-Id", "X-Kong-Request-Id", "X-Ratelimit-Limit-Req-Minute", "X-Ratelimit-Remaining-Tokens-Month", "Retry-After",
		"X-Envoy-Upstream-Service-Time", "Set-Cookie", "Server", "Www-Authenticate",
	} {
		headers[name] = "Bearer " + canaryKey
	}
	three := 3
	faults := map[string]simulator.Fault{
		"redirect":      {Redirect: "http://127.0.0.1:1/login?key=" + canaryKey, Headers: headers},
		"reset":         {Reset: "mid_body", Headers: headers},
		"truncated":     {TruncateAfter: new(int), Headers: headers},
		"stalled":       {StallAfter: new(int), Headers: headers},
		"error frame":   {Route: simulator.RouteChat, ErrorFrame: new(int), Message: echoes()},
		"late frame":    {Route: simulator.RouteChat, ErrorFrame: &three, Message: echoes()},
		"gzip bomb":     {GzipBomb: 64 << 20, Headers: headers},
		"huge body":     {HugeBody: 16 << 20, Headers: headers},
		"key revoked":   {KeyRevoked: true, Headers: headers},
		"no allowance":  {NoAllowance: true},
		"nothing there": {EmptyContent: true, Headers: headers},
	}
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError}
	for i, shape := range simulator.Shapes() {
		faults[shape] = simulator.Fault{Status: statuses[i%len(statuses)], Body: shape, Message: echoes(), EchoKey: true, Headers: headers}
	}
	return faults
}

// run is what a verb prints beside the running agent.
func (w *world) run(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "windsock", append(args, "--config", w.config)...)
	cmd.Env = []string{"STATE_DIRECTORY=" + filepath.Join(w.dir, "state"), "MISTRAL_API_KEY=" + canaryKey}
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		w.t.Fatal(err)
	}
	return string(out)
}

// failures counts the runs of a check that did not go well, as the stdout exporter told them.
func (w *world) failures(check string) int {
	data, err := os.ReadFile(filepath.Join(w.dir, "stdout"))
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, `"check":"`+check+`"`) && !strings.Contains(line, `"status":"ok"`) && strings.Contains(line, `"started_at"`) {
			n++
		}
	}
	return n
}

// TestLibrariesPrintNoKey: net/http prints what a server says on a connection that it keeps, and OpenTelemetry's exporter
// the environment's headers that it cannot read. Neither goes past the agent's own log and its scrubber.
func TestLibrariesPrintNoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var said atomic.Int64
	provider := outboundtest.Raw(t, func(conn net.Conn, _ <-chan struct{}) {
		in := bufio.NewReader(conn)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		const body = `{"data":[{"id":"mistral-small-latest"}]}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		// The client has the whole answer and reads on; what comes now answers nothing.
		for range 20 {
			time.Sleep(20 * time.Millisecond)
			if _, err := fmt.Fprintf(conn, "your key is %s\r\n", req.Header.Get("Authorization")); err != nil {
				return
			}
			said.Add(1)
		}
	})
	text := fmt.Sprintf(`
listen: %s
providers:
  mistral: {base_url: "http://%s", api_key: {env: MISTRAL_API_KEY}, reuse_connections: true}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true}
exporters:
  - {name: collector, kind: otel, with: {endpoint: "http://127.0.0.1:1", headers: {x-scope: test}}}
grace: 100ms
log: {level: debug, format: json}
`, w.listen, provider)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := w.start("OTEL_EXPORTER_OTLP_HEADERS=x-key=%zz"+canaryKey, "OTEL_EXPORTER_OTLP_METRICS_HEADERS="+canaryKey)
	w.until("the server's words and a failed export", func() bool { return said.Load() > 2 && strings.Contains(w.read("stderr"), "export failed") })
	kill(t, cmd, syscall.SIGTERM)
	log := w.read("stderr")
	leaks(t, "the log", log)
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}
