package promsource

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The labels that tell the rows of an answer apart.
const (
	partLabel   = "windsock_part"
	windowLabel = "windsock_window"
)

// The parts of an answer.
const (
	partGrown  = "grown"  // what the series grew by in the window, as increase() has it
	partFirst  = "first"  // what they had counted at their first sample in the window, where that was counted in it
	partSeen   = "seen"   // how many series there were when the window began
	partUp     = "up"     // how many targets the server had tried when the window began
	partLate   = "late"   // how many series the server found in the window, with counts from before it
	partOldest = "oldest" // when the oldest of the newest samples was taken
	partDown   = "down"   // how many targets that had series lately do not answer
)

// before is how far before a window a series is looked for, and how densely: a series that is silent for longer counts as
// one that never was.
const before = "1d:5m"

// lately is how far back a target is looked for that is down and may have counted something since: like before, a subquery
// reads the samples of every five minutes only.
const lately = "1d:5m"

// window is a span of time, in whole seconds.
type window struct {
	from, until int64 // Unix time
}

func (w window) seconds() int64 { return w.until - w.from }

// settled reports whether no more samples are to come.
func (w window) settled(now time.Time) bool {
	return now.Unix() >= w.until+int64(settling/time.Second)
}

// asker writes queries about a family.
type asker struct {
	selectors []string // of one counter by each of its names
	by        string   // labels to keep
}

func newAsker(f family, matchers string) asker {
	a := asker{}
	for _, metric := range f.metrics {
		a.selectors = append(a.selectors, metric+"{"+matchers+"}")
	}
	if f.priced() {
		a.by = " by (" + f.model + ", " + f.direction + ") "
	}
	return a
}

// each is an expression of every selector. The names of metrics are lost on the way, so that a series with two names counts
// once.
func (a asker) each(format string, args ...any) string {
	all := make([]string, 0, len(a.selectors))
	for _, s := range a.selectors {
		all = append(all, fmt.Sprintf(format, append([]any{s}, args...)...))
	}
	return "(" + strings.Join(all, " or ") + ")"
}

// windows asks, at a time, for what was counted in some windows that end no later.
func (a asker) windows(at time.Time, some []window) string {
	var rows []string
	for i, w := range some {
		for _, r := range a.window(at.Unix(), w) {
			rows = append(rows, fmt.Sprintf(`label_replace(%s, "%s", "%d", "", "")`, r, windowLabel, i))
		}
	}
	return strings.Join(rows, " or ")
}

// now asks for one window that ends at a time, and for the state of things at its end.
func (a asker) now(at time.Time, w window) string {
	const up = `up == 0`
	rows := []string{
		a.windows(at, []window{w}),
		row(partOldest, "min("+a.each("timestamp(%s)")+")"),
		row(partDown, fmt.Sprintf("count((%s) and on (job, instance) (%s or %s))", up,
			a.each("min_over_time(%s[%ds])", w.seconds()), a.each("last_over_time(%s["+lately+"])"))),
	}
	return strings.Join(rows, " or ")
}

func row(part, expression string) string {
	return fmt.Sprintf(`label_replace(%s, "%s", "%s", "", "")`, expression, partLabel, part)
}

// window gives the rows of one window.
//
// increase() tells what a counter grew by from its first sample in the window on. What it had counted by then is of the
// window too, unless the series was there when the window began and goes on: a series that is new begins at nothing, and so
// does one with less than it had, which increase() does not see when the window begins in between. Where a series was away
// when the window began and came back with as much or more, the difference is what was counted meanwhile.
//
// min_over_time() is the first sample of a series without resets in the window. With resets it may be less, which adds too
// little of a series that was away when the window began; nothing is added to one that was there.
//
// last_over_time() reads a day, and is by far the dearest: it stands here once.
func (a asker) window(at int64, w window) []string {
	ago, whole := offset(at-w.until), offset(at-w.from)
	span := strconv.FormatInt(w.seconds(), 10)
	first := a.each("min_over_time(%s[%ss]%s)", span, ago)
	last := a.each("last_over_time(%s["+before+"]%s)", whole)
	there := a.each("%s%s", whole)
	resets := a.each("resets(%s[%ss]%s)", span, ago)
	told := toldTargets(w, ago, whole)
	back := "((" + first + " - " + last + ") >= 0)"
	begun := "((" + back + " or " + first + ") unless (" + first + " >= " + there + ") unless (" + there + " and (" + resets + " > 0)))"
	return []string{
		row(partGrown, "sum"+a.by+"("+a.each("increase(%s[%ss]%s)", span, ago)+")"),
		row(partFirst, "sum"+a.by+"("+begun+" and on (job, instance) "+told+")"),
		row(partSeen, "count("+there+")"),
		row(partUp, "count(up"+whole+")"),
		row(partLate, "count(("+first+" unless "+there+") unless on (job, instance) "+told+")"),
	}
}

// toldTargets are those of whose new series somebody knows since when they count: the target began within the window, or the
// server reached it already when the window began. Of all others (found late, pushed, or without a start time) nobody knows
// when what they had counted at first was counted.
func toldTargets(w window, ago, whole string) string {
	return fmt.Sprintf("((process_start_time_seconds%s >= %d) or (up%s == 1))", ago, w.from, whole)
}

func offset(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return " offset " + strconv.FormatInt(seconds, 10) + "s"
}
