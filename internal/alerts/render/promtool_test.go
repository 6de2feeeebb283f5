//go:build prometheus

package render_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolTakesTheRuleFiles(t *testing.T) {
	for name, in := range inputs() {
		path := filepath.Join(t.TempDir(), name+".yaml")
		out, _ := render.Prometheus(in)
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		promtool(t, "check", "rules", path)
	}
}

// script is what the checks and the agent say in one story. It begins to go wrong in minute 30 and is well again from 50.
type script struct {
	run   func(minute int, check *alerts.Check, r *checks.Report)
	agent func(minute int) []checks.Measurement
	quiet string // a check that does not run while it goes wrong
}

func wrong(minute int) bool { return minute >= 30 && minute < 50 }

// failing is a story of checks that fail with a cause.
func failing(cause checks.Cause, which func(c *alerts.Check) bool, when func(minute int) bool) script {
	return script{run: func(minute int, c *alerts.Check, r *checks.Report) {
		if which(c) && when(minute) {
			r.Status, r.Cause = checks.Failed, cause
		}
	}}
}

func kinds(names ...string) func(c *alerts.Check) bool {
	return func(c *alerts.Check) bool { return slices.Contains(names, c.Kind) }
}

// measuring is a story of a check that measures something else while it goes wrong.
func measuring(kind, metric string, attrs map[string]string, well, bad float64) script {
	return script{run: func(minute int, c *alerts.Check, r *checks.Report) {
		if c.Kind != kind {
			return
		}
		value := well
		if wrong(minute) {
			value = bad
		}
		if metric == "" {
			r.Took = time.Duration(value * float64(time.Second))
			return
		}
		r.Measurements = append(r.Measurements, checks.Measurement{Name: metric, Value: value, Attrs: attrs})
	}}
}

func telling(metric string, attrs map[string]string, well, bad float64) script {
	return script{agent: func(minute int) []checks.Measurement {
		value := well
		if wrong(minute) {
			value = bad
		}
		return []checks.Measurement{{Name: metric, Value: value, Attrs: attrs}}
	}}
}

func stories() map[string]script {
	mistral := map[string]string{"provider": "mistral"}
	days := func(n int) float64 { return float64(start().Add(time.Duration(n) * 24 * time.Hour).Unix()) }
	return map[string]script{
		"well":                 {},
		"api-down":             failing(checks.CauseServer, kinds("chat"), wrong),
		"api-down, all":        failing(checks.CauseTimeout, kinds("chat", "embeddings", "models"), wrong),
		"auth-failure":         failing(checks.CauseAuth, kinds("chat"), wrong),
		"rate-limited":         failing(checks.CauseRateLimited, kinds("chat"), func(m int) bool { return wrong(m) && m%3 != 0 }),
		"rate-limited, zero":   failing(checks.CauseNoAllowance, kinds("chat"), wrong),
		"quota-exhausted":      failing(checks.CauseQuota, kinds("chat"), wrong),
		"payment":              failing(checks.CausePayment, kinds("chat"), wrong),
		"check-failing":        failing(checks.CauseAssertion, kinds("chat"), wrong),
		"model-gone":           failing(checks.CauseModelGone, kinds("chat"), wrong),
		"model-gone, listed":   measuring("models", "probe.llm.model.listed", map[string]string{"model": "a"}, 1, 0),
		"app-down":             failing(checks.CauseServer, kinds("app"), wrong),
		"high-latency":         measuring("chat", "", nil, 1, 9),
		"certificate-expiring": measuring("egress", "probe.ssl.earliest_cert_expiry", map[string]string{"host": "api"}, days(90), days(5)),
		"model-retiring":       measuring("models", "probe.llm.model.retirement_time", map[string]string{"model": "a"}, days(90), days(20)),
		"cost-spike":           measuring("spend", "spend.hour.usd", nil, 1, 20),
		"spend-unusual":        measuring("spend", "spend.spike_factor", nil, 1, 20),
		"budget-exhausted": {run: func(minute int, c *alerts.Check, r *checks.Report) {
			if c.Kind == "chat" && wrong(minute) {
				r.Status, r.Cause = checks.Skipped, checks.CauseBudget
			}
		}},
		"blind": {quiet: "chat-small"},
		"blind, unknown": {run: func(minute int, c *alerts.Check, r *checks.Report) {
			if c.Kind == "chat" && wrong(minute) {
				r.Status, r.Cause = checks.Error, checks.CauseConfig
			}
		}},
		"circuit-open":     telling("windsock.breaker.state", mistral, 0, 2),
		"headroom-low":     telling("windsock.headroom.share", map[string]string{"provider": "mistral", "model": "a", "resource": "tokens", "window": "minute"}, 0.5, 0.05),
		"price-unknown":    telling("windsock.prices.unknown", mistral, 0, 2),
		"export-held":      telling("windsock.export.held", map[string]string{"exporter": "otel"}, 0, 1),
		"export-behind":    telling("windsock.export.queue.age", map[string]string{"exporter": "otel"}, 1, 400),
		"store-degraded":   telling("windsock.store.degraded", nil, 0, 1),
		"reload-refused":   telling("windsock.config.reload_success", nil, 1, 0),
		"heartbeat-failed": telling("windsock.heartbeat.failed", nil, 0, 1),
	}
}

const (
	scrape  = 15 * time.Second
	storyIn = 80 // minutes
)

func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) } // of a synctest bubble

// world is a story as the engine judged it, and as Prometheus scraped it.
type world struct {
	firing  map[int][]string // by minute: "rule severity"
	samples map[string][]string
	scrapes int
}

func (s script) reports(minute int, all []alerts.Check, at time.Time) []checks.Record {
	var out []checks.Record
	for i := range all {
		c := &all[i]
		if every := int(c.Interval / time.Minute); minute%every != 0 || (c.Name == s.quiet && wrong(minute)) {
			continue
		}
		r := &checks.Report{
			Check: c.Name, Kind: c.Kind, Provider: c.Provider, Location: "par1", ScheduledAt: at, StartedAt: at, Took: time.Second / 2,
			Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1, Result: checks.Result{Status: checks.OK},
		}
		if s.run != nil {
			s.run(minute, c, r)
		}
		out = append(out, checks.Record{At: at, Report: r})
	}
	snapshot := &checks.Snapshot{Location: "par1", Version: "test", StartedAt: start()}
	if s.agent != nil {
		snapshot.Measurements = s.agent(minute)
	}
	return append(out, checks.Record{At: at, Agent: snapshot})
}

// live plays the story.
func (s script) live(t *testing.T, in render.Input) *world {
	t.Helper()
	w := &world{firing: map[int][]string{}, samples: map[string][]string{}}
	synctest.Test(t, func(t *testing.T) {
		for i := range in.Checks {
			interval := in.Checks[i].Interval
			in.Checks[i].Due = func(last time.Time, n int) time.Time { return last.Add(time.Duration(n) * interval) }
		}
		engine, err := alerts.New(in.Rules, in.Checks, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		page, err := prometheus.New(prometheus.Params{Path: "/metrics", MaxSeries: 1000}, exporters.Env{Location: "par1"})
		if err != nil {
			t.Fatal(err)
		}
		for second := range storyIn * 60 {
			if second%60 == 1 {
				batch := s.reports(second/60, in.Checks, time.Now())
				for _, rec := range batch {
					if rec.Report != nil {
						engine.Step(time.Now(), rec.Report)
					} else {
						engine.Observe(time.Now(), exporters.Points(rec))
					}
				}
				if _, err := page.Export(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			engine.Step(time.Now(), nil)
			if time.Duration(second)*time.Second%scrape == 0 {
				w.scrape(t, page)
			}
			if second%60 == 45 {
				for _, a := range engine.Alerts() {
					if a.State.Open() {
						w.firing[second/60] = append(w.firing[second/60], a.Rule+" "+string(a.Severity))
					}
				}
			}
			time.Sleep(time.Second)
		}
	})
	return w
}

// scrape keeps the page as the series of promtool's notation.
func (w *world) scrape(t *testing.T, page *prometheus.Exporter) {
	t.Helper()
	families, err := page.Gather()
	if err != nil {
		t.Fatal(err)
	}
	now := map[string]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetHistogram() != nil {
				continue
			}
			labels := make([]string, 0, len(m.GetLabel()))
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			if slices.Contains([]string{"probe_ssl_earliest_cert_expiry", "probe_llm_model_retirement_time_seconds"}, f.GetName()) {
				value -= float64(start().Unix()) // promtool's time begins at 0
			}
			now[f.GetName()+"{"+strings.Join(labels, ", ")+"}"] = strconv.FormatFloat(value, 'f', -1, 64)
		}
	}
	for key := range now {
		if w.samples[key] == nil {
			w.samples[key] = slices.Repeat([]string{"_"}, w.scrapes)
		}
	}
	for key, values := range w.samples {
		value, there := now[key]
		switch {
		case !there && values[len(values)-1] != "_" && values[len(values)-1] != "stale":
			value = "stale"
		case !there:
			value = "_"
		}
		w.samples[key] = append(values, value)
	}
	w.scrapes++
}

// fixture is the story as a test of promtool: at the times of the story the alerts that fire are those of the engine.
func (w *world) fixture(rules string, base map[string]string, at []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%s]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n", rules)
	for _, key := range slices.Sorted(maps.Keys(w.samples)) {
		fmt.Fprintf(&b, "      - series: '%s'\n        values: '%s'\n", key, strings.Join(w.samples[key], " "))
	}
	b.WriteString("    promql_expr_test:\n")
	for _, minute := range at {
		fmt.Fprintf(&b, "      - expr: group by (alertname, severity) (ALERTS{alertstate=\"firing\", layer!=\"traffic\"})\n        eval_time: %dm45s\n        exp_samples:\n", minute)
		want := map[string]bool{}
		for _, alert := range w.firing[minute] {
			name, severity, _ := strings.Cut(alert, " ")
			want[fmt.Sprintf("{alertname=%q, severity=%q}", name, severity)] = true
			want[fmt.Sprintf("{alertname=%q, severity=%q}", name, base[name])] = true
		}
		for _, labels := range slices.Sorted(maps.Keys(want)) {
			fmt.Fprintf(&b, "          - {labels: '%s', value: 1}\n", labels)
		}
	}
	return b.String()
}

// TestPrometheusAndTheEngineAgree: what our own page shows of a story, scraped every 15 seconds and judged by the rule
// file in Prometheus's own evaluation, fires and resolves as the engine says of the same runs.
func TestPrometheusAndTheEngineAgree(t *testing.T) {
	in := builtin()
	in.Heartbeat = 0
	in.Rules = slices.DeleteFunc(in.Rules, func(r alerts.Rule) bool { return r.Layer == alerts.LayerTraffic })
	out, _ := render.Prometheus(in)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, out, 0o600); err != nil {
		t.Fatal(err)
	}
	base := map[string]string{}
	for i := range in.Rules {
		base[in.Rules[i].Name] = string(in.Rules[i].Severity)
	}
	fired := map[string]bool{}
	for name, story := range stories() {
		t.Run(name, func(t *testing.T) {
			in := builtin()
			in.Rules = slices.DeleteFunc(in.Rules, func(r alerts.Rule) bool { return r.Layer == alerts.LayerTraffic })
			w := story.live(t, in)
			for _, all := range w.firing {
				for _, alert := range all {
					rule, _, _ := strings.Cut(alert, " ")
					fired[rule] = true
				}
			}
			path := filepath.Join(t.TempDir(), "test.yaml")
			if err := os.WriteFile(path, []byte(w.fixture(rules, base, []int{10, 29, 31, 33, 38, 44, 49, 53, 56, 66, 79})), 0o600); err != nil {
				t.Fatal(err)
			}
			promtool(t, "test", "rules", path)
		})
	}
	for _, r := range in.Rules {
		if r.Name != "alias-moved" && !fired[r.Name] { // it looks back a day
			t.Errorf("no story makes %s fire", r.Name)
		}
	}
}

// TestPromtoolTakesEveryQueryOfTheDashboard parses each query as Prometheus does, as a rule that records it.
func TestPromtoolTakesEveryQueryOfTheDashboard(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, p := range readBoard(t).Panels {
		for _, q := range p.Targets {
			fmt.Fprintf(&b, "      - record: panel_%d_%s\n        expr: %q\n", i, strings.ToLower(q.RefID), q.Expr)
		}
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}
