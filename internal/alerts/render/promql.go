package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// Series of ours that stand in for others.
const (
	runs     = "probe_runs_total"
	uptime   = "windsock_uptime_seconds"
	finished = `status!~"skipped|unconfirmed"`        // slots that were run, and are final
	alive    = `status=~"ok|degraded|failed|skipped"` // slots that say something
	lifetime = `status!="unconfirmed"`                // all slots
	minute   = "1m"                                   // the agent tells of itself
	traffic  = "query."                               // measurements of the prometheus check
	judged   = `status=~"ok|degraded|failed"`         // slots that judged the target
	ownState = "windsock_alert_state{rule=%s} >= 2"   // the agent's own verdict: firing, or no data
)

// vector is an expression in PromQL and the attributes that tell its series apart.
type vector struct {
	text  string
	attrs []string
}

// promql writes the conditions of one rule.
type promql struct {
	in   *Input
	rule *alerts.Rule
}

// condition holds for those groups of which the vector has a series.
func (p promql) condition(c *alerts.Condition) (vector, error) {
	switch {
	case len(c.All) > 0:
		return p.several(c.All, "and")
	case len(c.Any) > 0:
		return p.several(c.Any, "or")
	}
	return p.leaf(c)
}

func (p promql) several(of []alerts.Condition, word string) (vector, error) {
	var out vector
	for i := range of {
		v, err := p.condition(&of[i])
		if err != nil {
			return vector{}, err
		}
		if i == 0 {
			out = vector{parens(v.text), v.attrs}
			continue
		}
		out = join(out, word, v)
	}
	return out, nil
}

// join takes the groups that both have, or that either has.
func join(a vector, word string, b vector) vector {
	on := ""
	if word != "or" && !slices.Equal(a.attrs, b.attrs) {
		var common []string
		for _, attr := range a.attrs {
			if slices.Contains(b.attrs, attr) {
				common = append(common, prometheus.LabelName(attr))
			}
		}
		on = " on (" + strings.Join(common, ", ") + ")"
	}
	return vector{a.text + "\n" + word + on + " " + parens(b.text), a.attrs}
}

func parens(text string) string { return "(" + text + ")" }

// leaf is one comparison.
func (p promql) leaf(c *alerts.Condition) (vector, error) {
	if name, ok := strings.CutPrefix(c.Metric, traffic); ok {
		return p.asked(c, name)
	}
	m, ok := exporters.Lookup(c.Metric)
	if !ok {
		return vector{}, cannot("%s is no metric of the catalogue, so that its name in Prometheus is not known", c.Metric)
	}
	s, err := newScope(p.in, m, c.Match)
	if err != nil {
		return vector{}, err
	}
	members := s.groupOf(p.rule)
	if c.Share != nil {
		members = append(slices.Clone(members), c.Share.Of...)
	}
	v := vector{attrs: without(s.attrs, s.dropped(members))}
	if v.text, err = p.aggregate(c, s, s.dropped(members)); err != nil {
		return vector{}, err
	}
	if c.Share == nil {
		v.text += compare(c)
		return v, nil
	}
	return p.share(c, s, v), nil
}

func without(attrs, dropped []string) []string {
	return slices.DeleteFunc(slices.Clone(attrs), func(a string) bool { return slices.Contains(dropped, a) })
}

// share counts the members of each group.
func (p promql) share(c *alerts.Condition, s *scope, v vector) vector {
	dropped := s.dropped(s.groupOf(p.rule))
	holding := aggregateBy("count", dropped, parens(v.text)+compare(c))
	out := vector{attrs: without(v.attrs, dropped)}
	if c.Share.AtLeast <= 0 {
		out.text = holding + " > 0"
		return out
	}
	out.text = holding + "\n/ " + aggregateBy("count", dropped, v.text) + " >= " + number(c.Share.AtLeast)
	return out
}

// aggregateBy takes together what the attributes tell apart.
func aggregateBy(op string, dropped []string, text string) string {
	if len(dropped) == 0 {
		return op + " without () (" + text + ")"
	}
	labels := make([]string, len(dropped))
	for i, attr := range dropped {
		labels[i] = prometheus.LabelName(attr)
	}
	return op + " without (" + strings.Join(labels, ", ") + ") (" + text + ")"
}

// pooled is aggregateBy, or the text itself where nothing is to be taken together.
func pooled(op string, dropped []string, text string) string {
	if len(dropped) == 0 {
		return text
	}
	return aggregateBy(op, dropped, text)
}

func compare(c *alerts.Condition) string {
	op := map[alerts.Op]string{alerts.Above: ">", alerts.Below: "<", alerts.Equals: "=="}[c.Op]
	return " " + op + " " + number(c.Threshold)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func duration(d time.Duration) string { return model.Duration(d).String() }

// aggregate is the number that is compared, for each member: what Prometheus is asked for differs by how often the check
// runs.
func (p promql) aggregate(c *alerts.Condition, s *scope, dropped []string) (string, error) {
	classes := s.classes()
	if c.Window.Runs <= 1 && c.Window.Time == 0 && s.metric.Kind == exporters.Gauge {
		classes = []class{s.one()}
	}
	counted := c.MinSamples > 1 || (c.MinSamples == 1 && s.metric.Kind != exporters.Gauge)
	var parts []string
	for _, k := range classes {
		text, err := p.classed(c, s, k, dropped)
		if err != nil {
			return "", err
		}
		if counted {
			enough, err := p.enough(c, s, k, dropped)
			if err != nil {
				return "", err
			}
			text = parens(text) + "\nand " + enough
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, "\nor ")
	if len(parts) > 1 || counted {
		text = parens(text)
	}
	if c.Until {
		text += " - time()"
	}
	return text, nil
}

func (p promql) classed(c *alerts.Condition, s *scope, k class, dropped []string) (string, error) {
	if s.metric.Kind == exporters.Gauge {
		return gauge(c, s, k, dropped)
	}
	return counter(c, s, k, dropped)
}

// enough holds where the window has samples enough.
func (p promql) enough(c *alerts.Condition, s *scope, k class, dropped []string) (string, error) {
	if s.metric.Kind == exporters.Gauge {
		return pooled("sum", dropped, fmt.Sprintf("count_over_time(%s[%s])", selects(s, k, prometheus.Name(s.metric)), steps(c, k))) + " >= " + strconv.Itoa(c.MinSamples), nil
	}
	if s.metric.Self {
		return "", cannot("the samples of %s cannot be counted", s.metric.Name)
	}
	group := slices.DeleteFunc(slices.Clone(dropped), func(a string) bool { return slices.Contains(s.metric.Attrs, a) })
	group = append(group, "status")
	ran := *s
	ran.labels = slices.DeleteFunc(slices.Clone(s.labels), func(l selector) bool { return slices.Contains(s.metric.Attrs, l.attr) })
	series := selects(&ran, k, runs, finished)
	all := selects(&ran, k, runs, lifetime)
	return grown(aggregateBy("sum", group, series), "0 * "+aggregateBy("sum", group, all), span(c, k)) + " >= " + strconv.Itoa(c.MinSamples), nil
}

// span is how far back a counter is compared.
func span(c *alerts.Condition, k class) time.Duration {
	if c.Window.Time > 0 {
		return c.Window.Time
	}
	return time.Duration(max(c.Window.Runs, 1)) * k.interval
}

// steps samples a gauge once for each run of the window. A range of a step less a millisecond has as many instants as it
// has runs, in Prometheus 2, which counts both ends, and in Prometheus 3.
func steps(c *alerts.Condition, k class) string {
	return duration(span(c, k)-time.Millisecond) + ":" + duration(k.interval)
}

// selects is a selector of series.
func selects(s *scope, k class, name string, more ...string) string {
	matchers := make([]string, 0, len(s.labels)+2)
	for _, l := range s.labels {
		if k.checks == nil || !slices.Contains(exporters.CommonAttrs(), l.attr) {
			matchers = append(matchers, l.promql())
		}
	}
	if k.checks != nil {
		matchers = append(matchers, selector{attr: "check", values: k.checks}.promql())
	}
	matchers = append(matchers, more...)
	if len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ", ") + "}"
}

func (l selector) promql() string {
	op, value := "=", ""
	switch {
	case l.regexp != "":
		op, value = "=~", l.regexp
	case len(l.values) == 1:
		value = l.values[0]
	default:
		op, value = "=~", alternation(l.values)
	}
	if l.not {
		op = "!" + strings.TrimPrefix(op, "=")
		if op == "!" {
			op = "!="
		}
	}
	return prometheus.LabelName(l.attr) + op + strconv.Quote(value)
}

// gauge is an aggregate of the values that a gauge had. The page shows a check's gauges as its last run left them.
func gauge(c *alerts.Condition, s *scope, k class, dropped []string) (string, error) {
	series := selects(s, k, prometheus.Name(s.metric))
	var text string
	windowed := c.Window.Runs > 1 || c.Window.Time > 0
	switch c.Aggregate {
	case alerts.Last, "":
		return last(c, s, k, dropped)
	case alerts.Min, alerts.Max:
		text = series
		if windowed {
			text = fmt.Sprintf("%s_over_time(%s[%s])", c.Aggregate, series, duration(inForce(c, k)))
		}
		return pooled(string(c.Aggregate), dropped, text), nil
	case alerts.Avg:
		if len(dropped) > 0 && windowed {
			return pooled("sum", dropped, fmt.Sprintf("sum_over_time(%s[%s])", series, steps(c, k))) + " / " +
				pooled("sum", dropped, fmt.Sprintf("count_over_time(%s[%s])", series, steps(c, k))), nil
		}
		text = series
		if windowed {
			text = fmt.Sprintf("avg_over_time(%s[%s])", series, steps(c, k))
		}
		return pooled("avg", dropped, text), nil
	case alerts.Sum, alerts.Count:
		return pooled("sum", dropped, fmt.Sprintf("%s_over_time(%s[%s])", c.Aggregate, series, steps(c, k.orMinute()))), nil
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		if len(dropped) > 0 {
			return "", cannot("a quantile over several series (%s) and a window", strings.Join(dropped, ", "))
		}
		if !windowed {
			return series, nil
		}
		return fmt.Sprintf("quantile_over_time(%s, %s[%s])", quantile(c.Aggregate), series, steps(c, k)), nil
	case alerts.Rate:
	}
	return "", cannot("%s of a gauge", c.Aggregate)
}

func (k class) orMinute() class {
	if k.interval == 0 {
		k.interval = time.Minute
	}
	return k
}

func quantile(a alerts.Aggregate) string {
	return "0." + strings.TrimSuffix(strings.TrimPrefix(string(a), "p"), "0")
}

// last is the last value. Of several series there is no last one to be told.
func last(c *alerts.Condition, s *scope, k class, dropped []string) (string, error) {
	if len(dropped) > 0 {
		return "", cannot("the last of several series (%s)", strings.Join(dropped, ", "))
	}
	series := selects(s, k, prometheus.Name(s.metric))
	if c.Window.Runs > 1 || c.Window.Time > 0 {
		return fmt.Sprintf("last_over_time(%s[%s])", series, duration(inForce(c, k))), nil
	}
	return series, nil
}

// inForce is the range in which the values of the window's runs were the present ones. A value stays until the next run,
// so that of n runs the range is one interval shorter.
func inForce(c *alerts.Condition, k class) time.Duration {
	if c.Window.Time > 0 {
		return c.Window.Time
	}
	return time.Duration(c.Window.Runs-1) * k.interval
}

// counter is what a counter grew by.
func counter(c *alerts.Condition, s *scope, k class, dropped []string) (string, error) {
	name, w := prometheus.Name(s.metric), span(c, k)
	per := ""
	switch c.Aggregate {
	case alerts.Sum:
	case alerts.Last, "":
		if c.Window.Runs > 1 || c.Window.Time > 0 {
			return "", cannot("the last of a counter within a window")
		}
	case alerts.Count:
		if s.metric.Kind != exporters.Histogram {
			return "", cannot("count of a counter")
		}
		name += "_count"
	case alerts.Rate:
		per = " / " + number(w.Seconds())
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		if s.metric.Kind != exporters.Histogram {
			return "", cannot("%s of a counter", c.Aggregate)
		}
		series := fmt.Sprintf("increase(%s[%s])", selects(s, k, name+"_bucket"), duration(w))
		return fmt.Sprintf("histogram_quantile(%s, %s)", quantile(c.Aggregate), pooled("sum", dropped, series)), nil
	case alerts.Min, alerts.Max, alerts.Avg:
		return "", cannot("%s of a counter", c.Aggregate)
	}
	if s.metric.Kind == exporters.Histogram && c.Aggregate != alerts.Count {
		name += "_sum"
	}
	series := selects(s, k, name)
	zero, ok := s.zero(k, dropped)
	if !ok {
		return pooled("sum", dropped, fmt.Sprintf("increase(%s[%s])", series, duration(w))) + per, nil
	}
	text := grown(pooled("sum", dropped, series), zero, w)
	if per != "" {
		text = parens(text) + per
	}
	return text, nil
}

// zero is 0 for every group of which the agent was heard, whether it counted anything or not. It is false where the
// groups are told apart by what only the counter itself says.
func (s *scope) zero(k class, dropped []string) (string, bool) {
	for _, attr := range s.metric.Attrs {
		if !slices.Contains(dropped, attr) {
			return "", false
		}
	}
	if s.metric.Self {
		return "0 * " + uptime, true
	}
	group := slices.DeleteFunc(slices.Clone(dropped), func(a string) bool { return slices.Contains(s.metric.Attrs, a) })
	own := *s
	own.labels = slices.DeleteFunc(slices.Clone(s.labels), func(l selector) bool { return slices.Contains(s.metric.Attrs, l.attr) })
	return "0 * " + aggregateBy("sum", append(group, "status"), selects(&own, k, runs)), true
}

// grown is what a counter grew by in a span, exactly. increase() would extrapolate, and would not see the first increment
// of a counter that was born within the span. The zero is of the time when the span began, so that a counter that was not
// scraped then says nothing.
func grown(series, zero string, w time.Duration) string {
	offset := " offset " + duration(w)
	return series + "\n- (" + shifted(series, offset) + "\n  or " + shifted(zero, offset) + ")"
}

// shifted is the expression as it was before.
func shifted(text, offset string) string {
	if at := strings.LastIndex(text, ")"); at >= 0 && strings.HasSuffix(text, ")") { // "sum without (x) (series)"
		return text[:at] + offset + ")"
	}
	return text + offset
}

// asked is a comparison with the answer to a question about the application's own metrics.
func (p promql) asked(c *alerts.Condition, name string) (vector, error) {
	if p.in.Traffic == nil {
		return vector{}, cannot("%s is asked of the application's metrics, which are not known", c.Metric)
	}
	question, labels, ok := p.in.Traffic(name)
	if !ok {
		return vector{}, cannot("%s is no question of the checklist, so that its expression is not known", c.Metric)
	}
	if c.Share != nil || c.MinSamples > 1 {
		return vector{}, cannot("share and min_samples of an answer")
	}
	text := parens(question)
	w := span(c, p.readBy(c))
	step := duration(p.readBy(c).interval)
	switch c.Aggregate {
	case alerts.Last, "":
	case alerts.Min, alerts.Max, alerts.Avg:
		if c.Window.Runs > 1 || c.Window.Time > 0 {
			text = fmt.Sprintf("%s_over_time(%s[%s:%s])", c.Aggregate, text, duration(w-time.Millisecond), step)
		}
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		text = fmt.Sprintf("quantile_over_time(%s, %s[%s:%s])", quantile(c.Aggregate), text, duration(w-time.Millisecond), step)
	case alerts.Sum, alerts.Count, alerts.Rate:
		return vector{}, cannot("%s of answers", c.Aggregate)
	}
	return vector{text + compare(c), labels}, nil
}

// readBy is the class of the checks that ask, one minute where there is none.
func (p promql) readBy(c *alerts.Condition) class {
	k := class{}
	for i := range p.in.Checks {
		check := &p.in.Checks[i]
		if slices.Contains(check.Metrics, c.Metric) && (k.interval == 0 || check.Interval < k.interval) {
			k.interval = check.Interval
		}
	}
	return k.orMinute()
}
