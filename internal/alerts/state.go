package alerts

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// inactive is the state of a group that has no alert.
const inactive checks.AlertState = ""

// verdict is what a condition comes to.
type verdict uint8

const (
	no     verdict = iota // it does not hold, or there were never samples enough
	unsure                // it held, and there are not samples enough to say that it does not any more
	yes
)

// instance is one group of one rule, which has at most one alert.
type instance struct {
	program *program
	group   []string // values, in the order of the program's groupBy
	cells   []cell   // one for each of the program's leaves
	checks  []contributor
	from    [3]agreed // of sourceLabels
	blame   checks.Blame
	began   int64 // since when somebody looks, later the last sign of life of the agent's own metrics
	absent  int64 // 0: to be found anew
	signed  bool  // there was a sign of life in this process
	sampled bool  // there was a sample in this process
	stamp   uint64
	next    int64 // the tick has nothing to do before

	state    checks.AlertState
	since    int64 // of pending
	held     int64 // when the condition held last
	fired    bool  // before there was no data
	gone     bool  // its checks run well and do not measure it any more
	missed   int   // snapshots of the agent in a row without a sample
	restored bool  // of a process before
	lead     finding
	live     float64
	alert    checks.Alert // as it was told last
}

// finding is what a condition came to, with the number that says so.
type finding struct {
	verdict verdict
	leaf    *leaf
	value   float64
	known   bool // there is a value
	part    int  // members of a share for which it holds
	of      int  // members with samples enough
}

func (inst *instance) refresh() { inst.absent = 0 }

// evaluate judges the group and moves its alert.
func (e *Engine) evaluate(inst *instance, now time.Time) {
	at := nanos(now)
	if inst.gone {
		e.move(inst, now, checks.AlertResolved)
		inst.gone, inst.missed, inst.cells = false, 0, make([]cell, len(inst.cells)) // a sample that comes again begins anew
		inst.next = inst.deadline(at, no)
		return
	}
	f := inst.judge(&inst.program.when, at)
	inst.note(f)
	if f.verdict == yes {
		inst.held = at
	}
	absent := at >= inst.absentAt()
	switch inst.state {
	case inactive, checks.AlertResolved:
		e.fromInactive(inst, now, f.verdict, absent)
	case checks.AlertPending:
		e.fromPending(inst, now, f.verdict, absent)
	case checks.AlertFiring:
		e.fromFiring(inst, now, f.verdict, absent)
	case checks.AlertNoData:
		e.fromNoData(inst, now, f.verdict, absent)
	}
	inst.next = inst.deadline(at, f.verdict)
}

// note keeps the number that the alert tells.
func (inst *instance) note(f finding) {
	if !f.known {
		return
	}
	inst.lead, inst.live = f, f.value
}

func (e *Engine) fromInactive(inst *instance, now time.Time, v verdict, absent bool) {
	switch {
	case absent:
		inst.fired = false
		e.move(inst, now, checks.AlertNoData)
	case v != yes:
	case inst.program.rule.For > 0:
		inst.since = nanos(now)
		e.move(inst, now, checks.AlertPending)
	default:
		e.fire(inst, now)
	}
}

func (e *Engine) fromPending(inst *instance, now time.Time, v verdict, absent bool) {
	long := nanos(now)-inst.since >= int64(inst.program.rule.For)
	switch {
	case absent:
		inst.fired = false
		e.move(inst, now, checks.AlertNoData)
	case v == yes && long:
		e.fire(inst, now)
	case v == yes:
	case inst.restored && !inst.sampled && !long:
		// Nothing was measured yet that could say whether it goes on.
	default:
		e.move(inst, now, checks.AlertResolved)
	}
}

func (e *Engine) fromFiring(inst *instance, now time.Time, v verdict, absent bool) {
	switch {
	case absent:
		inst.fired = true
		e.move(inst, now, checks.AlertNoData)
	case v == yes:
		if inst.escalate(nanos(now)) {
			e.move(inst, now, checks.AlertFiring)
		}
	case v == unsure || (inst.restored && !inst.sampled):
	case nanos(now)-inst.held >= int64(inst.program.rule.KeepFiringFor):
		e.move(inst, now, checks.AlertResolved)
	}
}

func (e *Engine) fromNoData(inst *instance, now time.Time, v verdict, absent bool) {
	if absent || !inst.signed {
		return
	}
	kept := nanos(now)-inst.held < int64(inst.program.rule.KeepFiringFor)
	switch {
	case v == yes && (inst.fired || inst.program.rule.For == 0):
		e.fire(inst, now)
	case inst.fired && (v == unsure || kept || (inst.restored && !inst.sampled)):
		e.fire(inst, now)
	default: // where it holds, but not yet for long enough, it is pending next
		e.move(inst, now, checks.AlertResolved)
	}
}

func (e *Engine) fire(inst *instance, now time.Time) {
	inst.prepare()
	inst.escalate(nanos(now))
	e.move(inst, now, checks.AlertFiring)
}

// escalate makes the alert more severe where an escalation holds, and reports whether it did.
func (inst *instance) escalate(at int64) bool {
	raised := false
	for i := range inst.program.worse {
		severity := inst.program.rule.Escalations[i].Severity
		if rank(severity) < rank(inst.alert.Severity) && inst.judge(&inst.program.worse[i], at).verdict == yes {
			inst.alert.Severity, raised = severity, true
		}
	}
	return raised
}

// prepare begins an alert where there is none. What it is called does not change until it is resolved.
func (inst *instance) prepare() {
	if inst.state != inactive {
		return
	}
	rule := inst.program.rule
	fingerprint := inst.alert.Fingerprint
	if fingerprint == "" {
		fingerprint = fingerprintOf(rule.Name, inst.program.groupBy, inst.group)
	}
	inst.alert = checks.Alert{
		Rule: rule.Name, Fingerprint: fingerprint, Severity: rule.Severity, Runbook: rule.Runbook, Labels: inst.labels(),
	}
	inst.restored = false
}

// labels are the group's attributes, where the samples are from, and what the rule says.
func (inst *instance) labels() map[string]string {
	out := maps.Clone(inst.program.rule.Labels)
	if out == nil {
		out = make(map[string]string)
	}
	for i, key := range sourceLabels() {
		if from := &inst.from[i]; from.seen && !from.split && from.value != "" {
			out[key] = from.value
		}
	}
	for i, key := range inst.program.groupBy {
		if inst.group[i] != "" {
			out[key] = inst.group[i]
		}
	}
	return out
}

// fingerprintOf names an alert over restarts.
func fingerprintOf(rule string, keys, values []string) string {
	h := sha256.New()
	_, _ = h.Write([]byte(rule))
	for i := range keys {
		_, _ = h.Write([]byte("\x00" + keys[i] + "\x00" + values[i]))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// move takes the alert into a state and notes the change.
func (e *Engine) move(inst *instance, now time.Time, to checks.AlertState) {
	if to != checks.AlertFiring { // fire has prepared it
		inst.prepare()
	}
	if inst.state == inactive {
		e.active = append(e.active, inst)
	}
	a := &inst.alert
	a.Previous, a.State, a.At = inst.state, to, now.Round(0).UTC()
	if to != checks.AlertResolved && (!a.Previous.Open() || !to.Open()) {
		a.Since = a.At
	}
	e.describe(inst)
	inst.state = to
	if to == checks.AlertResolved {
		inst.state, inst.restored = inactive, false
	}
	e.changes = append(e.changes, inst)
}

// judge finds what a condition comes to for the group.
func (inst *instance) judge(n *node, at int64) finding {
	switch {
	case n.leaf != nil:
		return inst.judgeLeaf(n.leaf, at)
	case len(n.all) > 0:
		return inst.judgeAll(n.all, at)
	}
	return inst.judgeAny(n.any, at)
}

// judgeAll is no where one does not hold. Its number is that of the first.
func (inst *instance) judgeAll(all []node, at int64) finding {
	var out finding
	for i := range all {
		f := inst.judge(&all[i], at)
		if i == 0 {
			out = f
			continue
		}
		out.verdict = min(out.verdict, f.verdict)
		if !out.known {
			out.leaf, out.value, out.known, out.part, out.of = f.leaf, f.value, f.known, f.part, f.of
		}
	}
	return out
}

// judgeAny is yes where one holds. Its number is that of the first that holds, or else of the first.
func (inst *instance) judgeAny(all []node, at int64) finding {
	var out finding
	for i := range all {
		f := inst.judge(&all[i], at)
		if i == 0 || f.verdict > out.verdict || (!out.known && f.known) {
			f.verdict = max(f.verdict, out.verdict)
			out = f
		}
	}
	return out
}

func (inst *instance) judgeLeaf(l *leaf, at int64) finding {
	c := &inst.cells[l.index]
	if l.Share != nil {
		return inst.judgeShare(l, c, at)
	}
	if c.one == nil {
		return finding{leaf: l}
	}
	return inst.judgeWindow(c.one, at)
}

func (inst *instance) judgeWindow(w *window, at int64) finding {
	w.expire(at)
	f := finding{leaf: w.leaf, of: 1}
	value, ok := w.value()
	f.value, f.known = w.leaf.number(value, at), ok
	enough := ok && w.len() >= w.leaf.MinSamples
	holds := enough && w.leaf.compare(f.value)
	switch {
	case w.fresh && enough && w.trusted(holds, inst.restored, at):
		w.held = holds
		if holds {
			f.verdict, f.part = yes, 1
		}
		return f
	case w.held || (inst.restored && holds):
		f.verdict = unsure
	}
	f.of = 0
	return f
}

// judgeShare counts the members for which the condition holds. Its number is that of the first of them.
func (inst *instance) judgeShare(l *leaf, c *cell, at int64) finding {
	out := finding{leaf: l}
	maybe := 0
	for _, w := range c.order {
		f := inst.judgeWindow(w, at)
		out.of += f.of
		switch f.verdict {
		case yes:
			if out.part == 0 {
				out.value, out.known = f.value, f.known
			}
			out.part++
		case unsure:
			maybe++
		case no:
			if !out.known {
				out.value, out.known = f.value, f.known
			}
		}
	}
	switch {
	case out.part > 0 && enoughOf(out.part, out.of+maybe, l.Share.AtLeast):
		out.verdict = yes
	case out.part+maybe > 0 && enoughOf(out.part+maybe, out.of+maybe, l.Share.AtLeast):
		out.verdict = unsure
	}
	return out
}

func enoughOf(part, of int, share float64) bool {
	return float64(part) >= share*float64(of)*(1-1e-12)
}

// number is what is compared.
func (l *leaf) number(value float64, at int64) float64 {
	if l.Until {
		value -= float64(at) / float64(time.Second)
	}
	return min(max(value, -math.MaxFloat64), math.MaxFloat64)
}

func (l *leaf) compare(value float64) bool {
	switch l.Op {
	case Above:
		return value > l.Threshold
	case Below:
		return value < l.Threshold
	case Equals:
		return value == l.Threshold
	}
	return false
}

// deadline is when the passing of time alone may change something.
func (inst *instance) deadline(at int64, v verdict) int64 {
	next := int64(never)
	later := func(t int64) {
		if t > at {
			next = min(next, t)
		}
	}
	rule := inst.program.rule
	switch inst.state {
	case inactive, checks.AlertResolved:
		if v == yes && at < inst.absentAt() {
			return at // it was resolved for another reason, and begins again
		}
		later(inst.absentAt())
	case checks.AlertPending:
		later(inst.since + int64(rule.For))
		later(inst.absentAt())
	case checks.AlertFiring:
		if v != yes {
			later(inst.held + int64(rule.KeepFiringFor))
		}
		later(inst.absentAt())
	case checks.AlertNoData:
	}
	for i := range inst.cells {
		c := &inst.cells[i]
		if c.one != nil {
			later(c.one.deadline(at))
		}
		for _, w := range c.order {
			later(w.deadline(at))
		}
	}
	return next
}

// deadline is when the window loses a sample next, or a moment comes as near as the rule says.
func (w *window) deadline(at int64) int64 {
	next := int64(never)
	if w.len() == 0 {
		return next
	}
	if w.leaf.span > 0 {
		next = w.all[w.head].at + int64(w.leaf.span)
	}
	if w.leaf.Until {
		next = min(next, at+int64(time.Minute))
	}
	return next
}
