package prometheus_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
)

func TestTheKindKeepsItsPromises(t *testing.T) {
	exportertest.Run(t, exportertest.Options{
		Kind: prometheus.Kind(),
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			return exportertest.Case{With: "path: /metrics\nmax_series: 50\n"}, fault == exportertest.Works
		},
		Refused: map[string]string{
			"a path that is none": "path: metrics\n", "the root": "path: /\n", "a pattern": "path: /{x}\n", "a query": "path: /metrics?x\n",
			"dots": "path: /a/../metrics\n", "no series": "max_series: 0\n", "a negative time": "stale_after: -1s\n",
		},
		Page: "../../docs/exporters/prometheus.md",
	})
}

// params are the defaults.
func params() prometheus.Params { return prometheus.Kind().Defaults.(prometheus.Params) }

func open(t *testing.T, p prometheus.Params, env exporters.Env) *prometheus.Exporter {
	t.Helper()
	e, err := prometheus.New(p, env)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func export(t *testing.T, e *prometheus.Exporter, batch ...checks.Record) []byte {
	t.Helper()
	outcome, err := e.Export(t.Context(), batch)
	if err != nil || len(outcome.Rejected) > 0 {
		t.Fatalf("exporting: %v, rejected %v", err, outcome.Rejected)
	}
	return outcome.State
}

// scrape reads the page as a scraper that accepts a format.
func scrape(t *testing.T, e *prometheus.Exporter, accept string) *httptest.ResponseRecorder {
	t.Helper()
	pattern, handler := e.Handler()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, pattern, http.NoBody)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		t.Fatalf("the page answers %d: %s", answer.Code, answer.Body)
	}
	return answer
}

// decode reads the page with the Prometheus project's own parser.
func decode(t *testing.T, e *prometheus.Exporter) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(scrape(t, e, "").Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// series are the values of some families, one line each, without the labels that only say where and what.
func series(t *testing.T, e *prometheus.Exporter, wanted ...string) []string {
	t.Helper()
	out := []string{}
	families := decode(t, e)
	for _, name := range wanted {
		for _, m := range families[name].GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if !slices.Contains([]string{"kind", "provider", "location"}, l.GetName()) {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			out = append(out, fmt.Sprintf("%s{%s} %g", name, strings.Join(labels, ","), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	return out
}

func run(check string, at time.Time, result checks.Result) *checks.Report {
	return &checks.Report{
		ID: fmt.Sprintf("01K-%s-%d", check, at.UnixNano()), Check: check, Kind: "chat", Provider: "mistral", Location: "par1",
		ScheduledAt: at, StartedAt: at, Took: time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: result,
	}
}

func TestThePageStandsStill(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ accept, contentType, golden string }{
		"text":        {"text/plain", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "testdata/page.txt"},
		"openmetrics": {"application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores", "testdata/page.openmetrics"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := open(t, params(), exporters.Env{Location: "par1-vm7", Labels: map[string]string{"env": "production", "service.team": "checkout"}})
				batch := exportertest.RecordsFrom(time.Now(), 60, 1)
				time.Sleep(time.Minute)
				export(t, e, batch...)
				answer := scrape(t, e, test.accept)
				if got := answer.Header().Get("Content-Type"); got != test.contentType {
					t.Errorf("content type %q, want %q", got, test.contentType)
				}
				want, err := os.ReadFile(test.golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), answer.Body.String()); diff != "" {
					t.Errorf("the page (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// everything is a batch that holds every metric of the catalogue that a record can give.
func everything(at time.Time) []checks.Record {
	var probe, self []checks.Measurement
	for _, m := range exporters.Catalogue() {
		attrs := map[string]string{}
		for _, key := range m.Attrs {
			attrs[key] = "x"
		}
		one := checks.Measurement{Name: m.Name, Value: 1, Attrs: attrs}
		if m.Self {
			self = append(self, one)
		} else {
			probe = append(probe, one)
		}
	}
	ok := run("chat", at, checks.Result{Status: checks.OK, Measurements: probe, Usage: &checks.Usage{Model: "small", Cost: 1}})
	ok.Timeout, ok.Phases = time.Minute, []checks.Phase{{Name: checks.PhaseTLS, Took: 1}}
	return []checks.Record{
		checks.OfReport(ok),
		checks.OfReport(run("models", at, checks.Fail(checks.CauseServer, ""))),
		checks.OfReport(run("egress", at, checks.Skip(checks.CauseOverlap, ""))),
		{ID: "01K-agent", At: at, Agent: &checks.Snapshot{Version: "1.2.3", StartedAt: at.Add(-1), Measurements: self}},
		{ID: "01K-alert", At: at, Alert: &checks.Alert{Rule: "api-down", Severity: checks.P1, State: checks.AlertFiring, At: at}},
	}
}

func TestThePageHasEveryMetricAndPromlintHasNothingToSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, params(), exporters.Env{Location: "par1", Labels: map[string]string{"env": "test"}})
		export(t, e, everything(time.Now())...)
		families := decode(t, e)
		for _, m := range exporters.Catalogue() {
			if _, ok := families[prometheus.Name(m)]; !ok {
				t.Errorf("%s is not on the page as %s", m.Name, prometheus.Name(m))
			}
		}
		problems, err := promlint.New(scrape(t, e, "").Body).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	})
}

func TestAPageShowsOnlyWhatIsCurrent(t *testing.T) {
	t.Parallel()
	status := func(r *checks.Report, code float64) *checks.Report {
		r.Measurements = []checks.Measurement{{Name: "probe.http.status_code", Value: code}}
		return r
	}
	failing := checks.Fail(checks.CauseServer, "")
	tests := map[string]struct {
		reports func(at time.Time) []*checks.Report
		want    []string
	}{
		"the last run": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{status(run("chat", at, checks.Pass("")), 200), status(run("chat", at.Add(time.Minute), failing), 500)}
			},
			[]string{"probe_success{check=chat} 0", "probe_duration_seconds{check=chat} 1", "probe_http_status_code{check=chat} 500"},
		},
		"nothing of the run before, where the last could not connect": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{status(run("chat", at, checks.Pass("")), 200), run("chat", at.Add(time.Minute), checks.Fail(checks.CauseConnect, ""))}
			},
			[]string{"probe_success{check=chat} 0", "probe_duration_seconds{check=chat} 1"},
		},
		"no verdict, where the last run was skipped": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{status(run("chat", at, checks.Pass("")), 200), run("chat", at.Add(time.Minute), checks.Skip(checks.CauseBreakerOpen, ""))}
			},
			[]string{},
		},
		"no verdict, where the last run was our own fault": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{run("chat", at, checks.Pass("")), run("chat", at.Add(time.Minute), checks.Result{Status: checks.Error, Cause: checks.CauseConfig})}
			},
			[]string{},
		},
		"no verdict, where nobody knows": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{run("chat", at, checks.Pass("")), run("chat", at.Add(time.Minute), checks.Undetermined(checks.CauseDNS, ""))}
			},
			[]string{},
		},
		"the run before, while a failure is being confirmed": {
			func(at time.Time) []*checks.Report {
				unconfirmed := run("chat", at.Add(time.Minute), failing)
				unconfirmed.Final, unconfirmed.Slots = false, 0
				return []*checks.Report{run("chat", at, checks.Pass("")), unconfirmed}
			},
			[]string{"probe_success{check=chat} 1", "probe_duration_seconds{check=chat} 1"},
		},
		"the other checks": {
			func(at time.Time) []*checks.Report {
				return []*checks.Report{run("chat", at, checks.Pass("")), run("models", at, checks.Pass("")), run("chat", at, checks.Skip(checks.CauseBudget, ""))}
			},
			[]string{"probe_success{check=models} 1", "probe_duration_seconds{check=models} 1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := open(t, params(), exporters.Env{})
				for _, r := range test.reports(time.Now()) {
					export(t, e, checks.OfReport(r))
				}
				got := series(t, e, "probe_success", "probe_duration_seconds", "probe_http_status_code")
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("the page (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheTimeOfTheLastVerdictStaysWhileRunsAreSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, params(), exporters.Env{})
		at := time.Now()
		export(t, e, checks.OfReport(run("chat", at, checks.Pass(""))))
		time.Sleep(time.Minute)
		export(t, e, checks.OfReport(run("chat", time.Now(), checks.Skip(checks.CauseBudget, ""))))
		got := series(t, e, "probe_last_run_timestamp_seconds")
		want := []string{fmt.Sprintf("probe_last_run_timestamp_seconds{check=chat} %g", float64(at.Add(time.Second).Unix()))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestSilentChecksLeaveThePage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		every      time.Duration // between two runs; 0 is one run only
		staleAfter time.Duration
		silence    time.Duration
		shown      bool
	}{
		"a check of every minute, after nine minutes":         {every: time.Minute, silence: 9 * time.Minute, shown: true},
		"a check of every minute, after eleven":               {every: time.Minute, silence: 11 * time.Minute},
		"an hourly check, that missed two":                    {every: time.Hour, silence: 150 * time.Minute, shown: true},
		"an hourly check, that missed three":                  {every: time.Hour, silence: 4 * time.Hour},
		"a daily check, that missed one":                      {every: 24 * time.Hour, silence: 47 * time.Hour, shown: true},
		"a check that ran once may be a daily one":            {silence: 24 * time.Hour, shown: true},
		"a check that ran once, after more than a day":        {silence: 26 * time.Hour},
		"a bound of the configuration, before it":             {every: time.Hour, staleAfter: 5 * time.Minute, silence: 4 * time.Minute, shown: true},
		"a bound of the configuration, after it":              {every: time.Hour, staleAfter: 5 * time.Minute, silence: 6 * time.Minute},
		"a bound of the configuration that is longer than it": {every: time.Minute, staleAfter: time.Hour, silence: 59 * time.Minute, shown: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := params()
				p.StaleAfter = test.staleAfter
				e := open(t, p, exporters.Env{})
				export(t, e, checks.OfReport(run("chat", time.Now(), checks.Pass(""))))
				if test.every > 0 {
					time.Sleep(test.every)
					export(t, e, checks.OfReport(run("chat", time.Now(), checks.Pass(""))))
				}
				time.Sleep(test.silence)
				if got := len(series(t, e, "probe_success")) > 0; got != test.shown {
					t.Errorf("shown is %v, want %v", got, test.shown)
				}
				if len(series(t, e, "probe_runs_total")) == 0 {
					t.Error("the totals left with it, want them to stay")
				}
			})
		})
	}
}

func TestARestartKeepsTotalsAndShowsTheLastRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chat := checks.OfReport(run("chat", time.Now(), checks.Pass("")))
		old := checks.OfReport(run("models", time.Now().Add(-48*time.Hour), checks.Pass("")))
		state := export(t, open(t, params(), exporters.Env{}), old, chat)
		e := open(t, params(), exporters.Env{State: state, Warm: []checks.Record{old, chat}})
		names := []string{"probe_success", "probe_runs_total"}
		want := []string{"probe_success{check=chat} 1", "probe_runs_total{check=chat,status=ok} 1", "probe_runs_total{check=models,status=ok} 1"}
		if diff := cmp.Diff(want, series(t, e, names...)); diff != "" {
			t.Errorf("after the restart (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		export(t, e, checks.OfReport(run("chat", time.Now(), checks.Pass(""))))
		want[1] = "probe_runs_total{check=chat,status=ok} 2"
		if diff := cmp.Diff(want, series(t, e, names...)); diff != "" {
			t.Errorf("after the next run (-want +got):\n%s", diff)
		}
	})
}

func TestABatchThatComesAgainIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	e := open(t, params(), exporters.Env{})
	batch := exportertest.RecordsFrom(time.Now(), 100, 1)
	export(t, e, batch[:50]...)
	export(t, e, batch[50:80]...)
	before := scrape(t, e, "").Body.String()
	export(t, e, batch[50:80]...)
	if diff := cmp.Diff(before, scrape(t, e, "").Body.String()); diff != "" {
		t.Errorf("the page changed (-before +after):\n%s", diff)
	}
}

func TestAScrapeSeesWholeBatchesOnly(t *testing.T) {
	t.Parallel()
	e := open(t, params(), exporters.Env{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			at := time.Now().Add(time.Duration(i) * time.Millisecond)
			var batch []checks.Record
			for range 10 {
				batch = append(batch, checks.OfReport(run("chat", at, checks.Pass(""))), checks.OfReport(run("models", at, checks.Pass(""))))
			}
			if _, err := e.Export(t.Context(), batch); err != nil {
				t.Error(err)
			}
		}
	}()
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		families, err := e.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[float64]bool{}
		for _, f := range families {
			if f.GetName() == "probe_runs_total" {
				for _, m := range f.GetMetric() {
					values[m.GetCounter().GetValue()] = true
				}
			}
		}
		if len(values) > 1 {
			t.Fatalf("two checks that run together were counted %v", slices.Collect(maps.Keys(values)))
		}
	}
}

func TestAlertsOnThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, params(), exporters.Env{Location: "par1"})
		alert := func(check string, state checks.AlertState) checks.Alert {
			return checks.Alert{Rule: "api-down", Severity: checks.P1, State: state, At: time.Now(), Labels: map[string]string{"check": check}}
		}
		record := func(a checks.Alert) checks.Record { return checks.Record{ID: "01K", At: a.At, Alert: &a} }
		want := func(when string, lines ...string) {
			t.Helper()
			if diff := cmp.Diff(append([]string{}, lines...), series(t, e, "windsock_alert_state")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		line := "windsock_alert_state{check=%s,rule=api-down,severity=P1} %d"
		export(t, e, record(alert("chat", checks.AlertFiring)), record(alert("models", checks.AlertFiring)))
		export(t, e, record(alert("models", checks.AlertResolved)))
		want("one of two resolved", fmt.Sprintf(line, "chat", 2), fmt.Sprintf(line, "models", 0))
		time.Sleep(3 * time.Hour)
		want("a resolved one is forgotten, a firing one never", fmt.Sprintf(line, "chat", 2))
		if _, err := e.Refresh(t.Context(), []checks.Alert{alert("embeddings", checks.AlertFiring)}); err != nil {
			t.Fatal(err)
		}
		want("what fires now is shown, what is gone is not", fmt.Sprintf(line, "embeddings", 2))
		export(t, e, record(alert("chat", checks.AlertFiring)))
		if _, err := e.Refresh(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want("an alert younger than the list stays", fmt.Sprintf(line, "chat", 2), fmt.Sprintf(line, "embeddings", 2))
	})
}

func TestSeriesBeyondTheBoundAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := params()
		p.MaxSeries = 3
		e := open(t, p, exporters.Env{})
		for i := range 10 {
			export(t, e, checks.OfReport(run(fmt.Sprintf("check-%d", i), time.Now(), checks.Pass(""))))
		}
		for name, f := range decode(t, e) {
			if len(f.GetMetric()) > 4 {
				t.Errorf("%s has %d series, want at most 3 and the rest", name, len(f.GetMetric()))
			}
		}
		want := []string{
			"windsock_export_hidden{metric=probe.duration} 7", "windsock_export_hidden{metric=probe.last_run_timestamp} 7",
			"windsock_export_hidden{metric=probe.success} 7", "windsock_export_folded_total{metric=probe.runs} 7",
		}
		if diff := cmp.Diff(want, series(t, e, "windsock_export_hidden", "windsock_export_folded_total")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestNamesOfPluginsCannotBreakOurs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, params(), exporters.Env{})
		r := run("shop", time.Now(), checks.Result{Status: checks.Failed, Cause: checks.CauseServer, Measurements: []checks.Measurement{
			{Name: "probe_success", Value: 1},
			{Name: "probe.runs.total", Value: 99},
			{Name: "probe_runs", Value: 98},
			{Name: "gen_ai.client.token.usage.count", Value: 97},
			{Name: "gen_ai.client.token.usage", Value: 5},
			{Name: "shop.x", Value: 1},
			{Name: "shop_x", Value: 2},
			{Name: "shop.y", Value: 3, Attrs: map[string]string{"a.b": "1", "a_b": "2", "le": "9", "check": "chat"}},
		}})
		export(t, e, checks.OfReport(r))
		got := series(t, e, "probe_success", "probe_runs_total", "exported_probe_success", "exported_probe_runs_total",
			"exported_probe_runs", "exported_gen_ai_client_token_usage_count", "shop_x", "shop_y", "windsock_export_hidden")
		want := []string{
			"probe_success{check=shop} 0", "probe_runs_total{check=shop,status=failed} 1", "exported_probe_success{check=shop} 1",
			"exported_probe_runs_total{check=shop} 99", "exported_probe_runs{check=shop} 98",
			"exported_gen_ai_client_token_usage_count{check=shop} 97", "shop_x{check=shop} 1", "shop_y{a_b=1;2,bound=9,check=shop} 3",
			"windsock_export_hidden{metric=shop_x} 1", // and said to be so
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHistogramsAreCumulativeOnThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, params(), exporters.Env{})
		for i, tokens := range []float64{1, 2, 5, 1e9} {
			r := run("chat", time.Now().Add(time.Duration(i)), checks.Result{Status: checks.OK, Measurements: []checks.Measurement{
				{Name: "gen_ai.client.token.usage", Value: tokens},
			}})
			export(t, e, checks.OfReport(r))
		}
		h := decode(t, e)["gen_ai_client_token_usage"].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 4 || h.GetSampleSum() != 1e9+8 {
			t.Errorf("count %d, sum %g, want 4 and 1000000008", h.GetSampleCount(), h.GetSampleSum())
		}
		want := map[float64]uint64{1: 1, 4: 2, 16: 3, 67108864: 3}
		for _, b := range h.GetBucket() {
			if n, ok := want[b.GetUpperBound()]; ok && b.GetCumulativeCount() != n {
				t.Errorf("at most %g: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), n)
			}
		}
	})
}

func TestARealScrapeNegotiatesItsFormat(t *testing.T) {
	t.Parallel()
	e := open(t, params(), exporters.Env{})
	export(t, e, exportertest.RecordsFrom(time.Now().Add(-time.Minute), 60, 1)...)
	pattern, handler := e.Handler()
	mux := http.NewServeMux()
	mux.Handle(pattern, handler)
	server := httptest.NewServer(mux)
	defer server.Close()
	for accept, want := range map[string]string{
		"": "# TYPE probe_runs_total counter", "application/openmetrics-text;version=1.0.0": "# TYPE probe_runs counter",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		answer, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(answer.Body)
		if closed := answer.Body.Close(); err != nil || closed != nil {
			t.Fatal(err, closed)
		}
		if !strings.Contains(body.String(), want) {
			t.Errorf("accepting %q: no line %q in\n%s", accept, want, body.String())
		}
		if open := strings.HasSuffix(body.String(), "# EOF\n"); open != (accept != "") {
			t.Errorf("accepting %q: the end mark of OpenMetrics is there: %v", accept, open)
		}
	}
}

func BenchmarkScrapeOfThousandChecks(b *testing.B) {
	e, err := prometheus.New(params(), exporters.Env{})
	if err != nil {
		b.Fatal(err)
	}
	var batch []checks.Record
	for i := range 1000 {
		batch = append(batch, checks.OfReport(run(fmt.Sprintf("check-%d", i), time.Now(), checks.Pass(""))))
	}
	if _, err := e.Export(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
