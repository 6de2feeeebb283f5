package prometheus_test

import (
	"net/http/httptest"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/promql/promqltest"
)

func TestRecordedAnswersOfARealServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(promqltest.Load(t, "testdata/recorded.json"))
	t.Cleanup(server.Close)
	for name, q := range questions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q.hold(t, ask(t, server.URL, q.params, ""))
		})
	}
	for name, p := range presets() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.hold(t, run(t, "url: "+server.URL+"\n"+p.params))
		})
	}
	t.Run("a wrong path", func(t *testing.T) {
		t.Parallel()
		want := question{status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "404 Not Found with text that is not JSON"}
		want.hold(t, ask(t, server.URL+"/prometheus", "query: up", ""))
	})
	t.Run("an answer from long ago", func(t *testing.T) {
		t.Parallel()
		want := question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "by this host's clock, want at most 1m0s", age: [2]float64{0, 60}}
		want.hold(t, ask(t, server.URL, "query: mistral_circuit_state\nmax_age: 1m", ""))
	})
}
