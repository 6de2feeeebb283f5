package otel_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// firing has every field.
func firing() checks.Alert {
	return checks.Alert{
		Rule: "api-down", Fingerprint: "f00d", State: checks.AlertFiring, Previous: checks.AlertPending, Severity: checks.P2,
		Blame: checks.BlameProvider, Since: noon().Add(-5 * time.Minute), At: noon(), Value: 3, Threshold: 2.5,
		Labels:  map[string]string{"provider": "mistral", "state": "a label", "bad\xff\n": "line\nline"},
		Summary: "3 of 3 runs failed", Diagnosis: "the second key fails too", Impact: "no chat", Action: "look at the status page",
		RespondBy: noon().Add(time.Hour), Commander: "a.turing", Runbook: "api-down", Incident: "inc-1",
	}
}

// attributes are printed with their type; a key that comes twice is told.
func attributes(t *testing.T, attrs []*commonpb.KeyValue) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, kv := range attrs {
		if _, ok := all[kv.GetKey()]; ok {
			t.Errorf("the key %q comes twice", kv.GetKey())
		}
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_DoubleValue:
			all[kv.GetKey()] = fmt.Sprintf("double %g", v.DoubleValue)
		case *commonpb.AnyValue_BoolValue:
			all[kv.GetKey()] = fmt.Sprintf("bool %t", v.BoolValue)
		}
	}
	return all
}

func TestATransitionTellsEverythingByItsAttributes(t *testing.T) {
	muted := firing()
	muted.Previous, muted.Muted, muted.Reminder, muted.Labels = checks.AlertFiring, "silence/01K: deploy", true, nil
	broken := checks.Alert{Rule: "r", State: checks.AlertNoData, Severity: checks.P3, At: noon(), Value: math.NaN(), Threshold: math.Inf(1)}
	broken.Labels = map[string]string{"a": "1", "a\x00": "2", "": "3"}
	all := map[string]string{
		"windsock.record.id": "1", "rule": "api-down", "state": "firing", "severity": "P2", "blame": "provider",
		"windsock.alert.fingerprint": "f00d", "windsock.incident": "inc-1", "windsock.alert.previous": "pending",
		"windsock.summary": "3 of 3 runs failed", "windsock.alert.diagnosis": "the second key fails too",
		"windsock.alert.impact": "no chat", "windsock.alert.action": "look at the status page", "windsock.alert.runbook": "api-down",
		"windsock.alert.runbook_url": exporters.Runbooks + "api-down.md",
		"windsock.alert.commander":   "a.turing", "windsock.alert.since": "2026-11-23T11:55:00Z", "windsock.alert.respond_by": "2026-11-23T13:00:00Z",
		"windsock.alert.value": "double 3", "windsock.alert.threshold": "double 2.5",
	}
	with := func(pairs ...string) map[string]string {
		m := maps.Clone(all)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	tests := map[string]struct {
		alert    checks.Alert
		severity string
		want     map[string]string
	}{
		"every field": {firing(), "ERROR", with(
			"windsock.alert.label.provider", "mistral", "windsock.alert.label.state", "a label", "windsock.alert.label.bad\uFFFD", "line line")},
		"a muted reminder": {muted, "INFO", with(
			"windsock.alert.previous", "firing", "windsock.alert.muted", "silence/01K: deploy", "windsock.alert.reminder", "bool true")},
		"numbers that are none, labels that are alike": {broken, "WARN", map[string]string{
			"windsock.record.id": "1", "rule": "r", "state": "no_data", "severity": "P3", "windsock.alert.label.a": "1",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			protocols(t, func(t *testing.T, b *backend, with string) {
				t.Helper()
				export(t, build(t, with, exporters.Env{}), []checks.Record{{ID: "1", At: noon(), Alert: &tt.alert}})
				events := b.events()
				if len(events) != 1 || events[0].GetSeverityText() != tt.severity {
					t.Fatalf("events are %v, want one that is %s", events, tt.severity)
				}
				if diff := cmp.Diff(tt.want, attributes(t, events[0].GetAttributes())); diff != "" {
					t.Errorf("attributes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAlertsAreBounded(t *testing.T) {
	hermetic(t)
	b, url := startHTTP(t)
	alert := firing()
	alert.Summary = strings.Repeat("s", 1<<20)
	for i := range 1000 {
		alert.Labels[fmt.Sprintf("%0300d", i)] = strings.Repeat("v", 5000)
	}
	export(t, build(t, "endpoint: "+url+"\n", exporters.Env{}), []checks.Record{{ID: "1", At: noon(), Alert: &alert}})
	got := attributes(t, b.events()[0].GetAttributes())
	if len(got) > 60 {
		t.Errorf("%d attributes, want 60 at most", len(got))
	}
	for key, value := range got {
		if len(key) > 128 || len(value) > 1024 {
			t.Errorf("%.20s… has %d bytes of key and %d of value", key, len(key), len(value))
		}
	}
	if body := b.events()[0].GetBody().GetStringValue(); len(body) > 64<<10 || got["windsock.truncated"] != "true" {
		t.Errorf("a body of %d bytes, truncated %q", len(body), got["windsock.truncated"])
	}
}

func TestOpenAlertsAreSaidAgain(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		e := build(t, with, exporters.Env{})
		r, ok := e.(exporters.Refresher)
		if !ok {
			t.Fatal("the exporter does not refresh")
		}
		if state, err := r.Refresh(t.Context(), nil); err != nil || state != nil {
			t.Errorf("without an alert: state %q, %v, want none", state, err)
		}
		export(t, e, []checks.Record{ran("1", noon(), checks.Pass("a"))})
		began := time.Now()
		if state, err := r.Refresh(t.Context(), []checks.Alert{firing()}); err != nil || state != nil {
			t.Errorf("state %q, %v, want the one that was", state, err)
		}
		var said int
		for s, p := range b.points(t) {
			if strings.Contains(s.series, "severity=P2") {
				said++
				if at := time.Unix(0, int64(s.at)); p.value != 2 || at.Before(began) {
					t.Errorf("%s is %g at %s, want 2 and now", s.series, p.value, at)
				}
			}
		}
		if said != 1 {
			t.Errorf("the alert was said %d times, want once", said)
		}
		export(t, e, []checks.Record{ran("2", noon().Add(time.Minute), checks.Pass("a"))})
		if len(b.events()) != 0 {
			t.Errorf("%d events, want none: nothing happened", len(b.events()))
		}
	})
}
