package prometheus

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
)

const (
	maxLine  = 300 // bytes of a summary and of a step's detail
	maxValue = 128 // bytes of an attribute's value
)

// finding is what became of one query.
type finding struct {
	query        Query
	unasked      bool // the server could not be reached by another
	exchange     *fetch.Answer
	age          age
	problems     []promql.Problem
	notes        []checks.Step // what is worth knowing and not wrong
	series       int
	measurements []checks.Measurement
}

func (f *finding) add(p *promql.Problem) {
	if p != nil {
		f.problems = append(f.problems, *p)
	}
}

// lost reports whether the server could not even be reached.
func (f *finding) lost() bool {
	return f.exchange != nil && f.exchange.Cause != checks.CauseNone && f.exchange.Status == 0 && f.exchange.Cause != checks.CauseTimeout
}

// worst is the problem that decides, nil where all is well.
func (f *finding) worst() *promql.Problem {
	for _, status := range []checks.Status{checks.Error, checks.Failed, checks.Unknown, checks.Degraded} {
		for i := range f.problems {
			if f.problems[i].Status == status {
				return &f.problems[i]
			}
		}
	}
	return nil
}

// series is one number that goes out.
type series struct {
	key    string // what sorts it
	labels map[string]string
	attrs  map[string]string
	value  float64
}

// weigh makes measurements of an answer, and problems of what is wrong with it.
func (f *finding) weigh(got promql.Answer, partial Policy) {
	f.series = len(got.Samples)
	f.measure("probe.prometheus.series", float64(f.series), "", nil)
	if f.age.known {
		f.measure("probe.prometheus.sample_age", f.age.oldest.Seconds(), "s", nil)
	}
	if len(got.Infos) > 0 {
		f.notes = append(f.notes, checks.Step{Name: "infos", OK: true, Detail: f.line(f.exchange.Line(got.Infos[0]))})
	}
	withheld := f.partial(got.Warnings, partial)
	if len(got.Samples) == 0 {
		f.miss(checks.CauseEmptyContent, "series", "no series, which is not zero")
		return
	}
	if f.stale() || withheld {
		return
	}
	for _, s := range f.finite(f.tell(got.Samples)) {
		f.measure(f.query.measurement(), s.value, f.query.Unit, s.attrs)
		f.bound(s)
	}
}

func (f *finding) measure(name string, value float64, unit string, attrs map[string]string) {
	if strings.HasPrefix(name, "probe.") {
		attrs = map[string]string{"query": f.query.Name}
	}
	f.measurements = append(f.measurements, checks.Measurement{Name: name, Value: value, Unit: unit, Attrs: attrs})
}

// miss is that there is no number, by the query's own policy.
func (f *finding) miss(cause checks.Cause, step, text string) {
	p := promql.Problem{Status: checks.Unknown, Cause: cause, Blame: checks.BlameOurs, Step: step, Text: text}
	switch f.query.missing() { //nolint:exhaustive // the others are unknown
	case PolicyFail:
		p.Status = checks.Failed
	case PolicyIgnore:
		f.notes = append(f.notes, checks.Step{Name: step, OK: true, Detail: f.line("ignored: " + text)})
		return
	}
	f.add(&p)
}

// partial judges warnings, and reports whether the numbers are to be withheld.
func (f *finding) partial(warnings []string, policy Policy) bool {
	if len(warnings) == 0 {
		return false
	}
	text := fmt.Sprintf("%s: %s", plural(len(warnings), "warning"), f.exchange.Line(warnings[0]))
	p := promql.Problem{Status: checks.Unknown, Cause: checks.CauseAssertion, Blame: checks.BlameOurs, Step: "warnings", Text: "perhaps partial, " + text}
	switch policy { //nolint:exhaustive // the others are unknown
	case PolicyDegraded:
		p.Status = checks.Degraded
	case PolicyIgnore:
		f.notes = append(f.notes, checks.Step{Name: "warnings", OK: true, Detail: f.line("ignored: " + text)})
		return false
	}
	f.add(&p)
	return policy != PolicyDegraded
}

// stale judges the age, and reports whether the numbers are too old to be told. An age that was asked for and cannot be
// told is a problem of its own.
func (f *finding) stale() bool {
	limit := f.query.MaxAge
	switch {
	case limit == 0 && !f.age.known:
		f.notes = append(f.notes, checks.Step{Name: "age", OK: f.age.trouble == nil, Detail: f.line("age of the samples not known: " + f.age.why)})
		return false
	case limit == 0:
		return false
	case !f.age.known:
		p := promql.Problem{Status: checks.Unknown, Cause: checks.CauseEmptyContent, Blame: checks.BlameOurs, Step: "age"}
		if f.age.trouble != nil {
			p.Cause, p.Blame = f.age.trouble.Cause, f.age.trouble.Blame
		}
		p.Text = "age of the samples not known: " + f.age.why
		f.add(&p)
		return true
	case f.age.oldest > limit:
		f.miss(checks.CauseAssertion, "age", fmt.Sprintf("the oldest sample is %s old, want at most %s", short(f.age.oldest), limit))
		return true
	case f.age.behind < -limit:
		f.miss(checks.CauseAssertion, "age", fmt.Sprintf("evaluated %s in the future by this host's clock: clocks that differ, so no age can be told", short(-f.age.behind)))
		return true
	case f.age.behind > limit:
		f.miss(checks.CauseAssertion, "age", fmt.Sprintf("evaluated %s ago by this host's clock, want at most %s: a cached answer, or clocks that differ", short(f.age.behind), limit))
		return true
	}
	return false
}

// tell gives every sample its attributes, in the order of its labels, and at most as many as the query allows. Samples that
// the attributes do not tell apart are none: nobody could say which is meant.
func (f *finding) tell(samples []promql.Sample) []series {
	all := make([]series, 0, len(samples))
	for _, s := range samples {
		all = append(all, series{key: f.key(s.Labels), labels: s.Labels, value: s.Value})
	}
	if f.twins(all, len(samples)) {
		return nil
	}
	if most := f.query.mostSeries(); len(all) > most {
		f.add(&promql.Problem{
			Status: checks.Degraded, Cause: checks.CauseResponseTooLarge, Blame: checks.BlameConfig, Step: "series",
			Text: fmt.Sprintf("%d series, want at most %d: the first by their labels are kept", len(all), most),
		})
		all = all[:most]
	}
	for i := range all { // only what is kept: cleaning is dear
		f.dress(&all[i])
	}
	if f.twins(all, len(samples)) { // labels that are cut, or made fit, may have become the same
		return nil
	}
	return all
}

// key is what sorts samples: the values of the labels that are kept.
func (f *finding) key(labels map[string]string) string {
	values := make([]string, 0, len(f.query.By))
	for _, label := range f.query.By {
		values = append(values, labels[label])
	}
	return strings.Join(values, "\x00")
}

// twins sorts all and reports whether two of them have the same key, which is a problem.
func (f *finding) twins(all []series, of int) bool {
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(a.key, b.key) })
	for i := 1; i < len(all); i++ {
		if all[i].key != all[i-1].key {
			continue
		}
		text := fmt.Sprintf("%d series, want one: aggregate in the query, or keep labels with by", of)
		if len(f.query.By) > 0 {
			f.dress(&all[i])
			text = fmt.Sprintf("several of %d series have the same labels (%s): aggregate in the query, or keep more with by", of, all[i].shown())
		}
		f.add(promql.Unusable(text))
		return true
	}
	return false
}

// dress makes attributes of the labels that are kept, fit to go out, and the key of them.
func (f *finding) dress(s *series) {
	kept := make(map[string]string, len(f.query.By))
	s.attrs = map[string]string{}
	for _, label := range f.query.By {
		kept[label] = oneline.Of(f.exchange.Line(s.labels[label]), maxValue)
		if kept[label] != "" {
			s.attrs[attribute(label)] = kept[label]
		}
	}
	s.key = f.key(kept)
}

// shown is the series for a person.
func (s series) shown() string {
	parts := make([]string, 0, len(s.attrs))
	for _, key := range slices.Sorted(maps.Keys(s.attrs)) {
		parts = append(parts, key+"="+s.attrs[key])
	}
	if len(parts) == 0 {
		return "none"
	}
	return oneline.Of(strings.Join(parts, ", "), maxValue)
}

// finite leaves out what is no number.
func (f *finding) finite(all []series) []series {
	bad := func(s series) bool { return math.IsNaN(s.value) || math.IsInf(s.value, 0) }
	first := slices.IndexFunc(all, bad)
	if first < 0 {
		return all
	}
	what := strconv.FormatFloat(all[first].value, 'g', -1, 64)
	rest := slices.DeleteFunc(slices.Clone(all), bad)
	text := what + " is not a finite number"
	if n := len(all) - len(rest); n > 1 {
		text = fmt.Sprintf("%d of %d values are not finite numbers, the first is %s", n, len(all), what)
	}
	f.miss(checks.CauseAssertion, "value", text)
	return rest
}

// bound holds a value against the query's limits. Only the first beyond them is a problem.
func (f *finding) bound(s series) {
	if slices.ContainsFunc(f.problems, func(p promql.Problem) bool { return p.Step == "threshold" }) {
		return
	}
	var text string
	switch q := f.query; {
	case q.Above != nil && s.value > *q.Above:
		text = fmt.Sprintf("%s, want at most %s", f.number(s.value), f.number(*q.Above))
	case q.Below != nil && s.value < *q.Below:
		text = fmt.Sprintf("%s, want at least %s", f.number(s.value), f.number(*q.Below))
	default:
		return
	}
	if len(s.attrs) > 0 {
		text += " (" + s.shown() + ")"
	}
	f.add(&promql.Problem{Status: checks.Failed, Cause: checks.CauseAssertion, Blame: f.query.blame(), Step: "threshold", Text: text})
}

func (f *finding) number(v float64) string {
	return strings.TrimSpace(strconv.FormatFloat(v, 'g', 6, 64) + " " + f.query.Unit)
}

// line is a detail with the query's name before it.
func (f *finding) line(text string) string { return oneline.Of(f.query.Name+": "+text, maxLine) }

func short(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, strings.TrimSuffix(what, "s"))
}
