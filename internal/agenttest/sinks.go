package agenttest

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
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
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/exporters"
)

// Collector is an OTLP backend over HTTP: it decodes what it gets with the official types, and can be down.
type Collector struct {
	Down    atomic.Bool  // every request is refused with 503
	Refused atomic.Int64 // requests

	mu      sync.Mutex
	order   []string           // ids of records, in the order in which they came first
	ids     map[string]int     // of records, from log events
	points  map[string]float64 // by name, attributes and time
	highest map[string]float64 // of monotonic sums
	raw     strings.Builder
}

// NewCollector makes a collector that is up. It is an http.Handler.
func NewCollector() *Collector {
	return &Collector{ids: map[string]int{}, points: map[string]float64{}, highest: map[string]float64{}}
}

// Events is how many records have come as log events.
func (s *Collector) Events() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

// IDs is how often each record has come as a log event.
func (s *Collector) IDs() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ids)
}

// Order is the records' ids in the order in which they came first.
func (s *Collector) Order() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// Points is the value of each point that has come, by PointKey.
func (s *Collector) Points() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.points)
}

// Highest is the highest value of each cumulative sum, by PointKey at time 0.
func (s *Collector) Highest() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.highest)
}

// Raw is every byte that has come.
func (s *Collector) Raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// ServeHTTP implements http.Handler.
func (s *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Down.Load() {
		s.Refused.Add(1)
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

func (s *Collector) take(path string, data []byte) error {
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

func (s *Collector) logs(req *collogs.ExportLogsServiceRequest) {
	for _, resource := range req.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				for _, a := range record.GetAttributes() {
					if strings.HasSuffix(a.GetKey(), "record.id") {
						s.seen(a.GetValue().GetStringValue())
					}
				}
			}
		}
	}
}

// seen notes an id. The caller holds mu.
func (s *Collector) seen(id string) {
	if s.ids[id]++; s.ids[id] == 1 {
		s.order = append(s.order, id)
	}
}

func (s *Collector) metrics(req *colmetrics.ExportMetricsServiceRequest) {
	for _, resource := range req.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				s.metric(m)
			}
		}
	}
}

func (s *Collector) metric(m *metricspb.Metric) {
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

func protoKey(name string, attrs []*commonpb.KeyValue, at uint64) string {
	p := exporters.Point{Name: name}
	for _, a := range attrs {
		p.Attrs = append(p.Attrs, exporters.Attr{Key: a.GetKey(), Value: a.GetValue().GetStringValue()})
	}
	slices.SortFunc(p.Attrs, func(a, b exporters.Attr) int { return strings.Compare(a.Key, b.Key) })
	return PointKey(p, int64(at))
}

// PointKey names a point by its metric, its attributes and its time in nanoseconds.
func PointKey(p exporters.Point, at int64) string {
	var b strings.Builder
	b.WriteString(p.Name)
	for _, a := range p.Attrs {
		b.WriteString("|" + a.Key + "=" + a.Value)
	}
	fmt.Fprintf(&b, "@%d", at)
	return b.String()
}

// Statsd is a Datadog agent's socket.
type Statsd struct {
	mu    sync.Mutex
	lines []string
	index map[string][]sample // by name and timestamp
}

type sample struct {
	tags  string // ",a:b,c:d,"
	value float64
}

// NewStatsd listens on a unix datagram socket until the test ends.
func NewStatsd(t *testing.T, path string) *Statsd {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(8 << 20)
	s := &Statsd{index: map[string][]sample{}}
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

func (s *Statsd) take(datagram string) {
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

// Count is how many lines have come.
func (s *Statsd) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// Raw is every line that has come.
func (s *Statsd) Raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// Last is the value that came last with that name and Unix time, and with all of the tags; false where none did.
func (s *Statsd) Last(name string, at int64, tags []string) (float64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, got := range slices.Backward(s.index[fmt.Sprintf("%s@%d", name, at)]) {
		if !slices.ContainsFunc(tags, func(tag string) bool { return !strings.Contains(got.tags, ","+tag+",") }) {
			return got.value, true
		}
	}
	return 0, false
}
