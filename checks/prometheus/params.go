package prometheus

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// The bounds of one check. Each series is a measurement, and a run has 200 of them at most.
const (
	maxQueries      = 32
	maxMeasurements = 190 // beside the series: two per query, and the HTTP status
	maxQueryBytes   = 16 << 10
	maxNameBytes    = 64
	maxUnitBytes    = 32
	maxLabels       = 8
	mostSeries      = 100

	defaultMaxSeries = 20
)

// Policy is what a finding that is no number means.
type Policy string

// The policies.
const (
	PolicyFail     Policy = "fail"
	PolicyUnknown  Policy = "unknown"
	PolicyDegraded Policy = "degraded"
	PolicyIgnore   Policy = "ignore"
)

// Params is the `with:` section.
type Params struct {
	URL     string            `jsonschema:"required" jsonschema_description:"Base URL of the server, without /api/v1: http://127.0.0.1:9090. A path before it is kept: https://mimir.example/prometheus." yaml:"url"`
	Preset  Preset            `jsonschema:"enum=checklist" jsonschema_description:"Queries that need not be written: checklist asks for the errors, the latency, the breaker and the cost of the application, by the names of metrics. A query of the same name takes the place of the preset's. Default: none." yaml:"preset"`
	Metrics traffic.Metrics   `jsonschema_description:"The application's metrics, for the preset." yaml:"metrics"`
	Queries []Query           `jsonschema_description:"What to ask, at most 32. Each answer becomes measurements. Needed without a preset." yaml:"queries"`
	Partial Policy            `jsonschema:"enum=unknown,enum=degraded,enum=ignore" jsonschema_description:"What an answer with warnings means, such as a partial response of Thanos: unknown withholds its numbers, degraded and ignore keep them." yaml:"partial"`
	Auth    fetch.Auth        `jsonschema_description:"How requests prove who asks. Default: not at all." yaml:"auth"`
	Headers map[string]string `jsonschema_description:"Headers that are no secrets: {X-Scope-OrgID: team-a}. Default: none." yaml:"headers"`
	TLS     fetch.TLS         `jsonschema_description:"Trust and certificates. Default: the agent's own." yaml:"tls"`
}

// Query is one query, of an instant or of a range.
type Query struct {
	Name      string        `jsonschema:"required" jsonschema_description:"Name of the measurement, below \"query.\": errors_5xx becomes query.errors_5xx. Lower-case letters, digits, underscores and dots; unique." yaml:"name"`
	Query     string        `jsonschema:"required" jsonschema_description:"PromQL that gives a scalar or an instant vector." yaml:"query"`
	Range     time.Duration `jsonschema_description:"How far back to look, for a range query whose samples aggregate makes one number of: 5m. Default: an instant query." yaml:"range"`
	Step      time.Duration `jsonschema_description:"Time between the samples of a range, which has 1000 steps at most. Default: 30s" yaml:"step"`
	Aggregate Aggregate     `jsonschema:"enum=last,enum=min,enum=max,enum=avg,enum=sum,enum=count,enum=p50,enum=p90,enum=p95,enum=p99" jsonschema_description:"The number that is made of the samples of each series in a range; steps without a sample are left out. Default: none, a range needs one." yaml:"aggregate"`
	Unit      string        `jsonschema_description:"UCUM unit of the value: s, ms, By, {error}. Default: none." yaml:"unit"`
	MaxAge    time.Duration `jsonschema_description:"How old the oldest sample may be. What is older counts as missing. 0s is off." yaml:"max_age"`
	AgeOf     string        `jsonschema_description:"A selector whose oldest sample tells the age of the answer, such as mistral_errors_total. Default: the query, where it is a selector itself." yaml:"age_of"`
	Missing   Policy        `jsonschema:"enum=unknown,enum=fail,enum=ignore" jsonschema_description:"What it means that there is no series, no finite number, or none that is young enough. It is never zero. Default: unknown." yaml:"missing"`
	By        []string      `jsonschema_description:"Labels to keep as attributes, at most 8. Without any, the answer must be one series." yaml:"by"`
	MaxSeries int           `jsonschema_description:"Most series of the answer; with more the check is degraded and keeps the first in the order of their labels. Default: 20." yaml:"max_series"`
	Above     *float64      `jsonschema_description:"A value above this fails the check. Default: none." yaml:"above"`
	Below     *float64      `jsonschema_description:"A value below this fails the check. Default: none." yaml:"below"`
	Blame     checks.Blame  `jsonschema:"enum=application,enum=provider,enum=account,enum=network,enum=config,enum=ours" jsonschema_description:"Whose fault it is when the value is above or below. Default: application." yaml:"blame"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	errs := []error{
		promql.ValidURL("url", p.URL), p.Auth.Validate("auth"), fetch.ValidHeaders("headers", p.Headers), p.TLS.Validate("tls"),
		validPolicy("partial", p.Partial, PolicyUnknown, PolicyDegraded, PolicyIgnore), p.validatePreset(),
	}
	all := p.all()
	if len(all) == 0 && p.Preset == "" {
		errs = append(errs, checks.Invalid("queries", "nothing to ask, want at least one query, or a preset"))
	}
	if len(all) > maxQueries {
		errs = append(errs, checks.Invalid("queries", "%d queries, want at most %d; make a second check", len(all), maxQueries))
	}
	total, names := 0, map[string]int{}
	for _, q := range all {
		total += q.mostSeries() + 2
	}
	for i, q := range p.Queries {
		path := fmt.Sprintf("queries.%d", i)
		errs = append(errs, q.validate(path))
		same := strings.ReplaceAll(q.Name, ".", "_") // Prometheus writes both alike
		if other, taken := names[same]; taken {
			errs = append(errs, checks.Invalid(path+".name", "%q is also queries.%d, want a name of its own", q.Name, other))
		}
		names[same] = i
	}
	if total > maxMeasurements {
		errs = append(errs, checks.Invalid("queries", "up to %d measurements a run, want at most %d: lower max_series, or make a second check", total, maxMeasurements))
	}
	return errors.Join(errs...)
}

func (q Query) validate(path string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, checks.Invalid(path+"."+key, format, args...))
	}
	if len(q.Name) > maxNameBytes || !regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$`).MatchString(q.Name) {
		bad("name", "%q, want lower-case letters, digits, underscores and dots, at most %d bytes", q.Name, maxNameBytes)
	}
	if strings.TrimSpace(q.Query) == "" {
		bad("query", "it is empty, want PromQL")
	}
	if len(q.Query) > maxQueryBytes || len(q.AgeOf) > maxQueryBytes {
		bad("query", "%d bytes, want at most %d", max(len(q.Query), len(q.AgeOf)), maxQueryBytes)
	}
	if len(q.Unit) > maxUnitBytes || strings.ContainsFunc(q.Unit, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("unit", "%q, want a UCUM unit such as s, By or {error}, at most %d bytes", q.Unit, maxUnitBytes)
	}
	for key, limit := range map[string]*float64{"above": q.Above, "below": q.Below} {
		if limit != nil && (math.IsNaN(*limit) || math.IsInf(*limit, 0)) {
			bad(key, "%v, want a finite number", *limit)
		}
	}
	blames := []checks.Blame{checks.BlameApplication, checks.BlameProvider, checks.BlameAccount, checks.BlameNetwork, checks.BlameConfig, checks.BlameOurs}
	if !slices.Contains(blames, q.blame()) {
		bad("blame", "%q, want one of %v", q.Blame, blames)
	}
	return errors.Join(errors.Join(errs...), q.validateAge(path), q.validateSeries(path), q.validateRange(path),
		validPolicy(path+".missing", q.missing(), PolicyUnknown, PolicyFail, PolicyIgnore))
}

func (q Query) validateAge(path string) error {
	switch {
	case q.MaxAge < 0:
		return checks.Invalid(path+".max_age", "%s, want 0s or more", q.MaxAge)
	case q.AgeOf != "" && !promql.IsSelector(q.AgeOf):
		return checks.Invalid(path+".age_of", "not a selector, want for example mistral_errors_total or up{job=\"app\"}")
	case q.MaxAge > 0 && q.selector() == "":
		return checks.Invalid(path+".age_of", "the age of an expression's samples cannot be seen, so max_age needs a selector here, such as mistral_errors_total")
	}
	return nil
}

func (q Query) validateSeries(path string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, checks.Invalid(path+"."+key, format, args...))
	}
	if q.MaxSeries < 0 || q.MaxSeries > mostSeries {
		bad("max_series", "%d, want 1 to %d", q.MaxSeries, mostSeries)
	}
	if len(q.By) > maxLabels {
		bad("by", "%d labels, want at most %d", len(q.By), maxLabels)
	}
	seen := map[string]bool{}
	for i, label := range q.By {
		at := fmt.Sprintf("by.%d", i)
		if len(label) > maxNameBytes || !regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`).MatchString(label) {
			bad(at, "%q, want the name of a label", label)
		}
		if seen[attribute(label)] {
			bad(at, "%q is there twice", label)
		}
		seen[attribute(label)] = true
	}
	return errors.Join(errs...)
}

func validPolicy(path string, got Policy, want ...Policy) error {
	if slices.Contains(want, got) {
		return nil
	}
	return checks.Invalid(path, "%q, want one of %v", got, want)
}

func (q Query) missing() Policy {
	if q.Missing == "" {
		return PolicyUnknown
	}
	return q.Missing
}

func (q Query) blame() checks.Blame {
	if q.Blame == "" {
		return checks.BlameApplication
	}
	return q.Blame
}

// mostSeries is how many series an answer may have: without labels to tell them apart, one.
func (q Query) mostSeries() int {
	switch {
	case len(q.By) == 0:
		return 1
	case q.MaxSeries == 0:
		return defaultMaxSeries
	}
	return q.MaxSeries
}

// measurement is the name of its numbers.
func (q Query) measurement() string { return "query." + q.Name }

// selector is what tells the age; "" where nothing does.
func (q Query) selector() string {
	switch {
	case q.AgeOf != "":
		return q.AgeOf
	case promql.IsSelector(q.Query):
		return q.Query
	}
	return ""
}

// attribute is the key that a label gets. Names that results or Prometheus itself put on every series are told apart as
// Prometheus does.
func attribute(label string) string {
	key := strings.ToLower(label)
	if slices.Contains([]string{"check", "kind", "location", "provider", "instance", "job"}, key) {
		return "exported_" + key
	}
	return key
}
