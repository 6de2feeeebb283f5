package ruletest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
)

// measured is what was measured at one time.
type measured []checks.Measurement

// series makes runs of what checks measure at each interval, and points of what the agent does.
func (p *preparer) series(path string, t *test, out *prepared) {
	interval := time.Minute
	if t.Interval != nil {
		interval = *t.Interval
	}
	if interval < time.Second {
		p.doc.Add(path+".interval", "", "found %s, want 1s or more", interval)
		return
	}
	read, total := p.metrics(), 0
	steps := map[string][]measured{} // by check; "" is the agent
	for i := range t.Series {
		s, at := &t.Series[i], fmt.Sprintf("%s.series.%d", path, i)
		values, err := parseValues(string(s.Values))
		total += len(values)
		switch {
		case err != nil:
			p.doc.Add(at+".values", "", "%v", err)
		case total > mostSamples:
			p.doc.Add(at+".values", "make a second test", "more than %d samples in one test", mostSamples)
			return
		case p.within(at+".values", time.Duration(len(values)-1)*interval) && p.metric(at, s, read):
			steps[s.Check] = s.onto(steps[s.Check], values)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		for k, some := range steps[name] {
			out.events = append(out.events, p.happened(name, out.start, time.Duration(k)*interval, some))
		}
	}
}

// onto adds the values to what else is measured at the same times.
func (s *series) onto(steps []measured, values []value) []measured {
	for len(steps) < len(values) {
		steps = append(steps, measured{})
	}
	for k, v := range values {
		if v.given {
			steps[k] = append(steps[k], checks.Measurement{Name: s.Metric, Value: v.number, Attrs: s.Attrs})
		}
	}
	return steps
}

// happened is what one check, or the agent, measured at a time. A run that measured nothing could not tell.
func (p *preparer) happened(name string, start time.Time, at time.Duration, some measured) event {
	if name == "" {
		record := checks.Record{At: start.Add(at), Agent: &checks.Snapshot{Measurements: some}}
		points := slices.DeleteFunc(exporters.Points(record), func(pt exporters.Point) bool {
			return !slices.ContainsFunc(some, func(m checks.Measurement) bool { return m.Name == pt.Name })
		})
		return event{at: at, points: points}
	}
	c, _ := p.check(name)
	report := reportOf(c, start.Add(at), 0)
	report.Result = checks.Result{Status: checks.OK, Measurements: some}
	if len(some) == 0 {
		report.Result = checks.Undetermined(checks.CauseEmptyContent, "")
	}
	return event{at: at, report: report}
}

// metric checks that somebody measures and reads the metric.
func (p *preparer) metric(path string, s *series, read []string) bool {
	if !slices.Contains(read, s.Metric) {
		p.doc.Add(path+".metric", config.Near(s.Metric, read), "no rule that is tested reads the metric %q", s.Metric)
		return false
	}
	if s.Check == "" {
		if !strings.HasPrefix(s.Metric, "windsock.") {
			p.doc.Add(path+".metric", "give `check:`", "the agent itself does not measure %q", s.Metric)
			return false
		}
		return true
	}
	c, ok := p.target(path+".check", s.Check)
	if !ok {
		return false
	}
	const mark = 7
	report := reportOf(c, time.Unix(1e9, 0), 0)
	report.Measurements = measured{{Name: s.Metric, Value: mark}}
	if !slices.ContainsFunc(exporters.Points(checks.OfReport(report)), func(pt exporters.Point) bool { return pt.Name == s.Metric && pt.Value == mark }) {
		p.doc.Add(path+".metric", "write `runs:`", "%q is not measured by checks: the agent makes it of their runs", s.Metric)
		return false
	}
	return true
}

// metrics are those that the rules read.
func (p *preparer) metrics() []string {
	found := map[string]bool{}
	var look func(c *alerts.Condition)
	look = func(c *alerts.Condition) {
		found[c.Metric] = true
		for i := range c.All {
			look(&c.All[i])
		}
		for i := range c.Any {
			look(&c.Any[i])
		}
	}
	for i := range p.file.setup.Rules {
		r := &p.file.setup.Rules[i]
		look(&r.When)
		for j := range r.Escalations {
			look(&r.Escalations[j].When)
		}
		for j := range r.Notes {
			look(&r.Notes[j].When)
		}
	}
	delete(found, "")
	return slices.Sorted(maps.Keys(found))
}
