package otel_test

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the server's side of compression
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/otel"
)

// backend is an OTLP receiver made of OpenTelemetry's own generated code: what it understands, a collector does.
type backend struct {
	mu      sync.Mutex // guards all below
	metrics []*colmetricspb.ExportMetricsServiceRequest
	logs    []*collogspb.ExportLogsServiceRequest
	traces  []*coltracepb.ExportTraceServiceRequest
	headers []http.Header
	paths   []string
	fail    map[string]error // gRPC: the status to answer, by signal
	partial int64
}

func (b *backend) with(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// ServeHTTP is OTLP/HTTP.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var unpacked *gzip.Reader
		if unpacked, err = gzip.NewReader(strings.NewReader(string(body))); err == nil {
			body, err = io.ReadAll(unpacked)
		}
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var answer proto.Message
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/metrics"):
		req := new(colmetricspb.ExportMetricsServiceRequest)
		err = proto.Unmarshal(body, req)
		b.metrics = append(b.metrics, req)
		answer = b.metricsAnswer()
	case strings.HasSuffix(r.URL.Path, "/v1/logs"):
		req := new(collogspb.ExportLogsServiceRequest)
		err = proto.Unmarshal(body, req)
		b.logs = append(b.logs, req)
		answer = new(collogspb.ExportLogsServiceResponse)
	case strings.HasSuffix(r.URL.Path, "/v1/traces"):
		req := new(coltracepb.ExportTraceServiceRequest)
		err = proto.Unmarshal(body, req)
		b.traces = append(b.traces, req)
		answer = new(coltracepb.ExportTraceServiceResponse)
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.headers = append(b.headers, r.Header)
	b.paths = append(b.paths, r.URL.Path)
	out, _ := proto.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(out)
}

func (b *backend) metricsAnswer() *colmetricspb.ExportMetricsServiceResponse {
	if b.partial == 0 {
		return new(colmetricspb.ExportMetricsServiceResponse)
	}
	return &colmetricspb.ExportMetricsServiceResponse{PartialSuccess: &colmetricspb.ExportMetricsPartialSuccess{
		RejectedDataPoints: b.partial, ErrorMessage: "too old",
	}}
}

type metricsService struct {
	colmetricspb.UnimplementedMetricsServiceServer
	*backend
}

func (s metricsService) Export(ctx context.Context, req *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(ctx)
	if err := s.fail["metrics"]; err != nil {
		return nil, err
	}
	s.metrics = append(s.metrics, req)
	return s.metricsAnswer(), nil
}

type logsService struct {
	collogspb.UnimplementedLogsServiceServer
	*backend
}

func (s logsService) Export(ctx context.Context, req *collogspb.ExportLogsServiceRequest) (*collogspb.ExportLogsServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(ctx)
	if err := s.fail["logs"]; err != nil {
		return nil, err
	}
	s.logs = append(s.logs, req)
	return new(collogspb.ExportLogsServiceResponse), nil
}

type traceService struct {
	coltracepb.UnimplementedTraceServiceServer
	*backend
}

func (s traceService) Export(ctx context.Context, req *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(ctx)
	if err := s.fail["traces"]; err != nil {
		return nil, err
	}
	s.traces = append(s.traces, req)
	return new(coltracepb.ExportTraceServiceResponse), nil
}

func (b *backend) keep(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for name, values := range md {
		for _, value := range values {
			header.Add(name, value)
		}
	}
	b.headers = append(b.headers, header)
}

func startHTTP(t *testing.T) (*backend, string) {
	t.Helper()
	b := &backend{}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, server.URL
}

func startGRPC(t *testing.T, options ...grpc.ServerOption) (*backend, string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveGRPC(t, l, options...), "http://" + l.Addr().String()
}

func serveGRPC(t *testing.T, l net.Listener, options ...grpc.ServerOption) *backend {
	t.Helper()
	b := &backend{fail: map[string]error{}}
	server := grpc.NewServer(options...)
	colmetricspb.RegisterMetricsServiceServer(server, metricsService{backend: b})
	collogspb.RegisterLogsServiceServer(server, logsService{backend: b})
	coltracepb.RegisterTraceServiceServer(server, traceService{backend: b})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return b
}

// hermetic takes the process's variables away from the libraries under test.
func hermetic(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ENDPOINT", "HEADERS", "PROTOCOL", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "INSECURE"} {
		t.Setenv("OTEL_EXPORTER_OTLP_"+name, "")
		t.Setenv("OTEL_EXPORTER_OTLP_METRICS_"+name, "")
	}
}

const key = "Bearer canary-7f3a91c2d4e5"

func build(t *testing.T, with string, env exporters.Env) exporters.Exporter {
	t.Helper()
	e, err := otel.Kind().New(checktest.Decoder(with, key), env)
	if err != nil {
		t.Fatalf("building with %q: %v", with, err)
	}
	t.Cleanup(func() {
		if c, ok := e.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		}
	})
	return e
}

func export(t *testing.T, e exporters.Exporter, batch []checks.Record) exporters.Outcome {
	t.Helper()
	out, err := e.Export(t.Context(), batch)
	if err != nil {
		t.Fatalf("exporting %d records: %v", len(batch), err)
	}
	return out
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// point is a data point as a reader of the wire sees it.
type point struct {
	value float64 // a histogram's sum
	count uint64
	start uint64
	kind  string
	unit  string
}

// slot is (metric, attributes, time).
type slot struct {
	series string
	at     uint64
}

func decode(t *testing.T, requests []*colmetricspb.ExportMetricsServiceRequest) map[slot]point {
	t.Helper()
	all := map[slot]point{}
	for _, req := range requests {
		for _, rm := range req.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					decodeMetric(t, all, m)
				}
			}
		}
	}
	return all
}

func decodeMetric(t *testing.T, all map[slot]point, m *metricspb.Metric) {
	t.Helper()
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		for _, p := range data.Gauge.GetDataPoints() {
			all[slot{series(m.GetName(), p.GetAttributes()), p.GetTimeUnixNano()}] = point{value: p.GetAsDouble(), kind: "gauge", unit: m.GetUnit()}
		}
	case *metricspb.Metric_Sum:
		if !data.Sum.GetIsMonotonic() || data.Sum.GetAggregationTemporality() != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
			t.Errorf("%s is not a monotonic cumulative sum", m.GetName())
		}
		for _, p := range data.Sum.GetDataPoints() {
			all[slot{series(m.GetName(), p.GetAttributes()), p.GetTimeUnixNano()}] = point{value: p.GetAsDouble(), start: p.GetStartTimeUnixNano(), kind: "sum", unit: m.GetUnit()}
		}
	case *metricspb.Metric_Histogram:
		for _, p := range data.Histogram.GetDataPoints() {
			var n uint64
			for _, c := range p.GetBucketCounts() {
				n += c
			}
			if n != p.GetCount() || len(p.GetBucketCounts()) != len(p.GetExplicitBounds())+1 {
				t.Errorf("%s: buckets hold %d of %d observations", m.GetName(), n, p.GetCount())
			}
			all[slot{series(m.GetName(), p.GetAttributes()), p.GetTimeUnixNano()}] = point{
				value: p.GetSum(), count: p.GetCount(), start: p.GetStartTimeUnixNano(), kind: "histogram", unit: m.GetUnit(),
			}
		}
	default:
		t.Errorf("%s holds %T", m.GetName(), data)
	}
}

func series(name string, attrs []*commonpb.KeyValue) string {
	var out strings.Builder
	out.WriteString(name)
	for _, kv := range attrs { // in the order of the wire: sorted
		out.WriteString("|" + kv.GetKey() + "=" + kv.GetValue().GetStringValue())
	}
	return out.String()
}

func seriesOf(p exporters.Point) string {
	var out strings.Builder
	out.WriteString(p.Name)
	for _, a := range p.Attrs {
		out.WriteString("|" + a.Key + "=" + a.Value)
	}
	return out.String()
}

func (b *backend) points(t *testing.T) map[slot]point {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	return decode(t, b.metrics)
}

func (b *backend) events() []*logspb.LogRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*logspb.LogRecord
	for _, req := range b.logs {
		for _, rl := range req.GetResourceLogs() {
			for _, sl := range rl.GetScopeLogs() {
				all = append(all, sl.GetLogRecords()...)
			}
		}
	}
	return all
}

func (b *backend) spans() []*tracepb.Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*tracepb.Span
	for _, req := range b.traces {
		for _, rs := range req.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				all = append(all, ss.GetSpans()...)
			}
		}
	}
	return all
}

func words(attrs []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range attrs {
		all[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return all
}

func (b *backend) resources() []*resourcepb.Resource {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*resourcepb.Resource
	for _, req := range b.metrics {
		all = append(all, req.GetResourceMetrics()[0].GetResource())
	}
	for _, req := range b.logs {
		all = append(all, req.GetResourceLogs()[0].GetResource())
	}
	for _, req := range b.traces {
		all = append(all, req.GetResourceSpans()[0].GetResource())
	}
	return all
}

// authority makes a certificate for 127.0.0.1 and the file of the authority that signed it: itself.
func authority(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "windsock test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, data := range map[string][]byte{file: certPEM, file + ".key": keyPEM} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, file
}
