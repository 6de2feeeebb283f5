package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// bounds are what a number can be: between two, and where only holds any, one of those.
type bounds struct {
	low, high float64
	only      []float64
}

func between(low, high float64) bounds { return bounds{low: low, high: high} }

func oneAmong(all ...float64) bounds { return bounds{slices.Min(all), slices.Max(all), all} }

// bounds are what one sample of the metric can be, as the code that measures it makes it.
func (s *sight) bounds() bounds {
	anything := between(math.Inf(-1), math.Inf(1))
	switch {
	case !s.listed || s.Until:
		return anything
	case s.zero:
		return oneAmong(0)
	case s.Metric == "probe.failures": // a run fails once
		return oneAmong(0, 1)
	}
	switch s.Metric {
	case "probe.success", "probe.egress.reachable", "probe.llm.model.listed", "probe.llm.model.usable", "probe.llm.model.floating",
		"probe.llm.price.known", "probe.key.valid", "probe.key.same", "spend.source.usable", "windsock.headroom.paused",
		"windsock.store.degraded", "windsock.config.reload_success", "windsock.export.held", "windsock.plugin.up", "windsock.plugin.quarantined":
		return oneAmong(0, 1)
	case "probe.llm.model.alias_info", "windsock.build_info":
		return oneAmong(1)
	case "windsock.breaker.state":
		return oneAmong(0, 1, 2)
	case "windsock.alert.state":
		return oneAmong(0, 1, 2, 3)
	case "probe.status_page.indicator":
		return oneAmong(0, 1, 2, 3, 4)
	case "probe.llm.rate_limit.share", "windsock.headroom.share": // what a source tells of its cache may be inexact
		return between(0, 1)
	}
	if s.counts() || s.timed() {
		return between(0, math.Inf(1))
	}
	return anything
}

// timed reports whether the metric is a time that the agent itself has measured.
func (s *sight) timed() bool {
	switch s.Metric {
	case "probe.duration", "probe.timeout", "probe.http.duration", "probe.dns.lookup_time", "probe.app.chat.duration", "probe.app.answer_age",
		"probe.llm.time_to_first_token", "probe.llm.inter_chunk", "gen_ai.client.operation.duration",
		"gen_ai.client.operation.time_to_first_chunk":
		return true
	}
	return false
}

// compared are what the aggregate of a window can be.
func (s *sight) compared() bounds {
	b, n := s.bounds(), s.count
	least := float64(max(s.MinSamples, 1))
	upTo := func(high float64) float64 {
		if n == 0 || math.IsInf(high, 1) {
			return math.Inf(1)
		}
		return high * float64(n)
	}
	switch s.aggregate() {
	case alerts.Last, alerts.Min, alerts.Max:
		return b
	case alerts.Count:
		return between(least, upTo(1))
	case alerts.Sum:
		if b.low < 0 {
			return between(math.Inf(-1), math.Inf(1))
		}
		if b.high == 0 {
			return between(0, 0)
		}
		return between(b.low*least, upTo(b.high))
	case alerts.Rate:
		return s.rated(b, upTo)
	case alerts.Avg, alerts.P50, alerts.P90, alerts.P95, alerts.P99:
	}
	return between(b.low, b.high)
}

// rated are what the rate of a counter can be: of a window of time what can be counted in it, by its length.
func (s *sight) rated(b bounds, upTo func(float64) float64) bounds {
	switch {
	case !s.counts():
		return between(math.Inf(-1), math.Inf(1))
	case b.high == 0:
		return between(0, 0)
	case s.byRuns():
		return between(0, math.Inf(1))
	}
	return between(0, upTo(b.high)/s.Window.Time.Seconds())
}

// valued reports whether the number can ever be as the comparison wants it.
func (s *sight) valued() bool {
	b := s.compared()
	t, slack := s.Threshold, 1e-9*math.Max(1, math.Abs(s.Threshold)) // sums of fractions are not exact
	never, always := false, false
	switch s.Op {
	case alerts.Above:
		never, always = b.high <= t-slack || b.high == t && b.exact(s), b.low > t
	case alerts.Below:
		never, always = b.low >= t+slack || b.low == t && b.exact(s), b.high < t
	case alerts.Equals:
		never = t < b.low-slack || t > b.high+slack || len(b.only) > 0 && !slices.Contains(b.only, t) || s.aggregate() == alerts.Count && t != math.Trunc(t)
	}
	switch {
	case never:
		return s.never(s.outOfReach(b))
	case always && s.aggregate() != alerts.Count && len(b.only) != 1 && s.rule.AbsentAfter.IsZero() && !s.picky():
		s.strange(Units, string(s.Op), fmt.Sprintf("found %s, and %s: it always holds", number(t), s.can(b)), s.unitHint(b))
	}
	return true
}

// exact reports whether the aggregate meets its bounds without rounding beyond them. Sums of whole numbers do, and what
// lies between numbers that are at most 1 is so too.
func (b bounds) exact(s *sight) bool {
	switch s.aggregate() {
	case alerts.Last, alerts.Min, alerts.Max, alerts.Count:
		return true
	case alerts.Sum:
		return b.low == math.Trunc(b.low) && b.high == math.Trunc(b.high)
	case alerts.Avg, alerts.P50, alerts.P90, alerts.P95, alerts.P99:
		return s.Op == alerts.Above && b.high <= 1 || s.Op == alerts.Below && b.low == 0
	case alerts.Rate:
	}
	return s.Op == alerts.Below && b.low == 0 || b.high == 0
}

// picky reports whether the comparison is for some of the samples only, so that having one says something.
func (s *sight) picky() bool {
	return slices.ContainsFunc(s.Match, func(m alerts.Matcher) bool { return s.known.Self || !alerts.Constant(s.Metric, m.Attr) })
}

func (s *sight) outOfReach(b bounds) fault {
	f := fault{kind: CannotFire, field: string(s.Op), text: fmt.Sprintf("%s %s can never be: %s", s.Op, number(s.Threshold), s.can(b)), hint: s.unitHint(b)}
	if s.zero {
		f.field, f.text = "match", fmt.Sprintf("%s never counts what `match:` selects, so it is always 0, and %s %s never holds", s.Metric, s.Op, number(s.Threshold))
		f.hint = s.zeroHint()
	}
	return f
}

func (s *sight) zeroHint() string {
	for _, m := range s.Match {
		if slices.ContainsFunc(s.possible(m.Attr, s.words(m.Attr)), m.Matches) || len(s.words(m.Attr)) == 0 {
			continue
		}
		return s.unmatched(m, s.possible(m.Attr, s.words(m.Attr))).hint
	}
	return ""
}

// can says what the number can be.
func (s *sight) can(b bounds) string {
	what := s.Metric
	if s.aggregate() != alerts.Last {
		what = "the " + string(s.aggregate()) + " of " + what
	}
	switch {
	case len(b.only) == 1:
		return what + " is " + number(b.only[0])
	case len(b.only) > 1:
		words := make([]string, len(b.only))
		for i, v := range b.only {
			words[i] = number(v)
		}
		return what + " is one of " + strings.Join(words, ", ")
	case math.IsInf(b.high, 1):
		return what + " is never below " + number(b.low)
	}
	text := what + " is " + number(b.low) + " to " + number(b.high)
	if s.Window.Time > 0 && s.aggregate() != alerts.Last && !s.known.Self && s.count > 0 && (s.aggregate() == alerts.Sum || s.aggregate() == alerts.Count || s.aggregate() == alerts.Rate) {
		text += " in " + short(s.Window.Time) + ", as " + s.cadence(s.from)
	}
	return text
}

// unitHint is what was perhaps meant.
func (s *sight) unitHint(b bounds) string {
	switch {
	case b.low == 0 && b.high == 1 && len(b.only) == 0 && s.Threshold > 1 && s.Threshold <= 100 && s.aggregate() != alerts.Rate:
		return fmt.Sprintf("%s%% is %s", number(s.Threshold), number(s.Threshold/100))
	case s.aggregate() == alerts.Rate:
		return fmt.Sprintf("a rate is per second: %s a minute is %s", number(s.Threshold), number(s.Threshold/60))
	}
	return ""
}
