package checktest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// The bounds of a Result. What is beyond them costs every backend money, or a batch.
const (
	MaxSummary      = 300 // bytes of the summary and of a step's detail
	MaxMeasurements = 200
	MaxAttrs        = 10
	MaxName         = 128 // bytes of a measurement's name, an attribute's key or value, a fact's key
	MaxUnit         = 32
	MaxSteps        = 200
	MaxFacts        = 32
	MaxFact         = 512 // bytes of a fact's value
)

// Valid says what is wrong with r, all of it at once: the rules that every check obeys, whatever its target does.
func Valid(r checks.Result) error {
	return errors.Join(verdict(r), line("summary", r.Summary), measurements(r.Measurements), phases(r.Phases),
		evidence(r.Evidence), usage(r.Usage), facts(r.Facts))
}

func verdict(r checks.Result) error {
	var errs []error
	if !slices.Contains(checks.Statuses(), r.Status) {
		errs = append(errs, fmt.Errorf("status %d is not one of checks.Statuses", r.Status))
	}
	if r.Summary == "" {
		errs = append(errs, errors.New("the summary is empty"))
	}
	if r.Status == checks.OK {
		if r.Cause != checks.CauseNone || r.Blame != checks.BlameNone {
			errs = append(errs, fmt.Errorf("status ok has cause %q and blame %q, want none", r.Cause, r.Blame))
		}
		return errors.Join(errs...)
	}
	row, known := r.Cause.Info()
	if !known {
		errs = append(errs, fmt.Errorf("status %s has cause %q, want exactly one of checks.Causes", r.Status, r.Cause))
	}
	if known && (row.Blame == checks.BlameSkipped) != (r.Status == checks.Skipped) {
		errs = append(errs, fmt.Errorf("status %s does not go with cause %q", r.Status, r.Cause))
	}
	named := func(row checks.BlameInfo) bool { return row.Blame == r.Blame }
	if r.Blame != checks.BlameNone && !slices.ContainsFunc(checks.Blames(), named) {
		errs = append(errs, fmt.Errorf("blame %q is not known", r.Blame))
	}
	return errors.Join(errs...)
}

func line(what, text string) error {
	switch {
	case len(text) > MaxSummary:
		return fmt.Errorf("%s has %d bytes, want at most %d", what, len(text), MaxSummary)
	case !clean(text):
		return fmt.Errorf("%s %q is not one line of printable UTF-8", what, text)
	}
	return nil
}

// clean reports whether text is valid UTF-8 without control characters: one invalid label loses a whole OTLP batch.
func clean(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func bounded(what, text string, most int) error {
	if text == "" || len(text) > most || !clean(text) {
		return fmt.Errorf("%s %q, want 1 to %d bytes of printable UTF-8", what, text, most)
	}
	return nil
}

func measurements(all []checks.Measurement) error {
	var errs []error
	if len(all) > MaxMeasurements {
		errs = append(errs, fmt.Errorf("%d measurements, want at most %d", len(all), MaxMeasurements))
	}
	seen := map[string]bool{}
	for _, m := range all {
		errs = append(errs, measurement(m))
		series := fmt.Sprint(m.Name, m.Attrs)
		if seen[series] {
			errs = append(errs, fmt.Errorf("measurement %s %v is there twice", m.Name, m.Attrs))
		}
		seen[series] = true
	}
	return errors.Join(errs...)
}

func measurement(m checks.Measurement) error {
	names := regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)
	what := "measurement " + m.Name
	var errs []error
	if !names.MatchString(m.Name) || len(m.Name) > MaxName {
		errs = append(errs, fmt.Errorf("measurement %q, want a lower-case dotted name of at most %d bytes", m.Name, MaxName))
	}
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		errs = append(errs, fmt.Errorf("%s is %v, want a finite number", what, m.Value))
	}
	if len(m.Unit) > MaxUnit || !clean(m.Unit) {
		errs = append(errs, fmt.Errorf("%s has unit %q", what, m.Unit))
	}
	if len(m.Attrs) > MaxAttrs {
		errs = append(errs, fmt.Errorf("%s has %d attributes, want at most %d", what, len(m.Attrs), MaxAttrs))
	}
	for key, value := range m.Attrs {
		if !names.MatchString(key) || len(key) > MaxName {
			errs = append(errs, fmt.Errorf("%s has attribute key %q", what, key))
		}
		errs = append(errs, bounded(what+" attribute "+key, value, MaxName))
	}
	return errors.Join(errs...)
}

func phases(all []checks.Phase) error {
	var errs []error
	seen := map[checks.PhaseName]bool{}
	for _, p := range all {
		errs = append(errs, bounded("phase", string(p.Name), MaxName))
		if p.Took < 0 {
			errs = append(errs, fmt.Errorf("phase %s took %v, want no less than zero", p.Name, p.Took))
		}
		if seen[p.Name] {
			errs = append(errs, fmt.Errorf("phase %s is there twice", p.Name))
		}
		seen[p.Name] = true
	}
	return errors.Join(errs...)
}

func evidence(all []checks.Step) error {
	var errs []error
	if len(all) > MaxSteps {
		errs = append(errs, fmt.Errorf("%d steps of evidence, want at most %d", len(all), MaxSteps))
	}
	for _, s := range all {
		errs = append(errs, bounded("step", s.Name, MaxName), line("step "+s.Name, s.Detail))
	}
	return errors.Join(errs...)
}

func usage(u *checks.Usage) error {
	if u == nil {
		return nil
	}
	if u.PromptTokens < 0 || u.CachedTokens < 0 || u.CompletionTokens < 0 || u.Cost < 0 || u.CachedTokens > u.PromptTokens {
		return fmt.Errorf("usage %+v, want nothing negative and cached tokens within the prompt's", *u)
	}
	return bounded("usage: model", u.Model, MaxName)
}

func facts(all map[string]string) error {
	var errs []error
	if len(all) > MaxFacts {
		errs = append(errs, fmt.Errorf("%d facts, want at most %d", len(all), MaxFacts))
	}
	for key, value := range all {
		errs = append(errs, bounded("fact", key, MaxName), bounded("fact "+key, value, MaxFact))
	}
	return errors.Join(errs...)
}
