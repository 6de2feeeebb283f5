// Package traffic knows the metrics that the checklist has an application export, and the questions in PromQL that are
// asked of them. It asks nobody.
package traffic

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// LatencyUnit is the unit in which the application measures durations.
type LatencyUnit string

// The units.
const (
	Milliseconds LatencyUnit = "ms"
	Seconds      LatencyUnit = "s"
)

// LatencyKind is the type of the metric of durations.
type LatencyKind string

// The types. Of a summary and of a gauge the worst series is told: quantiles of several cannot be made one.
const (
	Histogram LatencyKind = "histogram" // classic, with _bucket and _count
	Summary   LatencyKind = "summary"   // with a series of quantile="0.95", and _count
	Gauge     LatencyKind = "gauge"     // of the last request
)

// Metrics are the application's metrics by their names in Prometheus. A name that is empty is a metric that the
// application does not have: nothing is asked of it.
type Metrics struct {
	Errors       string        `jsonschema_description:"Counter of requests that failed. Empty: there is none." yaml:"errors"`
	StatusLabel  string        `jsonschema_description:"Its label for the HTTP status." yaml:"status_label"`
	Duration     string        `jsonschema_description:"How long requests took, without _bucket. Empty: there is none." yaml:"duration"`
	LatencyUnit  LatencyUnit   `jsonschema:"enum=ms,enum=s" jsonschema_description:"The unit of duration." yaml:"latency_unit"`
	LatencyKind  LatencyKind   `jsonschema:"enum=histogram,enum=summary,enum=gauge" jsonschema_description:"The type of duration. Of a summary (quantile 0.95) and of a gauge the worst series is told." yaml:"latency_kind"`
	LatencyAbove time.Duration `jsonschema_description:"The p95 that is too high: a histogram whose highest bucket is below cannot tell, which degrades the check." yaml:"latency_above"`
	Cost         string        `jsonschema_description:"Counter of US dollars. Empty: there is none." yaml:"cost"`
	Tokens       string        `jsonschema_description:"Counter of tokens, by which the application is seen to be there. Empty: there is none." yaml:"tokens"`
	Circuit      string        `jsonschema_description:"Gauge of the circuit breaker: 0 closed, 1 half-open, 2 open. Empty: there is none." yaml:"circuit_state"`
	Matchers     string        `jsonschema_description:"Label matchers that choose among the series, as in braces: job=\"shop\", env=\"prod\". Default: all series." yaml:"matchers"`
}

// Checklist are the names and units of the checklist.
func Checklist() Metrics {
	return Metrics{
		Errors: "mistral_errors_total", StatusLabel: "status_code",
		Duration: "mistral_request_duration_ms", LatencyUnit: Milliseconds, LatencyKind: Histogram, LatencyAbove: 5 * time.Second,
		Cost: "mistral_cost_usd_total", Tokens: "mistral_tokens_total", Circuit: "mistral_circuit_state",
	}
}

const (
	maxNameBytes    = 200
	maxMatcherBytes = 1000
)

// Validate reports what is wrong with the section that stands at path. What stands between the matchers' braces is the
// server's to parse.
func (m Metrics) Validate(path string) error {
	var errs []error
	names := 0
	for _, n := range []struct{ key, name string }{
		{"errors", m.Errors}, {"duration", m.Duration}, {"cost", m.Cost}, {"tokens", m.Tokens}, {"circuit_state", m.Circuit},
	} {
		if n.name == "" {
			continue
		}
		names++
		if len(n.name) > maxNameBytes || !regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`).MatchString(n.name) {
			errs = append(errs, checks.Invalid(path+"."+n.key, "%q, want the name of a metric, such as mistral_errors_total", n.name))
		}
	}
	if names == 0 || (names == 1 && m.Tokens != "") {
		errs = append(errs, checks.Invalid(path, "there is no metric to ask for, want one at least of errors, duration, cost and circuit_state"))
	}
	return errors.Join(errors.Join(errs...), m.validateRest(path))
}

func (m Metrics) validateRest(path string) error {
	for _, rule := range []struct {
		wrong bool
		err   error
	}{
		{
			!regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(m.StatusLabel) || len(m.StatusLabel) > maxNameBytes,
			checks.Invalid(path+".status_label", "%q, want the name of a label, such as status_code", m.StatusLabel),
		},
		{strings.HasSuffix(m.Duration, "_bucket"), checks.Invalid(path+".duration", "%q, want the name without _bucket", m.Duration)},
		{m.LatencyUnit != Milliseconds && m.LatencyUnit != Seconds, checks.Invalid(path+".latency_unit", "%q, want ms or s", m.LatencyUnit)},
		{
			m.LatencyKind != Histogram && m.LatencyKind != Summary && m.LatencyKind != Gauge,
			checks.Invalid(path+".latency_kind", "%q, want histogram, summary or gauge", m.LatencyKind),
		},
		{m.LatencyAbove <= 0, checks.Invalid(path+".latency_above", "%s, want more than 0s", m.LatencyAbove)},
		{len(m.Matchers) > maxMatcherBytes, checks.Invalid(path+".matchers", "%d bytes, want at most %d", len(m.Matchers), maxMatcherBytes)},
	} {
		if rule.wrong {
			return rule.err
		}
	}
	return nil
}
