package alerts

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// maxText bounds a line of an alert, in bytes.
const maxText = 512

// Mute replaces the mutes that count from now on.
func (e *Engine) Mute(now time.Time, mutes []Mute) []Transition {
	e.follow(now)
	e.mutes = slices.Clone(mutes)
	e.remute = true
	return e.settle(now)
}

// settle finds who is muted, and makes transitions of what changed in this step.
func (e *Engine) settle(now time.Time) []Transition {
	if len(e.changes) == 0 && !e.remute && nanos(now) < e.nextMute {
		return nil
	}
	e.remute = false
	e.nextMute = e.muteAfter(now)
	e.active = slices.DeleteFunc(e.active, func(inst *instance) bool { return inst.state == inactive })
	explained := e.explained()
	for _, inst := range e.active {
		before := inst.alert.Muted
		inst.alert.Muted = cmp.Or(e.mutedBy(inst, now), explained[inst])
		if before != "" && inst.alert.Muted == "" && inst.state.Open() && !slices.Contains(e.changes, inst) {
			inst.alert.Previous, inst.alert.State, inst.alert.At = inst.state, inst.state, now.Round(0).UTC()
			e.changes = append(e.changes, inst)
		}
	}
	out := make([]Transition, len(e.changes))
	for i, inst := range e.changes {
		out[i] = Transition{Alert: inst.alert, State: inst.save()}
	}
	clear(e.changes)
	e.changes = e.changes[:0]
	return out
}

// muteAfter is when a mute begins or ends next.
func (e *Engine) muteAfter(now time.Time) int64 {
	next := int64(never)
	for i := range e.mutes {
		for _, at := range []time.Time{e.mutes[i].From, e.mutes[i].Until} {
			if at.After(now) {
				next = min(next, nanos(at))
			}
		}
	}
	return next
}

// mutedBy is the mute that the alert is under; "" for none.
func (e *Engine) mutedBy(inst *instance, now time.Time) string {
	for i := range e.mutes {
		m := &e.mutes[i]
		if now.Before(m.From) || !now.Before(m.Until) || !m.covers(&inst.alert) {
			continue
		}
		text := m.ID
		if m.Reason != "" {
			text += ": " + m.Reason
		}
		if m.By != "" {
			text += " (" + m.By + ")"
		}
		return exporters.Clean(text, maxText)
	}
	return ""
}

func (m *Mute) covers(a *checks.Alert) bool {
	for i := range m.Match {
		value := a.Labels[m.Match[i].Attr]
		switch m.Match[i].Attr {
		case "rule":
			value = a.Rule
		case "severity":
			value = string(a.Severity)
		}
		if !m.Match[i].Matches(value) {
			return false
		}
	}
	return true
}

// explained finds the alerts that another explains. One that is explained itself explains nothing: of alerts that explain
// each other the worst is told, among equals the oldest.
func (e *Engine) explained() map[*instance]string {
	var causes []*instance
	for _, inst := range e.active {
		if h := inst.program.rule.Inhibits; h != nil && inst.state == checks.AlertFiring && !worse(h.Severity, inst.alert.Severity) {
			causes = append(causes, inst)
		}
	}
	if len(causes) == 0 {
		return nil
	}
	slices.SortFunc(causes, func(a, b *instance) int {
		return cmp.Or(
			cmp.Compare(rank(a.alert.Severity), rank(b.alert.Severity)), a.alert.Since.Compare(b.alert.Since),
			cmp.Compare(a.alert.Fingerprint, b.alert.Fingerprint),
		)
	})
	out := make(map[*instance]string)
	for _, cause := range causes {
		if out[cause] != "" {
			continue
		}
		for _, inst := range e.active {
			if inst != cause && out[inst] == "" && cause.program.rule.Inhibits.covers(&cause.alert, &inst.alert) {
				out[inst] = exporters.Clean("explained by "+cause.program.rule.Name, maxText)
			}
		}
	}
	return out
}

// worse reports whether a is a severity that is more severe than b.
func worse(a, b checks.Severity) bool { return a != "" && rank(a) < rank(b) }

func (h *Inhibition) covers(cause, a *checks.Alert) bool {
	if !slices.ContainsFunc(h.Rules, func(pattern string) bool {
		ok, err := path.Match(pattern, a.Rule)
		return pattern == a.Rule || (err == nil && ok)
	}) {
		return false
	}
	for _, key := range h.Equal {
		mine, ok := cause.Labels[key]
		other, both := a.Labels[key]
		if ok && both && mine != other {
			return false
		}
	}
	return true
}
