package prometheus_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const key = "canary-password-4711"

// question is one query with what a server makes of it that scrapes the application of live_test.go.
type question struct {
	params string // of the query, without its name
	status checks.Status
	cause  checks.Cause
	blame  checks.Blame
	says   string             // in the summary
	values map[string]float64 // of query.x, by the values of its attributes
	age    [2]float64         // seconds of sample_age, from and to; zeros: it is not measured
}

// long is a query that does not fit into a URL.
func long() string {
	return `sum(mistral_errors_total{status_code=~"500|` + strings.Repeat("x", 2500) + `"})`
}

// questions are asked of a real server (live_test.go) and of its recorded answers. Recorded answers were evaluated long
// ago, so "young" stands for the greatest age.
func questions() map[string]question {
	const young = "2400000h"
	none := map[string]float64{}
	return map[string]question{
		"a scalar, and a true zero":    {params: "query: scalar(mistral_circuit_state)", values: map[string]float64{"": 0}, says: "1 query, 1 series"},
		"one series":                   {params: "query: mistral_circuit_state", values: map[string]float64{"": 0}, age: [2]float64{0, 60}},
		"an expression, with its age":  {params: "query: sum(mistral_errors_total)\nage_of: mistral_errors_total\nmax_age: " + young, values: map[string]float64{"": 10}, age: [2]float64{0, 60}},
		"an expression, without":       {params: "query: sum(mistral_errors_total)", values: map[string]float64{"": 10}},
		"series by label":              {params: "query: mistral_errors_total\nby: [status_code]", values: map[string]float64{"429": 3, "500": 7}, age: [2]float64{0, 60}},
		"a query sent by POST":         {params: "query: " + "'" + long() + "'", values: map[string]float64{"": 7}},
		"one, and two series are":      {params: "query: mistral_errors_total", status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "2 series, want one", values: none, age: [2]float64{0, 60}},
		"labels that do not tell":      {params: "query: mistral_errors_total\nby: [job]", status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "(exported_job=app)", values: none, age: [2]float64{0, 60}},
		"more series than may be":      {params: "query: mistral_errors_total\nby: [status_code]\nmax_series: 1", status: checks.Degraded, cause: checks.CauseResponseTooLarge, blame: checks.BlameConfig, says: "2 series, want at most 1", values: map[string]float64{"429": 3}, age: [2]float64{0, 60}},
		"no series":                    {params: "query: nobody_has_this", status: checks.Unknown, cause: checks.CauseEmptyContent, blame: checks.BlameOurs, says: "no series, which is not zero", values: none},
		"no series, which fails":       {params: "query: nobody_has_this\nmissing: fail", status: checks.Failed, cause: checks.CauseEmptyContent, blame: checks.BlameOurs, values: none},
		"no series, which is ignored":  {params: "query: nobody_has_this\nmissing: ignore", values: none},
		"a quantile of nothing":        {params: `query: histogram_quantile(0.95, sum by (le) (mistral_request_duration_ms_bucket))`, status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "NaN is not a finite number", values: none},
		"NaN that is ignored":          {params: "query: mistral_circuit_state / 0\nmissing: ignore", values: none},
		"an infinity":                  {params: "query: vector(1) / 0\nmissing: fail", status: checks.Failed, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "+Inf is not", values: none},
		"a scalar that is infinite":    {params: "query: -1 / 0", status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "-Inf is not", values: none},
		"some are no numbers":          {params: "query: mistral_errors_total / (mistral_errors_total - 3)\nby: [status_code]\nage_of: mistral_errors_total", status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "+Inf is not", values: map[string]float64{"500": 1.75}, age: [2]float64{0, 60}},
		"a string":                     {params: `query: '"text"'`, status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "a text (string)", values: none},
		"a range":                      {params: "query: mistral_errors_total[5m]", status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "(matrix)", values: none},
		"late samples":                 {params: "query: mistral_late\nmax_age: 1m", status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "old, want at most 1m0s", values: none, age: [2]float64{119, 300}},
		"late samples, which fail":     {params: "query: mistral_late * 2\nage_of: mistral_late\nmax_age: 1m\nmissing: fail", status: checks.Failed, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "old, want at most 1m0s", values: none, age: [2]float64{119, 300}},
		"late samples, nobody asks":    {params: "query: mistral_late", values: map[string]float64{"": 5}, age: [2]float64{119, 300}},
		"an age that cannot be told":   {params: "query: sum(mistral_errors_total)\nage_of: nobody_has_this\nmax_age: 1m", status: checks.Unknown, cause: checks.CauseEmptyContent, blame: checks.BlameOurs, says: "the selector has no sample", values: none},
		"PromQL that does not parse":   {params: "query: sum((", status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "unclosed left parenthesis", values: none},
		"PromQL that cannot be run":    {params: "query: mistral_errors_total * on (job) mistral_errors_total", status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "422 Unprocessable Entity, execution", values: none},
		"a value above its limit":      {params: "query: sum(mistral_errors_total)\nunit: '{error}'\nabove: 9.5\nblame: provider", status: checks.Failed, cause: checks.CauseAssertion, blame: checks.BlameProvider, says: "10 {error}, want at most 9.5 {error}", values: map[string]float64{"": 10}},
		"a value below its limit":      {params: "query: mistral_errors_total\nby: [status_code]\nbelow: 4", status: checks.Failed, cause: checks.CauseAssertion, blame: checks.BlameApplication, says: "3, want at least 4 (status_code=429)", values: map[string]float64{"429": 3, "500": 7}, age: [2]float64{0, 60}},
		"the highest of an hour":       {params: "query: past\nrange: 2h\nstep: 1m\naggregate: max", values: map[string]float64{"": 60}, says: "1 series"},
		"the lowest of an hour":        {params: "query: sum(past)\nrange: 2h\nstep: 1m\naggregate: min", values: map[string]float64{"": 1}},
		"steps that are missing":       {params: "query: clamp_max(past, 1)\nrange: 2h\nstep: 1m\naggregate: avg", values: map[string]float64{"": 1}},
		"a range without a series":     {params: "query: nobody_has_this\nrange: 5m\naggregate: sum", status: checks.Unknown, cause: checks.CauseEmptyContent, blame: checks.BlameOurs, says: "no series, which is not zero", values: none},
		"a range of no numbers":        {params: "query: past / 0 - past / 0\nrange: 2h\naggregate: max", status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "NaN is not", values: none},
		"a range that is no vector":    {params: "query: '\"text\"'\nrange: 5m\naggregate: last", status: checks.Failed, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "invalid expression type", values: none},
		"a range by label":             {params: "query: mistral_errors_total * 2\nrange: 1s\nstep: 1s\naggregate: last\nby: [status_code]", values: map[string]float64{"429": 6, "500": 14}},
		"a range above its limit":      {params: "query: past\nrange: 2h\nstep: 1m\naggregate: max\nabove: 59", status: checks.Failed, cause: checks.CauseAssertion, blame: checks.BlameApplication, says: "60, want at most 59", values: map[string]float64{"": 60}},
		"a value on its limit is well": {params: "query: sum(mistral_errors_total)\nabove: 10\nbelow: 10", values: map[string]float64{"": 10}},
	}
}

// preset is the checklist's preset with what it measures of the applications of live_test.go.
type preset struct {
	params string
	status checks.Status
	says   []string           // in the summary or the evidence
	values map[string]float64 // by name; NaN is nothing
}

func presets() map[string]preset {
	none := math.NaN()
	return map[string]preset{
		"the checklist's names, and no dollars": {
			params: "preset: checklist", status: checks.Unknown,
			says: []string{"cost_hour: no series, which is not zero", "the highest bucket of mistral_request_duration_ms is 0.1 s: a p95 above 5 s cannot be seen"},
			values: map[string]float64{
				"errors_5xx": 7, "errors_429": 3, "errors_401": 0, "error_share": none, "latency_p95": none, "latency_top": 0.1, "latency_beyond": none, "circuit_state": 0, "cost_hour": none,
			},
		},
		"a metric that is switched off": {
			params: "preset: checklist\nmetrics: {cost: \"\"}", status: checks.Degraded,
			says: []string{"latency_top: the highest bucket"}, values: map[string]float64{"errors_429": 3, "cost_hour": none},
		},
		"other names, in seconds, and the first error of all": {
			params: "preset: checklist\nmetrics: {errors: shop_failed, status_label: code, duration: shop_seconds, latency_unit: s, cost: shop_dollars, circuit_state: \"\", matchers: 'job=\"app\"'}\nqueries: [{name: mine, query: vector(4)}]",
			says:   []string{"at least that: 50 % of the requests took longer than the highest bucket of 5 s"},
			values: map[string]float64{
				"errors_5xx": 0, "errors_429": 0, "errors_401": 0.2, "latency_p95": 5.000005, "latency_top": 5, "latency_beyond": 0.5, "circuit_state": none, "cost_hour": 1.5, "mine": 4,
			},
		},
		"a query of one's own in the preset's place": {
			params: "preset: checklist\nmetrics: {cost: \"\", latency_above: 100ms}\nqueries: [{name: errors_5xx, query: vector(99), above: 10, blame: provider}]", status: checks.Failed,
			says: []string{"errors_5xx: 99, want at most 10"}, values: map[string]float64{"errors_5xx": 99, "errors_429": 3},
		},
	}
}

func (p preset) hold(t *testing.T, r checks.Result) {
	t.Helper()
	status := p.status
	if status == checks.Unknown && len(p.says) == 1 {
		status = checks.OK
	}
	if r.Status != status {
		t.Errorf("got %s %q: %s, want %s\n%+v", r.Status, r.Cause, r.Summary, status, r.Evidence)
	}
	for _, text := range p.says {
		if !strings.Contains(fmt.Sprint(r.Summary, r.Evidence), text) {
			t.Errorf("got %q and %+v, want %q", r.Summary, r.Evidence, text)
		}
	}
	got := map[string]float64{}
	for _, m := range r.Measurements {
		got[m.Name] = m.Value
	}
	for name, want := range p.values {
		value, there := got["query."+name]
		if there == math.IsNaN(want) || (there && math.Abs(value-want) > 1e-9) {
			t.Errorf("%s is %v (%t), want %v", name, value, there, want)
		}
	}
}

// ask runs the check with one query against the server at url. rest are parameters beside it.
func ask(t *testing.T, url, query, rest string) checks.Result {
	t.Helper()
	indented := "    " + strings.ReplaceAll(query, "\n", "\n    ")
	return run(t, "url: "+url+"\nqueries:\n  - name: x\n"+indented+"\n"+rest)
}

func run(t *testing.T, params string) checks.Result {
	t.Helper()
	check, err := prometheus.Kind().New(checktest.Decoder(params, key), checks.Env{Network: network(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	if form := checktest.Leak(fmt.Sprintf("%+v", r), key); form != "" {
		t.Errorf("the result holds the key (%s): %+v", form, r)
	}
	return r
}

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// hold compares a result with what was wanted.
func (q question) hold(t *testing.T, r checks.Result) {
	t.Helper()
	status := q.status
	if status == checks.Unknown && q.cause == checks.CauseNone {
		status = checks.OK
	}
	blame := r.Blame
	if blame == checks.BlameNone {
		blame = r.Cause.Blame()
	}
	if r.Status != status || r.Cause != q.cause || blame != q.blame || !strings.Contains(r.Summary, q.says) {
		t.Errorf("got %s %q blame %q: %q\nwant %s %q blame %q: …%s…\nevidence %+v", r.Status, r.Cause, blame, r.Summary, status, q.cause, q.blame, q.says, r.Evidence)
	}
	values, age := map[string]float64{}, math.NaN()
	for _, m := range r.Measurements {
		switch m.Name {
		case "query.x":
			values[strings.Join(slices.Collect(maps.Values(m.Attrs)), " ")] = m.Value
			continue
		case "probe.prometheus.sample_age":
			age = m.Value
		}
		if row, ok := exporters.Lookup(m.Name); !ok || row.Unit != m.Unit {
			t.Errorf("%s with unit %q is not in the catalogue", m.Name, m.Unit)
		}
	}
	if fmt.Sprint(values) != fmt.Sprint(q.values) {
		t.Errorf("measured %v, want %v", values, q.values)
	}
	if measured := !math.IsNaN(age); measured != (q.age != [2]float64{}) || (measured && (age < q.age[0] || age > q.age[1])) {
		t.Errorf("the age is %v, want %v", age, q.age)
	}
}

// answering serves one answer to every request.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
