package traffic_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/traffic"
)

func TestWhatIsAskedOfATimeThatIsOver(t *testing.T) {
	t.Parallel()
	m := traffic.Metrics{Errors: "e", StatusLabel: "code", Duration: "d", LatencyKind: traffic.Histogram, Cost: "c", Matchers: `job="shop"`}
	want := map[string]string{
		traffic.FailedOver:   `(e{job="shop"} offset 90s - e{job="shop"} offset 690s) >= 0`,
		traffic.RequestsOver: `increase(d_count{job="shop"}[600s] offset 90s)`,
		traffic.CostOver:     `resets(c{job="shop"}[600s] offset 90s) > 0`,
	}
	for _, q := range m.Over(10*time.Minute, 90*time.Second) {
		if !strings.Contains(q.PromQL, want[q.Name]) {
			t.Errorf("%s: %s, want %s in it", q.Name, q.PromQL, want[q.Name])
		}
		delete(want, q.Name)
	}
	if len(want) > 0 {
		t.Errorf("not asked: %v", want)
	}
	all := traffic.Metrics{Errors: "e"}.Over(time.Minute, 0)
	if len(all) != 1 || !strings.HasSuffix(all[0].PromQL, ` or (0 * count(last_over_time({__name__=~"e"}[60s])))`) || strings.Contains(all[0].PromQL, "offset 0s") {
		t.Errorf("got %+v", all)
	}
}
