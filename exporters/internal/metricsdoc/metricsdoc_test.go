package metricsdoc_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/metricsdoc"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
)

func TestThePageOfMetricsIsFresh(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(metricsdoc.Page(), string(got)); diff != "" {
		t.Errorf("docs/metrics.md is stale, run go generate ./exporters (-want +got):\n%s", diff)
	}
}

func TestThePageHasEveryMetric(t *testing.T) {
	t.Parallel()
	page := metricsdoc.Page()
	for _, m := range exporters.Catalogue() {
		if n := strings.Count(page, "| `"+prometheus.Name(m)+"` |"); n == 0 {
			t.Errorf("%s has no row", m.Name)
		}
	}
}
