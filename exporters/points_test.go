package exporters_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// report is a final run of chat-small that began at noon and took two seconds.
func report(result checks.Result) *checks.Report {
	return &checks.Report{
		ID: "01J", Check: "chat-small", Kind: "chat", Provider: "mistral", Location: "par1", ScheduledAt: noon(),
		StartedAt: noon(), Took: 2 * time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: result,
	}
}

// lines are the points of a record, one per line, without the common attributes of report.
func lines(rec checks.Record) []string {
	var out []string
	for _, p := range exporters.Points(rec) {
		var attrs []string
		for _, a := range p.Attrs {
			if slices.Contains([]string{"chat-small", "chat", "mistral", "par1"}, a.Value) {
				continue
			}
			attrs = append(attrs, a.Key+"="+a.Value)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s %g %s", p.Kind, p.Name, p.Unit, p.Value, strings.Join(attrs, ","))))
	}
	return out
}

func TestPointsOfAReport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		report func() *checks.Report
		want   []string
	}{
		"a run that is well": {
			report: func() *checks.Report { r := report(checks.Pass("pong")); r.Timeout = 30 * time.Second; return r },
			want: []string{
				"counter probe.runs 1 status=ok", "gauge probe.success 1", "gauge probe.durations 2", "gauge probe.timeouts 30",
			},
		},
		"a degraded run is a success": {
			report: func() *checks.Report { return report(checks.Degrade(checks.CauseSlow, "slow")) },
			want:   []string{"counter probe.runs 1 status=degraded", "gauge probe.success 1", "gauge probe.durations 2"},
		},
		"a failed run counts its cause": {
			report: func() *checks.Report { return report(checks.Fail(checks.CauseServer, "500")) },
			want: []string{
				"counter probe.runs 1 status=failed", "counter probe.failures 1 cause=server", "gauge probe.success 0",
				"gauge probe.durations 2",
			},
		},
		"a failure that is being confirmed is no failure yet": {
			report: func() *checks.Report {
				r := report(checks.Result{Status: checks.Failed, Cause: checks.CauseServer, Measurements: []checks.Measurement{
					{Name: "probe.http.status_code", Value: 500},
					{Name: "gen_ai.client.operation.duration", Value: 1.5},
				}, Usage: &checks.Usage{Model: "small", Cost: checks.Dollar}})
				r.Final, r.Slots = false, 0
				return r
			},
			want: []string{
				"counter probe.runs 1 status=unconfirmed", "counter probe.llm.cost.usd 1 model=small",
				"histogram gen_ai.client.operation.durations 1.5",
			},
		},
		"a skipped run says nothing of the target": {
			report: func() *checks.Report {
				r := report(checks.Skip(checks.CauseBreakerOpen, "open"))
				r.StartedAt, r.Took, r.Timeout = time.Time{}, 0, time.Minute
				return r
			},
			want: []string{"counter probe.runs 1 status=skipped", "counter probe.skips 1 reason=breaker_open"},
		},
		"missed slots told in one count as many": {
			report: func() *checks.Report { r := report(checks.Skip(checks.CauseMissed, "")); r.Slots = 40; return r },
			want:   []string{"counter probe.runs 40 status=skipped", "counter probe.skips 40 reason=missed"},
		},
		"our own fault says nothing of the target": {
			report: func() *checks.Report {
				return report(checks.Result{Status: checks.Error, Cause: checks.CauseConfig})
			},
			want: []string{"counter probe.runs 1 status=error", "counter probe.skips 1 reason=config"},
		},
		"nobody's word is not green": {
			report: func() *checks.Report { return report(checks.Result{}) },
			want:   []string{"counter probe.runs 1 status=unknown", "counter probe.skips 1 reason=unknown"},
		},
		"phases have blackbox_exporter's names, and the first token is none of them": {
			report: func() *checks.Report {
				r := report(checks.Pass(""))
				r.Phases = []checks.Phase{
					{Name: checks.PhaseResolve, Took: time.Second},
					{Name: checks.PhaseFirstByte, Took: time.Second},
					{Name: checks.PhaseFirstToken, Took: time.Second},
					{Name: checks.PhaseTransfer, Took: time.Second},
				}
				return r
			},
			want: []string{
				"counter probe.runs 1 status=ok", "gauge probe.success 1", "gauge probe.durations 2",
				"gauge probe.http.durations 1 phase=resolve", "gauge probe.http.durations 1 phase=processing",
				"gauge probe.http.durations 1 phase=transfer",
			},
		},
		"the catalogue knows kind and unit better than the check": {
			report: func() *checks.Report {
				return report(checks.Result{Status: checks.OK, Measurements: []checks.Measurement{
					{Name: "probe.llm.time_to_first_token", Value: 0.4, Unit: "ms", Attrs: map[string]string{"model": "small"}},
					{Name: "shop.basket", Value: 3, Unit: "{item}", Attrs: map[string]string{"city": "Nîmes"}},
				}})
			},
			want: []string{
				"counter probe.runs 1 status=ok", "gauge probe.success 1", "gauge probe.durations 2",
				"gauge probe.llm.time_to_first_tokens 0.4 model=small", "gauge shop.basket{item} 3 city=Nîmes",
			},
		},
		"a check cannot give itself a verdict or speak for the agent": {
			report: func() *checks.Report {
				return report(checks.Result{Status: checks.Failed, Cause: checks.CauseServer, Measurements: []checks.Measurement{
					{Name: "probe.success", Value: 1},
					{Name: "probe.runs", Value: 9},
					{Name: "probe.llm.cost.usd", Value: -9},
					{Name: "windsock.breaker.state", Value: 0},
					{Name: "windsock.mine", Value: 0},
					{Name: "shop.x", Value: 1, Attrs: map[string]string{"check": "another", "provider": "nobody"}},
				}})
			},
			want: []string{
				"counter probe.runs 1 status=failed", "counter probe.failures 1 cause=server", "gauge probe.success 0",
				"gauge probe.durations 2", "gauge shop.x 1",
			},
		},
		"a gauge comes once, and nothing comes that has no number": {
			report: func() *checks.Report {
				return report(checks.Result{Status: checks.OK, Measurements: []checks.Measurement{
					{Name: "shop.x", Value: 1},
					{Name: "shop.x", Value: 2},
					{Name: "shop.nan", Value: math.NaN()},
					{Name: "shop.inf", Value: math.Inf(1)},
					{Name: "", Value: 1},
					{Name: "???", Value: 1},
					{Name: "gen_ai.client.token.usage", Value: -4},
					{Name: "gen_ai.client.token.usage", Value: 4},
					{Name: "gen_ai.client.token.usage", Value: 4},
				}})
			},
			want: []string{
				"counter probe.runs 1 status=ok", "gauge probe.success 1", "gauge probe.durations 2", "gauge shop.x 1",
				"histogram gen_ai.client.token.usage{token} 4", "histogram gen_ai.client.token.usage{token} 4",
			},
		},
		"labels that Prometheus keeps for itself are renamed": {
			report: func() *checks.Report {
				return report(checks.Result{Status: checks.OK, Measurements: []checks.Measurement{
					{Name: "9 shop basket!", Value: 1, Unit: "a b", Attrs: map[string]string{
						"le": "1", "quantile": "2", "__name__": "3", "é": "4", "": "5", "empty": "", "a b": "6",
					}},
				}})
			},
			want: []string{
				"counter probe.runs 1 status=ok", "gauge probe.success 1", "gauge probe.durations 2",
				"gauge shop_basket_ 1 a_b=6,bound=1,name__=3,q=2",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, lines(checks.OfReport(test.report()))); diff != "" {
				t.Errorf("points (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPointsCarryTheRunsTimeAndTheCommonAttributes(t *testing.T) {
	t.Parallel()
	want := []exporters.Attr{{"check", "chat-small"}, {"kind", "chat"}, {"location", "par1"}, {"provider", "mistral"}}
	for _, p := range exporters.Points(checks.OfReport(report(checks.Pass("")))) {
		if !p.At.Equal(noon().Add(2 * time.Second)) {
			t.Errorf("%s is of %s, want the end of the run", p.Name, p.At)
		}
		for _, a := range want {
			if !slices.Contains(p.Attrs, a) {
				t.Errorf("%s carries %v, want %v in it", p.Name, p.Attrs, a)
			}
		}
		if !slices.IsSortedFunc(p.Attrs, func(a, b exporters.Attr) int { return strings.Compare(a.Key, b.Key) }) {
			t.Errorf("%s: attributes %v are not sorted", p.Name, p.Attrs)
		}
	}
}

// What Points adds of its own to a record, no plugin may announce: its measurement would stand where ours is missing.
func TestWhatPointsGivesOutIsReserved(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for _, result := range []checks.Result{checks.Pass("pong"), checks.Fail(checks.CauseTimeout, "late"), checks.Skip(checks.CauseBreakerOpen, "open")} {
		r := report(result)
		r.Timeout, r.Usage = time.Second, &checks.Usage{Model: "m", PriceKnown: true}
		for _, p := range exporters.Points(checks.Record{Report: r}) {
			given[p.Name] = true
		}
	}
	for _, p := range exporters.Points(checks.Record{At: noon(), Agent: &checks.Snapshot{Version: "1", StartedAt: noon()}}) {
		given[p.Name] = true
	}
	for _, m := range exporters.Catalogue() {
		if m.Page || m.Self {
			given[m.Name] = true
		}
	}
	for _, want := range []string{"probe.success", "probe.skips", "probe.llm.cost.usd", "probe.last_run_timestamp", "windsock.uptime"} {
		if !given[want] {
			t.Errorf("%s was not given out", want)
		}
	}
	for name := range given {
		prometheus := strings.ReplaceAll(name, ".", "_")
		for _, spelling := range []string{name, prometheus, prometheus + "_seconds", prometheus + "_total"} {
			if !exporters.Reserved(spelling) {
				t.Errorf("%s is not reserved", spelling)
			}
		}
	}
	for _, free := range []string{"shop.success", "probe.http.duration", "probe.success.rate", "windsocks.count", "windsock"} {
		if exporters.Reserved(free) {
			t.Errorf("%s is reserved", free)
		}
	}
}

func TestPointsOfAnAlertTellItsState(t *testing.T) {
	t.Parallel()
	for state, want := range map[checks.AlertState]float64{
		checks.AlertResolved: 0, checks.AlertPending: 1, checks.AlertFiring: 2, checks.AlertNoData: 3, "strange": 3,
	} {
		points := exporters.Points(checks.Record{ID: "01J", At: noon(), Alert: &checks.Alert{
			Rule: "api-down", Severity: checks.P1, State: state, Labels: map[string]string{"check": "chat-small", "rule": "another"},
		}})
		attrs := []exporters.Attr{{"check", "chat-small"}, {"rule", "api-down"}, {"severity", "P1"}}
		wanted := []exporters.Point{{Name: "windsock.alert.state", Value: want, At: noon(), Attrs: attrs}}
		if diff := cmp.Diff(wanted, points); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
}

func TestADrillHasNoPoints(t *testing.T) {
	t.Parallel()
	points := exporters.Points(checks.Record{ID: "01J", At: noon(), Alert: &checks.Alert{
		Rule: "api-down", Severity: checks.P1, State: checks.AlertFiring, Labels: map[string]string{checks.LabelDrill: "5xx"},
	}})
	if len(points) != 0 {
		t.Errorf("got %v, want none: whoever alerts on the metric is told without the mark", points)
	}
}

func TestAnAlertsSeriesAllEndAtZero(t *testing.T) {
	t.Parallel()
	step := func(previous, state checks.AlertState, severity checks.Severity) checks.Alert {
		return checks.Alert{Rule: "api-down", Severity: severity, Previous: previous, State: state, At: noon(), Labels: map[string]string{"check": "a"}}
	}
	muted := step(checks.AlertFiring, checks.AlertFiring, checks.P1)
	muted.Muted, muted.Reminder = "silence/01K", true
	tests := map[string]struct {
		steps []checks.Alert
		want  map[string]float64 // before the last step
	}{
		"pending that comes to nothing": {[]checks.Alert{
			step("", checks.AlertPending, checks.P2), step(checks.AlertPending, checks.AlertResolved, checks.P2),
		}, map[string]float64{"P2": 1}},
		"more severe while it fires": {[]checks.Alert{
			step("", checks.AlertFiring, checks.P2), step(checks.AlertFiring, checks.AlertFiring, checks.P1), step(checks.AlertFiring, checks.AlertResolved, checks.P1),
		}, map[string]float64{"P1": 2, "P2": 0, "P3": 0, "P4": 0}},
		"more severe when it begins to fire": {[]checks.Alert{
			step("", checks.AlertPending, checks.P3), step(checks.AlertPending, checks.AlertFiring, checks.P1), step(checks.AlertFiring, checks.AlertResolved, checks.P1),
		}, map[string]float64{"P1": 2, "P2": 0, "P3": 0, "P4": 0}},
		"muted, reminded and without data": {[]checks.Alert{
			step("", checks.AlertFiring, checks.P1), muted, step(checks.AlertFiring, checks.AlertNoData, checks.P1), step(checks.AlertNoData, checks.AlertResolved, checks.P1),
		}, map[string]float64{"P1": 3, "P2": 0, "P3": 0, "P4": 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown := map[string]float64{}
			for i := range tt.steps {
				if i == len(tt.steps)-1 {
					if diff := cmp.Diff(tt.want, shown); diff != "" {
						t.Errorf("while it lasts (-want +got):\n%s", diff)
					}
				}
				for _, p := range exporters.Points(checks.Record{ID: "01J", At: noon(), Alert: &tt.steps[i]}) {
					shown[p.Attrs[len(p.Attrs)-1].Value] = p.Value
				}
			}
			for severity, value := range shown {
				if value != 0 {
					t.Errorf("%s stands at %g in the end", severity, value)
				}
			}
		})
	}
}

func TestPointsOfTheAgent(t *testing.T) {
	t.Parallel()
	rec := checks.Record{ID: "01J", At: noon(), Agent: &checks.Snapshot{
		Version: "1.2.3", Location: "par1", StartedAt: noon().Add(-time.Hour), Measurements: []checks.Measurement{
			{Name: "windsock.export.sent", Value: 12, Attrs: map[string]string{"exporter": "otel"}},
			{Name: "windsock.breaker.state", Value: 2, Attrs: map[string]string{"provider": "azure"}},
			{Name: "windsock.schedule.lateness", Value: 0.2, Attrs: map[string]string{"quantile": "0.99"}},
			{Name: "windsock.build_info", Value: 1, Attrs: map[string]string{"version": "1.2.3"}},
		},
	}}
	want := []string{
		"gauge windsock.build_info 1 version=1.2.3", "gauge windsock.uptimes 3600",
		"counter windsock.export.sent 12 exporter=otel", "gauge windsock.breaker.state 2 provider=azure",
		"gauge windsock.schedule.latenesss 0.2 q=0.99",
	}
	if diff := cmp.Diff(want, lines(rec)); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestRecordsWithoutATimeHaveNoPoints(t *testing.T) {
	t.Parallel()
	far := report(checks.Pass(""))
	far.StartedAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, rec := range map[string]checks.Record{
		"nothing in it":             {ID: "01J", At: noon()},
		"no time at all":            {Report: &checks.Report{}},
		"a time beyond nanoseconds": checks.OfReport(far),
		"an alert without":          {Alert: &checks.Alert{}},
		"the agent without":         {Agent: &checks.Snapshot{}},
	} {
		if got := exporters.Points(rec); len(got) != 0 {
			t.Errorf("%s: %d points, want none", name, len(got))
		}
	}
	if got := exporters.Points(checks.Record{At: noon(), Report: &checks.Report{}}); len(got) == 0 || !got[0].At.Equal(noon()) {
		t.Errorf("a report without times is not told at its record's: %v", got)
	}
}

func TestCleanTextIsBoundedValidAndOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   "",
		"small-latest":       "small-latest",
		"  spaces ":          "spaces",
		"two\nlines\x00\x1b": "two lines",
		"\xff\xfe":           "\uFFFD\uFFFD",
		"Nîmes":              "Nîmes",
		"éééééééé":           "éééééé", // 12 bytes: never half a rune
		"0123456789abcdef":   "0123456789ab",
		"a\u2028b\u0085c":    "a b c",
	} {
		if got := exporters.Clean(in, 12); got != want {
			t.Errorf("%q is cleaned to %q, want %q", in, got, want)
		}
	}
}

func FuzzPointsCanAlwaysBeSent(f *testing.F) {
	f.Add("shop.x", "key", "value", "s", 1.5, uint8(1), int64(1_795_000_000))
	f.Add("\xff", "le", "\xc3\x28\n", "\x00", math.Inf(1), uint8(200), int64(-1))
	f.Fuzz(func(t *testing.T, name, key, value, unit string, number float64, status uint8, at int64) {
		m := []checks.Measurement{{Name: name, Value: number, Unit: unit, Attrs: map[string]string{key: value, value: key}}}
		r := report(checks.Result{Status: checks.Status(status), Cause: checks.Cause(value), Measurements: m})
		r.Check, r.StartedAt, r.Location = value, time.Unix(at, 0), key
		labels := map[string]string{key: value}
		for _, rec := range []checks.Record{
			checks.OfReport(r),
			{At: time.Unix(at, 0), Agent: &checks.Snapshot{Version: value, Measurements: m}},
			{At: time.Unix(at, 0), Alert: &checks.Alert{Rule: name, State: checks.AlertState(key), Labels: labels}},
		} {
			for _, p := range exporters.Points(rec) {
				wellFormed(t, p)
			}
		}
	})
}

func wellFormed(t *testing.T, p exporters.Point) {
	t.Helper()
	if p.Name == "" || len(p.Name) > 128 || !utf8.ValidString(p.Name+p.Unit) || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		t.Fatalf("a point that cannot be sent: %+v", p)
	}
	for i, a := range p.Attrs {
		if a.Key == "" || a.Value == "" || len(a.Value) > 128 || !utf8.ValidString(a.Key+a.Value) || strings.ContainsAny(a.Value, "\n\r\x00") {
			t.Fatalf("an attribute that cannot be sent: %q=%q", a.Key, a.Value)
		}
		if i > 0 && p.Attrs[i-1].Key >= a.Key {
			t.Fatalf("attributes %v are not sorted or not unique", p.Attrs)
		}
	}
}

func BenchmarkPointsOfAChatRun(b *testing.B) {
	r := report(checks.Result{
		Status: checks.OK, Usage: &checks.Usage{Model: "mistral-small-latest", Cost: 12_000_000},
		Phases: []checks.Phase{{Name: checks.PhaseResolve, Took: 1}, {Name: checks.PhaseConnect, Took: 1}, {Name: checks.PhaseFirstByte, Took: 1}},
		Measurements: []checks.Measurement{
			{Name: "probe.http.status_code", Value: 200},
			{Name: "probe.llm.time_to_first_token", Value: 0.4, Attrs: map[string]string{"model": "mistral-small-latest"}},
			{Name: "gen_ai.client.operation.duration", Value: 1.2, Attrs: map[string]string{
				"gen_ai.provider.name": "mistral_ai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "mistral-small-latest",
			}},
		},
	})
	rec := checks.OfReport(r)
	b.ReportAllocs()
	for b.Loop() {
		exporters.Points(rec)
	}
}
