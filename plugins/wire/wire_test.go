package wire_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func noon() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 123_456_789, time.UTC) }

func fullResult() checks.Result {
	return checks.Result{
		Status: checks.Failed, Cause: checks.CauseTimeout, Blame: checks.BlameApplication, Summary: "no answer within 5s",
		Measurements: []checks.Measurement{
			{Name: "shop.login.duration", Value: 1.25, Unit: "s", Attrs: map[string]string{"step": "form"}},
			{Name: "shop.login.duration", Value: 2.5, Unit: "s", Attrs: map[string]string{"step": "post"}},
			{Name: "shop.items", Value: 7},
		},
		Phases:   []checks.Phase{{Name: checks.PhaseConnect, Took: 12345 * time.Microsecond}, {Name: "render", Took: 3 * time.Second}},
		Evidence: []checks.Step{{Name: "dns", OK: true, Detail: "10.0.0.1"}, {Name: "status"}},
		Usage: &checks.Usage{
			Model: "mistral-small-latest", PromptTokens: 100, CachedTokens: 40, CompletionTokens: 7, Cost: 123_456_789, PriceKnown: true,
			PriceDate: "2026-11-01", Estimated: true,
		},
		Facts: map[string]string{"request_id": "abc"},
	}
}

func fullReport() checks.Record {
	return checks.OfReport(&checks.Report{
		ID: "01K", Check: "login", Kind: "shop/login", Provider: "mistral", Location: "paris", Labels: map[string]string{"team": "a"},
		ScheduledAt: noon(), StartedAt: noon().Add(time.Millisecond), Took: 1500 * time.Millisecond, Timeout: 5 * time.Second,
		Trigger: checks.TriggerCatchUp, Attempt: 2, Final: true, Slots: 3, Result: fullResult(),
	})
}

func fullAlert() checks.Alert {
	return checks.Alert{
		Rule: "down", Fingerprint: "f00", State: checks.AlertFiring, Previous: checks.AlertPending, Severity: checks.P1,
		Blame: checks.BlameProvider, Since: noon(), At: noon().Add(time.Minute), Value: 3, Threshold: 2, Labels: map[string]string{"check": "login"},
		Summary: "s", Diagnosis: "d", Impact: "i", Action: "a", Muted: "m", Reminder: true, RespondBy: noon().Add(time.Hour), Commander: "c",
		Runbook: "r", Incident: "in",
	}
}

// sent is what arrives of a message.
func sent[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("marshalling %T: %v", m, err)
	}
	out, _ := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(data, out); err != nil {
		t.Fatalf("unmarshalling %T: %v", m, err)
	}
	return out
}

func TestResultRoundTrip(t *testing.T) {
	for name, want := range map[string]checks.Result{
		"everything": fullResult(),
		"ok":         checks.Pass("200 in 12ms"),
		"degraded":   checks.Degrade(checks.CauseSlow, "slow"),
		"skipped":    checks.Skip(checks.CauseMaintenance, "not now"),
		"unknown":    checks.Undetermined(checks.CauseConfig, "cannot tell"),
		"error":      {Status: checks.Error, Cause: checks.CauseInternal, Summary: "no descriptors"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.ResultFromProto(sent(t, wire.ResultToProto(want)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the result changed on its way (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecordRoundTrip(t *testing.T) {
	alert := fullAlert()
	skipped := checks.OfReport(&checks.Report{ID: "01S", ScheduledAt: noon(), Result: checks.Skip(checks.CauseMissed, "x")})
	for name, want := range map[string]checks.Record{
		"a report":                  fullReport(),
		"a slot that was not run":   skipped,
		"an alert":                  {ID: "01A", At: noon(), Alert: &alert},
		"an alert with no deadline": {ID: "01A", At: noon(), Alert: &checks.Alert{Rule: "down", State: checks.AlertResolved, At: noon()}},
		"the agent": {ID: "01B", At: noon(), Agent: &checks.Snapshot{
			Version: "1.0.0", Location: "paris", StartedAt: noon(), Measurements: []checks.Measurement{{Name: "agent.runs", Value: 3}},
		}},
		"nothing": {ID: "01N", At: noon()},
	} {
		t.Run(name, func(t *testing.T) {
			batch, err := wire.RecordsFromProto(sent(t, &pluginv1.ExportRequest{Records: wire.RecordsToProto([]checks.Record{want})}).GetRecords())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]checks.Record{want}, batch); diff != "" {
				t.Errorf("the record changed on its way (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecordThatTheProtocolCannotSayIsRepaired(t *testing.T) {
	alert := fullAlert()
	alert.Value, alert.Threshold = math.NaN(), math.Inf(-1)
	alert.RespondBy = time.Date(10_001, 1, 1, 0, 0, 0, 0, time.UTC)
	report := fullReport()
	report.Report.Summary, report.Report.Labels = "caf\xe9", map[string]string{"k\xff": "v\xff", "ok": "ok"}
	report.Report.Measurements[0].Value = math.Inf(1)
	report.Report.Attempt = math.MaxInt
	batch, err := wire.RecordsFromProto(sent(t, &pluginv1.ExportRequest{
		Records: wire.RecordsToProto([]checks.Record{report, {ID: "a\xff", Alert: &alert}}),
	}).GetRecords())
	if err != nil {
		t.Fatal(err)
	}
	got, told := batch[0].Report, batch[1].Alert
	if got.Summary != "caf\uFFFD" || got.Labels["k\uFFFD"] != "v\uFFFD" || got.Labels["ok"] != "ok" || batch[1].ID != "a\uFFFD" {
		t.Errorf("text that is not UTF-8 became %q, %q, %q", got.Summary, got.Labels, batch[1].ID)
	}
	if len(got.Measurements) != 2 || got.Attempt != math.MaxInt32 {
		t.Errorf("got %d measurements and attempt %d, want 2 finite ones and the largest attempt", len(got.Measurements), got.Attempt)
	}
	if told.Value != 0 || told.Threshold != -math.MaxFloat64 || !told.RespondBy.IsZero() {
		t.Errorf("got value %v, threshold %v, respond by %v", told.Value, told.Threshold, told.RespondBy)
	}
}

func TestRefreshedAlertsRoundTrip(t *testing.T) {
	want := []checks.Alert{fullAlert(), {Rule: "up"}}
	got, err := wire.AlertsFromProto(sent(t, &pluginv1.RefreshRequest{Alerts: wire.AlertsToProto(want)}).GetAlerts())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the alerts changed on their way (-want +got):\n%s", diff)
	}
}

func TestRecordTypes(t *testing.T) {
	for _, want := range []checks.RecordType{checks.TypeReport, checks.TypeAlert, checks.TypeAgent, ""} {
		if got := wire.RecordTypeFromProto(wire.RecordTypeToProto(want)); got != want {
			t.Errorf("type %q became %q", want, got)
		}
	}
	if got := wire.RecordTypeFromProto(77); got != "" {
		t.Errorf("a type from the future became %q, want none", got)
	}
}

func TestLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"stays":        {"connection refused", "connection refused"},
		"loses breaks": {"one\ntwo\r\n\tthree", "one two three"},
		"loses bytes":  {"caf\xe9", "caf\uFFFD"},
		"of controls":  {"\x00\x07", ""},
		"C1 controls":  {"a\u0085b", "a b"},
	} {
		if got := wire.Line(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	long := ""
	for len(long) < 400 {
		long += "é"
	}
	if got := wire.Line("x" + long); len(got) > wire.MaxSummary || got[len(got)-len("…"):] != "…" || len(got) < wire.MaxSummary-4 {
		t.Errorf("a long line became %d bytes: %q", len(got), got)
	}
}

func TestHandshake(t *testing.T) {
	got := wire.Handshake()
	if got.MagicCookieKey != "WINDSOCK_PLUGIN_COOKIE" || got.MagicCookieValue != "b6d3f2a4-windsock-plugin" || got.ProtocolVersion != 1 {
		t.Errorf("got %+v: plugins that are in use would start no more", got)
	}
}
