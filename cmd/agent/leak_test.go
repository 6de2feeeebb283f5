package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
