package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// series are the values of a gauge, those of the runs that ended as the condition wants.
func (s *scope) series(k class) string {
	text := selects(s, k, prometheus.Name(s.metric))
	if s.success == "" {
		return text
	}
	by := ""
	if len(s.metric.Attrs) > 0 {
		by = " ignoring (" + strings.Join(labelNames(s.metric.Attrs), ", ") + ")"
	}
	return parens(text + " and" + by + " " + selects(s.common(), k, "probe_success") + " == " + s.success)
}

func labelNames(attrs []string) []string {
	out := make([]string, len(attrs))
	for i, attr := range attrs {
		out[i] = prometheus.LabelName(attr)
	}
	return out
}

// gauge is an aggregate of the values that a gauge had. The page shows a check's gauges as its last run left them.
func gauge(c *alerts.Condition, s *scope, dropped []string) (string, error) {
	v := values{c, s}
	many := strings.Join(dropped, ", ")
	switch c.Aggregate {
	case alerts.Last, "":
		if many != "" {
			return "", cannot("the last of several series (%s)", many)
		}
		return v.shown("last_over_time("), nil
	case alerts.Min, alerts.Max:
		return pooled(string(c.Aggregate), dropped, v.shown(string(c.Aggregate)+"_over_time(")), nil
	case alerts.Avg:
		if v.windowed() && many != "" {
			return pooled("sum", dropped, v.each("sum_over_time(")) + " / " + pooled("sum", dropped, v.each("count_over_time(")), nil
		}
		return pooled("avg", dropped, v.each("avg_over_time(")), nil
	case alerts.Sum, alerts.Count:
		return pooled("sum", dropped, v.over(string(c.Aggregate)+"_over_time(")), nil
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		if many != "" {
			return "", cannot("a quantile of several series (%s) in a window", many)
		}
		return v.each("quantile_over_time(" + quantile(c.Aggregate) + ", "), nil
	case alerts.Rate:
	}
	return "", cannot("%s of a gauge", c.Aggregate)
}

// values are those of a gauge in the window of a condition.
type values struct {
	c *alerts.Condition
	s *scope
}

func (v values) windowed() bool { return v.c.Window.Runs > 1 || v.c.Window.Time > 0 }

// over takes each run once.
func (v values) over(function string) string {
	return union(v.s.classes(), func(k class) string { return function + v.s.series(k) + "[" + steps(v.c, k) + "])" })
}

// each is over, or the value itself where there is one run.
func (v values) each(function string) string {
	if !v.windowed() {
		return v.s.series(v.s.one())
	}
	return v.over(function)
}

// shown takes whatever was shown, however long.
func (v values) shown(function string) string {
	if !v.windowed() || v.s.success != "" {
		return v.each(function)
	}
	return union(v.s.shown(v.c), func(k class) string { return function + v.s.series(k) + "[" + duration(inForce(v.c, k)) + "])" })
}

// shown are the classes of a window: one of all where it is a time.
func (s *scope) shown(c *alerts.Condition) []class {
	if c.Window.Time > 0 {
		return []class{s.one()}
	}
	return s.classes()
}

func quantile(a alerts.Aggregate) string {
	return "0." + strings.TrimSuffix(strings.TrimPrefix(string(a), "p"), "0")
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
func counter(c *alerts.Condition, s *scope, dropped []string) (string, error) {
	name := prometheus.Name(s.metric)
	classes := s.shown(c)
	histogram := s.metric.Kind == exporters.Histogram
	switch c.Aggregate {
	case alerts.Sum, alerts.Rate:
		if histogram {
			name += "_sum"
		}
	case alerts.Last, "":
		if c.Window.Runs > 1 || c.Window.Time > 0 || histogram {
			return "", cannot("the last of a counter within a window")
		}
	case alerts.Count:
		if !histogram {
			return "", cannot("count of a counter")
		}
		name += "_count"
	case alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		return "", cannot("the exact %s of a counter or histogram", c.Aggregate)
	case alerts.Min, alerts.Max, alerts.Avg:
		return "", cannot("%s of a counter", c.Aggregate)
	}
	text := s.growth(classes, dropped, func(k class, by []string) string { return s.grew(c, k, by, name) })
	if c.Aggregate == alerts.Rate {
		return parens(text), nil
	}
	return text, nil
}

// grew is what the series of one class grew by.
func (s *scope) grew(c *alerts.Condition, k class, dropped []string, name string) string {
	w, series := span(c, k), selects(s, k, name)
	text := pooled("sum", dropped, fmt.Sprintf("increase(%s[%s])", series, duration(w)))
	if zero, ok := s.zero(k, dropped); ok {
		exact := grown(pooled("sum", dropped, series), zero, w)
		if c.Window.Time > 0 { // as much as was seen, until there is a past as long as the window
			text = parens(exact + "\nor " + text)
		} else {
			text = exact
		}
	}
	if c.Aggregate == alerts.Rate {
		text = parens(text) + " / " + number(w.Seconds())
	}
	return text
}

// zero is 0 for every group of which the agent was heard, whether it counted anything or not. It is false where the
// groups are told apart by what only the counter itself says.
func (s *scope) zero(k class, dropped []string) (string, bool) {
	if len(without(s.metric.Attrs, dropped)) > 0 {
		return "", false
	}
	if s.metric.Self {
		return "0 * " + uptime, true
	}
	by := append(without(dropped, s.metric.Attrs), "status")
	return "0 * " + aggregateBy("sum", by, selects(s.common(), k, runs, lifetime)), true
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
