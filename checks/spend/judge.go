package spend

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// finding is what one source said.
type finding struct {
	name    string
	reading source.Reading
	err     error
}

func (f finding) usable() bool { return f.err == nil && f.reading.Hour != nil }

// judge makes a result of what the sources said. now is in the check's zone.
func judge(now time.Time, p Params, found []finding) checks.Result {
	believed := slices.IndexFunc(found, finding.usable)
	r := checks.Result{}
	for _, f := range found {
		r.Evidence = append(r.Evidence, checks.Step{Name: f.name, OK: f.usable(), Detail: f.detail()})
		r.Measurements = append(r.Measurements, checks.Measurement{Name: "spend.source.usable", Value: truth(f.usable()), Attrs: map[string]string{"source": f.name}})
		if f.err == nil {
			r.Measurements = append(r.Measurements, checks.Measurement{Name: "spend.source.age", Value: max(now.Sub(f.reading.AsOf).Seconds(), 0), Unit: "s", Attrs: map[string]string{"source": f.name}})
		}
	}
	for _, f := range found {
		r.Measurements = append(r.Measurements, f.windows()...)
	}
	if believed < 0 {
		return unknown(r, found)
	}
	f := found[believed]
	r.Measurements = append(r.Measurements, numbers(now, f)...)
	var complaints []string
	hour := f.reading.Hour.Cost.USD()
	if p.AbovePerHour > 0 && hour > p.AbovePerHour {
		complaints = append(complaints, fmt.Sprintf("$%.2f in the last hour, want at most $%.2f", hour, p.AbovePerHour))
	}
	if usual, ok := baseline(f.reading.Hours, now); ok {
		r.Measurements = append(r.Measurements, usual.measurements(hour)...)
		if usual.spike(hour, p) {
			complaints = append(complaints, fmt.Sprintf("$%.2f in the last hour, usual at this time is $%.2f", hour, usual.median))
		}
	}
	if n := len(f.reading.Hour.Unpriced); n > 0 {
		complaints = append(complaints, fmt.Sprintf("%d models without a known price: %s", n, strings.Join(f.reading.Hour.Unpriced, ", ")))
	}
	complaints = append(complaints, compare(&r, p, f, found[believed+1:])...)
	r.Status, r.Summary = checks.OK, fmt.Sprintf("%s in the last hour (%s, %s)", f.reading.Hour.Cost, f.name, f.reading.Confidence)
	if len(complaints) > 0 {
		r.Status, r.Cause, r.Blame = checks.Degraded, checks.CauseAssertion, checks.BlameApplication
		r.Summary = oneline.Of(strings.Join(complaints, "; "), 300)
	}
	return r
}

// windows are what one source says, also one that is not believed.
func (f finding) windows() []checks.Measurement {
	if f.err != nil {
		return nil
	}
	at := map[string]string{"source": f.name}
	var out []checks.Measurement
	for _, w := range []struct {
		name   string
		amount *source.Amount
	}{{"spend.hour.usd", f.reading.Hour}, {"spend.today.usd", f.reading.Today}, {"spend.month.usd", f.reading.Month}} {
		if w.amount != nil {
			out = append(out, checks.Measurement{Name: w.name, Value: w.amount.Cost.USD(), Attrs: at})
		}
	}
	for _, m := range f.reading.Extra {
		m.Attrs = maps.Clone(m.Attrs)
		if m.Attrs == nil {
			m.Attrs = map[string]string{}
		}
		m.Attrs["source"] = f.name
		out = append(out, m)
	}
	return out
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (f finding) detail() string {
	switch {
	case f.err != nil:
		return oneline.Of(f.err.Error(), 200)
	case f.reading.Hour == nil:
		return "it does not know the last hour"
	}
	return oneline.Of(f.reading.Hour.Cost.String()+" in the last hour "+f.reading.Why, 200)
}

// unknown is the result without a usable source.
func unknown(r checks.Result, found []finding) checks.Result {
	var why []string
	r.Status, r.Cause = checks.Unknown, checks.CauseAssertion
	for _, f := range slices.Backward(found) {
		if problem, ok := errors.AsType[*source.Problem](f.err); ok {
			r.Cause, r.Blame = problem.Cause, problem.Blame
		}
		why = append([]string{f.name + ": " + f.detail()}, why...)
	}
	r.Summary = oneline.Of("nobody can tell what is spent: "+strings.Join(why, "; "), 300)
	return r
}

// numbers are the measurements of the source that is believed.
func numbers(now time.Time, f finding) []checks.Measurement {
	var out []checks.Measurement
	add := func(name string, value float64, unit string) {
		out = append(out, checks.Measurement{Name: name, Value: value, Unit: unit})
	}
	a := f.reading.Hour
	rate := a.Cost.USD()
	add("spend.hour.usd", rate, "")
	add("spend.rate.usd", rate, "")
	add("spend.unpriced.models", float64(len(a.Unpriced)), "")
	if f.reading.Today != nil {
		add("spend.today.usd", f.reading.Today.Cost.USD(), "")
	}
	if m := f.reading.Month; m != nil {
		_, begin := source.Windows(now, now.Location())
		add("spend.month.usd", m.Cost.USD(), "")
		add("spend.projected_month.usd", m.Cost.USD()+rate*begin.AddDate(0, 1, 0).Sub(now).Hours(), "")
	}
	if a.Requests >= 0 {
		add("spend.requests", float64(a.Requests), "{request}")
	}
	if a.Requests > 0 {
		add("spend.request.cost.usd", rate/float64(a.Requests), "")
	}
	return append(out, tokens(a.Tokens)...)
}

const mostTokens = 150 // fifty models, three directions

func tokens(all []source.Tokens) []checks.Measurement {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b source.Tokens) int {
		return strings.Compare(a.Model+"\x00"+string(a.Direction), b.Model+"\x00"+string(b.Direction))
	})
	var out []checks.Measurement
	sums := map[source.Direction]int64{}
	for i, t := range all {
		sums[t.Direction] += t.N
		if i < mostTokens {
			out = append(out, checks.Measurement{Name: "spend.tokens", Value: float64(t.N), Unit: "{token}", Attrs: attrs(t)})
		}
	}
	if sums[source.Input] > 0 {
		out = append(out, checks.Measurement{Name: "spend.cached.share", Value: float64(sums[source.Cached]) / float64(sums[source.Input])})
	}
	return out
}

func attrs(t source.Tokens) map[string]string {
	out := map[string]string{"direction": string(t.Direction)}
	if t.Model != "" {
		out["model"] = oneline.Of(t.Model, 100)
	}
	return out
}

// compare holds the other sources against the one that is believed.
func compare(r *checks.Result, p Params, f finding, others []finding) []string {
	var out []string
	base := f.reading.Hour.Cost.USD()
	for _, other := range others {
		if !other.usable() {
			continue
		}
		cost := other.reading.Hour.Cost.USD()
		at := map[string]string{"source": other.name}
		if base > 0 {
			r.Measurements = append(r.Measurements, checks.Measurement{Name: "spend.disagreement", Value: cost/base - 1, Attrs: at})
		}
		if p.Disagreement > 0 && math.Abs(cost-base) > p.Disagreement*base {
			out = append(out, fmt.Sprintf("%s says $%.4f in the last hour and %s $%.4f", f.name, base, other.name, cost))
		}
	}
	return out
}
