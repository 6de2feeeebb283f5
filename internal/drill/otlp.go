package drill

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
)

const mostBody = 32 << 20 // of a request

// otlp takes OTLP over HTTP and over gRPC. Of the latter only the unary calls that exporters make are spoken.
func (e *ear) otlp(w http.ResponseWriter, r *http.Request, status int) {
	rpc := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err == nil && rpc {
		body, err = unframed(body)
	} else if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		body, err = inflated(body)
	}
	if err == nil && status < http.StatusBadRequest {
		err = e.takeOTLP(r.URL.Path, body)
	}
	switch {
	case rpc:
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(make([]byte, 5)) // an empty message
		w.Header().Set("Grpc-Status", rpcStatus(status, err))
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.WriteHeader(status)
	}
}

// rpcStatus is gRPC's code: 0 OK, 3 invalid argument, 14 unavailable, 16 unauthenticated.
func rpcStatus(status int, err error) string {
	switch {
	case status == http.StatusUnauthorized:
		return "16"
	case status >= http.StatusBadRequest:
		return "14"
	case err != nil:
		return "3"
	}
	return "0"
}

// unframed is the one message of a gRPC body.
func unframed(body []byte) ([]byte, error) {
	if len(body) < 5 || int(binary.BigEndian.Uint32(body[1:5])) != len(body)-5 {
		return nil, errors.New("want one gRPC message")
	}
	if body[0] == 1 {
		return inflated(body[5:])
	}
	return body[5:], nil
}

func inflated(body []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(unzipped, mostBody))
	if err != nil {
		return nil, fmt.Errorf("reading gzip: %w", err)
	}
	return out, nil
}

func (e *ear) takeOTLP(path string, body []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	now := time.Now()
	switch {
	case strings.HasSuffix(path, "/v1/metrics"), strings.HasSuffix(path, "MetricsService/Export"):
		return e.metrics(body, now)
	case strings.HasSuffix(path, "/v1/logs"), strings.HasSuffix(path, "LogsService/Export"):
		return e.logs(body, now)
	}
	return nil
}

func (e *ear) metrics(body []byte, now time.Time) error {
	var req colmetrics.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("reading metrics: %w", err)
	}
	for _, resource := range req.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			e.otlpMetrics(scope.GetMetrics(), now)
		}
	}
	return nil
}

func (e *ear) logs(body []byte, now time.Time) error {
	var req collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("reading logs: %w", err)
	}
	for _, resource := range req.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, event := range scope.GetLogRecords() {
				e.otlpEvent(event.GetEventName(), event.GetAttributes(), now)
			}
		}
	}
	return nil
}

func (e *ear) otlpMetrics(all []*metricspb.Metric, now time.Time) {
	for _, m := range all {
		if m.GetName() != "windsock.alert.state" {
			continue
		}
		for _, p := range m.GetGauge().GetDataPoints() {
			e.gauge(words(p.GetAttributes()), p.GetAsDouble(), now)
		}
	}
}

func (e *ear) otlpEvent(name string, attrs []*commonpb.KeyValue, now time.Time) {
	said := words(attrs)
	state := checks.AlertState(said["state"])
	if name != "windsock.alert" || state == checks.AlertPending {
		return
	}
	e.heard = append(e.heard, heard{said["rule"], checks.Severity(said["severity"]), state.Open(), said["windsock.alert.label."+checks.LabelDrill] != "", now})
}

func words(attrs []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attrs {
		out[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return out
}
