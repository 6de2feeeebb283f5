package otel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func TestPartialSuccessIsDeliveredAndCounted(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		b.with(func() { b.partial = 4 })
		e := build(t, with, exporters.Env{})
		out := export(t, e, exportertest.Records(20, 1))
		if out.RejectedPoints != 4 || len(out.Rejected) != 0 || out.State == nil {
			t.Errorf("outcome %d points, %v, state %t, want 4 points and nothing else", out.RejectedPoints, out.Rejected, out.State != nil)
		}
	})
}

func TestSuccessIsWhatTheStatusSays(t *testing.T) {
	hermetic(t)
	tests := map[string]struct {
		contentType, body string
		want              int64
	}{
		"an empty answer":                   {"", "", 0},
		"an HTML page":                      {"text/html", "<html>", 0},
		"protobuf that is none":             {"application/x-protobuf", "\xff\xff", 0},
		"a partial success in JSON":         {"application/json", `{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"x"}}`, 3},
		"a partial success with parameters": {"application/json; charset=utf-8", `{"partialSuccess":{"rejectedDataPoints":"2"},"more":1}`, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			e := build(t, "endpoint: "+server.URL+"\nevents: none\n", exporters.Env{})
			if out := export(t, e, exportertest.Records(3, 1)); out.RejectedPoints != tt.want {
				t.Errorf("%d rejected, want %d", out.RejectedPoints, tt.want)
			}
		})
	}
}

func TestEveryStatusHasItsClass(t *testing.T) {
	hermetic(t)
	b, url := startGRPC(t)
	want := map[codes.Code]exportertest.Class{
		codes.Canceled: exportertest.Retry, codes.Unknown: exportertest.Retry, codes.InvalidArgument: exportertest.Poison,
		codes.DeadlineExceeded: exportertest.Retry, codes.NotFound: exportertest.Hold, codes.AlreadyExists: exportertest.Poison,
		codes.PermissionDenied: exportertest.Hold, codes.ResourceExhausted: exportertest.Retry, codes.FailedPrecondition: exportertest.Poison,
		codes.Aborted: exportertest.Retry, codes.OutOfRange: exportertest.Retry, codes.Unimplemented: exportertest.Hold,
		codes.Internal: exportertest.Retry, codes.Unavailable: exportertest.Retry, codes.DataLoss: exportertest.Retry,
		codes.Unauthenticated: exportertest.Hold,
	}
	e := build(t, "endpoint: "+url+"\nprotocol: grpc\n", exporters.Env{})
	for code, class := range want {
		b.with(func() { b.fail["metrics"] = status.Error(code, "a quota is used up") })
		_, err := e.Export(t.Context(), exportertest.Records(3, 1))
		if got := exportertest.ClassOf(err); got != class {
			t.Errorf("%s is %s (%v), want %s", code, got, err, class)
		}
	}
	b.with(func() { clear(b.fail) })
	export(t, e, exportertest.Records(3, 1))
}

func TestAMessageBeyondTheServersLimitIsSplit(t *testing.T) {
	hermetic(t)
	_, url := startGRPC(t, grpc.MaxRecvMsgSize(20_000))
	e := build(t, "endpoint: "+url+"\nprotocol: grpc\n", exporters.Env{})
	batch := exportertest.Records(100, 1)
	if _, err := e.Export(t.Context(), batch); !exporters.IsSplit(err) {
		t.Fatalf("%v, want Split", err)
	}
	export(t, e, batch[:3])
}

func TestABackendWithoutLogsIsToldApart(t *testing.T) {
	hermetic(t)
	for name, start := range map[string]func(t *testing.T) string{
		"over http/protobuf": func(t *testing.T) string {
			t.Helper()
			inner := &backend{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/logs") {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				inner.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			return "endpoint: " + server.URL + "\n"
		},
		"over grpc": func(t *testing.T) string {
			t.Helper()
			b, url := startGRPC(t)
			b.fail["logs"] = status.Error(codes.Unimplemented, "unknown service")
			return "endpoint: " + url + "\nprotocol: grpc\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := build(t, start(t)+"events: all\n", exporters.Env{})
			_, err := e.Export(t.Context(), exportertest.Records(3, 1))
			if !exporters.IsHold(err) || !strings.Contains(err.Error(), "events: none") {
				t.Errorf("%v, want a Hold that says what to do", err)
			}
			trial := build(t, start(t), exporters.Env{Probing: true}) // events: failures, and no failure
			if _, err := trial.Export(t.Context(), exportertest.Records(1, 1)); !exporters.IsHold(err) {
				t.Errorf("a trial says %v, want the Hold that the first failure would meet", err)
			}
		})
	}
}

func TestTheDeadlineIsObeyed(t *testing.T) {
	hermetic(t)
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			e := build(t, "endpoint: http://"+mute(t)+"\nprotocol: "+protocol+"\ntimeout: 100ms\n", exporters.Env{})
			_, err := e.Export(t.Context(), exportertest.Records(3, 1))
			if exportertest.ClassOf(err) != exportertest.Retry || err == nil {
				t.Errorf("%v, want Retry", err)
			}
			e = build(t, "endpoint: http://"+mute(t)+"\nprotocol: "+protocol+"\ntimeout: 1h\n", exporters.Env{})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := e.Export(ctx, exportertest.Records(3, 1)); err == nil || ctx.Err() == nil {
				t.Errorf("%v, want an error at the deadline of the context", err)
			}
		})
	}
}

func TestTheBackendComesBack(t *testing.T) {
	hermetic(t)
	addr, open := outboundtest.Late(t)
	e := build(t, "endpoint: http://"+addr+"\nprotocol: grpc\n", exporters.Env{})
	for range 3 {
		if _, err := e.Export(t.Context(), exportertest.Records(3, 1)); err == nil {
			t.Fatal("nobody listens, want an error")
		}
	}
	b := serveGRPC(t, open())
	export(t, e, exportertest.Records(3, 1)) // the first attempt is a real one
	if len(b.points(t)) == 0 {
		t.Error("nothing arrived")
	}
}
