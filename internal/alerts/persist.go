package alerts

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	stateVersion = 1
	maxState     = 1 << 20 // bytes of one state that are read
)

// saved is what a new engine needs to go on with an alert.
type saved struct {
	Version int               `json:"v"`
	Alert   checks.Alert      `json:"alert"`
	Group   map[string]string `json:"group,omitempty"`
	Checks  []string          `json:"checks,omitempty"`
	Held    []savedHeld       `json:"held,omitempty"`
	Fired   bool              `json:"fired,omitempty"`
}

// savedHeld is a comparison that held.
type savedHeld struct {
	Leaf   int    `json:"leaf"`
	Member string `json:"member,omitempty"`
}

// save is nil for an alert that is over.
func (inst *instance) save() []byte {
	if inst.state == inactive {
		return nil
	}
	out, err := json.Marshal(inst.saved())
	if err != nil {
		return nil
	}
	return out
}

func (inst *instance) saved() saved {
	s := saved{Version: stateVersion, Alert: inst.alert, Group: inst.attributes(), Fired: inst.fired}
	for _, c := range inst.checks {
		s.Checks = append(s.Checks, c.t.Name)
	}
	for i := range inst.cells {
		c := &inst.cells[i]
		if c.one != nil && c.one.held {
			s.Held = append(s.Held, savedHeld{Leaf: i})
		}
		for _, member := range slices.Sorted(maps.Keys(c.members)) {
			if c.members[member].held {
				s.Held = append(s.Held, savedHeld{i, member})
			}
		}
	}
	return s
}

func (inst *instance) attributes() map[string]string {
	if len(inst.group) == 0 {
		return nil
	}
	out := make(map[string]string, len(inst.group))
	for i, key := range inst.program.groupBy {
		out[key] = inst.group[i]
	}
	return out
}

// read is false for what no engine wrote.
func read(fingerprint string, data []byte) (saved, bool) {
	var s saved
	if len(data) > maxState || json.Unmarshal(data, &s) != nil || s.Version != stateVersion {
		return saved{}, false
	}
	a := &s.Alert
	known := a.State == checks.AlertPending || a.State.Open()
	return s, known && a.Rule != "" && a.Fingerprint == fingerprint && rank(a.Severity) > 0
}

// Restore takes over what Transitions said of before, by fingerprint, and returns what follows at once: alerts whose
// rule or check is gone are resolved. It is called once, before anything else. What cannot be read is left out.
func (e *Engine) Restore(now time.Time, states map[string][]byte) []Transition {
	e.follow(now)
	var out []Transition
	for _, fingerprint := range slices.Sorted(maps.Keys(states)) {
		s, ok := read(fingerprint, states[fingerprint])
		if !ok {
			continue
		}
		if !e.adopt(&s, now) {
			out = append(out, Transition{Alert: gone(s.Alert, now)})
		}
	}
	e.remute = true
	return out
}

// gone resolves an alert of which nobody will say anything any more.
func gone(a checks.Alert, now time.Time) checks.Alert {
	a.Previous, a.State, a.At = a.State, checks.AlertResolved, now.Round(0).UTC()
	return a
}

// adopt takes over an alert; false where its rule, or all checks that it was about, are gone.
func (e *Engine) adopt(s *saved, now time.Time) bool {
	p := e.rules[s.Alert.Rule]
	if p == nil || len(s.Group) != len(p.groupBy) {
		return false
	}
	group := make([]string, len(p.groupBy))
	for i, key := range p.groupBy {
		value, ok := s.Group[key]
		if !ok {
			return false
		}
		group[i] = value
	}
	if fingerprintOf(p.rule.Name, p.groupBy, group) != s.Alert.Fingerprint {
		return false
	}
	parts := e.concerned(p, s.Checks)
	if len(s.Checks) > 0 && len(parts) == 0 {
		return false
	}
	inst := p.groups[groupKey(group)]
	if inst == nil {
		inst = e.newInstance(p, group)
	}
	for _, t := range parts {
		inst.join(t)
	}
	inst.resume(s, now)
	e.active = append(e.active, inst)
	return true
}

// concerned is those of the checks that the rule still looks at.
func (e *Engine) concerned(p *program, names []string) []*target {
	var out []*target
	for _, name := range names {
		t := e.targets[name]
		if t != nil && slices.ContainsFunc(p.leaves, t.selects) {
			out = append(out, t)
		}
	}
	return out
}

// resume puts the alert where it was. Time that it was pending does not count, and nobody knows when the condition held
// last: it is kept from now on.
func (inst *instance) resume(s *saved, now time.Time) {
	inst.alert, inst.state, inst.restored, inst.fired = s.Alert, s.Alert.State, true, s.Fired
	inst.live, inst.blame = s.Alert.Value, s.Alert.Blame
	inst.since, inst.held = nanos(now), nanos(now)
	if rule := inst.program.rule; rank(rule.Severity) < rank(inst.alert.Severity) {
		inst.alert.Severity = rule.Severity
	}
	for _, h := range s.Held {
		if h.Leaf < 0 || h.Leaf >= len(inst.program.leaves) {
			continue
		}
		if w := inst.windowOf(h); w != nil {
			w.held = true
		}
	}
}

// windowOf is the window that was saved, or a stand-in that its samples will fill.
func (inst *instance) windowOf(h savedHeld) *window {
	l := inst.program.leaves[h.Leaf]
	c := &inst.cells[h.Leaf]
	if l.Share == nil {
		if c.one == nil {
			c.one = &window{leaf: l, group: inst}
		}
		return c.one
	}
	return c.member(l, h.Member, inst)
}
