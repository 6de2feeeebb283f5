package alerts

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
)

// contributor is a check with its last sign of life in a group.
type contributor struct {
	t      *target
	sign   int64
	missed int // good runs in a row without a sample
}

// miss counts a good run of the check for the alerts that it had nothing for.
func (e *Engine) miss(t *target) {
	for _, inst := range t.instances {
		if inst.state == inactive || inst.stamp == e.seq || !inst.program.rule.AbsentAfter.IsZero() {
			continue
		}
		inst.join(t).missed++
		inst.gone = !slices.ContainsFunc(inst.checks, func(c contributor) bool { return c.missed < missedRuns })
		if inst.gone {
			e.touched = append(e.touched, inst)
		}
	}
}

// missSelf counts a snapshot for the alerts on the agent itself that it had nothing for: their exporter, model or provider
// is not configured any more, or nothing has been heard of it for long.
func (e *Engine) missSelf() {
	for _, inst := range e.active {
		if inst.state == inactive || inst.stamp == e.seq || len(inst.checks) > 0 || !inst.program.rule.AbsentAfter.IsZero() {
			continue
		}
		if inst.missed++; inst.missed >= missedRuns {
			inst.gone = true
			e.touched = append(e.touched, inst)
		}
	}
}

// take notes that the source has part in the group.
func (e *Engine) take(s *source, inst *instance) {
	if inst.stamp == e.seq {
		return
	}
	inst.stamp = e.seq
	e.touched = append(e.touched, inst)
	c := inst.join(s.t)
	inst.missed = 0
	if c != nil {
		c.missed = 0
	}
	if !s.fresh || !s.sign() {
		return
	}
	inst.signed = true
	inst.refresh()
	if c != nil {
		c.sign = max(c.sign, s.at) // a run over whose end the clock was set is no older sign than the one before
	} else {
		inst.began = s.at
	}
}

// join is the check's part in the group; nil for the agent's own.
func (inst *instance) join(t *target) *contributor {
	if t == nil {
		return nil
	}
	for i := range inst.checks {
		if inst.checks[i].t == t {
			return &inst.checks[i]
		}
	}
	inst.checks = append(inst.checks, contributor{t: t})
	t.instances = append(t.instances, inst)
	return &inst.checks[len(inst.checks)-1]
}

// expect makes the groups that the rule says something of before there is a sample: those whose absence it tells.
func (e *Engine) expect(p *program) {
	if p.rule.AbsentAfter.IsZero() {
		return
	}
	if len(p.groupBy) == 0 && len(p.groups) == 0 {
		e.newInstance(p, nil)
	}
	for _, l := range p.leaves[:p.judging] {
		if !l.fixed {
			continue
		}
		for _, t := range e.order {
			if !t.selects(l) || !t.saysSo(l.Metric) {
				continue
			}
			s := &source{t: t, at: e.began}
			if inst := e.place(s, l, &exporters.Point{}); inst != nil {
				inst.join(t)
				inst.learn(s, nil)
			}
		}
	}
}

// absentAt is when the group will have been without a sign of life for too long.
func (inst *instance) absentAt() int64 {
	after := inst.program.rule.AbsentAfter
	if after.IsZero() {
		return never
	}
	if inst.absent != 0 {
		return inst.absent
	}
	inst.absent = inst.due(after, nil, inst.began)
	for i := range inst.checks {
		c := &inst.checks[i]
		inst.absent = max(inst.absent, inst.due(after, c.t, max(c.sign, inst.began)))
	}
	return inst.absent
}

// due is when the check's silence since then is too long. Without a check the agent's own snapshots are meant.
func (inst *instance) due(after Window, t *target, since int64) int64 {
	switch {
	case after.Time > 0:
		return since + int64(after.Time)
	case t == nil && len(inst.checks) > 0:
		return since
	case t == nil:
		return since + int64(after.Intervals)*int64(snapshotEvery)
	case t.Due != nil:
		if at := t.Due(time.Unix(0, since), after.Intervals); !at.IsZero() {
			return nanos(at)
		}
		return never
	}
	return since + int64(after.Intervals)*int64(t.Interval)
}
