package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/exporters"
)

// otlpSink is a collector: it decodes what it gets with the official types, and can be down.
type otlpSink struct {
	down    atomic.Bool
	refused atomic.Int64

	mu      sync.Mutex
	ids     map[string]int     // of records, from log events
	points  map[string]float64 // by name, attributes and time
	highest map[string]float64 // of monotonic sums
	raw     strings.Builder
}

func (s *otlpSink) events() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

func (s *otlpSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		s.refused.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = s.take(r.URL.Path, data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *otlpSink) take(path string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(data)
	switch path {
	case "/v1/metrics":
		var req colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(data, &req); err != nil {
			return err
		}
		s.metrics(&req)
	case "/v1/logs":
		var req collogs.ExportLogsServiceRequest
		if err := proto.Unmarshal(data, &req); err != nil {
			return err
		}
		s.logs(&req)
	}
	return nil
}

func (s *otlpSink) logs(req *collogs.ExportLogsServiceRequest) {
	for _, resource := range req.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				for _, a := range record.GetAttributes() {
					if strings.HasSuffix(a.GetKey(), "record.id") {
						s.ids[a.GetValue().GetStringValue()]++
					}
				}
			}
		}
	}
}

func (s *otlpSink) metrics(req *colmetrics.ExportMetricsServiceRequest) {
	if s.highest == nil {
		s.highest = map[string]float64{}
	}
	for _, resource := range req.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				for _, p := range m.GetGauge().GetDataPoints() {
					s.points[protoKey(m.GetName(), p.GetAttributes(), p.GetTimeUnixNano())] = p.GetAsDouble()
				}
				for _, p := range m.GetSum().GetDataPoints() {
					s.points[protoKey(m.GetName(), p.GetAttributes(), p.GetTimeUnixNano())] = p.GetAsDouble()
					total := protoKey(m.GetName(), p.GetAttributes(), 0)
					s.highest[total] = max(s.highest[total], p.GetAsDouble())
				}
				for _, p := range m.GetHistogram().GetDataPoints() {
					s.points[protoKey(m.GetName(), p.GetAttributes(), p.GetTimeUnixNano())] = float64(p.GetCount())
				}
			}
		}
	}
}

func protoKey(name string, attrs []*commonpb.KeyValue, at uint64) string {
	p := exporters.Point{Name: name}
	for _, a := range attrs {
		p.Attrs = append(p.Attrs, exporters.Attr{Key: a.GetKey(), Value: a.GetValue().GetStringValue()})
	}
	slices.SortFunc(p.Attrs, func(a, b exporters.Attr) int { return strings.Compare(a.Key, b.Key) })
	return pointKey(p, int64(at))
}

// statsdSink is a Datadog agent's socket.
type statsdSink struct {
	mu    sync.Mutex
	lines []string
	index map[string][]sample // by name and timestamp
}

type sample struct {
	tags  string // ",a:b,c:d,"
	value float64
}

func newStatsdSink(t *testing.T, path string) *statsdSink {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20)
	s := &statsdSink{index: map[string][]sample{}}
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFromUnix(buffer)
			if err != nil {
				return
			}
			s.take(string(buffer[:n]))
		}
	})
	t.Cleanup(func() { _ = conn.Close(); reading.Wait() })
	return s
}

func (s *statsdSink) take(datagram string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimSpace(datagram), "\n") {
		s.lines = append(s.lines, line)
		name, rest, _ := strings.Cut(line, ":")
		var at, tags string
		number, _, _ := strings.Cut(rest, "|")
		value, _ := strconv.ParseFloat(number, 64)
		for field := range strings.SplitSeq(rest, "|") {
			if v, ok := strings.CutPrefix(field, "T"); ok {
				at = v
			}
			if v, ok := strings.CutPrefix(field, "#"); ok {
				tags = "," + v + ","
			}
		}
		key := name + "@" + at
		s.index[key] = append(s.index[key], sample{tags, value})
	}
}

func (s *statsdSink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// last is the value that came last; false where none did.
func (s *statsdSink) last(name string, at int64, tags []string) (float64, bool) {
	for _, got := range slices.Backward(s.index[fmt.Sprintf("%s@%d", name, at)]) {
		if !slices.ContainsFunc(tags, func(tag string) bool { return !strings.Contains(got.tags, ","+tag+",") }) {
			return got.value, true
		}
	}
	return 0, false
}
