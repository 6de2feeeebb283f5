package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// absence is how long a check of the class may be silent.
func (p promql) absence(k class) time.Duration {
	if t := p.rule.AbsentAfter.Time; t > 0 {
		return t
	}
	return time.Duration(p.rule.AbsentAfter.Intervals) * k.interval
}

// silent are the checks that were there and have said nothing since, and those that never were while the agent was. A slot
// that was skipped says something; an error and an unknown verdict do not.
func (p promql) silent() (string, error) {
	read := first(&p.rule.When)
	m, ok := exporters.Lookup(read.Metric)
	if !ok || m.Self {
		return "", cannot("the absence of %s", read.Metric)
	}
	common, _ := exporters.Lookup("probe.runs")
	var matchers []alerts.Matcher
	for _, by := range read.Match {
		switch by.Attr {
		case "check", "kind", "provider", "location", "paid":
			matchers = append(matchers, by)
		}
	}
	s, err := newScope(p.in, common, matchers)
	if err != nil {
		return "", err
	}
	s.checks = slices.DeleteFunc(s.checks, func(c alerts.Check) bool {
		return !slices.ContainsFunc(measuring(p.in.Checks, read.Metric), func(m alerts.Check) bool { return m.Name == c.Name })
	})
	s.narrow = true
	if len(s.checks) == 0 {
		return "", cannot("no check measures %s", read.Metric)
	}
	var parts []string
	for _, k := range s.classes() {
		parts = append(parts, p.silentOf(s, k))
	}
	return strings.Join(parts, "\nor "), nil
}

func (p promql) silentOf(s *scope, k class) string {
	offset := " offset " + duration(p.absence(k))
	status := []string{"status"}
	said := aggregateBy("sum", status, selects(s, k, runs, alive))
	all := "0 * " + aggregateBy("sum", status, selects(s, k, runs, lifetime)+offset)
	var out strings.Builder
	out.WriteString(all + "\nunless (" + said + "\n  - (" + shifted(said, offset) + "\n  or " + all + ") > 0)")
	for _, name := range k.checks {
		fmt.Fprintf(&out, "\nor absent_over_time(%s{check=%q}[%s]) and on () (%s and %s%s)", runs, name, duration(p.absence(k)), uptime, uptime, offset)
	}
	return out.String()
}

// first is the first comparison of a condition.
func first(c *alerts.Condition) *alerts.Condition {
	for _, of := range [][]alerts.Condition{c.All, c.Any} {
		if len(of) > 0 {
			return first(&of[0])
		}
	}
	return c
}
