package otel_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/otel"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func ran(id string, at time.Time, result checks.Result) checks.Record {
	return checks.OfReport(&checks.Report{
		ID: id, Check: "chat-small", Kind: "chat", Provider: "mistral", Location: "par1", StartedAt: at.Add(-time.Second),
		ScheduledAt: at.Add(-time.Second), Took: time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true,
		Slots: 1, Result: result,
	})
}

// protocols runs a test over both, with the `with:` section that leads to the backend.
func protocols(t *testing.T, test func(t *testing.T, b *backend, with string)) {
	t.Helper()
	t.Run("over http/protobuf", func(t *testing.T) {
		hermetic(t)
		b, url := startHTTP(t)
		test(t, b, "endpoint: "+url+"\n")
	})
	t.Run("over grpc", func(t *testing.T) {
		hermetic(t)
		b, url := startGRPC(t)
		test(t, b, "endpoint: "+url+"\nprotocol: grpc\n")
	})
}

func TestEveryPointArrivesWithItsTime(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		way, err := outbound.New(outbound.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer way.Close()
		e := build(t, with, exporters.Env{Network: way})
		records := exportertest.Records(300, 7)
		for batch := range slices.Chunk(records, 17) {
			export(t, e, batch)
		}
		got := b.points(t)
		totals := exporters.NewTotals(noon(), 0)
		for _, rec := range records {
			for _, p := range exporters.Points(rec) {
				totals.Add(p)
				seen, ok := got[slot{seriesOf(p), uint64(p.At.UnixNano())}]
				switch {
				case !ok:
					t.Fatalf("%s at %s did not arrive", seriesOf(p), p.At)
				case p.Kind == exporters.Gauge && (seen.kind != "gauge" || seen.value != p.Value):
					t.Errorf("%s arrived as %+v, want a gauge of %g", seriesOf(p), seen, p.Value)
				case seen.unit != p.Unit:
					t.Errorf("%s has unit %q, want %q", p.Name, seen.unit, p.Unit)
				}
			}
		}
		holdTotals(t, got, totals)
	})
}

// holdTotals checks that every series ends with its total, never falls in time, and has one start before all of it.
func holdTotals(t *testing.T, got map[slot]point, totals *exporters.Totals) {
	t.Helper()
	bySeries := map[string][]slot{}
	for s, p := range got {
		if p.kind != "gauge" {
			bySeries[s.series] = append(bySeries[s.series], s)
		}
	}
	for series := range totals.Series() {
		name := seriesOf(exporters.Point{Name: series.Name, Attrs: series.Attrs})
		slots := bySeries[name]
		if len(slots) == 0 {
			t.Errorf("%s did not arrive", name)
			continue
		}
		slices.SortFunc(slots, func(a, b slot) int { return int(int64(a.at) - int64(b.at)) })
		before := point{start: got[slots[0]].start}
		for _, s := range slots {
			p := got[s]
			if p.value < before.value || p.count < before.count || p.start != before.start || p.start >= s.at {
				t.Errorf("%s: %+v after %+v, want a total that grows from one start", name, p, before)
			}
			before = p
		}
		want := series.Value
		if series.Histogram != nil {
			want = series.Histogram.Sum
			if before.count != series.Histogram.Count {
				t.Errorf("%s ends with %d observations, want %d", name, before.count, series.Histogram.Count)
			}
		}
		if before.value != want {
			t.Errorf("%s ends with %g, want %g", name, before.value, want)
		}
	}
}

func TestTotalsGoOnAfterARestart(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		records := exportertest.Records(200, 3)
		totals := exporters.NewTotals(noon(), 0)
		var state []byte
		for batch := range slices.Chunk(records, 40) {
			killed := build(t, with, exporters.Env{State: state}) // before its commit
			export(t, killed, batch)
			e := build(t, with, exporters.Env{State: state})
			state = export(t, e, batch).State
			for _, rec := range batch {
				for _, p := range exporters.Points(rec) {
					totals.Add(p)
				}
			}
		}
		holdTotals(t, b.points(t), totals)
	})
}

func TestTheSameBatchIsTheSamePoints(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		e := build(t, with+"events: all\ntraces: true\n", exporters.Env{})
		export(t, e, exportertest.Records(30, 1))
		batch := exportertest.Records(30, 2)
		export(t, e, batch)
		export(t, e, batch)
		b.with(func() {
			for what, pair := range map[string][2]any{
				"metrics": {decode(t, b.metrics[1:2]), decode(t, b.metrics[2:3])},
				"logs":    {b.logs[1].String(), b.logs[2].String()},
				"traces":  {b.traces[1].String(), b.traces[2].String()},
			} {
				if diff := cmp.Diff(pair[0], pair[1], cmp.AllowUnexported(slot{}, point{})); diff != "" {
					t.Errorf("%s of the same batch differ:\n%s", what, diff)
				}
			}
		})
	})
}

func TestALateRunNeverMakesATotalFall(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		e := build(t, with, exporters.Env{})
		observed := func(v float64) checks.Result {
			r := checks.Pass("a")
			r.Measurements = []checks.Measurement{{Name: "gen_ai.client.operation.duration", Value: v}}
			return r
		}
		at := noon()
		batches := [][]checks.Record{
			{ran("1", at, observed(1))},
			{ran("3", at.Add(20*time.Second), observed(3))},
			{ran("2", at.Add(10*time.Second), observed(2)), ran("2b", at.Add(15*time.Second), observed(2))}, // stored late
			{ran("5", at.Add(40*time.Second), observed(5)), ran("4", at.Add(30*time.Second), observed(4)), ran("4b", at.Add(30*time.Second), observed(4))},
		}
		totals := exporters.NewTotals(at, 0)
		for i, batch := range batches {
			export(t, e, batch)
			for _, rec := range batch {
				for _, p := range exporters.Points(rec) {
					totals.Add(p)
					if _, ok := b.points(t)[slot{seriesOf(p), uint64(p.At.UnixNano())}]; !ok {
						t.Errorf("batch %d: %s at %s did not arrive", i, p.Name, p.At)
					}
				}
			}
			holdTotals(t, b.points(t), totals)
		}
	})
}

func TestSeriesBeyondTheBoundAreFolded(t *testing.T) {
	hermetic(t)
	b, url := startHTTP(t)
	e := build(t, "endpoint: "+url+"\nmax_series: 2\n", exporters.Env{})
	var batch []checks.Record
	for i := range 5 {
		rec := ran(fmt.Sprint(i), noon().Add(time.Duration(i)*time.Second), checks.Pass("a"))
		rec.Report.Check = fmt.Sprintf("check-%d", i)
		batch = append(batch, rec)
	}
	export(t, e, batch)
	sums := map[string]float64{}
	for s, p := range b.points(t) {
		if p.kind == "sum" {
			sums[s.series] = max(sums[s.series], p.value)
		}
	}
	if got := sums["probe.runs|other=true"]; got != 3 {
		t.Errorf("the folded series is %g, want the 3 runs beyond the bound", got)
	}
	if got := sums["windsock.export.folded|metric=probe.runs"]; got != 3 {
		t.Errorf("windsock.export.folded is %g, want 3", got)
	}
}

func TestTheResourceSaysWho(t *testing.T) {
	tests := map[string]struct {
		env  exporters.Env
		want map[string]string
	}{
		"labels have OpenTelemetry's names": {
			exporters.Env{
				Version: "1.2.3", Instance: "i-1", Location: "par1",
				Labels: map[string]string{"service": "checkout", "env": "production", "team": "search\xff"},
				Getenv: func(k string) string {
					return map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=p%201,team=other,broken", "OTEL_SERVICE_NAME": "other"}[k]
				},
			},
			map[string]string{
				"service.name": "checkout", "deployment.environment.name": "production", "team": "search\uFFFD", "k8s.pod.name": "p 1",
				"service.version": "1.2.3", "service.instance.id": "i-1", "windsock.location": "par1",
			},
		},
		"without labels it is windsock": {exporters.Env{Version: "1.2.3"}, map[string]string{"service.name": "windsock", "service.version": "1.2.3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			protocols(t, func(t *testing.T, b *backend, with string) {
				t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "from.the.process=true")
				e := build(t, with+"events: all\ntraces: true\n", tt.env)
				export(t, e, []checks.Record{ran("1", noon(), checks.Pass("a"))})
				resources := b.resources()
				if len(resources) != 3 {
					t.Fatalf("%d resources, want those of metrics, logs and spans", len(resources))
				}
				for _, r := range resources {
					if diff := cmp.Diff(tt.want, words(r.GetAttributes())); diff != "" {
						t.Errorf("resource (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

func TestEventsAreWhatWasAskedFor(t *testing.T) {
	records := exportertest.Records(200, 5)
	wanted := func(events string, rec checks.Record) bool {
		switch {
		case events == "all":
			return true
		case events == "none":
			return false
		case rec.Report != nil:
			return slices.Contains([]checks.Status{checks.Failed, checks.Unknown, checks.Error}, rec.Report.Status)
		}
		return rec.Alert != nil
	}
	for _, events := range []string{"failures", "all", "none"} {
		t.Run(events, func(t *testing.T) {
			protocols(t, func(t *testing.T, b *backend, with string) {
				e := build(t, with+"events: "+events+"\n", exporters.Env{})
				for batch := range slices.Chunk(records, 50) {
					export(t, e, batch)
				}
				var want, got []string
				for _, rec := range records {
					if wanted(events, rec) {
						want = append(want, rec.ID+" windsock."+string(rec.Type()))
					}
				}
				for _, event := range b.events() {
					id := words(event.GetAttributes())["windsock.record.id"]
					got = append(got, id+" "+event.GetEventName())
					var rec checks.Record
					if err := json.Unmarshal([]byte(event.GetBody().GetStringValue()), &rec); err != nil || rec.ID != id {
						t.Fatalf("the body of %s is record %q, %v", id, rec.ID, err)
					}
					if event.GetTimeUnixNano() != uint64(rec.At.UnixNano()) {
						t.Errorf("%s is at %d, want %d", id, event.GetTimeUnixNano(), rec.At.UnixNano())
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSpansShowTheRun(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		e := build(t, with+"traces: true\nevents: all\n", exporters.Env{})
		result := checks.Fail(checks.CauseServer, "503 server")
		result.Phases = []checks.Phase{
			{Name: checks.PhaseResolve, Took: 100 * time.Millisecond},
			{Name: checks.PhaseConnect, Took: 200 * time.Millisecond},
			{Name: checks.PhaseFirstToken, Took: 600 * time.Millisecond},
			{Name: checks.PhaseTransfer, Took: time.Hour},
		}
		result.Facts = map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
		skipped := checks.OfReport(&checks.Report{ID: "s", Check: "c", Kind: "chat", ScheduledAt: noon(), Final: true, Result: checks.Skip(checks.CauseBudget, "")})
		export(t, e, []checks.Record{ran("1", noon(), result), skipped})
		spans := b.spans()
		var got []string
		for _, s := range spans {
			got = append(got, fmt.Sprintf("%s +%d..+%d", s.GetName(), int64(s.GetStartTimeUnixNano())-noon().Add(-time.Second).UnixNano(), int64(s.GetEndTimeUnixNano())-noon().Add(-time.Second).UnixNano()))
			if fmt.Sprintf("%x", s.GetTraceId()) != "4bf92f3577b34da6a3ce929d0e0e4736" || words(s.GetAttributes())["user_agent.synthetic.type"] != "test" {
				t.Errorf("span %s has trace %x and %v", s.GetName(), s.GetTraceId(), s.GetAttributes())
			}
		}
		want := []string{"probe chat +0..+1000000000", "resolve +0..+100000000", "connect +100000000..+300000000", "transfer +300000000..+1000000000"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("spans (-want +got):\n%s", diff)
		}
		root := spans[0]
		if fmt.Sprintf("%x", root.GetSpanId()) != "00f067aa0ba902b7" || len(root.GetParentSpanId()) != 0 || root.GetStatus().GetMessage() != "503 server" {
			t.Errorf("the root is %v", root)
		}
		if len(root.GetEvents()) != 1 || int64(root.GetEvents()[0].GetTimeUnixNano()) != noon().Add(-400*time.Millisecond).UnixNano() {
			t.Errorf("the first token is %v", root.GetEvents())
		}
		for _, child := range spans[1:] {
			if !slices.Equal(child.GetParentSpanId(), root.GetSpanId()) {
				t.Errorf("%s is no child of the root", child.GetName())
			}
		}
		if event := b.events()[0]; !slices.Equal(event.GetSpanId(), root.GetSpanId()) {
			t.Errorf("the event names span %x, want the root", event.GetSpanId())
		}
	})
}

func TestPartialSuccessIsDeliveredAndCounted(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
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
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	e := build(t, "endpoint: http://"+addr+"\nprotocol: grpc\n", exporters.Env{})
	for range 3 {
		if _, err := e.Export(t.Context(), exportertest.Records(3, 1)); err == nil {
			t.Fatal("nobody listens, want an error")
		}
	}
	if l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err != nil {
		t.Fatal(err)
	}
	b := serveGRPC(t, l)
	export(t, e, exportertest.Records(3, 1)) // the first attempt is a real one
	if len(b.points(t)) == 0 {
		t.Error("nothing arrived")
	}
}

func TestCompression(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		e := build(t, with+"compression: gzip\nevents: all\ntraces: true\n", exporters.Env{})
		records := exportertest.Records(40, 1)
		export(t, e, records)
		if got := len(b.events()); got != len(records) {
			t.Errorf("%d events, want %d", got, len(records))
		}
		if len(b.points(t)) == 0 || len(b.spans()) == 0 {
			t.Error("metrics or spans did not arrive")
		}
		b.with(func() {
			for _, h := range b.headers {
				if h.Get("Content-Encoding") != "gzip" && h.Get("Grpc-Accept-Encoding") == "" {
					t.Errorf("a request was not compressed: %v", h)
				}
			}
		})
	})
}

func TestTLSTrustsTheGivenAuthority(t *testing.T) {
	hermetic(t)
	cert, ca := authority(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	starts := map[string]func(t *testing.T) (*backend, string){
		"over http/protobuf": func(t *testing.T) (*backend, string) {
			t.Helper()
			b := &backend{}
			server := httptest.NewUnstartedServer(b)
			server.TLS = config.Clone()
			server.StartTLS()
			t.Cleanup(server.Close)
			return b, "endpoint: " + server.URL + "\n"
		},
		"over grpc": func(t *testing.T) (*backend, string) {
			t.Helper()
			b, url := startGRPC(t, grpc.Creds(credentials.NewTLS(config.Clone())))
			return b, "endpoint: " + strings.Replace(url, "http://", "https://", 1) + "\nprotocol: grpc\n"
		},
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			b, with := start(t)
			way, err := outbound.New(outbound.Options{})
			if err != nil {
				t.Fatal(err)
			}
			trust := fmt.Sprintf("tls: {ca_file: %s, cert_file: %s, key_file: %s}\n", ca, ca, ca+".key")
			e := build(t, with+trust, exporters.Env{Network: way})
			export(t, e, exportertest.Records(3, 1))
			if len(b.points(t)) == 0 {
				t.Error("nothing arrived")
			}
			for what, with := range map[string]string{
				"an unknown authority": with,
				"an absent file":       with + "tls: {ca_file: /nowhere/ca.pem}\n",
				"a file without PEM":   with + "tls: {ca_file: " + ca + ".key}\n",
				"no client":            with + "tls: {ca_file: " + ca + "}\n",
			} {
				if _, err := build(t, with, exporters.Env{}).Export(t.Context(), exportertest.Records(3, 1)); err == nil {
					t.Errorf("%s was accepted", what)
				}
			}
		})
	}
}

func TestSecretsAreSentAndNeverPrinted(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		with += "secret_headers: {authorization: {env: KEY}}\nheaders: {x-scope: plain}\n"
		e := build(t, with, exporters.Env{Version: "9.9.9"})
		export(t, e, exportertest.Records(3, 1))
		b.with(func() {
			h := b.headers[0]
			if h.Get("Authorization")+h.Get("authorization") == "" || !strings.Contains(fmt.Sprint(h), key) || !strings.Contains(fmt.Sprint(h), "plain") {
				t.Errorf("headers %v, want both", h)
			}
			if !strings.Contains(fmt.Sprint(h), "windsock/9.9.9") {
				t.Errorf("headers %v, want our User-Agent", h)
			}
		})
		for _, text := range []string{fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
			if form := checktest.Leak(text, key); form != "" {
				t.Errorf("printing the exporter shows the key (%s)", form)
			}
		}
	})
}

func TestABackendThatRepeatsTheKeyIsNotQuoted(t *testing.T) {
	hermetic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "no entry with %s, token %s", r.Header.Get("Authorization"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	defer server.Close()
	e := build(t, "endpoint: "+server.URL+"\nsecret_headers: {authorization: {env: KEY}}\n", exporters.Env{})
	_, err := e.Export(t.Context(), exportertest.Records(3, 1))
	if err == nil || !strings.Contains(err.Error(), "no entry with [redacted], token [redacted]") {
		t.Errorf("%v, want the text without the key", err)
	}
}

// turning is a secret that is another one after each Renew.
type turning struct{ values []string }

func (s *turning) Read(context.Context) (string, error) {
	if s.values[0] == "" {
		return "", checks.ErrNoSecret
	}
	return s.values[0], nil
}

func (s *turning) Renew(context.Context) (bool, error) {
	if len(s.values) == 1 {
		return false, nil
	}
	s.values = s.values[1:]
	return true, nil
}

func (s *turning) Where() string { return "file /etc/windsock/secrets/otlp" }

func TestARefusedSecretIsReadAgain(t *testing.T) {
	hermetic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	params := otel.Params{
		Endpoint: server.URL, Events: otel.EventsNone,
		SecretHeaders: map[string]checks.Secret{"x-key": checks.NewSecret(&turning{[]string{"old", "new"}})},
	}
	e, err := otel.New(params, exporters.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	batch := exportertest.Records(3, 1)
	if _, err := e.Export(t.Context(), batch); err == nil || exporters.IsHold(err) {
		t.Errorf("%v, want a retry with the new key", err)
	}
	export(t, e, batch)

	params.SecretHeaders = map[string]checks.Secret{"x-key": checks.NewSecret(&turning{[]string{""}})}
	absent, err := otel.New(params, exporters.Env{})
	if err != nil {
		t.Fatalf("an absent secret is no reason not to start: %v", err)
	}
	_, err = absent.Export(t.Context(), batch)
	if !exporters.IsHold(err) || !errors.Is(err, checks.ErrNoSecret) || !strings.Contains(err.Error(), "/etc/windsock/secrets/otlp") {
		t.Errorf("%v, want a Hold that names the source", err)
	}
}

func TestVariablesStandInForParameters(t *testing.T) {
	tests := map[string]struct {
		with      string
		variables map[string]string
		path      string
		header    string
	}{
		"the base endpoint and headers": {
			"", map[string]string{"ENDPOINT": "URL/base", "HEADERS": "x-scope=a%20b,x-other=c"}, "/base/v1/metrics", "a b",
		},
		"the signal's own endpoint is used as it is": {
			"",
			map[string]string{"ENDPOINT": "http://127.0.0.1:1", "METRICS_ENDPOINT": "URL/own/v1/metrics", "LOGS_ENDPOINT": "URL/v1/logs", "METRICS_HEADERS": "x-scope=own", "HEADERS": "x-scope=common"},
			"/own/v1/metrics", "own",
		},
		"parameters stand above": {
			"endpoint: URL\nheaders: {x-scope: file}\n",
			map[string]string{"ENDPOINT": "http://127.0.0.1:1", "METRICS_ENDPOINT": "http://127.0.0.1:1", "HEADERS": "x-scope=common", "PROTOCOL": "http/protobuf", "TIMEOUT": "5000", "COMPRESSION": "gzip"},
			"/v1/metrics", "file",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hermetic(t)
			// What the process has must not matter to the libraries.
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:2/process")
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=process")
			t.Setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-scope=process")
			b, url := startHTTP(t)
			e := build(t, strings.ReplaceAll(tt.with, "URL", url), exporters.Env{Getenv: func(k string) string {
				return strings.ReplaceAll(tt.variables[strings.TrimPrefix(k, "OTEL_EXPORTER_OTLP_")], "URL", url)
			}})
			export(t, e, exportertest.Records(2, 1))
			b.with(func() {
				if len(b.paths) == 0 || b.paths[0] != tt.path || b.headers[0].Get("X-Scope") != tt.header {
					t.Errorf("%v with %v, want %s with %q", b.paths, b.headers, tt.path, tt.header)
				}
			})
		})
	}
}

func TestVariablesThatCannotBeUsed(t *testing.T) {
	hermetic(t)
	for _, variable := range []string{
		"ENDPOINT=http://u:hush@h", "ENDPOINT=::", "PROTOCOL=http/json", "TIMEOUT=hush", "TIMEOUT=-1", "COMPRESSION=hush",
		"HEADERS=hush", "HEADERS=x-a=%zzhush", "HEADERS=content-type=hush", "CLIENT_KEY=/hush",
	} {
		name, value, _ := strings.Cut(variable, "=")
		_, err := otel.New(otel.Params{Events: otel.EventsNone}, exporters.Env{Getenv: func(k string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_" + name: value}[k]
		}})
		if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_"+name) {
			t.Errorf("%s: %v, want an error that names the variable", variable, err)
		}
		if err != nil && strings.HasPrefix(name, "HEADERS") && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v shows the value", variable, err)
		}
	}
}

func BenchmarkExport(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	e, err := otel.New(otel.Params{Endpoint: server.URL, Events: otel.EventsAll}, exporters.Env{Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	batch := exportertest.Records(100, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Export(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch)), "ns/record")
}
