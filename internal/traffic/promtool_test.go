//go:build prometheus

package traffic_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/traffic"
)

// trap is a world, in the notation of promtool with a sample every 15 seconds, and what is to be seen in it.
type trap struct {
	change func(*traffic.Metrics)
	series map[string]string
	ask    string
	at     string
	want   string // "" is nothing
	by     string // labels of the answer
}

const up, requests = `up{job="app",instance="a"}`, `mistral_request_duration_ms_count{job="app",instance="a"}`

func failed(status, instance string) string {
	return fmt.Sprintf(`mistral_errors_total{status_code=%q,job="app",instance=%q}`, status, instance)
}

func bucket(le string) string {
	return fmt.Sprintf(`mistral_request_duration_ms_bucket{le=%q,job="app",instance="a"}`, le)
}

func traps() map[string]trap {
	return map[string]trap{
		"nothing is known":                             {ask: traffic.Errors5xx, at: "10m"},
		"errors of a minute, exactly":                  {series: map[string]string{failed("500", "a"): "0+3x60"}, ask: traffic.Errors5xx, at: "10m", want: "12"},
		"several statuses and instances":               {series: map[string]string{failed("500", "a"): "0+1x60", failed("503", "a"): "0+2x60", failed("500", "b"): "7+1x60", failed("429", "a"): "0+9x60"}, ask: traffic.Errors5xx, at: "10m", want: "16"},
		"the scrape interval is the window":            {series: map[string]string{failed("500", "a"): "0 _ _ _ 11 _ _ _ 22 _ _ _ 33"}, ask: traffic.Errors5xx, at: "3m", want: "11"},
		"no errors yet, beside traffic":                {series: map[string]string{requests: "0+1x60"}, ask: traffic.Errors5xx, at: "10m", want: "0"},
		"other errors only":                            {series: map[string]string{failed("400", "a"): "1+1x60"}, ask: traffic.Errors401, at: "10m", want: "0"},
		"the very first 401 of a target that is known": {series: map[string]string{up: "1x60", failed("401", "a"): "_x36 1x24"}, ask: traffic.Errors401, at: "10m", want: "0.2"},
		"the first 401, by the requests":               {series: map[string]string{requests: "5+1x60", failed("401", "a"): "_x36 1x24"}, ask: traffic.Errors401, at: "10m", want: "0.2"},
		"the first 401 of a process that is new":       {series: map[string]string{`process_start_time_seconds{job="app",instance="a"}`: "_x36 540x24", failed("401", "a"): "_x36 1x24"}, ask: traffic.Errors401, at: "10m", want: "0.2"},
		"a target found late, with an old count":       {series: map[string]string{failed("500", "a"): "_x37 5000+1x24"}, ask: traffic.Errors5xx, at: "9m45s", want: "2.5"},
		"a target found late, at its first sample":     {series: map[string]string{failed("500", "a"): "_x39 5000+1x24"}, ask: traffic.Errors5xx, at: "9m45s"},
		"a counter that began again":                   {series: map[string]string{failed("500", "a"): "100+1x37 0 1 2 3 4"}, ask: traffic.Errors5xx, at: "9m45s", want: "3"},
		"a counter that began again at once":           {series: map[string]string{failed("500", "a"): "100x36 2 2 2 2 2"}, ask: traffic.Errors5xx, at: "10m", want: "2"},
		"a series that is gone":                        {series: map[string]string{requests: "0+1x60", failed("500", "a"): "100x20 stale"}, ask: traffic.Errors5xx, at: "10m", want: "0"},
		"everything is gone":                           {series: map[string]string{requests: "0+1x20 stale", failed("500", "a"): "100+9x20 stale"}, ask: traffic.Errors5xx, at: "10m"},
		"a ratio over labels that only one side has":   {series: map[string]string{requests: "0+10x60", failed("500", "a"): "0+1x60", failed("429", "b"): "0+1x60"}, ask: traffic.ErrorShare, at: "10m", want: "0.2"},
		"a ratio of nothing":                           {series: map[string]string{requests: "10x60", failed("500", "a"): "1x60"}, ask: traffic.ErrorShare, at: "10m"},
		"a quantile in seconds":                        {series: map[string]string{bucket("1000"): "0+10x60", bucket("8000"): "0+20x60", bucket("+Inf"): "0+20x60"}, ask: traffic.LatencyP95, at: "10m", want: "7.3"},
		"nobody asks":                                  {series: map[string]string{bucket("1000"): "10x60", bucket("+Inf"): "10x60"}, ask: traffic.LatencyP95, at: "10m"},
		"above the highest bucket":                     {series: map[string]string{bucket("1000"): "0+1x60", bucket("5000"): "0+10x60", bucket("+Inf"): "0+20x60"}, ask: traffic.LatencyP95, at: "10m", want: "5.000005"},
		"some above the highest bucket, not the p95":   {series: map[string]string{bucket("1000"): "0+90x60", bucket("5000"): "0+96x60", bucket("+Inf"): "0+100x60"}, ask: traffic.LatencyP95, at: "10m", want: "4.333333"},
		"the highest bucket":                           {series: map[string]string{bucket("1000"): "0+1x60", bucket("2500"): "0x60", bucket("+Inf"): "0x60"}, ask: traffic.LatencyTop, at: "10m", want: "2.5"},
		"the share above it":                           {series: map[string]string{bucket("1000"): "0+1x60", bucket("2500"): "0+2x60", bucket("+Inf"): "0+8x60"}, ask: traffic.LatencyBeyond, at: "10m", want: "0.75"},
		"a summary in seconds": {
			change: func(m *traffic.Metrics) { m.LatencyKind, m.LatencyUnit = traffic.Summary, traffic.Seconds },
			series: map[string]string{`mistral_request_duration_ms{quantile="0.95",instance="a"}`: "3x60", `mistral_request_duration_ms{quantile="0.95",instance="b"}`: "_x60", `mistral_request_duration_ms{quantile="0.99",instance="a"}`: "9x60"},
			ask:    traffic.LatencyP95, at: "10m", want: "3",
		},
		"a gauge in milliseconds": {
			change: func(m *traffic.Metrics) { m.LatencyKind = traffic.Gauge },
			series: map[string]string{"mistral_request_duration_ms": "1000x60"}, ask: traffic.LatencyP95, at: "10m", want: "1",
		},
		"the breaker of an instance":                 {series: map[string]string{`mistral_circuit_state{instance="a",model="x"}`: "0x60", `mistral_circuit_state{instance="a",model="y"}`: "2x60"}, ask: traffic.CircuitState, at: "10m", want: "2", by: `{instance="a"}`},
		"dollars of an hour":                         {series: map[string]string{`mistral_cost_usd_total{instance="a"}`: "5+0.01x400"}, ask: traffic.CostHour, at: "90m", want: "2.4"},
		"no dollars are not zero":                    {series: map[string]string{requests: "0+1x60"}, ask: traffic.CostHour, at: "10m"},
		"what failed in a time that is over":         {series: map[string]string{requests: "0+1x60", failed("500", "a"): "0+1x60"}, ask: traffic.FailedOver, at: "10m", want: "20"},
		"what failed first in a time that is over":   {series: map[string]string{requests: "0+1x60", failed("500", "a"): "_x8 1+1x60"}, ask: traffic.FailedOver, at: "10m", want: "13"},
		"what failed after a time that is over":      {series: map[string]string{requests: "0+1x60", failed("500", "a"): "_x30 1+1x60"}, ask: traffic.FailedOver, at: "10m", want: "0"},
		"nothing is known of a time that is over":    {ask: traffic.FailedOver, at: "10m"},
		"requests of a time that is over":            {series: map[string]string{requests: "5+2x60"}, ask: traffic.RequestsOver, at: "10m", want: "40"},
		"no dollars of a time that is over are none": {series: map[string]string{requests: "0+1x60"}, ask: traffic.CostOver, at: "10m"},
		"another job": {
			change: func(m *traffic.Metrics) { m.Matchers = `job="shop"` },
			series: map[string]string{requests: "0+1x60", failed("500", "a"): "0+9x60", `mistral_errors_total{status_code="500",job="shop"}`: "0+1x60"}, ask: traffic.Errors5xx, at: "10m", want: "4",
		},
	}
}

func TestPrometheusAnswersEachTrapRightly(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("evaluation_interval: 15s\ntests:\n")
	for name, tc := range traps() {
		m := traffic.Checklist()
		if tc.change != nil {
			tc.change(&m)
		}
		q, ok := traffic.Find(m, tc.ask)
		for _, over := range m.Over(5*time.Minute, 5*time.Minute) {
			if over.Name == tc.ask {
				q, ok = over, true
			}
		}
		if !ok {
			t.Fatalf("%s: no question %s", name, tc.ask)
		}
		fmt.Fprintf(&b, "- name: %q\n  interval: 15s\n  input_series:\n", name)
		for series, values := range tc.series {
			fmt.Fprintf(&b, "  - {series: '%s', values: '%s'}\n", series, values)
		}
		fmt.Fprintf(&b, "  promql_expr_test:\n  - expr: 'round(%s, 0.000001)'\n    eval_time: %s\n", q.PromQL, tc.at)
		if tc.want != "" {
			labels := tc.by
			if labels == "" {
				labels = "{}"
			}
			fmt.Fprintf(&b, "    exp_samples: [{labels: '%s', value: %s}]\n", labels, tc.want)
		}
	}
	file := filepath.Join(dir, "traps.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, said)
	}
}
