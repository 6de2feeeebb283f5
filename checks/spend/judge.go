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

// window is one of the windows that spend is told for.
type window struct {
	name string // in measurements and in words
	of   func(source.Reading) *source.Amount
}

func windows() []window {
	return []window{
		{"hour", func(r source.Reading) *source.Amount { return r.Hour }},
		{"today", func(r source.Reading) *source.Amount { return r.Today }},
		{"month", func(r source.Reading) *source.Amount { return r.Month }},
	}
}

// words are a window for a person.
func (w window) words() string {
	return map[string]string{"hour": "in the last hour", "today": "today", "month": "this month"}[w.name]
}

// believed is the first source that knows the window; nil where none does.
func (w window) believed(found []finding) *finding {
	for i := range found {
		if found[i].err == nil && w.of(found[i].reading) != nil {
			return &found[i]
		}
	}
	return nil
}

// verdict is a result in the making.
type verdict struct {
	checks.Result
	params     Params
	complaints []string
}

// complain notes what is wrong; the first one says whose fault it is.
func (v *verdict) complain(blame checks.Blame, text string) {
	if len(v.complaints) == 0 {
		v.Status, v.Cause, v.Blame = checks.Degraded, checks.CauseAssertion, blame
	}
	v.complaints = append(v.complaints, text)
}

func (v *verdict) measure(name string, value float64, unit string, attrs map[string]string) {
	v.Measurements = append(v.Measurements, checks.Measurement{Name: name, Value: value, Unit: unit, Attrs: attrs})
}

// judge makes a result of what the sources said. now is in the check's zone. Each window is told by the first source that
// knows it; without the last hour the result is unknown, whatever else is known.
func judge(now time.Time, p Params, found []finding) checks.Result {
	v := &verdict{Result: checks.Pass(""), params: p}
	for i := range found {
		v.tell(&found[i], now)
	}
	for _, w := range windows() {
		if f := w.believed(found); f != nil {
			v.measure("spend."+w.name+".usd", w.of(f.reading).Cost.USD(), "", nil)
			v.compare(w, f, found)
		}
	}
	hour := windows()[0]
	f := hour.believed(found)
	if f == nil {
		return v.unknown(found)
	}
	v.hour(now, f, found)
	v.Summary = fmt.Sprintf("%s in the last hour (%s, %s)", f.reading.Hour.Cost, f.name, f.reading.Confidence)
	if len(v.complaints) > 0 {
		v.Summary = oneline.Of(strings.Join(v.complaints, "; "), 300)
	}
	return v.Result
}

// tell is what one source says, believed or not.
func (v *verdict) tell(f *finding, now time.Time) {
	at := map[string]string{"source": f.name}
	known := false
	for _, w := range windows() {
		if amount := w.of(f.reading); f.err == nil && amount != nil {
			known = true
			v.measure("spend."+w.name+".usd", amount.Cost.USD(), "", at)
		}
	}
	v.Evidence = append(v.Evidence, checks.Step{Name: f.name, OK: known, Detail: f.detail()})
	v.measure("spend.source.usable", truth(known), "", at)
	if f.err != nil {
		return
	}
	v.measure("spend.source.age", max(now.Sub(f.reading.AsOf).Seconds(), 0), "s", at)
	for _, m := range f.reading.Extra {
		attrs := maps.Clone(m.Attrs)
		if attrs == nil {
			attrs = map[string]string{}
		}
		attrs["source"] = f.name
		v.measure(m.Name, m.Value, m.Unit, attrs)
	}
	for _, note := range f.reading.Notes {
		v.Evidence = append(v.Evidence, checks.Step{Name: f.name, OK: true, Detail: oneline.Of(note, 200)})
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// detail is what a source says, how sure it is, and why it is not surer.
func (f *finding) detail() string {
	if f.err != nil {
		return oneline.Of(f.err.Error(), 200)
	}
	var parts []string
	for _, w := range windows() {
		if amount := w.of(f.reading); amount != nil {
			parts = append(parts, amount.Cost.String()+" "+w.words())
		}
	}
	if len(parts) == 0 {
		parts = []string{"it does not know yet what is spent"}
	}
	text := strings.Join(parts, ", ") + " (" + f.reading.Confidence.String() + ")"
	if f.reading.Why != "" {
		text += ": " + f.reading.Why
	}
	return oneline.Of(text, 200)
}

// unknown is the result where nobody knows the last hour.
func (v *verdict) unknown(found []finding) checks.Result {
	r := v.Result
	var why []string
	r.Status, r.Cause, r.Blame = checks.Unknown, checks.CauseAssertion, checks.BlameNone
	for i := len(found) - 1; i >= 0; i-- {
		if problem, ok := errors.AsType[*source.Problem](found[i].err); ok {
			r.Cause, r.Blame = problem.Cause, problem.Blame
		}
		why = append([]string{found[i].name + ": " + found[i].detail()}, why...)
	}
	r.Summary = oneline.Of("nobody can tell what was spent in the last hour: "+strings.Join(why, "; "), 300)
	return r
}

// hour is what the last hour means: the pace, what is usual, and what it may be.
func (v *verdict) hour(now time.Time, f *finding, found []finding) {
	a := f.reading.Hour
	rate := a.Cost.USD()
	v.measure("spend.rate.usd", rate, "", nil)
	if m := windows()[2].believed(found); m != nil {
		_, begin := source.Windows(now, now.Location())
		v.measure("spend.projected_month.usd", m.reading.Month.Cost.USD()+rate*begin.AddDate(0, 1, 0).Sub(now).Hours(), "", nil)
	}
	if a.Requests >= 0 {
		v.measure("spend.requests", float64(a.Requests), "{request}", nil)
	}
	if a.Requests > 0 {
		v.measure("spend.request.cost.usd", rate/float64(a.Requests), "", nil)
	}
	v.measure("spend.unpriced.models", float64(len(a.Unpriced)), "", nil)
	v.Measurements = append(v.Measurements, tokens(a.Tokens)...)
	if v.params.AbovePerHour > 0 && rate > v.params.AbovePerHour {
		v.complain(checks.BlameApplication, fmt.Sprintf("$%.2f in the last hour, want at most $%.2f", rate, v.params.AbovePerHour))
	}
	if usual, ok := baseline(f.reading.Hours, now); ok {
		v.Measurements = append(v.Measurements, usual.measurements(rate)...)
		if usual.spike(rate, v.params) {
			v.complain(checks.BlameApplication, fmt.Sprintf("$%.2f in the last hour, usual at this time is $%.2f", rate, usual.median))
		}
	}
	if n := len(a.Unpriced); n > 0 {
		v.complain(checks.BlameConfig, fmt.Sprintf("%d models without a known price: %s", n, strings.Join(a.Unpriced, ", ")))
	}
}

// compare holds the other sources that know a window against the one that is believed.
func (v *verdict) compare(w window, believed *finding, found []finding) {
	base := w.of(believed.reading).Cost.USD()
	for i := range found {
		other := &found[i]
		amount := w.of(other.reading)
		if other.name == believed.name || other.err != nil || amount == nil {
			continue
		}
		cost := amount.Cost.USD()
		if base > 0 {
			v.measure("spend.disagreement", cost/base-1, "", map[string]string{"source": other.name, "window": w.name})
		}
		if v.params.Disagreement > 0 && math.Abs(cost-base) > v.params.Disagreement*base {
			v.complain(checks.BlameConfig, fmt.Sprintf("%s says %s %s and %s %s", believed.name, w.of(believed.reading).Cost, w.words(), other.name, amount.Cost))
		}
	}
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
