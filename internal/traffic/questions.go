package traffic

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The names of the questions; the measurements are query.NAME.
const (
	Errors5xx     = "errors_5xx"     // per minute
	Errors429     = "errors_429"     // per minute
	Errors401     = "errors_401"     // per minute, over five minutes: none that came between two runs is missed
	ErrorShare    = "error_share"    // 0 to 1 of the requests of five minutes
	LatencyP95    = "latency_p95"    // seconds, over five minutes
	LatencyTop    = "latency_top"    // seconds: the highest finite bucket
	LatencyBeyond = "latency_beyond" // 0 to 1 of the requests of five minutes: those above the highest finite bucket
	CircuitState  = "circuit_state"  // 0 closed, 1 half-open, 2 open, by instance
	CostHour      = "cost_hour"      // US dollars of the last hour
)

const (
	quantile = "0.95"
	atLeast  = "1.000001" // of the highest bound: the least that shows that a value is above it
)

// Question is one query of an instant.
type Question struct {
	Name    string // of the measurement, below "query."
	PromQL  string // gives one number, or one per value of By; nothing where nobody can tell
	Unit    string
	Blame   checks.Blame // whose fault a high number is
	By      []string     // labels of the answer
	Missing bool         // an answer without a number is a finding: where it is false there are times without one
	Doc     string       // one line
}

// Questions are what is asked of the metrics, in the order of the names above. Each answer is one that Prometheus,
// Thanos and Mimir agree on, and stands on its own.
func Questions(m Metrics) []Question {
	var all []Question
	if m.Errors != "" {
		all = append(all,
			Question{Name: Errors5xx, PromQL: m.perMinute(`=~"5.."`, time.Minute), Unit: "{error}/min", Blame: checks.BlameProvider, Missing: true, Doc: "requests that failed with 5xx, per minute"},
			Question{Name: Errors429, PromQL: m.perMinute(`="429"`, time.Minute), Unit: "{error}/min", Blame: checks.BlameAccount, Missing: true, Doc: "requests that were rate limited, per minute"},
			Question{Name: Errors401, PromQL: m.perMinute(`="401"`, 5*time.Minute), Unit: "{error}/min", Blame: checks.BlameAccount, Missing: true, Doc: "requests whose key was refused, per minute over five minutes"},
		)
	}
	if m.Errors != "" && m.requests() != "" {
		const span = 5 * time.Minute
		all = append(all, Question{
			Name: ErrorShare, PromQL: "(" + m.failures("", span) + ") / (sum(" + m.grown(m.requests(), span) + ") > 0)", Unit: "1", Blame: checks.BlameProvider,
			Doc: "share of the requests of five minutes that failed",
		})
	}
	all = append(all, m.latency()...)
	if m.Circuit != "" {
		all = append(all, Question{Name: CircuitState, PromQL: "max by (instance) (" + m.selector(m.Circuit) + ")", Blame: checks.BlameApplication, By: []string{"instance"}, Missing: true, Doc: "the application's breaker: 0 closed, 1 half-open, 2 open"})
	}
	if m.Cost != "" {
		all = append(all, Question{Name: CostHour, PromQL: "sum(" + m.grown(m.selector(m.Cost), time.Hour) + ")", Blame: checks.BlameApplication, Missing: true, Doc: "what the application spent in the last hour"})
	}
	return all
}

// Find is the question of a name.
func Find(m Metrics, name string) (Question, bool) {
	for _, q := range Questions(m) {
		if q.Name == name {
			return q, true
		}
	}
	return Question{}, false
}

func (m Metrics) latency() []Question {
	p95 := Question{Name: LatencyP95, Unit: "s", Blame: checks.BlameProvider, Doc: "95 % of the requests of five minutes took no longer; above the highest bucket: a little more than that"}
	d := m.Duration
	switch {
	case d == "":
		return nil
	case m.LatencyKind == Summary:
		p95.PromQL = "max(" + m.selector(d, `quantile="`+quantile+`"`) + " >= 0)" + m.toSeconds() // NaN is no request
		return []Question{p95}
	case m.LatencyKind == Gauge:
		p95.PromQL = "max(quantile_over_time(" + quantile + ", " + m.selector(d) + "[5m]) >= 0)" + m.toSeconds()
		return []Question{p95}
	}
	finite, infinite := m.selector(d+"_bucket", `le!="+Inf"`), m.selector(d+"_bucket", `le="+Inf"`)
	top := "histogram_quantile(0.5, 0 * count by (le) (" + finite + ") or count by (le) (" + infinite + "))"
	beyond := "1 - max(sum by (le) (rate(" + finite + "[5m]))) / (sum(rate(" + infinite + "[5m])) > 0)"
	p95.PromQL = "(" + atLeast + " * " + top + " and (" + beyond + " > 0.05) or " +
		"histogram_quantile(" + quantile + ", sum by (le) (rate(" + m.selector(d+"_bucket") + "[5m]))) >= 0)" + m.toSeconds()
	return []Question{
		p95,
		{Name: LatencyTop, PromQL: top + m.toSeconds(), Unit: "s", Blame: checks.BlameApplication, Doc: "the highest finite bucket of the durations: a longer request cannot be told from another"},
		{Name: LatencyBeyond, PromQL: beyond, Unit: "1", Blame: checks.BlameProvider, Doc: "share of the requests of five minutes that took longer than the highest finite bucket"},
	}
}

func (m Metrics) toSeconds() string {
	if m.LatencyUnit == Milliseconds {
		return " / 1000"
	}
	return ""
}

// requests selects the counter of requests; "" where there is none.
func (m Metrics) requests() string {
	if m.Duration == "" || m.LatencyKind == Gauge {
		return ""
	}
	return m.selector(m.Duration + "_count")
}

// Requests is the selector of the metric that counts requests; "" where there is none.
func (m Metrics) Requests() string { return m.requests() }

// selector is a metric with the matchers of all and its own.
func (m Metrics) selector(metric string, own ...string) string {
	if m.Matchers != "" {
		own = append(own, strings.TrimRight(strings.TrimSpace(m.Matchers), ", "))
	}
	if len(own) == 0 {
		return metric
	}
	return metric + "{" + strings.Join(own, ",") + "}"
}

// perMinute counts the errors of some statuses.
func (m Metrics) perMinute(status string, span time.Duration) string {
	text := m.failures(m.StatusLabel+status, span)
	if span == time.Minute {
		return text
	}
	return fmt.Sprintf("(%s) / %d", text, span/time.Minute)
}

// failures counts errors. A client library makes the series of a status with its first error, so that without one there
// was none; but only where the application is seen to be there by another of its counters. Where nothing of it is there,
// nobody can tell.
func (m Metrics) failures(matcher string, span time.Duration) string {
	errors := m.selector(m.Errors)
	if matcher != "" {
		errors = m.selector(m.Errors, matcher)
	}
	return "sum(" + m.grown(errors, span) + ") or (0 * count(" + m.there() + ") unless count(" + errors + "))"
}

// there selects every counter by which the application is seen.
func (m Metrics) there() string {
	names := []string{m.Errors}
	if m.requests() != "" {
		names = append(names, m.Duration+"_count")
	}
	for _, name := range []string{m.Cost, m.Tokens, m.Circuit} {
		if name != "" {
			names = append(names, name)
		}
	}
	return m.selector("", `__name__=~"`+strings.Join(names, "|")+`"`)
}

// grown is what each series of a counter grew by in a span, whole numbers where the counter's are. In this order:
//
//   - it began again within the span: increase(), which knows of resets;
//   - it was there when the span began: the difference. increase() extrapolates, and would make 12 errors of 9;
//   - it was there and has less: it began again at once, and counted what it has;
//   - it is new, of a target that is not: it counted what it has. increase() misses that, and with it the first error of all;
//   - anything else was found late or is gone: what increase() has seen of it.
//
// A target is not found late when the server reached it as the span began, when it had requests to tell of, or when its
// process is hardly older than the span.
func (m Metrics) grown(x string, span time.Duration) string {
	w := strconv.FormatInt(int64(span/time.Minute), 10) + "m"
	told := fmt.Sprintf("up offset %s == 1 or process_start_time_seconds >= time() - %d", w, (span+time.Minute)/time.Second)
	if m.requests() != "" {
		told += " or " + m.requests() + " offset " + w
	}
	increase := "increase(" + x + "[" + w + "])"
	return "(" + increase + " and resets(" + x + "[" + w + "]) > 0" +
		" or (" + x + " - " + x + " offset " + w + ") >= 0" +
		" or (" + x + " and " + x + " offset " + w + ")" +
		" or (" + x + " and on (job, instance) (" + told + "))" +
		" or " + increase + ")"
}
