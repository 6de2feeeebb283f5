package wire

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// StatusToProto is the status on the wire.
func StatusToProto(s checks.Status) pluginv1.Status {
	switch s {
	case checks.Unknown:
		return pluginv1.Status_STATUS_UNKNOWN
	case checks.OK:
		return pluginv1.Status_STATUS_OK
	case checks.Degraded:
		return pluginv1.Status_STATUS_DEGRADED
	case checks.Failed:
		return pluginv1.Status_STATUS_FAILED
	case checks.Error:
		return pluginv1.Status_STATUS_ERROR
	case checks.Skipped:
		return pluginv1.Status_STATUS_SKIPPED
	}
	return pluginv1.Status_STATUS_UNSPECIFIED
}

// StatusFromProto reads a status; Unknown for one that this version does not know.
func StatusFromProto(s pluginv1.Status) checks.Status {
	switch s {
	case pluginv1.Status_STATUS_OK:
		return checks.OK
	case pluginv1.Status_STATUS_DEGRADED:
		return checks.Degraded
	case pluginv1.Status_STATUS_FAILED:
		return checks.Failed
	case pluginv1.Status_STATUS_ERROR:
		return checks.Error
	case pluginv1.Status_STATUS_SKIPPED:
		return checks.Skipped
	case pluginv1.Status_STATUS_UNSPECIFIED, pluginv1.Status_STATUS_UNKNOWN:
		return checks.Unknown
	}
	return checks.Unknown
}

// ResultToProto is the result on the wire. Measurements that are not finite are left out, as the JSON form of records does.
func ResultToProto(r checks.Result) *pluginv1.Result {
	out := new(pluginv1.Result)
	putResult(out, &r)
	return out
}

func putResult(out *pluginv1.Result, r *checks.Result) {
	out.Status = StatusToProto(r.Status)
	out.Cause, out.Blame, out.Summary = valid(string(r.Cause)), valid(string(r.Blame)), valid(r.Summary)
	out.Measurements = MeasurementsToProto(r.Measurements)
	out.Phases, out.Steps, out.Facts = putPhases(r.Phases), putSteps(r.Evidence), validMap(r.Facts)
	if u := r.Usage; u != nil {
		out.Usage = &pluginv1.Usage{
			Model: valid(u.Model), PromptTokens: u.PromptTokens, CachedTokens: u.CachedTokens, CompletionTokens: u.CompletionTokens,
			CostPicoUsd: int64(u.Cost), PriceKnown: u.PriceKnown, PriceDate: valid(u.PriceDate), Estimated: u.Estimated,
		}
	}
}

// MeasurementsToProto leaves out what is not finite.
func MeasurementsToProto(all []checks.Measurement) []*pluginv1.Measurement {
	if len(all) == 0 {
		return nil
	}
	values := make([]pluginv1.Measurement, len(all))
	out := make([]*pluginv1.Measurement, 0, len(all))
	for i := range all {
		m, p := &all[i], &values[i]
		if !finite(m.Value) {
			continue
		}
		p.Name, p.Value, p.Unit, p.Attributes = valid(m.Name), m.Value, valid(m.Unit), validMap(m.Attrs)
		out = append(out, p)
	}
	return out
}

func putPhases(all []checks.Phase) []*pluginv1.Phase {
	if len(all) == 0 {
		return nil
	}
	type phase struct {
		phase pluginv1.Phase
		took  durationpb.Duration
	}
	values, out := make([]phase, len(all)), make([]*pluginv1.Phase, len(all))
	for i := range all {
		p := &values[i]
		p.phase.Name, p.phase.Took = valid(string(all[i].Name)), putDuration(&p.took, all[i].Took)
		out[i] = &p.phase
	}
	return out
}

func putSteps(all []checks.Step) []*pluginv1.Step {
	if len(all) == 0 {
		return nil
	}
	values, out := make([]pluginv1.Step, len(all)), make([]*pluginv1.Step, len(all))
	for i := range all {
		p := &values[i]
		p.Name, p.Ok, p.Detail = valid(all[i].Name), all[i].OK, valid(all[i].Detail)
		out[i] = p
	}
	return out
}

// ResultFromProto reads what a plugin says of a run, as strictly as a host must: an error, which wraps ErrAnswer, where it
// contradicts itself or breaks a bound. Texts for people are cut instead, for a long one is no reason to lose a verdict, and
// names that this version does not know are read as the protocol says. It does not know what the manifest announces.
func ResultFromProto(p *pluginv1.Result) (checks.Result, error) {
	if p == nil {
		return checks.Result{}, fmt.Errorf("%w: there is no result", ErrAnswer)
	}
	r, err := readResult(p)
	if err != nil {
		return checks.Result{}, err
	}
	if r.Summary = Line(r.Summary); r.Summary == "" {
		r.Summary = "no summary"
	}
	for i := range r.Evidence {
		r.Evidence[i].Detail = Line(r.Evidence[i].Detail)
	}
	if err := cmp.Or(verdict(&r), bounds(&r)); err != nil {
		return checks.Result{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if len(r.Facts) == 0 { // none, or none that said anything
		r.Facts = nil
	}
	return r, nil
}

// readResult only translates.
func readResult(p *pluginv1.Result) (checks.Result, error) {
	r := checks.Result{
		Status: StatusFromProto(p.GetStatus()), Cause: checks.Cause(p.GetCause()), Blame: checks.Blame(p.GetBlame()),
		Summary: p.GetSummary(), Measurements: MeasurementsFromProto(p.GetMeasurements()), Facts: p.GetFacts(),
	}
	if all := p.GetPhases(); len(all) > 0 {
		r.Phases = make([]checks.Phase, len(all))
		for i, phase := range all {
			took, err := DurationFromProto("a phase's time", phase.GetTook())
			if err != nil {
				return checks.Result{}, err
			}
			r.Phases[i] = checks.Phase{Name: checks.PhaseName(phase.GetName()), Took: took}
		}
	}
	if all := p.GetSteps(); len(all) > 0 {
		r.Evidence = make([]checks.Step, len(all))
		for i, step := range all {
			r.Evidence[i] = checks.Step{Name: step.GetName(), OK: step.GetOk(), Detail: step.GetDetail()}
		}
	}
	if u := p.GetUsage(); u != nil {
		r.Usage = &checks.Usage{
			Model: u.GetModel(), PromptTokens: u.GetPromptTokens(), CachedTokens: u.GetCachedTokens(), CompletionTokens: u.GetCompletionTokens(),
			Cost: checks.PicoUSD(u.GetCostPicoUsd()), PriceKnown: u.GetPriceKnown(), PriceDate: u.GetPriceDate(), Estimated: u.GetEstimated(),
		}
	}
	return r, nil
}

// MeasurementsFromProto only translates.
func MeasurementsFromProto(all []*pluginv1.Measurement) []checks.Measurement {
	if len(all) == 0 {
		return nil
	}
	out := make([]checks.Measurement, len(all))
	for i, m := range all {
		out[i] = checks.Measurement{Name: m.GetName(), Value: m.GetValue(), Unit: m.GetUnit(), Attrs: m.GetAttributes()}
	}
	return out
}

// verdict reads the cause and the blame as the protocol says, and refuses what does not go together.
func verdict(r *checks.Result) error {
	if r.Status == checks.OK {
		if r.Cause != checks.CauseNone || r.Blame != checks.BlameNone {
			return fmt.Errorf("status ok has cause %q and blame %q, want none", Line(string(r.Cause)), Line(string(r.Blame)))
		}
		return nil
	}
	row, known := r.Cause.Info()
	if !known {
		if r.Status == checks.Skipped {
			r.Status = checks.Unknown // why, nobody can tell
		}
		if r.Cause = checks.CauseAssertion; r.Status == checks.Error {
			r.Cause = checks.CauseInternal
		}
		row, _ = r.Cause.Info()
	}
	if (row.Blame == checks.BlameSkipped) != (r.Status == checks.Skipped) {
		return fmt.Errorf("status %s does not go with cause %q", r.Status, r.Cause)
	}
	if !blamed(r.Blame) || r.Blame == checks.BlameSkipped {
		r.Blame = checks.BlameNone
	}
	return nil
}

func blamed(b checks.Blame) bool {
	switch b {
	case checks.BlameNone, checks.BlameOurs, checks.BlameNetwork, checks.BlameLocal, checks.BlameAccount, checks.BlameProvider,
		checks.BlameApplication, checks.BlameConfig, checks.BlameSkipped:
		return true
	}
	return false
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// bounds refuses what is too much, and cuts facts.
func bounds(r *checks.Result) error {
	for _, count := range []struct {
		what    string
		n, most int
	}{
		{"measurements", len(r.Measurements), MaxMeasurements},
		{"phases", len(r.Phases), MaxPhases},
		{"steps", len(r.Evidence), MaxSteps},
		{"facts", len(r.Facts), MaxFacts},
	} {
		if count.n > count.most {
			return fmt.Errorf("%d %s, want at most %d", count.n, count.what, count.most)
		}
	}
	return cmp.Or(validMeasurements(r.Measurements), validPhases(r.Phases), validSteps(r.Evidence), validFacts(r.Facts), validUsage(r.Usage))
}

func validMeasurements(all []checks.Measurement) error {
	for i := range all {
		if err := validMeasurement(&all[i]); err != nil {
			return err
		}
	}
	if len(all) < 2 {
		return nil
	}
	seen := make(map[string]bool, len(all))
	for i := range all {
		series := seriesOf(&all[i])
		if seen[series] {
			return fmt.Errorf("measurement %q is there twice with the same attributes", all[i].Name)
		}
		seen[series] = true
	}
	return nil
}

// seriesOf is the name with its attributes, different for different ones.
func seriesOf(m *checks.Measurement) string {
	if len(m.Attrs) == 0 {
		return m.Name
	}
	keys := make([]string, 0, MaxAttrs)
	for key := range m.Attrs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := make([]byte, 0, 256)
	out = append(out, m.Name...)
	for _, key := range keys {
		out = append(out, ' ')
		out = append(out, key...)
		out = strconv.AppendQuote(out, m.Attrs[key])
	}
	return string(out)
}

func validMeasurement(m *checks.Measurement) error {
	switch {
	case !name(m.Name):
		return fmt.Errorf("measurement %q, want a lower-case dotted name of at most %d bytes", Line(m.Name), MaxName)
	case !finite(m.Value):
		return fmt.Errorf("measurement %q is %v, want a finite number", m.Name, m.Value)
	case len(m.Unit) > MaxUnit || !clean(m.Unit):
		return fmt.Errorf("measurement %q has unit %q, want UCUM of at most %d bytes", m.Name, Line(m.Unit), MaxUnit)
	case len(m.Attrs) > MaxAttrs:
		return fmt.Errorf("measurement %q has %d attributes, want at most %d", m.Name, len(m.Attrs), MaxAttrs)
	}
	for key, value := range m.Attrs {
		if !name(key) || !bounded(value) {
			return fmt.Errorf("measurement %q has attribute %q: %q, want a lower-case name and a value of 1 to %d bytes", m.Name, Line(key), Line(value), MaxName)
		}
	}
	return nil
}

// name reports whether text is a lower-case dotted name.
func name(text string) bool {
	if text == "" || len(text) > MaxName || text[0] < 'a' || text[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.'
	})
}

func bounded(text string) bool { return text != "" && len(text) <= MaxName && clean(text) }

func validPhases(all []checks.Phase) error {
	for i, p := range all {
		same := func(other checks.Phase) bool { return other.Name == p.Name }
		if !bounded(string(p.Name)) || slices.ContainsFunc(all[:i], same) {
			return fmt.Errorf("phase %q, want names of 1 to %d bytes, each once", Line(string(p.Name)), MaxName)
		}
	}
	return nil
}

func validSteps(all []checks.Step) error {
	for _, s := range all {
		if !bounded(s.Name) {
			return fmt.Errorf("step %q, want a name of 1 to %d bytes", Line(s.Name), MaxName)
		}
	}
	return nil
}

func validFacts(all map[string]string) error {
	for key, value := range all {
		if !bounded(key) {
			return fmt.Errorf("fact %q, want a name of 1 to %d bytes", Line(key), MaxName)
		}
		switch short := line(value, MaxFact); short {
		case "":
			delete(all, key)
		case value:
		default:
			all[key] = short
		}
	}
	return nil
}

func validUsage(u *checks.Usage) error {
	if u == nil {
		return nil
	}
	if u.PromptTokens < 0 || u.CachedTokens < 0 || u.CompletionTokens < 0 || u.Cost < 0 || u.CachedTokens > u.PromptTokens {
		return fmt.Errorf("usage of %d, %d and %d tokens for %d pico-dollar, want nothing negative and cached tokens within the prompt's",
			u.PromptTokens, u.CachedTokens, u.CompletionTokens, int64(u.Cost))
	}
	if !bounded(u.Model) || len(u.PriceDate) > MaxName || !clean(u.PriceDate) {
		return fmt.Errorf("usage of model %q, want a name of 1 to %d bytes", Line(u.Model), MaxName)
	}
	return nil
}
