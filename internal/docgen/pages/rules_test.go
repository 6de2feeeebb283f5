package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/docgen/pages"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheTableOfRulesIsFresh(t *testing.T) {
	t.Parallel()
	got := page(t, "alerts.md")
	want, err := pages.WithRules([]byte(got), alerts.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/alerts.md is stale, run go generate ./checks/all (-code +page):\n%s", diff)
	}
}

// Each rule has its row, and each row a page of the runbook to go to.
func TestEveryBuiltinRuleIsOnThePagesOfAlertsAndRunbooks(t *testing.T) {
	t.Parallel()
	text := page(t, "alerts.md")
	rules := alerts.Builtin()
	for i := range rules {
		r := &rules[i]
		if row := "\n| [" + r.Name + "](runbook/" + r.Runbook + ".md) | " + string(r.Severity); strings.Count(text, row) != 1 {
			t.Errorf("docs/alerts.md has no row, or several, that begin with %q", row)
		}
		if row := "\n| " + r.Name + " | " + string(r.Severity); strings.Count(page(t, "runbook/"+r.Runbook+".md"), row) != 1 {
			t.Errorf("docs/runbook/%s.md has no row, or several, that begin with %q", r.Runbook, row)
		}
	}
}

func TestAConditionInWords(t *testing.T) {
	t.Parallel()
	fails := func(least, runs int) alerts.Condition {
		return alerts.Condition{Metric: "probe.failures", Aggregate: alerts.Sum, Window: alerts.Window{Runs: runs}, Op: alerts.Above, Threshold: float64(least) - 0.5}
	}
	shared := fails(2, 3)
	shared.Share = &alerts.Share{Of: []string{"check"}, AtLeast: 0.5}
	slow := alerts.Condition{
		Metric: "probe.duration", Aggregate: alerts.P95, Window: alerts.Window{Time: 10 * time.Minute}, Op: alerts.Above, Threshold: 1.5, MinSamples: 3,
		Match: []alerts.Matcher{{Attr: "kind", In: []string{"chat", "app"}}, {Attr: "model", Not: true, Regexp: regexp.MustCompile("^x.*$")}},
	}
	ends := alerts.Condition{Metric: "probe.ssl.earliest_cert_expiry", Until: true, Op: alerts.Below, Threshold: 14 * 24 * 3600}
	tests := map[string]struct {
		rule alerts.Rule
		want string
	}{
		"failures are runs":     {alerts.Rule{When: fails(3, 3)}, "3 of the last 3 runs failed | series |"},
		"one failure":           {alerts.Rule{When: fails(1, 1), GroupBy: []string{}}, "the last run failed | agent |"},
		"a share":               {alerts.Rule{When: shared, GroupBy: []string{"a", "b"}}, "2 of the last 3 runs failed, for 50 % of each check | a, b |"},
		"a quantile and labels": {alerts.Rule{When: slow, For: 90 * time.Second}, "p95 of `probe.duration` over 10 min above 1.5 s, of at least 3 samples (kind chat or app; model not ~^x.*$), for 90 s |"},
		"a moment":              {alerts.Rule{When: ends, KeepFiringFor: 3 * time.Hour}, "the time until `probe.ssl.earliest_cert_expiry` below 14 d; it fires on for 3 h |"},
		"any of several":        {alerts.Rule{When: alerts.Condition{Any: []alerts.Condition{fails(1, 1), ends}}}, "the last run failed, or the time until `probe.ssl"},
		"money": {
			alerts.Rule{When: alerts.Condition{Metric: "spend.hour.usd", Op: alerts.Above, Threshold: 10, Match: []alerts.Matcher{{Attr: "source", In: []string{""}}}}},
			"`spend.hour.usd` above $10.00 (source empty) |",
		},
		"a part":      {alerts.Rule{When: alerts.Condition{Metric: "windsock.headroom.share", Op: alerts.Below, Threshold: 0.1}}, "`windsock.headroom.share` below 10 % |"},
		"silence":     {alerts.Rule{When: alerts.Condition{Metric: "probe.success", Op: alerts.Below}, AbsentAfter: alerts.Window{Intervals: 3}}, "no sample of `probe.success` for 3 intervals |"},
		"it can rise": {alerts.Rule{When: ends, Escalations: []alerts.Escalation{{Severity: checks.P1, When: fails(1, 1)}}}, "below 14 d. P1: the last run failed |"},
	}
	empty, err := pages.WithRules([]byte(page(t, "alerts.md")), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.rule.Layer, test.rule.Severity = alerts.LayerProbe, checks.P2
			got, err := pages.WithRules(empty, []alerts.Rule{test.rule})
			if err != nil || !strings.Contains(string(got), test.want) {
				t.Errorf("%v: no %q in\n%s", err, test.want, got)
			}
		})
	}
}

func TestAPageWithoutAPlaceForTheRulesIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := pages.WithRules([]byte("# Alerts\n"), alerts.Builtin()); err == nil {
		t.Error("the rules went nowhere")
	}
}
