package render

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// asked is a comparison with the answer to a question about the application's own metrics.
func (p promql) asked(c *alerts.Condition, name string) (vector, error) {
	if p.in.Traffic == nil {
		return vector{}, cannot("%s is asked of the application's metrics, which are not known", c.Metric)
	}
	question, labels, ok := p.in.Traffic(name)
	if !ok {
		return vector{}, cannot("no check asks for %s, so that its expression is not known", c.Metric)
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
		if len(labels) > 0 {
			text, labels = parens(aggregateBy(string(c.Aggregate), labels, question)), nil
		}
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
	if k.interval == 0 {
		k.interval = time.Minute
	}
	return k
}
