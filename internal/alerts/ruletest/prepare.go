package ruletest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
)

// The bounds of one test.
const (
	longest  = 7 * 24 * time.Hour
	mostRuns = 100_000 // with those of series
)

// prepared is a test that can be run.
type prepared struct {
	name   string
	line   int
	start  time.Time
	end    time.Duration
	events []event // in the order in which they happen
	expect []expected
	told   *toldList
}

// event is one thing that happens: a run, numbers of the agent itself, or a restart.
type event struct {
	at      time.Duration
	report  *checks.Report
	points  []exporters.Point
	restart bool
}

type expected struct {
	expectation
	line int
}

type toldList struct {
	transitions []transition
	rules       []string
	line        int
}

type preparer struct {
	doc  *config.Document
	file *File
}

func (p *preparer) check(name string) (*alerts.Check, bool) {
	for i := range p.file.setup.Checks {
		if c := &p.file.setup.Checks[i]; c.Name == name {
			return c, true
		}
	}
	return nil, false
}

func (p *preparer) test(path string, t *test) {
	out := prepared{name: t.Name, line: p.doc.Line(path + ".name"), start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if t.Start != "" {
		at, err := time.Parse(time.RFC3339, t.Start)
		if err != nil || at.Year() < 1990 || at.Year() > 2200 {
			p.doc.Add(path+".start", "", "found %q, want a time such as 2026-01-01T00:00:00Z", t.Start)
		}
		out.start = at.UTC()
	}
	p.rules(path+".rules", t.Rules)
	p.series(path, t, &out)
	for i := range t.Runs {
		p.runs(fmt.Sprintf("%s.runs.%d", path, i), &t.Runs[i], &out)
	}
	for i, at := range t.Restarts {
		p.within(fmt.Sprintf("%s.restarts.%d", path, i), at)
		out.events = append(out.events, event{at: at, restart: true})
	}
	slices.SortStableFunc(out.events, func(a, b event) int { return int(a.at - b.at) })
	if len(t.Expect) == 0 && t.Transitions == nil {
		p.doc.Add(path, "", "the test expects nothing, want `expect:` or `transitions:`")
	}
	p.expectations(path, t, &out)
	p.transitions(path, t, &out)
	for i := range out.events {
		out.end = max(out.end, out.events[i].at)
	}
	p.file.tests = append(p.file.tests, out)
}

// within refuses a time that a test has not.
func (p *preparer) within(path string, at time.Duration) bool {
	if at >= 0 && at <= longest {
		return true
	}
	p.doc.Add(path, "", "found %s, want 0s to %s", at, longest)
	return false
}

// rules checks names of rules.
func (p *preparer) rules(path string, names []string) {
	for i, name := range names {
		p.rule(fmt.Sprintf("%s.%d", path, i), name)
	}
}

func (p *preparer) rule(path, name string) {
	var known []string
	for i := range p.file.setup.Rules {
		known = append(known, p.file.setup.Rules[i].Name)
	}
	if !slices.Contains(known, name) {
		p.doc.Add(path, config.Near(name, known), "no rule %q among those that are tested", name)
	}
}

// target finds the check of that name.
func (p *preparer) target(path, name string) (*alerts.Check, bool) {
	c, ok := p.check(name)
	if !ok {
		var known []string
		for i := range p.file.setup.Checks {
			known = append(known, p.file.setup.Checks[i].Name)
		}
		p.doc.Add(path, config.Near(name, known), "no check %q, %s", name, config.OneOf(known))
	}
	return c, ok
}

func (p *preparer) runs(path string, r *run, out *prepared) {
	c, ok := p.target(path+".check", r.Check)
	if !ok {
		return
	}
	every, count := c.Interval, 1
	if r.Every != nil {
		every = *r.Every
	}
	if r.Count != nil {
		count = *r.Count
	}
	if count < 1 || count > mostRuns-len(out.events) {
		p.doc.Add(path+".count", "", "found %d, want 1 at least, and at most %d runs in one test", count, mostRuns)
		return
	}
	if every < time.Second && count > 1 {
		p.doc.Add(path+".every", "", "found %s, want 1s or more", every)
		return
	}
	result, ok := p.result(path, r)
	if r.Took < 0 || r.Took > longest {
		p.doc.Add(path+".took", "", "found %s, want 0s or more", r.Took)
		ok = false
	}
	if !ok || !p.within(path+".at", r.At) || !p.within(path+".count", time.Duration(count-1)*every+r.At+r.Took) {
		return
	}
	for i := range count {
		at := r.At + time.Duration(i)*every
		report := reportOf(c, out.start.Add(at), r.Took)
		report.Result = result
		if result.Status == checks.Skipped {
			report.StartedAt, report.Took = time.Time{}, 0
		}
		out.events = append(out.events, event{at: report.At().Sub(out.start), report: report})
	}
}

// result is how a run ended.
func (p *preparer) result(path string, r *run) (checks.Result, bool) {
	out := checks.Result{Status: checks.OK, Cause: r.Cause, Blame: r.Blame}
	if r.Status != "" {
		if err := out.Status.UnmarshalText([]byte(r.Status)); err != nil {
			p.doc.Add(path+".status", "", "%v", err)
			return out, false
		}
	}
	info, known := r.Cause.Info()
	named := func(row checks.BlameInfo) bool { return row.Blame == r.Blame }
	switch {
	case out.Status == checks.OK && (r.Cause != "" || r.Blame != ""):
		p.doc.Add(path, "", "a run that is ok has no cause and no blame")
	case out.Status != checks.OK && r.Cause == "":
		p.doc.Add(path, "docs/causes.md lists them", "a run that is %s has a cause, want `cause:`", out.Status)
	case out.Status != checks.OK && !known:
		p.doc.Add(path+".cause", config.Near(string(r.Cause), causes()), "no cause is called %q", r.Cause)
	case out.Status != checks.OK && (info.Blame == checks.BlameSkipped) != (out.Status == checks.Skipped):
		p.doc.Add(path+".cause", "", "a run that is %s does not have the cause %q", out.Status, r.Cause)
	case r.Blame != "" && !slices.ContainsFunc(checks.Blames(), named):
		p.doc.Add(path+".blame", "", "no blame is called %q", r.Blame)
	default:
		for _, name := range slices.Sorted(maps.Keys(r.Measurements)) {
			out.Measurements = append(out.Measurements, checks.Measurement{Name: name, Value: r.Measurements[name]})
		}
		return out, true
	}
	return out, false
}

func causes() []string {
	var names []string
	for _, row := range checks.Causes() {
		names = append(names, string(row.Cause))
	}
	return names
}

// reportOf is a final run of a check.
func reportOf(c *alerts.Check, at time.Time, took time.Duration) *checks.Report {
	return &checks.Report{
		Check: c.Name, Kind: c.Kind, Provider: c.Provider, Location: c.Location, Labels: c.Labels,
		ScheduledAt: at, StartedAt: at, Took: took, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
	}
}

func (p *preparer) expectations(path string, t *test, out *prepared) {
	for i := range t.Expect {
		e, at := t.Expect[i], fmt.Sprintf("%s.expect.%d", path, i)
		p.within(at+".at", e.At)
		p.rules(at+".rules", e.Rules)
		for j := range e.Alerts {
			p.rule(fmt.Sprintf("%s.alerts.%d.rule", at, j), e.Alerts[j].Rule)
		}
		if len(e.Rules) == 0 {
			e.Rules = slices.Clone(t.Rules)
		}
		for j := range e.Alerts {
			e.Rules = append(e.Rules, e.Alerts[j].Rule)
		}
		out.end = max(out.end, e.At)
		out.expect = append(out.expect, expected{e, p.doc.Line(at)})
	}
	slices.SortStableFunc(out.expect, func(a, b expected) int { return int(a.At - b.At) })
}

func (p *preparer) transitions(path string, t *test, out *prepared) {
	if t.Transitions == nil {
		return
	}
	out.told = &toldList{transitions: *t.Transitions, rules: slices.Clone(t.Rules), line: p.doc.Line(path + ".transitions")}
	for i := range out.told.transitions {
		one, at := &out.told.transitions[i], fmt.Sprintf("%s.transitions.%d", path, i)
		p.rule(at+".rule", one.Rule)
		if one.At != nil && p.within(at+".at", *one.At) {
			out.end = max(out.end, *one.At)
		}
		out.told.rules = append(out.told.rules, one.Rule)
	}
}
