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

// TestPrometheusRemembersWhatItWouldHaveAnswered: errors that began at the fifteenth minute are not there before, and a request costs what it cost.
func TestPrometheusRemembersWhatItWouldHaveAnswered(t *testing.T) {
	share, _ := traffic.Find(traffic.Checklist(), traffic.ErrorShare)
	cost, _ := traffic.PerRequest(traffic.Checklist())
	var b strings.Builder
	b.WriteString("evaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:\n")
	for series, values := range map[string]string{
		requests: "0+10x120", failed("500", "a"): "0x60 0+5x60", `mistral_cost_usd_total{job="app",instance="a"}`: "0+5x120",
	} {
		fmt.Fprintf(&b, "  - {series: '%s', values: '%s'}\n", series, values)
	}
	b.WriteString("  promql_expr_test:\n")
	for _, tc := range []struct {
		question traffic.Question
		want     string
	}{
		{share, "0.5"}, {traffic.Ago(share, 0), "0.5"}, {traffic.Ago(share, 15*time.Minute), "0"}, {cost, "0.5"}, {traffic.Ago(cost, 15*time.Minute), "0.5"},
	} {
		fmt.Fprintf(&b, "  - {expr: '%s', eval_time: 29m, exp_samples: [{labels: '{}', value: %s}]}\n", tc.question.PromQL, tc.want)
	}
	fmt.Fprintf(&b, "  - {expr: '%s', eval_time: 29m, exp_samples: []}\n", traffic.Ago(share, time.Hour).PromQL)
	file := filepath.Join(t.TempDir(), "ago.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, said)
	}
}
