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
	own     bool // what the agent's own runs cost: never the application's spend, unless nothing else is asked for
	reading source.Reading
	err     error
}

// amount is what a source knows of a window; nil where that is nothing. Where no model has a price, or only a
// part of a day or month is known and nothing is in it, the cost is not zero, but not known.
func (f *finding) amount(w window) *source.Amount {
	if f.err != nil {
		return nil
	}
	a := w.of(f.reading)
	if a != nil && a.Cost == 0 && !f.own && (len(a.Unpriced) > 0 || f.reading.Confidence == source.Partial && w.name != "hour") {
		return nil
	}
	return a
}

// ofTheApplication are the findings that are held against each other: those of the application, or all where the agent's own
// runs are all that is asked for.
func ofTheApplication(found []finding) []*finding {
	var all, own []*finding
	for i := range found {
		if f := &found[i]; f.own {
			own = append(own, f)
		} else {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return own
	}
	return all
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
func (w window) believed(found []*finding) *finding {
	for _, f := range found {
		if f.amount(w) != nil {
			return f
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
	weighed := ofTheApplication(found)
	for _, w := range windows() {
		if f := w.believed(weighed); f != nil {
			v.measure("spend."+w.name+".usd", f.amount(w).Cost.USD(), "", nil)
		}
	}
	f := windows()[0].believed(weighed)
	if f == nil {
		return v.unknown(found)
	}
	v.hour(now, f, weighed)
	for _, w := range windows() {
		v.compare(w, weighed)
	}
	for _, other := range weighed {
		v.missing(other)
	}
	v.Summary = fmt.Sprintf("%s in the last hour (%s, %s)", f.reading.Hour.Cost, f.name, f.reading.Confidence)
	if len(v.complaints) > 0 {
		v.Summary = oneline.Of(strings.Join(v.complaints, "; "), 300)
	}
	return v.Result
}

// missing complains of a source that was asked for and knows nothing, of models without a price, and of what a source wants
// somebody to look at.
func (v *verdict) missing(f *finding) {
	if problem, ok := errors.AsType[*source.Problem](f.err); ok {
		blame := problem.Blame
		if blame == checks.BlameNone {
			blame = problem.Cause.Blame()
		}
		v.complain(blame, f.name+": "+problem.Text)
	}
	unpriced := map[string]bool{}
	for _, w := range windows() {
		if a := w.of(f.reading); f.err == nil && a != nil {
			for _, model := range a.Unpriced {
				unpriced[model] = true
			}
		}
	}
	if len(unpriced) > 0 {
		v.complain(checks.BlameConfig, fmt.Sprintf("%s: %d models without a known price, whose cost is missing: %s",
			f.name, len(unpriced), strings.Join(slices.Sorted(maps.Keys(unpriced)), ", ")))
	}
	for _, alarm := range f.reading.Alarms {
		v.complain(alarm.Blame, f.name+": "+alarm.Text)
	}
}

// tell is what one source says, believed or not.
func (v *verdict) tell(f *finding, now time.Time) {
	at := map[string]string{"source": f.name}
	known := false
	for _, w := range windows() {
		if amount := f.amount(w); amount != nil {
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
	for _, alarm := range f.reading.Alarms {
		v.Evidence = append(v.Evidence, checks.Step{Name: f.name, Detail: oneline.Of(alarm.Text, 200)})
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
		if amount := f.amount(w); amount != nil {
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
	r.Status, r.Cause, r.Blame = checks.Unknown, checks.CauseAssertion, checks.BlameOurs // where no source is in trouble, none knows yet
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
func (v *verdict) hour(now time.Time, f *finding, weighed []*finding) {
	a := f.reading.Hour
	rate := a.Cost.USD()
	v.measure("spend.rate.usd", rate, "", nil)
	if m := windows()[2].believed(weighed); m != nil {
		_, begin := source.Windows(now, now.Location())
		v.measure("spend.projected_month.usd", m.reading.Month.Cost.USD()+rate*begin.AddDate(0, 1, 0).Sub(now).Hours(), "", nil)
	}
	if a.Requests >= 0 {
		v.measure("spend.requests", float64(a.Requests), "{request}", nil)
	}
	if a.Requests > 0 && len(a.Unpriced) == 0 { // else some of the requests have no part in the cost
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
}

// compare holds the other sources that know a window against the one that is believed.
func (v *verdict) compare(w window, weighed []*finding) {
	believed := w.believed(weighed)
	if believed == nil {
		return
	}
	base := believed.amount(w).Cost
	for _, other := range weighed {
		amount := other.amount(w)
		if other == believed || amount == nil {
			continue
		}
		if base > 0 {
			v.measure("spend.disagreement", amount.Cost.USD()/base.USD()-1, "", map[string]string{"source": other.name, "window": w.name})
		}
		if far := math.Abs((amount.Cost - base).USD()); v.params.Disagreement > 0 && far > v.params.Disagreement*base.USD() {
			v.complain(checks.BlameConfig, fmt.Sprintf("%s says %s %s and %s %s", believed.name, base, w.words(), other.name, amount.Cost))
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
		if i < mostTokens && t.N > 0 { // none may be that nobody wrote how many
			out = append(out, checks.Measurement{Name: "spend.tokens", Value: float64(t.N), Unit: "{token}", Attrs: attrs(t)})
		}
	}
	if sums[source.Input] > 0 && sums[source.Cached] > 0 {
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
