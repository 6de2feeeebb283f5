package lint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// beside is with how many of the rules that read the same a rule is compared, the widest and most lenient first: a file
// may have thousands.
const beside = 200

// single is a rule of one comparison.
type single struct {
	rule   *alerts.Rule
	groups []string
	order  int
	strict float64 // the more, the harder it is to fire
}

// shadows finds rules that never fire without another one that is as bad, as soon and for the same people.
func (l *linter) shadows() {
	alike := map[string][]*single{}
	var order []string
	for i := range l.Rules {
		r := &l.Rules[i]
		c := &r.When
		if c.Metric == "" || !r.AbsentAfter.IsZero() {
			continue
		}
		one := &single{rule: r, groups: alerts.Grouping(r), order: i, strict: c.Threshold}
		if c.Op == alerts.Below {
			one.strict = -c.Threshold
		}
		key := one.key()
		if alike[key] == nil {
			order = append(order, key)
		}
		alike[key] = append(alike[key], one)
	}
	for _, key := range order {
		l.shadowed(alike[key])
	}
}

// key is the same for rules that make the same number of the same samples, but for those that they select, and tell the
// same people.
func (one *single) key() string {
	c := &one.rule.When
	aggregate := c.Aggregate
	if aggregate == "" {
		aggregate = alerts.Last
	}
	window := c.Window
	if window.IsZero() {
		window.Runs = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %v %s %v %q", c.Metric, aggregate, window, c.Op, c.Until, one.groups)
	if c.Share != nil {
		fmt.Fprintf(&b, " %q %v", c.Share.Of, c.Share.AtLeast)
	}
	for _, name := range slices.Sorted(maps.Keys(one.rule.Labels)) {
		fmt.Fprintf(&b, " %q=%q", name, one.rule.Labels[name])
	}
	return b.String()
}

// shadowed looks at rules that are alike.
func (l *linter) shadowed(all []*single) {
	if len(all) < 2 {
		return
	}
	widest := slices.Clone(all)
	slices.SortFunc(widest, func(a, b *single) int {
		return cmp.Or(
			cmp.Compare(len(a.rule.When.Match), len(b.rule.When.Match)), cmp.Compare(a.strict, b.strict),
			cmp.Compare(a.rule.Severity, b.rule.Severity), cmp.Compare(a.order, b.order),
		)
	})
	widest = widest[:min(len(widest), beside)]
	for _, one := range all {
		if !l.own(one.rule) && !l.given(one.rule, string(one.rule.When.Op)) {
			continue
		}
		for _, other := range widest {
			l.pairs++
			if other != one && other.shadows(one) {
				l.tellShadow(one, other)
				break
			}
		}
	}
}

// shadows reports whether other never fires but where one does, as bad and as soon. Of two that say the same the second
// is in the shadow.
func (one *single) shadows(other *single) bool {
	a, b := one.rule, other.rule
	switch {
	case a.When.Op == alerts.Equals && a.When.Threshold != b.When.Threshold, one.strict > other.strict:
		return false
	case a.Severity > b.Severity, a.For > b.For, a.When.MinSamples > b.When.MinSamples:
		return false
	case !one.covers(other):
		return false
	}
	same := one.strict == other.strict && a.Severity == b.Severity && a.For == b.For && a.When.MinSamples == b.When.MinSamples &&
		len(a.Escalations) == 0 && len(b.Escalations) == 0 && other.covers(one)
	if len(b.Escalations) > 0 {
		return false // it may become worse than the other
	}
	return !same || a.Builtin && !b.Builtin || a.Builtin == b.Builtin && one.order < other.order
}

// covers reports whether where other has samples, one has the same: or those too, where more of them only make it fire.
func (one *single) covers(other *single) bool {
	wider := false
	for _, m := range one.rule.When.Match {
		if !slices.ContainsFunc(other.rule.When.Match, func(n alerts.Matcher) bool { return implies(n, m) }) {
			return false
		}
	}
	for _, n := range other.rule.When.Match {
		if slices.ContainsFunc(one.rule.When.Match, func(m alerts.Matcher) bool { return implies(m, n) }) {
			continue
		}
		if !slices.Contains(one.groups, n.Attr) { // else the samples of a group are all selected, or none
			wider = true
		}
	}
	return !wider || one.eager()
}

// eager reports whether more samples can only make the rule fire.
func (one *single) eager() bool {
	c := &one.rule.When
	if c.Share != nil {
		return false
	}
	return c.Aggregate == alerts.Max && c.Op == alerts.Above || c.Aggregate == alerts.Min && c.Op == alerts.Below
}

// implies reports whether a value that the first matcher selects is one that the second selects.
func implies(first, second alerts.Matcher) bool {
	switch {
	case first.Attr != second.Attr:
		return false
	case first.Regexp == nil && !first.Not:
		return !slices.ContainsFunc(first.In, func(value string) bool { return !second.Matches(value) })
	case first.Regexp != nil && second.Regexp != nil:
		return first.Not == second.Not && first.Regexp.String() == second.Regexp.String()
	case first.Regexp == nil && second.Regexp == nil && first.Not && second.Not:
		return !slices.ContainsFunc(second.In, func(value string) bool { return !slices.Contains(first.In, value) })
	}
	return false
}

func (l *linter) tellShadow(one, by *single) {
	name := by.rule.Name
	if by.rule.Builtin {
		name = "built-in " + name
	}
	f := Finding{
		Field: "name", Kind: Shadowed, Severity: Warning, Other: by.rule.Name,
		Text: fmt.Sprintf("the rule %s never fires without the rule %s, which is as severe, as soon and no stricter", one.rule.Name, name),
		Hint: "leave one out, or give the milder one a lower severity",
	}
	if h := by.rule.Inhibits; h != nil && slices.Contains(h.Rules, one.rule.Name) && !slices.ContainsFunc(h.Equal, func(key string) bool { return !slices.Contains(one.groups, key) }) &&
		(h.Severity == "" || by.rule.Severity <= h.Severity) {
		f.Text += ", and explains it: nobody is ever told of this one"
	}
	l.add(one.rule, f)
}
