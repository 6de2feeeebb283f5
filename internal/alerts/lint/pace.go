package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const (
	snapshotEvery = time.Minute // at which the agent tells of itself
	snapshotLate  = 30 * time.Second
)

// sampled reports whether a window can ever hold samples enough.
func (s *sight) sampled() bool {
	s.count = s.most()
	n, least := s.count, max(s.MinSamples, 1)
	switch {
	case n > 0 && least > n && s.byRuns():
		return s.never(fault{
			kind: CannotFire, field: "min_samples",
			text: fmt.Sprintf("found %d, and a window of %s never holds more than %d", s.MinSamples, runs(s.runs()), n),
			hint: "make the window as long, or min_samples less",
		})
	case n > 0 && least > n:
		return s.never(fault{
			kind: CannotFire, field: "min_samples",
			text: fmt.Sprintf("found %d, and a window of %s never holds more than %d: %s", s.MinSamples, short(s.Window.Time), n, s.cadence(s.from)),
			hint: "make the window longer, or say `window: " + itoa(least) + " runs`",
		})
	case s.aggregate() == alerts.Rate && (!s.counts() || s.byRuns()) && (n == 1 || s.byRuns() && s.runs() == 1):
		return s.never(fault{
			kind: CannotFire, field: "window", text: "a rate is between two runs, and the window never holds more than one",
			hint: "make the window longer than two intervals, or say `window: 5 runs`",
		})
	}
	return true
}

// runs is how many runs the window holds.
func (s *sight) runs() int {
	if s.Window.IsZero() {
		return 1
	}
	return s.Window.Runs
}

// cadence says how often checks run.
func (s *sight) cadence(from []*alerts.Check) string {
	if s.known.Self {
		return "the agent tells of itself once a minute"
	}
	slowest := slices.MaxFunc(from, func(a, b *alerts.Check) int {
		return int(a.Interval/time.Millisecond) - int(b.Interval/time.Millisecond)
	})
	return slowest.Name + " runs every " + short(slowest.Interval)
}

// most is how many samples one window can hold; 0 where there is no bound.
func (s *sight) most() int {
	switch {
	case !s.once():
		return 0
	case s.byRuns():
		return s.runs()
	case s.unpaced:
		return 0
	case s.known.Self:
		return int((s.Window.Time+snapshotLate)/snapshotEvery) + 2
	}
	n := 0
	for _, part := range s.parts(s.told()) {
		sum := 0
		for _, c := range part {
			if c.Interval <= 0 {
				return 0
			}
			sum += int(math.Ceil(float64(s.Window.Time+lag(c)) / float64(c.Interval)))
		}
		n = max(n, sum)
	}
	return n
}

// lag is how much later than another a verdict can come, both counted from their slots.
func lag(c *alerts.Check) time.Duration {
	if c.Confirm > 0 {
		return c.Timeout + c.Confirm + c.Timeout
	}
	return c.Timeout
}

// once reports whether a run gives at most one sample to a window.
func (s *sight) once() bool {
	switch {
	case s.counts():
		return true
	case !s.listed, s.known.Kind != exporters.Gauge, s.Metric == alertState, s.Metric == "windsock.breaker.state", s.Metric == "probe.llm.rate_limit.limit":
		return false // these have other attributes too, or come more than once
	}
	told := s.told()
	for _, m := range s.Match {
		if !m.Not && len(m.In) == 1 {
			told = append(told, m.Attr)
		}
	}
	return !slices.ContainsFunc(s.known.Attrs, func(attr string) bool { return !slices.Contains(told, attr) })
}

// told are the attributes by which windows are told apart.
func (s *sight) told() []string {
	told := slices.Clone(s.groups)
	if s.Share != nil {
		told = append(told, s.Share.Of...)
	}
	return told
}

// parts are the checks whose samples may come to the same window, or to the same group.
func (s *sight) parts(by []string) [][]*alerts.Check {
	at := map[string]int{}
	var parts [][]*alerts.Check
	by = slices.DeleteFunc(slices.Clone(by), func(attr string) bool { return !alerts.Constant(s.Metric, attr) })
	for _, c := range s.from {
		var key strings.Builder
		for _, attr := range by {
			key.WriteString(c.Attr(attr) + "\x00")
		}
		i, ok := at[key.String()]
		if !ok {
			i = len(parts)
			at[key.String()] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], c)
	}
	return parts
}

// grouped finds the groups that the comparison can be about.
func (s *sight) grouped() {
	s.out.keys = map[string]values{}
	for _, key := range s.groups {
		if all, bounded := s.valuesOf(key); bounded {
			s.out.keys[key] = all
		}
	}
}

// valuesOf are the values that an attribute of the selected samples can have; false where they can be any.
func (s *sight) valuesOf(key string) (values, bool) {
	switch {
	case s.known.Self && !s.unbound(key):
		return values{""}, true
	case !s.known.Self && alerts.Constant(s.Metric, key):
		var all values
		for _, c := range s.from {
			all = append(all, c.Attr(key))
		}
		slices.Sort(all)
		return slices.Compact(all), true
	}
	for _, m := range s.Match {
		if m.Attr == key && !m.Not && m.Regexp == nil {
			return m.In, true
		}
	}
	return nil, false
}

// paced looks at the window beside the intervals of the checks.
func (s *sight) paced() {
	if s.Window.Time == 0 || s.unpaced {
		return
	}
	s.out.hold = s.longest()
	s.tooShort()
}

// tooShort tells of windows that hold less than two runs of a check.
func (s *sight) tooShort() {
	least := 2
	if s.aggregate() == alerts.Last {
		least = 1
	}
	if s.known.Self {
		if s.Window.Time < time.Duration(least)*snapshotEvery {
			s.strange(Window, "window", fmt.Sprintf("found %s, which is less than %s: %s", short(s.Window.Time), intervals(least), s.cadence(nil)), "")
		}
		return
	}
	var slow []*alerts.Check
	for _, part := range s.parts(s.told()) {
		quickest := slices.MinFunc(part, func(a, b *alerts.Check) int {
			return int(a.Interval/time.Millisecond) - int(b.Interval/time.Millisecond)
		})
		if s.Window.Time < time.Duration(least)*quickest.Interval {
			slow = append(slow, quickest)
		}
	}
	if len(slow) == 0 {
		return
	}
	s.strange(Window, "window", fmt.Sprintf("found %s, which is less than %s: %s", short(s.Window.Time), intervals(least), s.cadence(slow)),
		"say `window: 3 runs`, or make it longer")
}

func intervals(n int) string {
	if n == 1 {
		return "one interval"
	}
	return "two intervals"
}

// longest is the longest that the condition of a window of time can hold without a break; 0 where there is no bound. It
// breaks where the oldest of the samples that it needs leaves the window before the next run is over.
func (s *sight) longest() time.Duration {
	need := max(s.MinSamples, 1)
	if s.known.Self || need > 1 && !s.once() {
		return 0
	}
	longest := time.Duration(0)
	for _, part := range s.parts(s.groups) {
		c := part[0]
		if len(part) > 1 || c.Interval <= 0 || time.Duration(need)*c.Interval-lag(c) <= s.Window.Time {
			return 0
		}
		hold := s.Window.Time
		if need > 1 {
			hold += lag(c) - time.Duration(need-1)*c.Interval
		}
		longest = max(longest, hold)
	}
	return longest
}

// absence looks at absent_after beside the intervals of the checks: it must not be over between two runs.
func (v *view) absence() {
	after := v.rule.AbsentAfter.Time
	if after == 0 || !v.given(v.rule, "absent_after") {
		return
	}
	var c *alerts.Condition
	for c = &v.rule.When; c.Metric == ""; {
		inner := slices.Concat(c.All, c.Any)
		if len(inner) != 1 {
			return // what one does not see, another may
		}
		c = &inner[0]
	}
	probe := &view{linter: v.linter, rule: v.rule, groups: v.groups}
	s := &sight{view: probe, Condition: c, path: "when"}
	s.known, s.listed = exporters.Lookup(c.Metric)
	if s.known.Self || !s.measured() || !s.selected() || !s.worded() || s.unpaced {
		return
	}
	var slow []*alerts.Check
	for _, part := range s.parts(s.groups) {
		if len(part) == 1 && after < part[0].Interval {
			slow = append(slow, part[0])
		}
	}
	if len(slow) > 0 {
		v.add(v.rule, Finding{
			Field: "absent_after", Kind: Window, Severity: Warning,
			Text: fmt.Sprintf("found %s, and %s: it tells of no data between any two runs", short(after), s.cadence(slow)), Hint: "say `3 intervals`",
		})
	}
}
