package traffic_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/traffic"
)

// update writes the golden file: go test ./internal/traffic -args -update
//
//nolint:gochecknoglobals // a flag of the test
var update = flag.Bool("update", false, "write testdata/questions.golden")

// worlds are applications that export their metrics otherwise.
func worlds() map[string]func(*traffic.Metrics) {
	return map[string]func(*traffic.Metrics){
		"1 checklist": func(*traffic.Metrics) {},
		"2 seconds, other names": func(m *traffic.Metrics) {
			m.Errors, m.StatusLabel, m.Duration, m.LatencyUnit = "llm_failures_total", "code", "llm_seconds", traffic.Seconds
			m.Cost, m.Circuit, m.Tokens, m.Matchers = "", "", "", `job="shop", env="prod",`
		},
		"3 summary": func(m *traffic.Metrics) { m.LatencyKind, m.Errors = traffic.Summary, "" },
		"4 gauge":   func(m *traffic.Metrics) { m.LatencyKind, m.Errors, m.Cost = traffic.Gauge, "", "" },
	}
}

func TestTheQuestionsAreThoseOfTheGoldenFile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, name := range []string{"1 checklist", "2 seconds, other names", "3 summary", "4 gauge"} {
		m := traffic.Checklist()
		worlds()[name](&m)
		for _, q := range traffic.Questions(m) {
			fmt.Fprintf(&b, "# %s: %s [%s] by %v\n%s\n\n", name, q.Name, q.Unit, q.By, q.PromQL)
		}
	}
	const file = "testdata/questions.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestAQuestionIsFoundByItsName(t *testing.T) {
	t.Parallel()
	if q, ok := traffic.Find(traffic.Checklist(), traffic.LatencyP95); !ok || q.Unit != "s" {
		t.Errorf("got %+v, %t, want the latency in seconds", q, ok)
	}
	if q, ok := traffic.Find(traffic.Metrics{}, traffic.LatencyP95); ok {
		t.Errorf("got %+v, want none of an application without metrics", q)
	}
}

func TestNamesAndUnitsThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*traffic.Metrics)
		says   string
	}{
		"the checklist's":      {func(*traffic.Metrics) {}, ""},
		"a name with a dot":    {func(m *traffic.Metrics) { m.Cost = "mistral.cost" }, "metrics.cost: "},
		"braces in a name":     {func(m *traffic.Metrics) { m.Errors = "a{b=\"c\"}" }, "metrics.errors: "},
		"a bucket":             {func(m *traffic.Metrics) { m.Duration += "_bucket" }, "without _bucket"},
		"minutes":              {func(m *traffic.Metrics) { m.LatencyUnit = "min" }, "want ms or s"},
		"a native histogram":   {func(m *traffic.Metrics) { m.LatencyKind = "native" }, "want histogram, summary or gauge"},
		"a label with a dash":  {func(m *traffic.Metrics) { m.StatusLabel = "status-code" }, "metrics.status_label: "},
		"a latency of nothing": {func(m *traffic.Metrics) { m.LatencyAbove = 0 }, "want more than 0s"},
		"matchers without end": {func(m *traffic.Metrics) { m.Matchers = strings.Repeat("x", 1001) }, "1001 bytes"},
		"no metric": {func(m *traffic.Metrics) {
			*m = traffic.Metrics{StatusLabel: "a", LatencyUnit: "s", LatencyKind: "gauge", LatencyAbove: 1}
		}, "no metric"},
		"tokens alone":           {func(m *traffic.Metrics) { m.Errors, m.Duration, m.Cost, m.Circuit = "", "", "", "" }, "no metric"},
		"one metric is enough":   {func(m *traffic.Metrics) { m.Errors, m.Duration, m.Cost = "", "", "" }, ""},
		"recording rules, colon": {func(m *traffic.Metrics) { m.Errors = "job:mistral_errors:total" }, ""},
	} {
		m := traffic.Checklist()
		tc.change(&m)
		err := m.Validate("metrics")
		if (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}

func TestWhatARequestCostsIsAskedWhereItCanBe(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{"1 checklist": true, "2 seconds, other names": false, "3 summary": true, "4 gauge": false}
	for name, want := range asked {
		m := traffic.Checklist()
		worlds()[name](&m)
		q, ok := traffic.PerRequest(m)
		if ok != want || ok != strings.Contains(q.PromQL, "sum(") {
			t.Errorf("%s: got %q, %t, want %t", name, q.PromQL, ok, want)
		}
	}
}
