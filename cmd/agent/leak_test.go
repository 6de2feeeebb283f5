package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
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
	for _, fault := range []simulator.Fault{
		{Status: http.StatusUnauthorized, EchoKey: true},
		{Status: http.StatusBadRequest, EchoKey: true},
		{Status: http.StatusInternalServerError, Body: "html", EchoKey: true},
		{Status: http.StatusTooManyRequests, Body: "kong", EchoKey: true},
		{Status: http.StatusNotFound, Body: "detail", EchoKey: true},
		{Redirect: "http://127.0.0.1:1/login?next=1"},
		{Reset: "mid_body"},
		{Body: "invalid_utf8"},
		{GzipBomb: 64 << 20},
		{KeyRevoked: true},
	} {
		if err := w.sim.Apply(fault); err != nil {
			t.Fatal(err)
		}
		seen := w.failures("chat-a")
		w.until("a failure under the fault", func() bool { return w.failures("chat-a") > seen })
		for _, page := range []string{"/health", "/health/mistral", "/metrics", "/"} {
			_, body := fetch(http.MethodGet, "http://"+w.listen+page, "")
			served.WriteString(body)
		}
		w.sim.Clear()
	}
	kill(t, cmd, syscall.SIGTERM)
	if served.Len() == 0 {
		t.Error("nothing was served")
	}
	leaks(t, "http", served.String())
	w.checkCanary()
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
