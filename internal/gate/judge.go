package gate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	mostIDs  = 10 // of the records that show a criterion
	flaps    = 2  // times the failures in a row that end a gate: so many in all do too
	ratio    = "1"
	quantile = 0.95
)

// Judge decides. One criterion that fails is a rollback, whatever nobody knows; one that nobody can answer is no promotion.
func Judge(e Evidence, l Limits) Verdict {
	j := judge{e: e, l: l}
	j.runs()
	for _, w := range e.Watched {
		j.watched(w)
	}
	j.asked(CriterionSpend, j.l.SpendMost, "no run says what it cost, and there is a limit of it")
	j.asked(CriterionTTFT, j.l.TTFTMost, "no run says when its first token came, and there is a limit of it")
	j.traffic()
	j.alerts()
	return j.verdict()
}

// Abort is why the gate need not go on, "" where it should: a clear failure.
func Abort(e Evidence, l Limits) string {
	for _, a := range e.Alerts {
		if a.New && a.Severity == checks.P1 {
			return fmt.Sprintf("the alert %s, P1, began to fire", a.Rule)
		}
	}
	if l.AbortAfter <= 0 || len(failures(e.Samples)) <= l.MaxFailed {
		return ""
	}
	row, all := failedOf(e.Samples)
	for _, w := range e.Watched {
		if row[w.Check] >= l.AbortAfter {
			return fmt.Sprintf("%s failed %d times in a row", w.Check, row[w.Check])
		}
		if all[w.Check] >= l.AbortAfter*flaps {
			return fmt.Sprintf("%s failed %d times, though not in a row", w.Check, all[w.Check])
		}
	}
	return ""
}

// failedOf counts the failed runs of each check: those at the end in a row, and all.
func failedOf(samples []Sample) (row, all map[string]int) {
	row, all = map[string]int{}, map[string]int{}
	for _, s := range samples {
		if s.Role != Candidate {
			continue
		}
		switch s.Counted() {
		case checks.Failed:
			row[s.Check]++
			all[s.Check]++
		case checks.OK, checks.Degraded:
			row[s.Check] = 0
		case checks.Unknown, checks.Error, checks.Skipped: // neither good nor bad
		}
	}
	return row, all
}

func failures(all []Sample) []Sample {
	return pick(all, func(s Sample) bool { return s.Role == Candidate && s.Counted() == checks.Failed })
}

func pick(all []Sample, want func(Sample) bool) []Sample {
	var out []Sample
	for _, s := range all {
		if want(s) {
			out = append(out, s)
		}
	}
	return out
}

func ids(all []Sample) []string {
	var out []string
	for _, s := range all[:min(len(all), mostIDs)] {
		out = append(out, s.ID)
	}
	return out
}

type judge struct {
	e        Evidence
	l        Limits
	criteria []Criterion
}

// weigh adds a criterion whose value is known, and must not be above limit.
func (j *judge) weigh(c Criterion, value, limit float64) {
	c.Value, c.Limit, c.Outcome = &value, &limit, Pass
	if !(value <= limit) {
		c.Outcome = Fail
	}
	j.criteria = append(j.criteria, c)
}

func (j *judge) unknown(c Criterion) {
	c.Outcome = Unknown
	j.criteria = append(j.criteria, c)
}

// runs judges all runs of the candidate together.
func (j *judge) runs() {
	failed := failures(j.e.Samples)
	good := pick(j.e.Samples, func(s Sample) bool { return s.Role == Candidate && s.good() })
	degraded := pick(good, func(s Sample) bool { return s.Status == checks.Degraded })
	judged := len(failed) + len(good)
	if judged == 0 {
		j.unknown(Criterion{Name: CriterionFailed, Unit: "{run}", Detail: "no run was judged"})
		return
	}
	j.weigh(Criterion{
		Name: CriterionFailed, Unit: "{run}", Evidence: ids(failed),
		Detail: fmt.Sprintf("%d of %d judged runs failed, at most %d may%s%s", len(failed), judged, j.l.MaxFailed, latest(failed), j.stableToo(failed)),
	}, float64(len(failed)), float64(j.l.MaxFailed))
	share, most := float64(len(failed))/float64(judged), j.l.MaxErrorShare
	if !j.l.ErrorShareHolds {
		most = max(most, float64(min(j.l.MaxFailed, judged))/float64(judged))
	}
	j.weigh(Criterion{
		Name: CriterionErrors, Unit: ratio, Evidence: ids(failed),
		Detail: fmt.Sprintf("%s of the judged runs failed, at most %s may", percent(share), percent(most)),
	}, share, most)
	if len(good) == 0 {
		return
	}
	share = float64(len(degraded)) / float64(len(good)) // without the failed ones: one more of them must not make it smaller
	j.weigh(Criterion{
		Name: CriterionDegraded, Unit: ratio, Evidence: ids(degraded),
		Detail: fmt.Sprintf("%d of %d answered runs were degraded, at most %s may be%s", len(degraded), len(good), percent(j.l.MaxDegraded), latest(degraded)),
	}, share, j.l.MaxDegraded)
}

// stableToo says that the stable deployment fails as well: then a rollback alone will not help.
func (j *judge) stableToo(failed []Sample) string {
	stable := pick(j.e.Samples, func(s Sample) bool { return s.Role == Baseline && s.Counted() == checks.Failed })
	if len(failed) == 0 || len(stable) == 0 {
		return ""
	}
	return fmt.Sprintf("; of the stable deployment %d failed too", len(stable))
}

func latest(all []Sample) string {
	if len(all) == 0 {
		return ""
	}
	s := all[len(all)-1]
	text := "; the last: " + s.Check
	if s.Summary != "" {
		text += ": " + cut(s.Summary)
	}
	return text
}

// cut is the beginning of a summary: a reason is one line, and the sample has all of it.
func cut(text string) string {
	const most = 160
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// watched judges the runs of one check.
func (j *judge) watched(w Watched) {
	mine := pick(j.e.Samples, func(s Sample) bool { return s.Role == Candidate && s.Check == w.Check })
	good := pick(mine, Sample.good)
	base := pick(j.e.Samples, func(s Sample) bool {
		return (s.Role == Baseline || s.Role == Before && !w.SideBySide) && s.For == w.Check && s.good()
	})
	j.data(w, mine, good)
	if w.SideBySide && len(base) < j.l.MinBaseline {
		j.unknown(Criterion{
			Name: CriterionP95, Check: w.Check, Unit: "s",
			Detail: fmt.Sprintf("the stable deployment answered %d runs, want %d to compare with", len(base), j.l.MinBaseline),
		})
		return
	}
	if len(base) < j.l.MinBaseline {
		base = nil
	}
	j.p95(slowEnd{CriterionP95, w.Check, func(s Sample) float64 { return s.Took }, j.l.P95Without, j.l.P95Most}, good, base)
	j.p95(slowEnd{CriterionTTFT, w.Check, func(s Sample) float64 { return s.TTFT }, j.l.TTFTWithout, j.l.TTFTMost}, good, base)
	j.spend(w.Check, good, base)
}

// data is whether there is enough. Only answered runs count: what is unknown, skipped or our own error is no data, and a
// failure is no reason to promote.
func (j *judge) data(w Watched, mine, good []Sample) {
	least := max(j.l.MinSamples, 1)
	value, limit := float64(len(good)), float64(least)
	c := Criterion{
		Name: CriterionData, Check: w.Check, Outcome: Pass, Value: &value, Limit: &limit, Unit: "{run}",
		Detail: fmt.Sprintf("%d of %d runs were answered, want at least %d%s", len(good), len(mine), least, unjudged(mine)),
	}
	if len(good) < least {
		c.Outcome = Unknown
		c.Evidence = ids(pick(mine, func(s Sample) bool { return !s.good() }))
	}
	j.criteria = append(j.criteria, c)
}

// unjudged says why runs are missing: "; 3 skipped (budget)".
func unjudged(mine []Sample) string {
	count, why := map[checks.Status]int{}, map[checks.Status]string{}
	for _, s := range mine {
		status := s.Counted()
		if status == checks.Unknown || status == checks.Skipped || status == checks.Error {
			count[status]++
			why[status] = string(s.Cause)
			if s.Summary != "" {
				why[status] += ": " + cut(s.Summary)
			}
		}
	}
	var text strings.Builder
	for _, status := range checks.Statuses() {
		if count[status] > 0 {
			fmt.Fprintf(&text, "; %d %s (%s)", count[status], status, why[status])
		}
	}
	return text.String()
}

// slowEnd is a time of a check, and its limits: without a baseline, and in any case.
type slowEnd struct {
	name, check   string
	of            func(Sample) float64
	without, most float64
}

// asked is that a limit which somebody gave was judged of one check at least: else nobody knows.
func (j *judge) asked(name string, limit float64, without string) {
	if limit > 0 && !slices.ContainsFunc(j.criteria, func(c Criterion) bool { return c.Name == name }) {
		j.unknown(Criterion{Name: name, Detail: without})
	}
}

// p95 compares the slow end of a time with that of the baseline, or with a fixed limit where there is none.
func (j *judge) p95(w slowEnd, good, base []Sample) {
	now, then := times(good, w.of), times(base, w.of)
	if len(now) == 0 && len(then) == 0 {
		return
	}
	c := Criterion{Name: w.name, Check: w.check, Unit: "s"}
	if least := max(j.l.MinSamples, 1); len(now) < least {
		c.Detail = fmt.Sprintf("%d runs with a time, want at least %d", len(now), least)
		j.unknown(c)
		return
	}
	slowest := slices.MaxFunc(good, func(a, b Sample) int { return cmp.Compare(w.of(a), w.of(b)) })
	c.Evidence = []string{slowest.ID}
	slow, limit := p95(now), w.without
	if len(then) > 0 && len(then) >= j.l.MinBaseline {
		usual := p95(then)
		c.Baseline = &usual
		limit = max(usual*j.l.Slower, usual+j.l.Slack)
		c.Detail = fmt.Sprintf("p95 %s, with %s as the baseline of %d runs at most %s", seconds(slow), seconds(usual), len(then), seconds(limit))
	} else {
		c.Detail = fmt.Sprintf("p95 %s, at most %s; there is no baseline", seconds(slow), seconds(limit))
	}
	if w.most > 0 && w.most < limit {
		limit = w.most
		c.Detail = fmt.Sprintf("p95 %s, at most %s", seconds(slow), seconds(limit))
	}
	j.weigh(c, slow, limit)
}

// times are those that are known.
func times(all []Sample, of func(Sample) float64) []float64 {
	var out []float64
	for _, s := range all {
		if v := of(s); v > 0 {
			out = append(out, v)
		}
	}
	return out
}

// p95 is the least value that 95 % do not exceed; of fewer than 20 it is the largest.
func p95(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(int(math.Ceil(quantile*float64(len(sorted))))-1, 0)]
}

// spend compares what a run costs as a rule. Where there is nothing to compare with there is no criterion.
func (j *judge) spend(check string, good, base []Sample) {
	of := func(s Sample) float64 { return s.CostUSD }
	now, then := times(good, of), times(base, of)
	limit := j.l.SpendMost
	c := Criterion{Name: CriterionSpend, Check: check, Unit: "USD", Evidence: ids(good[max(0, len(good)-1):])}
	if len(then) > 0 && len(then) >= j.l.MinBaseline {
		usual := mean(then)
		c.Baseline = &usual
		if most := usual * j.l.Dearer; limit == 0 || most < limit {
			limit = most
		}
	}
	switch {
	case limit == 0 || len(now) == 0 && len(then) == 0:
		return
	case len(now) == 0:
		c.Detail = "no run says what it cost, and those before did"
		j.unknown(c)
		return
	case len(now) < max(j.l.MinSamples, 1):
		c.Detail = fmt.Sprintf("%d runs say what they cost, want at least %d", len(now), max(j.l.MinSamples, 1))
		j.unknown(c)
		return
	}
	value := mean(now)
	c.Detail = fmt.Sprintf("%s a run, at most %s", dollars(value), dollars(limit))
	j.weigh(c, value, limit)
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

// alerts judges those of the running agent: a new one is the rollout's until somebody shows otherwise; under one that is older
// nobody can tell.
func (j *judge) alerts() {
	if !j.e.AlertsAsked {
		return
	}
	c := Criterion{Name: CriterionAlerts, Unit: "{alert}"}
	var fresh, old []string
	for _, a := range j.e.Alerts {
		word := a.Rule + " " + string(a.Severity)
		c.Evidence = append(c.Evidence, a.Fingerprint)
		if a.New {
			fresh = append(fresh, word)
		} else {
			old = append(old, word)
		}
	}
	switch {
	case len(fresh) > 0:
		c.Detail = "began to fire in the running agent: " + strings.Join(fresh, ", ")
		j.weigh(c, float64(len(fresh)), 0)
	case len(old) > 0:
		c.Detail = "fired before already in the running agent, so that nobody can tell: " + strings.Join(old, ", ")
		j.unknown(c)
	case !j.e.AlertsKnown:
		c.Detail = "the running agent did not say which of its alerts are open"
		j.unknown(c)
	default:
		c.Detail = "no P1 or P2 alert is open in the running agent"
		j.weigh(c, 0, 0)
	}
}

func (j *judge) verdict() Verdict {
	v := Verdict{Decision: Promote, Criteria: j.criteria, Reasons: []string{}}
	by := func(o Outcome) []string {
		var out []string
		for _, c := range j.criteria {
			if c.Outcome == o {
				out = append(out, c.reason())
			}
		}
		return out
	}
	failed, unknown := by(Fail), by(Unknown)
	switch {
	case j.e.Interrupted:
		v.Decision = Undecided
		v.Reasons = []string{"not enough data: " + j.e.InterruptedBy}
	case len(failed) > 0:
		v.Decision, v.Reasons = RollBack, failed
	case len(unknown) > 0:
		v.Decision, v.Reasons = Undecided, unknown
	case len(j.e.Watched) == 0 || len(j.criteria) == 0:
		v.Decision, v.Reasons = Undecided, []string{"nothing was watched"}
	default:
		v.Reasons = j.tolerated()
	}
	return v
}

// tolerated is what a promotion was given in spite of: nothing that is not well is passed over in silence.
func (j *judge) tolerated() []string {
	reasons := []string{"every criterion passes"}
	for _, c := range j.criteria {
		if (c.Name == CriterionDegraded || c.Name == CriterionFailed) && *c.Value > 0 {
			reasons = append(reasons, "tolerated: "+c.Detail)
		}
	}
	return reasons
}

func (c Criterion) reason() string {
	if c.Check != "" {
		return c.Name + " of " + c.Check + ": " + c.Detail
	}
	return c.Name + ": " + c.Detail
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) + "s" }

func dollars(usd float64) string { return checks.PicoUSD(usd * float64(checks.Dollar)).String() }
