package alerts

import (
	"cmp"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// memory is what a note's comparison keeps: every series that its metric and match select, because which of them count is
// known only when an alert fires.
type memory struct {
	series map[string]*remembered
	order  []*remembered
}

type remembered struct {
	key   string
	t     *target // nil for the agent's own
	attrs []exporters.Attr
	w     *window
}

// find is the series of the sample; nil where there are too many.
func (m *memory) find(s *source, l *leaf, p *exporters.Point) *remembered {
	var key []byte
	for i := range p.Attrs {
		key = append(append(append(append(key, p.Attrs[i].Key...), 0), p.Attrs[i].Value...), 0)
	}
	if r := m.series[string(key)]; r != nil {
		return r
	}
	if len(m.order) >= maxMembers {
		return nil
	}
	r := &remembered{key: string(key), t: s.t, attrs: p.Attrs, w: &window{leaf: l}}
	m.series[r.key] = r
	m.order = append(m.order, r)
	return r
}

// remembers puts a sample into a note's memory.
func (e *Engine) remembers(s *source, l *leaf, p *exporters.Point) {
	r := l.note.find(s, l, p)
	switch {
	case r == nil:
	case l.counts():
		e.grow(r.w, p.Value)
	default:
		r.w.push(sample{s.at, p.Value}, e.seq)
	}
}

// nothing counts 0 in the series of the check that is being fed.
func (m *memory) nothing(e *Engine, s *source) {
	for _, r := range m.order {
		if r.t == s.t {
			e.grow(r.w, 0)
		}
	}
}

func (r *remembered) attr(key string) string {
	for i := range r.attrs {
		if r.attrs[i].Key == key {
			return r.attrs[i].Value
		}
	}
	if r.t != nil {
		return r.t.attrs[key]
	}
	return ""
}

// about reports whether the series is about what the alert is about. Which check measured it, and of which kind, is
// another question: the key is looked at by another check than the one that fails for it.
func (r *remembered) about(a *checks.Alert) bool {
	for key, value := range a.Labels {
		if key == "check" || key == "kind" {
			continue
		}
		if mine := r.attr(key); mine != "" && mine != value {
			return false
		}
	}
	return true
}

// diagnosis is the text of the first note that holds.
func (e *Engine) diagnosis(inst *instance, at int64) string {
	for i := range inst.program.notes {
		if inst.holdsNote(&inst.program.notes[i], at) {
			return exporters.Clean(inst.program.rule.Notes[i].Text, maxText)
		}
	}
	return ""
}

func (inst *instance) holdsNote(n *node, at int64) bool {
	holds := func(n node) bool { return inst.holdsNote(&n, at) }
	switch {
	case n.leaf != nil:
		return n.leaf.note.holds(n.leaf, &inst.alert, at)
	case len(n.all) > 0:
		return !slices.ContainsFunc(n.all, func(n node) bool { return !holds(n) })
	}
	return slices.ContainsFunc(n.any, holds)
}

// holds judges all series that are about the alert together: those of its own check where there are any, else of all.
func (m *memory) holds(l *leaf, a *checks.Alert, at int64) bool {
	var own, all []sample
	for _, r := range m.order {
		r.w.expire(at)
		if r.w.len() == 0 || !r.about(a) {
			continue
		}
		all = append(all, r.w.all[r.w.head:]...)
		if check := a.Labels["check"]; check != "" && r.attr("check") == check {
			own = append(own, r.w.all[r.w.head:]...)
		}
	}
	if len(own) > 0 {
		all = own
	}
	slices.SortStableFunc(all, func(a, b sample) int { return cmp.Compare(a.at, b.at) })
	unbound := *l
	unbound.runs = 0
	w := &window{leaf: &unbound}
	for _, s := range all {
		w.push(s, 0)
	}
	value, ok := w.value()
	return ok && w.len() >= l.MinSamples && l.compare(l.number(value, at))
}
