package alerts

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	never         = math.MaxInt64
	snapshotEvery = time.Minute         // at which the agent tells of itself
	maxSince      = 31 * 24 * time.Hour // further back nobody looks
)

// Transition is one change of one alert, with what is to be kept so that a new Engine can go on from it. Both are stored
// together, or neither.
type Transition struct {
	Alert checks.Alert
	State []byte // for Restore, by the alert's fingerprint; nil: forget it
}

// Engine evaluates rules. It is not safe for concurrent use.
//
// A condition is judged over a window of samples. With too few of them nobody can tell: an alert does not begin for it, and
// one that is open because the condition held stays open, until samples say otherwise. Samples of the past (Warm) fill
// windows; they neither begin nor end an alert before a sample of this process has come to the same window.
//
// Reports of checks that are not among the targets are not looked at. A rule has at most 10,000 groups and a window at most
// 65,536 samples. A group without a sample for a week, or for twice the longest window, is forgotten.
//
// An alert of a rule without absent_after resolves where its checks went well three times and did not measure what it is
// about: a model that is not asked for any more, a series that is not there any more. One on the agent itself resolves where
// three snapshots have nothing for it.
//
// What is remembered is as old as it is, whatever the wall clock is set to: see follow.
type Engine struct {
	programs []*program
	rules    map[string]*program
	targets  map[string]*target
	order    []*target
	metrics  map[string]*index
	counters []*index
	began    int64
	last     time.Time // the now of the step before
	missing  time.Time // see Missing

	instances []*instance
	active    []*instance // pending or open
	mutes     []Mute
	remute    bool  // who is muted is to be found anew
	nextMute  int64 // when a mute begins or ends next
	forgetAt  int64 // when to look for groups that nobody needs next

	seq     uint64 // of the record that is or was fed
	touched []*instance
	growing []*window
	changes []*instance // whose alert moved in this step, each once
	buf     []byte
}

// New makes an engine that has seen nothing. now is when it begins to look: what has not come before is not yet missing.
// The rules are those that are not disabled, defaults included. An error names the rule and what is wrong with it.
func New(rules []Rule, targets []Check, now time.Time) (*Engine, error) {
	e := &Engine{
		rules: make(map[string]*program, len(rules)), targets: make(map[string]*target, len(targets)),
		metrics: make(map[string]*index), began: nanos(now), last: now, nextMute: never,
	}
	for i := range targets {
		c := targets[i]
		t := newTarget(&c)
		e.targets[c.Name] = t
		e.order = append(e.order, t)
	}
	for i := range rules {
		r := rules[i]
		if e.rules[r.Name] != nil {
			return nil, fmt.Errorf("rule %q: there is another of that name", r.Name)
		}
		p, err := compile(&r)
		if err != nil {
			return nil, err
		}
		e.rules[r.Name] = p
		e.programs = append(e.programs, p)
		for _, l := range slices.Concat(p.leaves, p.remembers) {
			e.enlist(l)
		}
	}
	for _, p := range e.programs {
		e.expect(p)
	}
	return e, nil
}

func (e *Engine) enlist(l *leaf) {
	x := e.metrics[l.Metric]
	if x == nil {
		x = &index{}
		e.metrics[l.Metric] = x
		if l.counts() {
			e.counters = append(e.counters, x)
		}
	}
	x.add(l)
}

func nanos(t time.Time) int64 { return t.UnixNano() }

// sourceOf is nil for a check that is not among the targets.
func (e *Engine) sourceOf(r *checks.Report, now time.Time) *source {
	t := e.targets[r.Check]
	if t == nil {
		return nil
	}
	s := &source{t: t, report: r, at: nanos(now), blame: r.Blame}
	if at := r.At(); at.Before(now) && at.Unix() > 0 {
		s.at = nanos(at)
	}
	if s.blame == checks.BlameNone {
		s.blame = r.Cause.Blame()
	}
	return s
}

// Step takes a final report, or nil where only the time has moved on: for, keep-firing, absence and time windows do. The caller calls it
// with nil about once a second.
func (e *Engine) Step(now time.Time, report *checks.Report) []Transition {
	e.follow(now)
	if report == nil {
		return e.tick(now)
	}
	s := e.sourceOf(report, now)
	if s == nil {
		return nil
	}
	s.fresh = true
	return e.look(now, s, exporters.Points(checks.OfReport(report)))
}

// Observe takes points of the agent itself, as they are now.
func (e *Engine) Observe(now time.Time, points []exporters.Point) []Transition {
	e.follow(now)
	return e.look(now, &source{at: nanos(now), fresh: true}, points)
}

// Snapshot takes all that the agent says of itself: an alert that several of them in a row have nothing for is over.
func (e *Engine) Snapshot(now time.Time, points []exporters.Point) []Transition {
	e.follow(now)
	return e.look(now, &source{at: nanos(now), fresh: true, whole: true}, points)
}

func (e *Engine) look(now time.Time, s *source, points []exporters.Point) []Transition {
	e.feed(s, points)
	for _, inst := range e.touched {
		e.evaluate(inst, now)
	}
	return e.settle(now)
}

func (e *Engine) tick(now time.Time) []Transition {
	at := nanos(now)
	if at >= e.forgetAt {
		e.forget(at)
	}
	for _, inst := range e.instances {
		if inst.next <= at {
			e.evaluate(inst, now)
		}
	}
	return e.settle(now)
}

// Alerts are the alerts that are pending or open, as their last transition left them but with the value of now, by
// severity, rule and fingerprint.
func (e *Engine) Alerts() []checks.Alert {
	out := make([]checks.Alert, 0, len(e.active))
	for _, inst := range e.active {
		if inst.state == inactive {
			continue
		}
		a := inst.alert
		a.Value = inst.live
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b checks.Alert) int {
		return cmp.Or(
			cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
	return out
}
