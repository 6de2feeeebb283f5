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
	return p.share(c, s, v, s.dropped(members))
}

func without(attrs, dropped []string) []string {
	return slices.DeleteFunc(slices.Clone(attrs), func(a string) bool { return slices.Contains(dropped, a) })
}

// share counts the members of each group: those for which the condition holds, of those that have samples enough.
func (p promql) share(c *alerts.Condition, s *scope, v vector, gone []string) (vector, error) {
	dropped := without(s.dropped(s.groupOf(p.rule)), gone)
	out := vector{attrs: without(v.attrs, dropped)}
	out.text = aggregateBy("count", dropped, v.text+compare(c))
	if c.Share.AtLeast <= 0 {
		out.text += " > 0"
		return out, nil
	}
	all := v.text
	if failsEnough(c) {
		var err error
		if all, err = p.enough(c, s, gone); err != nil {
			return vector{}, err
		}
	}
	out.text += "\n/ " + aggregateBy("count", dropped, all) + " >= " + number(c.Share.AtLeast)
	return out, nil
}

// aggregateBy takes together what the attributes tell apart.
func aggregateBy(op string, dropped []string, text string) string {
	if len(dropped) == 0 {
		return op + " without () (" + text + ")"
	}
	return op + " without (" + strings.Join(labelNames(dropped), ", ") + ") (" + text + ")"
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
	of := counter
	if s.metric.Kind == exporters.Gauge {
		of = gauge
	}
	text, err := of(c, s, dropped)
	if err != nil {
		return "", err
	}
	if needsEnough(c, s) && !failsEnough(c) {
		enough, err := p.enough(c, s, dropped)
		if err != nil {
			return "", err
		}
		text = parens(parens(text) + "\nand " + enough)
	}
	if c.Until {
		text += " - time()"
	}
	return text, nil
}

// needsEnough reports whether a window can have too few samples: a gauge that has a value has one.
func needsEnough(c *alerts.Condition, s *scope) bool {
	return c.MinSamples > 1 || (c.MinSamples == 1 && s.metric.Kind != exporters.Gauge)
}

// failsEnough reports whether so many failures are asked for that there were runs enough.
func failsEnough(c *alerts.Condition) bool {
	return c.Metric == "probe.failures" && (c.Aggregate == alerts.Sum) && c.Op == alerts.Above && c.Threshold > float64(c.MinSamples-1)
}

// enough holds where the window has samples enough.
func (p promql) enough(c *alerts.Condition, s *scope, dropped []string) (string, error) {
	least := " >= " + strconv.Itoa(c.MinSamples)
	if s.metric.Kind == exporters.Gauge {
		return pooled("sum", dropped, union(s.classes(), func(k class) string {
			return fmt.Sprintf("count_over_time(%s[%s])", s.series(k), steps(c, k))
		})) + least, nil
	}
	if s.metric.Self {
		return "", cannot("the samples of %s cannot be counted", s.metric.Name)
	}
	own := s.common()
	return s.growth(s.classes(), without(dropped, s.metric.Attrs), func(k class, by []string) string {
		by = append(by, "status")
		return grown(aggregateBy("sum", by, selects(own, k, runs, finished)), "0 * "+aggregateBy("sum", by, selects(own, k, runs, lifetime)), span(c, k))
	}) + least, nil
}

// common is the scope without what only the metric itself says.
func (s *scope) common() *scope {
	own := *s
	own.labels = slices.DeleteFunc(slices.Clone(s.labels), func(l selector) bool { return slices.Contains(s.metric.Attrs, l.attr) })
	return &own
}

// union is the series of all classes.
func union(classes []class, of func(class) string) string {
	parts := make([]string, len(classes))
	for i, k := range classes {
		parts[i] = of(k)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parens(strings.Join(parts, "\nor "))
}

// growth adds up what counters grew by. What checks of one interval have in common is added up at once, the rest after
// the classes have come together.
func (s *scope) growth(classes []class, dropped []string, of func(k class, by []string) string) string {
	if len(classes) == 1 {
		return of(classes[0], dropped)
	}
	own := slices.DeleteFunc(slices.Clone(dropped), func(a string) bool { return slices.Contains(exporters.CommonAttrs(), a) })
	return pooled("sum", without(dropped, own), union(classes, func(k class) string { return of(k, own) }))
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
	yes, no, value := "=~", "!~", alternation(l.values)
	switch {
	case l.regexp != "":
		value = l.regexp
	case len(l.values) == 1:
		yes, no, value = "=", "!=", l.values[0]
	}
	op := yes
	if l.not {
		op = no
	}
	return prometheus.LabelName(l.attr) + op + strconv.Quote(value)
}
