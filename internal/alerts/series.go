package alerts

import (
	"slices"
	"strconv"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	maxGroups  = 10_000 // of one rule; samples of further ones are not looked at
	maxMembers = 1_000  // of one share, and series of one note
	maxValue   = 128    // bytes of an attribute's value, as Points has it
	missedRuns = 3      // good runs, or snapshots of the agent, without a sample, after which what an alert was about is gone
)

// target is a check with what the rules want of it.
type target struct {
	*Check

	attrs     map[string]string // what is the same for all of its samples, cleaned as Points does
	routes    map[string][]*leaf
	counters  []*leaf // of counters, which count 0 where a run has nothing for them
	routed    bool
	instances []*instance         // that it has part in
	windows   map[*leaf][]*window // of counters in groups that only samples tell
}

func newTarget(c *Check) *target {
	t := &target{Check: c, routes: make(map[string][]*leaf), attrs: make(map[string]string, len(c.Labels)+5)}
	for key, value := range c.Labels {
		t.attrs[key] = exporters.Clean(value, maxValue)
	}
	for key, value := range map[string]string{
		"check": c.Name, "kind": c.Kind, "provider": c.Provider, "location": c.Location, "paid": strconv.FormatBool(c.Paid),
	} {
		t.attrs[key] = exporters.Clean(value, maxValue)
	}
	return t
}

// selects reports whether the leaf is for samples of the check at all.
func (t *target) selects(l *leaf) bool {
	for i := range l.static {
		if !l.static[i].Matches(t.attrs[l.static[i].Attr]) {
			return false
		}
	}
	return !l.known.Self
}

// cell is what a group has of one leaf.
type cell struct {
	one     *window // without a share
	members map[string]*window
	order   []*window
}

// source is where the points of one moment are from.
type source struct {
	t      *target        // nil for the agent's own
	report *checks.Report // nil for the agent's own
	at     int64
	fresh  bool // of this process
	whole  bool // all that the agent says of itself
	blame  checks.Blame
}

// sign reports whether the source shows that somebody looked. A slot that was skipped on purpose does: what made it so has
// alerts of its own. One that the agent could not run does not.
func (s *source) sign() bool {
	if s.report == nil || s.report.Status.Reached() {
		return true
	}
	return s.report.Status == checks.Skipped && s.report.Cause != checks.CauseMissed && s.report.Cause != checks.CauseOverlap
}

// counted reports whether a counter that has nothing in the source counted 0. Where the target was not judged nobody knows.
func (s *source) counted() bool {
	return s.report != nil && s.report.Final && s.report.Status.Reached()
}

// attr is an attribute of a sample; "" where it has none.
func (s *source) attr(p *exporters.Point, key string) string {
	for i := range p.Attrs {
		if p.Attrs[i].Key == key {
			return p.Attrs[i].Value
		}
	}
	if s.report == nil {
		return ""
	}
	switch key {
	case "status":
		return s.report.Status.String()
	case "cause":
		return string(s.report.Cause)
	case "blame":
		return string(s.blame)
	case "trigger":
		return string(s.report.Trigger)
	}
	return s.t.attrs[key]
}

func (s *source) ref(p *exporters.Point, r ref) string {
	if r.static && s.t != nil {
		return s.t.attrs[r.key]
	}
	return s.attr(p, r.key)
}

// selects reports whether the leaf is for this sample; that it is for the check is known.
func (l *leaf) selects(s *source, p *exporters.Point) bool {
	if s.t == nil && !l.known.Self {
		return false
	}
	if s.report != nil && l.runs > 0 && (!s.report.Final || s.report.Status == checks.Skipped) {
		return false
	}
	for i := range l.dynamic {
		if !l.dynamic[i].Matches(s.attr(p, l.dynamic[i].Attr)) {
			return false
		}
	}
	return l.manners(s)
}

func (l *leaf) manners(s *source) bool {
	for i := range l.manner {
		if s.report == nil || !l.manner[i].Matches(string(s.report.Trigger)) {
			return false
		}
	}
	return true
}

// index finds the leaves of a metric, those that name their checks or kinds by these.
type index struct {
	all    []*leaf
	checks map[string][]*leaf
	kinds  map[string][]*leaf
}

func (x *index) add(l *leaf) {
	for _, m := range l.static {
		if m.Not || m.Regexp != nil || (m.Attr != "check" && m.Attr != "kind") {
			continue
		}
		by := &x.checks
		if m.Attr == "kind" {
			by = &x.kinds
		}
		if *by == nil {
			*by = make(map[string][]*leaf)
		}
		for _, value := range slices.Compact(slices.Sorted(slices.Values(m.In))) {
			(*by)[value] = append((*by)[value], l)
		}
		return
	}
	x.all = append(x.all, l)
}

func (x *index) of(t *target) []*leaf {
	var out []*leaf
	for _, some := range [][]*leaf{x.all, x.checks[t.Name], x.kinds[t.Kind]} {
		for _, l := range some {
			if t.selects(l) {
				out = append(out, l)
			}
		}
	}
	return out
}

// route is the leaves that may want samples of the metric from the source.
func (e *Engine) route(s *source, metric string) []*leaf {
	if s.t == nil {
		if x := e.metrics[metric]; x != nil {
			return x.all // static attributes are those of checks
		}
		return nil
	}
	leaves, ok := s.t.routes[metric]
	if !ok {
		if x := e.metrics[metric]; x != nil {
			leaves = x.of(s.t)
			s.t.routes[metric] = leaves
		}
	}
	return leaves
}

// countersOf is the leaves of counters that are for the check.
func (e *Engine) countersOf(t *target) []*leaf {
	if !t.routed {
		t.routed = true
		for _, x := range e.counters {
			t.counters = append(t.counters, x.of(t)...)
		}
	}
	return t.counters
}

// feed puts points into the windows. The groups that they belong to are in e.touched then.
func (e *Engine) feed(s *source, points []exporters.Point) {
	e.seq++
	e.touched = e.touched[:0]
	e.growing = e.growing[:0]
	for i := range points {
		for _, l := range e.route(s, points[i].Name) {
			if l.selects(s, &points[i]) {
				e.add(s, l, &points[i])
			}
		}
	}
	if s.t != nil {
		e.zeros(s)
	}
	for _, w := range e.growing {
		w.push(sample{s.at, w.growing}, e.seq)
	}
	if s.fresh && s.counted() && s.report.Status != checks.Failed {
		e.miss(s.t)
	}
	if s.whole {
		e.missSelf()
	}
}

func (e *Engine) add(s *source, l *leaf, p *exporters.Point) {
	if l.note != nil {
		e.remembers(s, l, p)
		return
	}
	inst := e.place(s, l, p)
	if inst == nil {
		return
	}
	w := e.window(s, l, p, inst)
	if w == nil {
		return
	}
	e.take(s, inst)
	inst.learn(s, p)
	w.freshen(s)
	if l.counts() {
		e.grow(w, p.Value)
		if s.t != nil && !l.fixed {
			s.t.remember(l, w)
		}
		return
	}
	w.push(sample{s.at, p.Value}, e.seq)
}

// freshen notes that a sample of this process has come.
func (w *window) freshen(s *source) {
	if s.fresh {
		w.fresh, w.group.sampled = true, true
	}
}

// grow counts for the run that is being fed.
func (e *Engine) grow(w *window, v float64) {
	if w.opened != e.seq {
		w.opened, w.growing = e.seq, 0
		e.growing = append(e.growing, w)
	}
	w.growing += v
}

// remember notes that runs of the check without a match add 0 to the window.
func (t *target) remember(l *leaf, w *window) {
	if slices.Contains(w.from, t) {
		return
	}
	w.from = append(w.from, t)
	if t.windows == nil {
		t.windows = make(map[*leaf][]*window)
	}
	t.windows[l] = append(t.windows[l], w)
}

// zeros counts 0 wherever the run counted nothing, and takes a slot that was skipped for a sign of life.
func (e *Engine) zeros(s *source) {
	if s.report.Status == checks.Skipped {
		for _, inst := range s.t.instances {
			e.take(s, inst)
		}
	}
	if !s.counted() {
		return
	}
	for _, l := range e.countersOf(s.t) {
		switch {
		case !l.manners(s):
		case l.note != nil:
			l.note.nothing(e, s)
		case l.fixed:
			e.zero(s, e.own(s, l))
		default:
			for _, w := range s.t.windows[l] {
				e.zero(s, w)
			}
		}
	}
}

// zero counts 0 in a window; nil is none.
func (e *Engine) zero(s *source, w *window) {
	if w == nil {
		return
	}
	w.freshen(s)
	e.grow(w, 0)
	e.take(s, w.group)
	w.group.learn(s, nil)
}

// own is the check's window of a comparison whose groups are known without a sample; nil where there are too many.
func (e *Engine) own(s *source, l *leaf) *window {
	var none exporters.Point
	inst := e.place(s, l, &none)
	if inst == nil {
		return nil
	}
	return e.window(s, l, &none, inst)
}

// place is the group that the sample belongs to; nil where the rule has too many.
func (e *Engine) place(s *source, l *leaf, p *exporters.Point) *instance {
	e.buf = e.buf[:0]
	for _, r := range l.group {
		e.buf = append(e.buf, s.ref(p, r)...)
		e.buf = append(e.buf, 0)
	}
	if inst := l.program.groups[string(e.buf)]; inst != nil {
		return inst
	}
	if len(l.program.groups) >= maxGroups {
		return nil
	}
	group := make([]string, len(l.group))
	for i, r := range l.group {
		group[i] = s.ref(p, r)
	}
	return e.newInstance(l.program, group)
}

// newInstance makes the group of these values.
func (e *Engine) newInstance(p *program, group []string) *instance {
	inst := &instance{program: p, group: group, cells: make([]cell, len(p.leaves)), began: e.began}
	inst.refresh()
	p.groups[groupKey(group)] = inst
	e.instances = append(e.instances, inst)
	return inst
}

func groupKey(group []string) string {
	var buf []byte
	for _, value := range group {
		buf = append(buf, value...)
		buf = append(buf, 0)
	}
	return string(buf)
}

// window is where the group keeps such samples; nil where its share has too many members.
func (e *Engine) window(s *source, l *leaf, p *exporters.Point, inst *instance) *window {
	c := &inst.cells[l.index]
	if l.Share == nil {
		if c.one == nil {
			c.one = &window{leaf: l, group: inst}
		}
		return c.one
	}
	e.buf = e.buf[:0]
	for _, r := range l.share {
		e.buf = append(e.buf, s.ref(p, r)...)
		e.buf = append(e.buf, 0)
	}
	if w := c.members[string(e.buf)]; w != nil {
		return w
	}
	return c.member(l, string(e.buf), inst)
}

// member is the window of one member of a share; nil where it has too many.
func (c *cell) member(l *leaf, key string, inst *instance) *window {
	if w := c.members[key]; w != nil {
		return w
	}
	if len(c.order) >= maxMembers {
		return nil
	}
	w := &window{leaf: l, group: inst, member: key}
	c.put(key, w)
	return w
}

func (c *cell) put(key string, w *window) {
	if c.members == nil {
		c.members = make(map[string]*window)
	}
	c.members[key] = w
	c.order = append(c.order, w)
}

// learn keeps what the alert says of where its samples are from.
func (inst *instance) learn(s *source, p *exporters.Point) {
	if s.t == nil {
		return
	}
	for i, key := range sourceLabels() {
		inst.from[i].agree(s.t.attrs[key])
	}
	if p != nil && (s.report.Status == checks.Failed || s.report.Status == checks.Degraded) {
		inst.blame = s.blame
	}
}

// sourceLabels are what an alert is labelled with where all of its samples agree.
func sourceLabels() [3]string { return [3]string{"kind", "location", "provider"} }

// agreed is a value that all samples had, or none.
type agreed struct {
	value string
	seen  bool
	split bool
}

func (a *agreed) agree(value string) {
	a.split = a.split || (a.seen && a.value != value)
	a.value, a.seen = value, true
}
