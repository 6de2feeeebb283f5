package otel_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

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
				t.Helper()
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
				t.Helper()
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
		t.Helper()
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
			if hex.EncodeToString(s.GetTraceId()) != "4bf92f3577b34da6a3ce929d0e0e4736" || words(s.GetAttributes())["user_agent.synthetic.type"] != "test" {
				t.Errorf("span %s has trace %x and %v", s.GetName(), s.GetTraceId(), s.GetAttributes())
			}
		}
		want := []string{"probe chat +0..+1000000000", "resolve +0..+100000000", "connect +100000000..+300000000", "transfer +300000000..+1000000000"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("spans (-want +got):\n%s", diff)
		}
		root := spans[0]
		if hex.EncodeToString(root.GetSpanId()) != "00f067aa0ba902b7" || len(root.GetParentSpanId()) != 0 || root.GetStatus().GetMessage() != "503 server" {
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
