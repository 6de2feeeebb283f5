package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// received is what the backend has counted.
type received struct {
	Requests, Bytes, Points int64
	Results                 int64 // points of probe.duration: one of each run that reached its target
}

// sink is an OTLP backend that counts and forgets.
type sink struct {
	requests, bytes, points, results atomic.Int64
}

func runSink(ctx context.Context, out io.Writer) error {
	s := &sink{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", s.metrics)
	mux.HandleFunc("POST /", s.other)
	mux.HandleFunc("GET /received", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(received{s.requests.Load(), s.bytes.Load(), s.points.Load(), s.results.Load()})
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	address := "http://" + listener.Addr().String()
	if err := say(out, hello{Address: address, Pages: address}); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

func (s *sink) other(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	s.requests.Add(1)
	s.bytes.Add(n)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *sink) metrics(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request colmetricspb.ExportMetricsServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, resource := range request.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				n := pointsOf(metric)
				s.points.Add(n)
				if metric.GetName() == "probe.duration" {
					s.results.Add(n)
				}
			}
		}
	}
	s.requests.Add(1)
	s.bytes.Add(int64(len(body)))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func pointsOf(m *metricspb.Metric) int64 {
	return int64(len(m.GetGauge().GetDataPoints()) + len(m.GetSum().GetDataPoints()) + len(m.GetHistogram().GetDataPoints()))
}
