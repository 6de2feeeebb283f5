package alerts

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Replace takes over the windows, the alerts and the mutes of the engine of the configuration before, and returns what
// follows. The engine before is of no use then. Windows are kept where a comparison reads the same samples as before: its
// threshold may change. Where it reads others, an open alert stays until they say something.
func (e *Engine) Replace(now time.Time, before *Engine) []Transition {
	before.follow(now)
	e.last = now
	e.mutes, e.remute, e.seq = before.mutes, true, before.seq
	if !before.missing.IsZero() {
		e.Missing(before.missing)
	}
	places := make(map[*program][]int)
	for _, old := range before.programs {
		if p := e.rules[old.rule.Name]; p != nil {
			places[old] = alike(p.leaves, old.leaves)
			e.recall(old, p)
		}
	}
	var out []Transition
	for _, old := range before.instances {
		s := old.saved()
		if old.state != inactive && !e.adopt(&s, now) {
			out = append(out, Transition{Alert: gone(old.alert, now)})
			continue
		}
		e.inherit(old, places[old.program])
	}
	return append(out, e.settle(now)...)
}

// inherit takes over what a group has seen. places are those of the comparisons before.
func (e *Engine) inherit(old *instance, places []int) {
	p := e.rules[old.program.rule.Name]
	if p == nil || !slices.Equal(p.groupBy, old.program.groupBy) {
		return
	}
	var names []string
	for i := range old.checks {
		names = append(names, old.checks[i].t.Name)
	}
	parts := e.concerned(p, names)
	if len(names) > 0 && len(parts) == 0 {
		return
	}
	inst := p.groups[groupKey(old.group)]
	if inst == nil {
		inst = e.newInstance(p, old.group)
	}
	for i := range old.checks {
		c := &old.checks[i]
		if t := e.targets[c.t.Name]; slices.Contains(parts, t) {
			inst.join(t).sign = c.sign
		}
	}
	inst.began, inst.signed, inst.from, inst.blame = old.began, old.signed, old.from, old.blame
	inst.since, inst.held, inst.fired, inst.live = old.since, old.held, old.fired, old.live
	inst.refresh()
	same := true
	for i, j := range places {
		if j < 0 {
			same = false
			continue
		}
		e.carry(p.leaves[i], j, old, inst)
	}
	if same {
		inst.restored, inst.sampled = old.restored, old.sampled
	}
}

// carry moves the windows of the group before's i-th comparison.
func (e *Engine) carry(l *leaf, i int, old, inst *instance) {
	if old.lead.leaf == old.program.leaves[i] {
		inst.lead = old.lead
		inst.lead.leaf = l
	}
	c := &inst.cells[l.index]
	if w := old.cells[i].one; w != nil {
		c.one = w
		e.rehang(w, l, inst)
	}
	c.members, c.order = nil, nil
	for _, w := range old.cells[i].order {
		if e.stays(l, w.member) {
			c.put(w.member, w)
			e.rehang(w, l, inst)
		}
	}
}

// stays reports whether the member of a share is still looked at.
func (e *Engine) stays(l *leaf, key string) bool {
	values := strings.Split(key, "\x00")
	for i, r := range l.share {
		if r.key != "check" || l.known.Self {
			continue
		}
		if t := e.targets[values[i]]; t == nil || !t.selects(l) {
			return false
		}
	}
	return true
}

func (e *Engine) rehang(w *window, l *leaf, inst *instance) {
	w.leaf, w.group = l, inst
	from := w.from
	w.from = nil
	for _, before := range from {
		if t := e.targets[before.Name]; t != nil && t.selects(l) {
			t.remember(l, w)
		}
	}
}

// recall takes over what the notes of a rule have seen.
func (e *Engine) recall(before, p *program) {
	for i, j := range alike(p.remembers, before.remembers) {
		if j < 0 {
			continue
		}
		l := p.remembers[i]
		for _, r := range before.remembers[j].note.order {
			if r.t != nil {
				r.t = e.targets[r.t.Name]
				if r.t == nil {
					continue
				}
			}
			r.w.leaf = l
			l.note.series[r.key] = r
			l.note.order = append(l.note.order, r)
		}
	}
}

// alike finds for each comparison the place of one before that reads the same samples into the same window; -1 for none. No
// place is given twice.
func alike(now, before []*leaf) []int {
	places := make(map[string][]int)
	for j, l := range before {
		places[l.reads()] = append(places[l.reads()], j)
	}
	out := make([]int, len(now))
	for i, l := range now {
		out[i] = -1
		if free := places[l.reads()]; len(free) > 0 {
			out[i], places[l.reads()] = free[0], free[1:]
		}
	}
	return out
}

func (l *leaf) reads() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %s %v %v", l.Metric, l.aggregate, l.Window, l.group)
	if l.Share != nil {
		fmt.Fprintf(&b, " of %v", l.share)
	}
	for _, m := range l.Match {
		fmt.Fprintf(&b, " %q %q %v %t", m.Attr, m.In, m.Regexp, m.Not)
	}
	return b.String()
}
