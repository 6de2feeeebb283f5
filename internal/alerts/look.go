package alerts

import (
	"slices"
	"strconv"

	"github.com/windsock-monitor/windsock/exporters"
)

// What the engine makes of rules and checks, for those who look at rules without running them.

// Grouping is by which attributes there is one alert each, sorted: what the rule says, or what its metrics have by default.
func Grouping(r *Rule) []string {
	var leaves []*leaf
	var walk func(c *Condition)
	walk = func(c *Condition) {
		if c.Metric != "" {
			leaves = append(leaves, unread(c))
		}
		for _, list := range [][]Condition{c.All, c.Any} {
			for i := range list {
				walk(&list[i])
			}
		}
	}
	walk(&r.When)
	if len(leaves) == 0 {
		return nil
	}
	return grouping(r, leaves)
}

// Constant reports whether an attribute is the same for all samples of the metric that are from one check.
func Constant(metric, attr string) bool { return unread(&Condition{Metric: metric}).constant(attr) }

func unread(c *Condition) *leaf {
	l := &leaf{Condition: c}
	l.known, _ = exporters.Lookup(c.Metric)
	l.kind = l.known.Kind
	return l
}

// Attr is what an attribute is for all samples of the check; "" where it has none.
func (c *Check) Attr(key string) string {
	value := c.Labels[key]
	switch key {
	case "check":
		value = c.Name
	case "kind":
		value = c.Kind
	case "provider":
		value = c.Provider
	case "location":
		value = c.Location
	case "paid":
		value = strconv.FormatBool(c.Paid)
	}
	return exporters.Clean(value, maxValue)
}

// Emits reports whether the check may measure the metric. One that does not say what it measures may measure anything that
// is not the agent's.
func (c *Check) Emits(metric string) bool {
	known, _ := exporters.Lookup(metric)
	switch metric {
	case "probe.llm.cost.usd", "probe.llm.price.known":
		return c.Paid
	}
	return !known.Self && !known.Page && (c.Metrics == nil || c.saysSo(metric))
}

// saysSo reports whether the check says that it measures the metric.
func (c *Check) saysSo(metric string) bool {
	switch metric {
	case "probe.success", "probe.duration", "probe.timeout", "probe.runs", "probe.failures", "probe.skips":
		return true
	case "probe.llm.cost.usd", "probe.llm.price.known":
		return c.Paid
	}
	return slices.Contains(c.Metrics, metric)
}
