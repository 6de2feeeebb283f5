package otel_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/otel"
)

// FuzzVariables: whatever the environment holds, New builds an exporter or says which variable is wrong, and shows no
// header's value.
func FuzzVariables(f *testing.F) {
	f.Add("http://127.0.0.1:4318/base", "x-a=b%20c,x-d=e", "1000", "a=b,c=d%zz")
	f.Add("127.0.0.1", "authorization=Bearer%20hush", "-1", "=")
	f.Add("unix:///x", ",,=,", "1e9", ",")
	f.Fuzz(func(t *testing.T, endpoint, headers, timeout, resource string) {
		const hush = "canary-5e0f"
		all := map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers + ",x-key=" + hush + "%zz",
			"OTEL_EXPORTER_OTLP_TIMEOUT": timeout, "OTEL_RESOURCE_ATTRIBUTES": resource,
		}
		_, err := otel.New(otel.Params{Events: otel.EventsAll}, exporters.Env{Getenv: func(k string) string { return all[k] }})
		if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_") || strings.Contains(err.Error(), hush) {
			t.Errorf("%v, want an error that names a variable and shows no value", err)
		}
	})
}

// FuzzBackend: whatever a backend answers, each record has its outcome or the batch an error of one line that can be
// shown, no count goes below zero, and no wait is longer than a day.
func FuzzBackend(f *testing.F) {
	f.Add(200, "application/x-protobuf", "", []byte("\x0a\x04\x08\x03\x12\x00"))
	f.Add(200, "application/json; charset=utf-8", "", []byte(`{"partialSuccess":{"rejectedDataPoints":"-9223372036854775808","errorMessage":"no\u0000"}}`))
	f.Add(429, "text/plain", "99999999999999999999", []byte("slow down\r\n\x1b[31m\xff"))
	f.Add(503, "application/json", "Fri, 31 Dec 9999 23:59:59 GMT", []byte(`{"code":14,"message":"canary"}`))
	f.Add(400, "application/x-protobuf", "-1", []byte("\x08\x03\x12\x03bad"))
	records := exportertest.Records(2, 1)
	f.Fuzz(func(t *testing.T, status int, contentType, after string, body []byte) {
		if status < 200 || status > 599 {
			t.Skip("not an answer")
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Retry-After", after)
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}))
		defer server.Close()
		out, err := build(t, "endpoint: "+server.URL+"\n", exporters.Env{Getenv: func(string) string { return "" }}).Export(t.Context(), records)
		if wait := exporters.RetryAfter(err); wait < 0 || wait > 24*time.Hour {
			t.Errorf("waits for %s", wait)
		}
		if out.RejectedPoints < 0 || err == nil && status >= 300 {
			t.Errorf("status %d: %+v, %v", status, out, err)
		}
		if err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\r\n\x00\x1b") || len(err.Error()) > 2000) {
			t.Errorf("an error that cannot be shown: %q", err)
		}
	})
}
