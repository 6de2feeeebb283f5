package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// asks are the queries of a rule: it fires where any of them does.
func (w *monitors) asks(r *alerts.Rule) ([]ask, error) {
	if len(r.When.All) > 0 {
		return nil, cannot("several conditions at once")
	}
	parts := r.When.Any
	if len(parts) == 0 {
		parts = []alerts.Condition{r.When}
	}
	var out []ask
	for i := range parts {
		asks, err := w.leaf(r, &parts[i])
		if err != nil {
			return nil, err
		}
		for _, a := range asks {
			if len(parts) > 1 {
				a.about = strings.TrimPrefix(a.about+", "+words(&parts[i]), ", ")
			}
			out = append(out, a)
		}
	}
	return out, nil
}

func (w *monitors) leaf(r *alerts.Rule, c *alerts.Condition) ([]ask, error) {
	if len(c.All) > 0 || len(c.Any) > 0 {
		return nil, cannot("conditions within conditions")
	}
	m, ok := exporters.Lookup(c.Metric)
	if !ok {
		m = exporters.Metric{Name: c.Metric} // a gauge
		if _, labels, known := w.in.trafficOf(strings.TrimPrefix(c.Metric, traffic)); known {
			m.Attrs = labels
		}
	}
	s, err := newScope(w.in, m, c.Match)
	if err != nil {
		return nil, err
	}
	if err := sayable(r, c, s); err != nil {
		return nil, err
	}
	if impossible(c) {
		return w.silent(r, s)
	}
	if asked, ok := w.inARow(r, c, s); ok {
		return []ask{asked}, nil
	}
	var out []ask
	classes := classesOf(r, c, s)
	for _, k := range classes {
		a, err := w.query(r, c, s, k)
		if err != nil {
			return nil, err
		}
		if len(classes) > 1 {
			a.about = "checks every " + duration(k.interval)
		}
		out = append(out, a)
	}
	return out, nil
}

// sayable refuses what no query says.
func sayable(r *alerts.Rule, c *alerts.Condition, s *scope) error {
	switch {
	case c.Until:
		return cannot("the time until a moment")
	case s.success != "":
		return cannot("a gauge by how the run ended")
	case c.Share != nil && c.Share.AtLeast > 0:
		return cannot("a share of checks")
	case c.MinSamples > 1 && !failsEnough(c):
		return cannot("the least number of samples")
	case r.For > 0 && (r.KeepFiringFor > 0 || s.metric.Kind != exporters.Gauge || !instant(c) || c.Op == alerts.Equals):
		return cannot("for how long it holds")
	case r.KeepFiringFor > 0 && (s.metric.Kind != exporters.Gauge || !instant(c) || c.Op == alerts.Equals):
		return cannot("for how long it stays")
	}
	return nil
}

// instant reports whether the condition is about one run.
func instant(c *alerts.Condition) bool {
	return c.Window.Runs <= 1 && c.Window.Time == 0
}

// classesOf are the classes of the checks where the window depends on their interval.
func classesOf(r *alerts.Rule, c *alerts.Condition, s *scope) []class {
	if c.Window.Time > 0 || s.metric.Self {
		k := s.one()
		k.interval = time.Minute
		return []class{k}
	}
	if instant(c) && max(r.For, r.KeepFiringFor) > 0 {
		k := s.one()
		for _, other := range s.classes() {
			k.interval = max(k.interval, other.interval)
		}
		return []class{k}
	}
	return s.classes()
}

// silent asks whether anything was said at all.
func (w *monitors) silent(r *alerts.Rule, s *scope) ([]ask, error) {
	var out []ask
	classes := s.classes()
	for _, k := range classes {
		span := promql{rule: r}.absence(k)
		last, err := window(span)
		if err != nil {
			return nil, err
		}
		tags, err := filter(s, k, "status IN (degraded,failed,ok,skipped)")
		if err != nil {
			return nil, err
		}
		a := ask{
			kind: typeQuery, critical: 0, silence: minutes(span),
			query: "sum(" + last + "):sum:windsock.probe.runs{" + tags + "}" + w.by(s.groupOf(r)) + ".as_count() < 0",
		}
		if len(classes) > 1 {
			a.about = "checks every " + duration(k.interval)
		}
		out = append(out, a)
	}
	return out, nil
}

// inARow asks the service check of the checks, which counts runs and not minutes: where any failure counts, and so many
// of so many.
func (w *monitors) inARow(r *alerts.Rule, c *alerts.Condition, s *scope) (ask, bool) {
	least := int(c.Threshold) + 1
	plain := !slices.ContainsFunc(s.labels, func(l selector) bool {
		return len(l.values) != 1 || l.not || !slices.Contains(exporters.CommonAttrs(), l.attr)
	})
	if !failsEnough(c) || c.Window.Runs < 1 || c.Window.Runs < least || !plain || s.narrow || !slices.Equal(s.groupOf(r), []string{"check"}) {
		return ask{}, false
	}
	over := []string{`"*"`}
	if len(s.labels) > 0 {
		over = nil
		for _, l := range s.labels {
			over = append(over, `"`+datadog.Tag(l.attr, l.values[0])+`"`)
		}
	}
	by := []string{`"check"`}
	if w.in.Location != "" {
		by = append(by, `"location"`)
	}
	return ask{
		kind: typeService, critical: float64(least), silence: w.silence(r, c, s),
		query: fmt.Sprintf(`"%s".over(%s).by(%s).last(%d).count_by_status()`, datadog.ServiceCheck, strings.Join(over, ","), strings.Join(by, ","), c.Window.Runs),
	}, true
}

// silence are the minutes without data that a rule tells of.
func (w *monitors) silence(r *alerts.Rule, _ *alerts.Condition, s *scope) int64 {
	if r.AbsentAfter.IsZero() {
		return 0
	}
	classes := s.classes()
	return minutes(promql{rule: r}.absence(classes[len(classes)-1]))
}

// query is the comparison for the checks of one interval.
func (w *monitors) query(r *alerts.Rule, c *alerts.Condition, s *scope, k class) (ask, error) {
	inTime, inSpace, count, err := aggregators(r, c, s)
	if err != nil {
		return ask{}, err
	}
	group := s.groupOf(r)
	if c.Share != nil { // any of them
		group = slices.Concat(group, c.Share.Of)
	}
	span := span(c, k)
	if instant(c) {
		span = max(span, r.For, r.KeepFiringFor)
	}
	last, err := window(span)
	if err != nil {
		return ask{}, err
	}
	tags, err := filter(s, k)
	if err != nil {
		return ask{}, err
	}
	op := map[alerts.Op]string{alerts.Above: ">", alerts.Below: "<", alerts.Equals: "=="}[c.Op]
	return ask{
		kind: typeQuery, critical: c.Threshold, silence: w.silence(r, c, s),
		query: fmt.Sprintf("%s(%s):%s:%s{%s}%s%s %s %s", inTime, last, inSpace, exporters.DatadogName(c.Metric), tags, w.by(group), count, op, number(c.Threshold)),
	}, nil
}

// aggregators are how the values of a window, and those of several series, become one.
func aggregators(r *alerts.Rule, c *alerts.Condition, s *scope) (inTime, inSpace, count string, err error) {
	if s.metric.Kind == exporters.Counter {
		switch c.Aggregate {
		case alerts.Sum, alerts.Last, "":
			return "sum", "sum", ".as_count()", nil
		case alerts.Min, alerts.Max, alerts.Avg, alerts.Count, alerts.Rate, alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		}
		return "", "", "", cannot("%s of a counter", c.Aggregate)
	}
	worst, best := "max", "min"
	if c.Op == alerts.Below {
		worst, best = best, worst
	}
	inSpace = worst
	switch c.Aggregate {
	case alerts.Min, alerts.Max, alerts.Avg:
		inTime, inSpace = string(c.Aggregate), string(c.Aggregate)
	case alerts.Last, "":
		if !instant(c) {
			return "", "", "", cannot("the last value of a window")
		}
		inTime = worst
		if s.metric.Kind == exporters.Histogram || len(s.dropped(s.groupOf(r))) > 0 {
			return "", "", "", cannot("the last of several series")
		}
	case alerts.Sum, alerts.Count, alerts.Rate, alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		return "", "", "", cannot("%s of a gauge", c.Aggregate)
	}
	switch {
	case r.For > 0: // all values of so long
		inTime = best
	case r.KeepFiringFor > 0: // any value of so long
		inTime = worst
	}
	return inTime, inSpace, "", nil
}

// filter is what stands in braces.
func filter(s *scope, k class, more ...string) (string, error) {
	names := k.checks
	for _, l := range s.labels {
		if l.regexp != "" && !slices.Contains(exporters.CommonAttrs(), l.attr) {
			return "", cannot("a pattern on %s", l.attr)
		}
		if l.regexp != "" && names == nil {
			names = s.names()
		}
	}
	var terms []string
	for _, l := range s.labels {
		if l.regexp == "" && (names == nil || !slices.Contains(exporters.CommonAttrs(), l.attr)) {
			terms = append(terms, l.datadog())
		}
	}
	if names != nil {
		terms = append(terms, selector{attr: "check", values: names}.datadog())
	}
	terms = append(terms, more...)
	if len(terms) == 0 {
		return "*", nil
	}
	return strings.Join(terms, " AND "), nil
}

// datadog is one term: a tag, or a choice of values. A tag that is not there is N/A.
func (l selector) datadog() string {
	values := make([]string, len(l.values))
	for i, v := range l.values {
		_, values[i], _ = strings.Cut(datadog.Tag(l.attr, v), ":")
		if v == "" {
			values[i] = "N/A"
		}
	}
	not := ""
	if l.not {
		not = "NOT "
	}
	if len(values) == 1 {
		return not + l.attr + ":" + values[0]
	}
	return l.attr + " " + not + "IN (" + strings.Join(values, ",") + ")"
}
