package lint

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// fault is why a condition is not what it seems.
type fault struct {
	kind       Kind
	field      string
	text, hint string
	always     bool // wrong by itself, wherever it stands
}

// reach is when a condition can hold.
type reach struct {
	no     *fault            // it never can, and this is the first reason
	faults []fault           // why it or parts of it cannot
	odd    []fault           // what is odd about it
	keys   map[string]values // of the attributes of groups, those for which it can hold; an attribute that is not there can be anything
	hold   time.Duration     // the longest that it holds without a break; 0: there is no bound
}

// values are what an attribute can be.
type values []string

// condition finds when a condition can hold.
func (v *view) condition(c *alerts.Condition, path string) reach {
	switch {
	case len(c.All) > 0:
		return v.all(c.All, path+".all")
	case len(c.Any) > 0:
		return v.any(c.Any, path+".any")
	}
	return v.leaf(c, path)
}

// all holds where each of several does, in the same group.
func (v *view) all(inner []alerts.Condition, path string) reach {
	var out reach
	for i := range inner {
		r := v.condition(&inner[i], path+"."+itoa(i))
		out.faults, out.odd = append(out.faults, r.faults...), append(out.odd, r.odd...)
		if out.no == nil {
			out.no = r.no
		}
		if r.hold > 0 && (out.hold == 0 || r.hold < out.hold) {
			out.hold = r.hold
		}
		if i == 0 {
			out.keys = r.keys
			continue
		}
		if key, never := apart(out.keys, r.keys); never && out.no == nil {
			f := v.disjoint(path+"."+itoa(i), key, out.keys[key], r.keys[key])
			out.no, out.faults = &f, append(out.faults, f)
		}
		out.keys = both(out.keys, r.keys)
	}
	return out
}

// any holds where one of several does.
func (v *view) any(inner []alerts.Condition, path string) reach {
	var out reach
	can := 0
	for i := range inner {
		r := v.condition(&inner[i], path+"."+itoa(i))
		out.faults, out.odd = append(out.faults, r.faults...), append(out.odd, r.odd...)
		if r.no != nil {
			if out.no == nil {
				out.no = r.no
			}
			continue
		}
		can++
		if can == 1 {
			out.keys, out.hold = r.keys, r.hold
			continue
		}
		out.keys, out.hold = either(out.keys, r.keys), 0 // one may hold while another does not
	}
	if can > 0 {
		out.no = nil
	}
	return out
}

// apart finds an attribute for which two conditions hold for different values only.
func apart(a, b map[string]values) (string, bool) {
	for _, key := range keys(a) {
		if other, ok := b[key]; ok && !slices.ContainsFunc(a[key], func(value string) bool { return slices.Contains(other, value) }) {
			return key, true
		}
	}
	return "", false
}

func both(a, b map[string]values) map[string]values {
	out := make(map[string]values, len(a)+len(b))
	for key, mine := range a {
		if other, ok := b[key]; ok {
			mine = slices.DeleteFunc(slices.Clone(mine), func(value string) bool { return !slices.Contains(other, value) })
		}
		out[key] = mine
	}
	for key, other := range b {
		if _, ok := a[key]; !ok {
			out[key] = other
		}
	}
	return out
}

func either(a, b map[string]values) map[string]values {
	out := make(map[string]values, len(a))
	for key, mine := range a {
		if other, ok := b[key]; ok {
			out[key] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(mine, other))))
		}
	}
	return out
}

// disjoint is the fault of conditions that must hold in one group and are of different ones.
func (v *view) disjoint(field, key string, a, b values) fault {
	say := func(all values) string {
		if len(all) == 1 && all[0] == "" {
			return "nothing"
		}
		return some(all)
	}
	return fault{
		kind: CannotFire, field: field,
		text: fmt.Sprintf("the conditions are never about the same %s: one is about %s, the other about %s, and there is one alert for each %s", key, say(a), say(b), key),
		hint: "`group_by: []` takes all together",
	}
}

// neverLong is the fault of a condition that must hold for longer than it can.
func (v *view) neverLong(when reach) fault {
	field := "for"
	if !v.given(v.rule, field) {
		field = "when"
	}
	return fault{
		kind: CannotFire, field: field,
		text: fmt.Sprintf("the condition must hold for %s, and at the cadence of its checks it holds for less than %s: then its window is empty until the next run",
			short(v.rule.For), short(when.hold)),
		hint: "make the window longer than two intervals, or count runs",
	}
}
