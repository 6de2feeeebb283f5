package otel

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// network is the agent's way out.
type network interface {
	Client() *http.Client
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// trusting is a network that lends its trust and its proxies to connections that it does not make itself.
type trusting interface {
	TLSConfig() *tls.Config
	ProxyFor(rawURL string) (*url.URL, error)
}

const maxAnswer = 1 << 20

// OpenTelemetry's exporters read OTEL_EXPORTER_OTLP_* from the process themselves. Every setting of theirs is given
// explicitly, headers and connections are ours, so that nothing of the process is left to read.

func newMetricsLine(t target) *line[*metricdata.ResourceMetrics] {
	if t.grpc {
		return &line[*metricdata.ResourceMetrics]{target: t, dial: dialMetricsGRPC}
	}
	return &line[*metricdata.ResourceMetrics]{target: t, dial: dialMetricsHTTP}
}

func newLogsLine(t target) *line[[]*logspb.ResourceLogs] {
	if t.grpc {
		return &line[[]*logspb.ResourceLogs]{target: t, dial: dialLogsGRPC}
	}
	return &line[[]*logspb.ResourceLogs]{target: t, dial: dialLogsHTTP}
}

func newTracesLine(t target) *line[[]*tracepb.ResourceSpans] {
	if t.grpc {
		return &line[[]*tracepb.ResourceSpans]{target: t, dial: dialTracesGRPC}
	}
	return &line[[]*tracepb.ResourceSpans]{target: t, dial: dialTracesHTTP}
}

func dialMetricsHTTP(t *target, last *exchange) (sender[*metricdata.ResourceMetrics], func() error, error) {
	client, hangUp, err := t.httpClient(last)
	if err != nil {
		return nil, nil, err
	}
	compression := otlpmetrichttp.NoCompression
	if t.gzip {
		compression = otlpmetrichttp.GzipCompression
	}
	exp, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(t.url.String()),
		otlpmetrichttp.WithHTTPClient(client), otlpmetrichttp.WithHeaders(map[string]string{}),
		otlpmetrichttp.WithTLSClientConfig(nil), otlpmetrichttp.WithCompression(compression),
		otlpmetrichttp.WithTimeout(t.timeout), otlpmetrichttp.WithMaxRequestSize(0),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
	if err != nil {
		return nil, nil, errors.Join(err, hangUp())
	}
	return exp.Export, hangUp, nil
}

// dialLogsHTTP posts protobuf itself: the SDK's log exporter takes only records that an SDK provider made, and that adds
// the process's OTEL_RESOURCE_ATTRIBUTES to every one.
func dialLogsHTTP(t *target, last *exchange) (sender[[]*logspb.ResourceLogs], func() error, error) {
	client, hangUp, err := t.httpClient(last)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, logs []*logspb.ResourceLogs) error {
		body, err := proto.Marshal(&collogspb.ExportLogsServiceRequest{ResourceLogs: logs})
		if err != nil {
			return err
		}
		return t.post(ctx, client, body)
	}, hangUp, nil
}

func (t *target) post(ctx context.Context, client *http.Client, body []byte) error {
	if t.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(body); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		body = packed.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if t.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close() // the tap has read it
}

func dialTracesHTTP(t *target, last *exchange) (sender[[]*tracepb.ResourceSpans], func() error, error) {
	client, hangUp, err := t.httpClient(last)
	if err != nil {
		return nil, nil, err
	}
	compression := otlptracehttp.NoCompression
	if t.gzip {
		compression = otlptracehttp.GzipCompression
	}
	exp := otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(t.url.String()),
		otlptracehttp.WithHTTPClient(client), otlptracehttp.WithHeaders(map[string]string{}),
		otlptracehttp.WithTLSClientConfig(nil), otlptracehttp.WithCompression(compression),
		otlptracehttp.WithTimeout(t.timeout), otlptracehttp.WithMaxRequestSize(0),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err := exp.Start(context.Background()); err != nil {
		return nil, nil, errors.Join(err, hangUp())
	}
	return exp.UploadTraces, func() error { return errors.Join(exp.Stop(context.Background()), hangUp()) }, nil
}

// httpClient is a client that follows nothing and writes down each exchange.
func (t *target) httpClient(last *exchange) (*http.Client, func() error, error) {
	base, hangUp, err := t.roundTripper()
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{
		Transport:     &tap{base: base, target: t, last: last},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, func() error { hangUp(); return nil }, nil
}

// roundTripper is the agent's own way out, or one like it with this target's trust.
func (t *target) roundTripper() (http.RoundTripper, func(), error) {
	if t.network != nil && t.tls.CAFile == "" && t.tls.CertFile == "" {
		client := t.network.Client()
		if client.Transport != nil {
			return client.Transport, client.CloseIdleConnections, nil
		}
	}
	config, err := t.tlsConfig()
	if err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{
		DialContext: t.dialContext(), TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
	if lender, ok := t.network.(trusting); ok {
		transport.Proxy = func(r *http.Request) (*url.URL, error) { return lender.ProxyFor(r.URL.String()) }
	}
	return transport, transport.CloseIdleConnections, nil
}

func (t *target) dialContext() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if t.network != nil {
		return t.network.DialContext
	}
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext
}

// tlsConfig is the network's trust and the target's.
func (t *target) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if lender, ok := t.network.(trusting); ok {
		config = lender.TLSConfig()
	}
	if t.tls.CAFile != "" {
		pem, err := os.ReadFile(t.tls.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading authorities: %w", err)
		}
		pool := config.RootCAs
		if pool != nil {
			pool = pool.Clone()
		} else if pool, err = x509.SystemCertPool(); err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading authorities: no PEM certificate in %q", t.tls.CAFile)
		}
		config.RootCAs = pool
	}
	if t.tls.CertFile != "" {
		cert, key := t.tls.CertFile, t.tls.KeyFile
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				return nil, fmt.Errorf("reading our certificate: %w", err)
			}
			return &pair, nil
		}
	}
	return config, nil
}

// tap is a RoundTripper that puts our headers on and writes down what the exchange came to.
type tap struct {
	base   http.RoundTripper
	target *target
	last   *exchange
}

func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	t.last.tried = true
	req = req.Clone(req.Context())
	for name, value := range t.last.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", t.target.userAgent)
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		t.last.fault = err
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	if err != nil {
		t.last.fault = fmt.Errorf("reading the answer: %w", err)
		return nil, t.last.fault
	}
	t.last.status = resp.StatusCode
	t.last.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		t.last.body = errorText(resp.Header.Get("Content-Type"), body)
	} else {
		t.last.answered = true
		t.last.readAnswer(t.target.signal, resp.Header.Get("Content-Type"), body)
		body = nil // the exporter needs none, and would call an unusual one an error
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

func (x *exchange) readAnswer(s signal, contentType string, body []byte) {
	var answer proto.Message
	switch s {
	case signalMetrics:
		answer = new(colmetricspb.ExportMetricsServiceResponse)
	case signalLogs:
		answer = new(collogspb.ExportLogsServiceResponse)
	case signalTraces:
		answer = new(coltracepb.ExportTraceServiceResponse)
	}
	var err error
	switch mediaType(contentType) {
	case "application/x-protobuf":
		err = proto.Unmarshal(body, answer)
	case "application/json":
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, answer)
	default:
		return
	}
	if err == nil { // 2xx is a success whatever the body says
		x.see(answer)
	}
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// retryAfter reads seconds or an HTTP date; zero where there is neither.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(most/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}
