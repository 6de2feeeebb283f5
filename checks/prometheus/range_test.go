package prometheus_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// ranging answers range queries with the series that are given, and tells its own clock, which is a day behind ours.
func ranging(t *testing.T, now time.Time, series string) string {
	t.Helper()
	return outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query_range" {
			_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"scalar","result":[%d,"1"]}}`, now.Unix())
			return
		}
		start, end := strconv.FormatInt(now.Add(-5*time.Minute).Unix(), 10), strconv.FormatInt(now.Unix(), 10)
		if r.FormValue("start") != start || r.FormValue("end") != end || r.FormValue("step") != "30" {
			t.Errorf("asked for %s, want five minutes until now by the server's clock, in steps of 30s", r.URL)
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[`+series+`]}}`)
	})
}

func samples(values ...string) string {
	var all []string
	for i, v := range values {
		if v != "_" {
			all = append(all, fmt.Sprintf(`[%d,%q]`, 1795776900+30*i, v))
		}
	}
	return `{"metric":{},"values":[` + strings.Join(all, ",") + `]}`
}

func TestEachAggregateIsExact(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-24 * time.Hour)
	many := samples("5", "_", "1", "NaN", "3", "+Inf", "2", "4", "_")
	for name, tc := range map[string]struct {
		series string
		want   float64
	}{
		"last": {many, 4}, "min": {many, 1}, "max": {many, 5}, "avg": {many, 3}, "sum": {many, 15}, "count": {many, 5},
		"p50": {many, 3}, "p90": {many, 4.6}, "p95": {many, 4.8}, "p99": {many, 4.96},
	} {
		r := ask(t, ranging(t, now, tc.series), "query: up\nrange: 5m\naggregate: "+name, "")
		question{values: map[string]float64{"": tc.want}, age: ageOf(r)}.hold(t, r)
		if text := fmt.Sprint(r.Evidence); !strings.Contains(text, "5 samples of 11 steps, and 2 that are not finite") {
			t.Errorf("%s: the evidence does not tell what is missing: %s", name, text)
		}
	}
	r := ask(t, ranging(t, now, samples("1e100", "1", "-1e100")), "query: up\nrange: 5m\naggregate: sum", "")
	question{values: map[string]float64{"": 1}, age: ageOf(r)}.hold(t, r)
}

// ageOf accepts whatever age was measured.
func ageOf(r checks.Result) [2]float64 {
	for _, m := range r.Measurements {
		if m.Name == "probe.prometheus.sample_age" {
			return [2]float64{m.Value - 1, m.Value + 1}
		}
	}
	return [2]float64{}
}

func TestARangeThatCannotBeReadHasNoNumber(t *testing.T) {
	t.Parallel()
	now := time.Now()
	none := map[string]float64{}
	broken := question{status: checks.Failed, cause: checks.CauseMalformed, blame: checks.BlameOurs, values: none}
	for name, tc := range map[string]struct {
		series string
		want   question
	}{
		"no numbers":                     {samples("NaN", "NaN"), question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "NaN is not a finite number", values: none}},
		"a series without samples":       {`{"metric":{},"values":[]}`, question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, values: none}},
		"two series, and one is wanted":  {samples("1") + "," + samples("2"), question{status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "2 series, want one", values: none}},
		"native histograms":              {`{"metric":{},"histograms":[[1795776900,{"count":"1"}]]}`, question{status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "native histogram", values: none}},
		"samples that are not in order":  {`{"metric":{},"values":[[2,"1"],[1,"1"]]}`, broken},
		"the same time twice":            {`{"metric":{},"values":[[2,"1"],[2,"1"]]}`, broken},
		"a sample that is none":          {`{"metric":{},"values":[7]}`, broken},
		"values that are one value":      {`{"metric":{},"values":7}`, broken},
		"a number that is not in quotes": {`{"metric":{},"values":[[2,1]]}`, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.want.hold(t, ask(t, ranging(t, now, tc.series), "query: up + 1\nrange: 5m\naggregate: last", ""))
		})
	}
	t.Run("a vector that nobody asked for", func(t *testing.T) {
		t.Parallel()
		broken.hold(t, ask(t, outboundtest.Serve(t, answering(200, vector("1"))), "query: up + 1\nrange: 5m\naggregate: last", ""))
	})
}

func TestACheckSaysWhatItMeasures(t *testing.T) {
	t.Parallel()
	check, err := prometheus.Kind().New(checktest.Decoder("url: http://a.example\npreset: checklist\nqueries: [{name: mine, query: up}]", ""), checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	measuring, ok := check.(checks.Measuring)
	if !ok {
		t.Fatal("it cannot say")
	}
	got := measuring.Measures()
	for _, name := range []string{"query.mine", "query.errors_5xx", "query.latency_p95", "query.circuit_state", "query.cost_hour", "probe.prometheus.series"} {
		if !slices.Contains(got, name) {
			t.Errorf("got %v, want %s among them", got, name)
		}
	}
	if !slices.IsSorted(got) {
		t.Errorf("got %v, want them sorted", got)
	}
}
