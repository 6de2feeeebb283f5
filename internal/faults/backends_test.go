package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/status"
)

// exporter is what /health says of an exporter.
func (w *world) exporter(name string) status.Exporter {
	for _, e := range w.Health().Exporters {
		if e.Name == name {
			return e
		}
	}
	return status.Exporter{}
}

// TestFault01ABackendThatIsDownDelaysNobodyAndLosesNothing: one backend refuses, one never answers; the third gets all
// at once. What the first missed comes when it is back, in order. Hours of it are in TestBackendDownForHoursAndBack.
func TestFault01ABackendThatIsDownDelaysNobodyAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := agenttest.FreeAddress(t)
	hung := outboundtest.Raw(t, func(_ net.Conn, done <-chan struct{}) { <-done })
	w.Write(w.config(fmt.Sprintf(
		"  - {name: down, kind: otel, timeout: 1s, with: {endpoint: \"http://%s\", events: all}}\n  - {name: hung, kind: otel, timeout: 1s, with: {endpoint: \"http://%s\"}}\n",
		address, hung), ""))
	p := w.Start()
	w.UntilReady()
	w.Until("results on standard output, and the others waiting", func() bool {
		return len(w.Of("chat")) > 5 && w.exporter("down").Queue > 10 && w.exporter("hung").Queue > 10
	})
	if e := w.exporter("lines"); e.QueueAge > 30 {
		t.Errorf("standard output waits for %.0f s, because of others", e.QueueAge)
	}
	server := &httptest.Server{Listener: agenttest.Listener(t, address), Config: &http.Server{Handler: w.collector, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	w.Until("the backlog at the backend", func() bool { e := w.exporter("down"); return w.collector.Events() > 10 && e.Queue < 5 })
	p.Stop()

	stored := w.Stored()
	if n := missing(stored, w.collector.IDs()); n > 0 {
		t.Errorf("the backend that was down misses %d of %d records", n, len(stored))
	}
	var ids []string
	for _, r := range stored {
		ids = append(ids, r.ID)
	}
	if order := w.collector.Order(); !slices.Equal(order, ids) {
		t.Errorf("%d records came in another order than the %d that are stored", len(order), len(ids))
	}
	if log := w.Log(); strings.Count(log, "export failed") > 12 {
		t.Errorf("a backend that is down is told %d times", strings.Count(log, "export failed"))
	}
}

// throttle is a collector that says how long to wait, and then takes all but some points.
type throttle struct {
	collector *agenttest.Collector

	mu       sync.Mutex // guards the rest
	status   int        // answered where not 0
	after    string     // Retry-After
	attempts []time.Time
	partial  int64
}

// ServeHTTP implements http.Handler.
func (h *throttle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.attempts = append(h.attempts, time.Now())
	status, after, partial := h.status, h.after, h.partial
	if status == 0 && r.URL.Path == "/v1/metrics" {
		h.partial = 0
	}
	h.mu.Unlock()
	if status != 0 {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
		return
	}
	if partial > 0 && r.URL.Path == "/v1/metrics" {
		body, _ := proto.Marshal(&colmetrics.ExportMetricsServiceResponse{PartialSuccess: &colmetrics.ExportMetricsPartialSuccess{RejectedDataPoints: partial}})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
		return
	}
	h.collector.ServeHTTP(w, r)
}

func (h *throttle) become(status int, after string, partial int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.after, h.partial, h.attempts = status, after, partial, nil
}

func (h *throttle) seen() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.attempts)
}

// TestFault02ABackendThatThrottlesIsGivenItsTime: Retry-After is honoured, there is no storm, what it refuses is counted.
func TestFault02ABackendThatThrottlesIsGivenItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := &throttle{collector: w.collector}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.backend = server.URL
	h.become(http.StatusServiceUnavailable, "2", 0)
	w.Write(w.config(w.otlp(), ""))
	p := w.Start()
	w.UntilReady()
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		h.become(status, "2", 0)
		w.Until("attempts", func() bool { return len(h.seen()) >= 2 })
		for i, at := range h.seen()[1:] {
			if gap := at.Sub(h.seen()[i]); gap < 2*time.Second {
				t.Errorf("status %d: it came again after %s, was asked to wait 2s", status, gap)
			}
		}
	}
	h.become(0, "", 3)
	w.Until("the refused points to be counted", func() bool { return w.exporter("collector").Rejected["points"] == 3 })
	w.Until("the backlog to be gone", func() bool { e := w.exporter("collector"); return e.Queue < 5 && e.Sent > 5 })
	p.Stop()
	stored := w.Stored()
	if n := missing(stored, w.collector.IDs()); n > 0 {
		t.Errorf("the collector misses %d of %d records", n, len(stored))
	}
}
