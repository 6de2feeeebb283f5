package alerts

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Warm fills the windows with a record of the past, oldest first, without any transition.
func (e *Engine) Warm(record checks.Record) {
	switch {
	case record.Report != nil:
		if s := e.sourceOf(record.Report, time.Unix(0, e.began)); s != nil {
			e.feed(s, exporters.Points(record))
		}
	case record.Agent != nil:
		e.feed(&source{at: min(nanos(record.At), e.began)}, exporters.Points(record))
	}
}

// Since is how far back Warm has a use for records.
func (e *Engine) Since() time.Duration {
	since := time.Duration(0)
	for _, p := range e.programs {
		for _, l := range slices.Concat(p.leaves, p.remembers) {
			since = max(since, e.spanOf(l))
		}
	}
	return since
}

// Needs is how far back Warm has a use for the records of each check, and under "" for the agent's own. What nobody looks
// back at is left out.
func (e *Engine) Needs() map[string]time.Duration {
	needs := make(map[string]time.Duration)
	for _, x := range e.metrics {
		for _, t := range e.order {
			for _, l := range x.of(t) {
				if t.Emits(l.Metric) {
					needs[t.Name] = max(needs[t.Name], l.reach(t.Interval))
				}
			}
		}
		for _, l := range x.all {
			if l.known.Self {
				needs[""] = max(needs[""], l.reach(snapshotEvery))
			}
		}
	}
	return needs
}

// reach is the window's time, or that of its runs and one more.
func (l *leaf) reach(interval time.Duration) time.Duration {
	if l.runs == 0 {
		return min(l.span, maxSince)
	}
	if interval > 0 && time.Duration(l.runs+1) > maxSince/interval {
		return maxSince
	}
	return time.Duration(l.runs+1) * interval
}

// spanOf is the longest reach that the window has into the records of one check.
func (e *Engine) spanOf(l *leaf) time.Duration {
	if l.known.Self {
		return l.reach(snapshotEvery)
	}
	longest := l.reach(0)
	for _, t := range e.order {
		if l.runs > 0 && t.selects(l) {
			longest = max(longest, l.reach(t.Interval))
		}
	}
	return longest
}

// Missing says that Warm was not given all records from before from: they are lost, or too many. Windows that reach back so
// far do not end an alert of the process before, and do not begin one for a low number, until they are full again.
func (e *Engine) Missing(from time.Time) {
	e.missing = from
	for _, p := range e.programs {
		for _, l := range p.leaves {
			l.fullAt = nanos(from.Add(e.spanOf(l)))
		}
	}
}

// partly reports whether samples may be missing in the window.
func (w *window) partly(at int64) bool {
	return at < w.leaf.fullAt && (w.leaf.runs == 0 || w.runs < w.leaf.runs)
}

// trusted reports whether what the samples of a window say would stand if those were there that are missing. Averages,
// quantiles and gauges are taken for what they are, as in a window that is young, but end no alert of the process before.
func (w *window) trusted(holds, restored bool, at int64) bool {
	switch {
	case !w.partly(at) || w.leaf.aggregate == Last:
		return true
	case !holds:
		return !restored
	case w.leaf.aggregate == Min:
		return w.leaf.Op == Below
	case w.leaf.aggregate == Sum, w.leaf.aggregate == Count, w.leaf.aggregate == Rate && w.leaf.counts(), w.leaf.aggregate == Max:
		return w.leaf.Op == Above
	}
	return true
}
