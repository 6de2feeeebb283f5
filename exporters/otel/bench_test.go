package otel_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/otel"
)

// swallow is a way out whose backend takes everything at once.
type swallow struct{}

func (swallow) Client() *http.Client { return &http.Client{Transport: swallow{}} }

func (swallow) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, net.ErrClosed
}

func (swallow) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-protobuf"}},
		Body: io.NopCloser(bytes.NewReader(nil)), Request: r,
	}, err
}

func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkChatResult is the CPU of a result, from the record to the bytes on the wire and the state of the totals, in batches
// of 500 from 1,000 checks. The garbage collector counts.
func BenchmarkChatResult(b *testing.B) {
	chatResults(b, "endpoint: http://127.0.0.1:4318")
}

// BenchmarkChatResultGzip is the same with compression.
func BenchmarkChatResultGzip(b *testing.B) {
	chatResults(b, "endpoint: http://127.0.0.1:4318\ncompression: gzip")
}

func chatResults(b *testing.B, with string) {
	b.Helper()
	kind := otel.Kind()
	exporter, err := kind.New(checktest.Decoder(with, key), exporters.Env{Name: "otel", Instance: "i", Network: swallow{}})
	if err != nil {
		b.Fatal(err)
	}
	const size = 500
	n, results := 0, 0
	begun := cpu()
	for b.Loop() {
		batch := make([]checks.Record, size)
		for i := range batch {
			batch[i] = chatRecord(n)
			n++
		}
		out, err := exporter.Export(b.Context(), batch)
		if err != nil || len(out.State) == 0 {
			b.Fatal(err)
		}
		results += size
	}
	b.ReportMetric(float64(cpu()-begun)/1e3/float64(results), "cpu-us/result")
}

// BenchmarkOfficialExporterAlone is the part of BenchmarkChatResult that is not ours: Export of metricdata that is ready, as
// large as that of 500 results.
func BenchmarkOfficialExporterAlone(b *testing.B) {
	exporter, err := otlpmetrichttp.New(b.Context(), otlpmetrichttp.WithEndpointURL("http://127.0.0.1:4318"),
		otlpmetrichttp.WithHTTPClient(swallow{}.Client()), otlpmetrichttp.WithMaxRequestSize(0))
	if err != nil {
		b.Fatal(err)
	}
	const size = 500
	metrics := readyMetrics(size)
	results := 0
	begun := cpu()
	b.ReportAllocs()
	for b.Loop() {
		if err := exporter.Export(b.Context(), metrics); err != nil {
			b.Fatal(err)
		}
		results += size
	}
	b.ReportMetric(float64(cpu()-begun)/1e3/float64(results), "cpu-us/result")
}

// readyMetrics has 12 numbers and 3 histograms of each result, with 84 attributes in all, as chatRecord has.
func readyMetrics(results int) *metricdata.ResourceMetrics {
	var numbers []metricdata.DataPoint[float64]
	var histograms []metricdata.HistogramDataPoint[float64]
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for n := range results {
		attrs := []attribute.KeyValue{
			attribute.String("check", fmt.Sprintf("c%d", n)), attribute.String("kind", "chat"), attribute.String("provider", "mistral"),
			attribute.String("location", "par1"), attribute.String("gen_ai.request.model", "mistral-small-latest"),
		}
		few := attribute.NewSet(attrs...)
		many := attribute.NewSet(append(attrs, attribute.String("gen_ai.operation.name", "chat"),
			attribute.String("gen_ai.provider.name", "mistral_ai"), attribute.String("gen_ai.response.model", "mistral-small-latest"))...)
		for range 12 {
			numbers = append(numbers, metricdata.DataPoint[float64]{Attributes: few, StartTime: at, Time: at, Value: 0.8})
		}
		id := attribute.String("windsock.record.id", fmt.Sprintf("01KATQ3Z0V8M4X2T6R%08d", n))
		for range 3 {
			histograms = append(histograms, metricdata.HistogramDataPoint[float64]{
				Attributes: many, StartTime: at, Time: at, Count: 1, Sum: 0.8, Bounds: make([]float64, 14), BucketCounts: make([]uint64, 15),
				Min: metricdata.NewExtrema(0.8), Max: metricdata.NewExtrema(0.8), Exemplars: []metricdata.Exemplar[float64]{
					{FilteredAttributes: []attribute.KeyValue{id}, Time: at, Value: 0.8},
				},
			})
		}
	}
	return &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{
		{Name: "probe.duration", Data: metricdata.Gauge[float64]{DataPoints: numbers}},
		{Name: "gen_ai.client.operation.duration", Data: metricdata.Histogram[float64]{
			DataPoints: histograms, Temporality: metricdata.CumulativeTemporality,
		}},
	}}}}
}

// chatRecord is what a chat check says.
func chatRecord(n int) checks.Record {
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	model := map[string]string{
		"gen_ai.provider.name": "mistral_ai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "mistral-small-latest",
		"gen_ai.response.model": "mistral-small-latest",
	}
	tokens := func(kind string) map[string]string {
		return map[string]string{
			"gen_ai.provider.name": "mistral_ai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "mistral-small-latest",
			"gen_ai.response.model": "mistral-small-latest", "gen_ai.token.type": kind,
		}
	}
	minute := map[string]string{"resource": "requests", "window": "minute"}
	return checks.OfReport(&checks.Report{
		ID: fmt.Sprintf("01KATQ3Z0V8M4X2T6R%08d", n), Check: fmt.Sprintf("c%d", n%1000), Kind: "chat", Provider: "mistral", Location: "par1",
		ScheduledAt: at, StartedAt: at, Took: 800 * time.Millisecond, Timeout: 30 * time.Second, Trigger: checks.TriggerSchedule,
		Attempt: 1, Final: true, Slots: 1,
		Result: checks.Result{
			Status: checks.OK, Summary: "mistral-small-latest answered in 800ms",
			Measurements: []checks.Measurement{
				{Name: "probe.http.status_code", Value: 200},
				{Name: "probe.llm.rate_limit.limit", Value: 360, Attrs: minute},
				{Name: "probe.llm.rate_limit.remaining", Value: 359, Attrs: minute},
				{Name: "gen_ai.client.operation.duration", Value: 0.8, Unit: "s", Attrs: model},
				{Name: "gen_ai.client.token.usage", Value: 12, Unit: "{token}", Attrs: tokens("input")},
				{Name: "gen_ai.client.token.usage", Value: 2, Unit: "{token}", Attrs: tokens("output")},
			},
			Phases: []checks.Phase{
				{Name: checks.PhaseConnect, Took: 8 * time.Millisecond},
				{Name: checks.PhaseTLS, Took: 15 * time.Millisecond},
				{Name: checks.PhaseFirstByte, Took: 700 * time.Millisecond},
				{Name: checks.PhaseTransfer, Took: time.Millisecond},
			},
			Usage: &checks.Usage{Model: "mistral-small-latest", PromptTokens: 12, CompletionTokens: 2, Cost: 1_800_000, PriceKnown: true},
		},
	})
}
