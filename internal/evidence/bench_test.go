package evidence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/evidence"
)

func BenchmarkARecord(b *testing.B) {
	report := &checks.Report{
		ID: "01JTQZ8F6Y0S9V3T6W2N5XKQ7M", Check: "hello", Kind: "chat", Provider: "mistral", StartedAt: time.Unix(1e9, 0), ScheduledAt: time.Unix(1e9, 0), Final: true,
		Result: checks.Result{
			Status: checks.Failed, Cause: checks.CauseServer, Blame: checks.BlameProvider, Summary: "500 server (code 1000): upstream connect error", Facts: map[string]string{"request_id": "0198c0de-1234-7abc-8def-0123456789ab"},
			Evidence: []checks.Step{{Name: "key", OK: true, Detail: "read from env MISTRAL_API_KEY"}, {Name: "connect", OK: true, Detail: "connected to 127.0.0.1:8080 in 137µs"}, {Name: "status", Detail: "500 Internal Server Error"}},
		},
	}
	for range 12 {
		report.Measurements = append(report.Measurements, checks.Measurement{Name: "probe.llm.rate_limit.remaining", Value: 1, Attrs: map[string]string{"model": "mistral-small-latest", "resource": "tokens", "window": "minute"}})
	}
	record := checks.OfReport(report)
	var some []any
	for range 100 {
		some = append(some, evidence.Record(&record))
	}
	for b.Loop() {
		bundle := evidence.New(evidence.Manifest{}, redactor())
		if err := bundle.Lines("x", some); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkALog(b *testing.B) {
	text := strings.Repeat("2026-05-08T10:00:00Z level=INFO msg=\"chat answered\" took=3.2ms model=mistral-small-latest request=0198c0de-1234-7abc-8def-0123456789ab status=200\n", 7000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		redactor().Log(text)
	}
}
