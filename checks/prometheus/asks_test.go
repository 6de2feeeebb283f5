package prometheus_test

import (
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/prometheus"
)

// TestACommentTakesNothingOfWhatIsPutBehindTheQuestion: rendered rules have a bracket and a comparison there.
func TestACommentTakesNothingOfWhatIsPutBehindTheQuestion(t *testing.T) {
	t.Parallel()
	check, err := prometheus.New(prometheus.Params{URL: "http://a.example", Queries: []prometheus.Query{
		{Name: "now", Query: "up # all"}, {Name: "over", Query: "up # all", Range: 5 * time.Minute, Aggregate: prometheus.Avg}, {Name: "plain", Query: "up"},
	}}, checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	asking, ok := check.(interface {
		Asks(name string) (question string, labels []string, ok bool)
	})
	if !ok {
		t.Fatal("the check does not say what it asks")
	}
	for name, want := range map[string]string{
		"now": "up # all\n", "over": "avg_over_time((up # all\n)[300s:30s])", "plain": "up",
	} {
		if got, _, ok := asking.Asks(name); !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}
