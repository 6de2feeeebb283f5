package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// worded looks at the words of matchers whose values are known, and whether any of them can be.
func (s *sight) worded() bool {
	for _, m := range s.Match {
		words := s.words(m.Attr)
		if len(words) == 0 {
			continue
		}
		if word, ok := strange(m, words); ok {
			text := fmt.Sprintf("no %s is called %s", m.Attr, quote(word))
			return s.never(fault{kind: NoMatch, field: "match." + m.Attr, text: text, hint: or(near(word, words), oneOf(words)), always: true})
		}
		possible := s.possible(m.Attr, words)
		if slices.ContainsFunc(possible, m.Matches) {
			continue
		}
		if s.counts() && m.Attr != "trigger" {
			s.zero = true // a run that counts nothing counts 0, whatever is selected
			continue
		}
		return s.never(s.unmatched(m, possible))
	}
	s.unpaced = slices.ContainsFunc(s.Match, func(m alerts.Matcher) bool {
		return m.Attr == "trigger" && !m.Matches(string(checks.TriggerSchedule))
	})
	return true
}

func (s *sight) unmatched(m alerts.Matcher, possible []string) fault {
	f := fault{kind: NoMatch, field: "match." + m.Attr, text: fmt.Sprintf("no sample of %s has %s", s.Metric, written(m))}
	if len(possible) > 0 {
		f.hint = oneOf(possible)
	}
	if s.byRuns() && slices.ContainsFunc(s.words(m.Attr), func(word string) bool { return m.Matches(word) && skipping(m.Attr, word) }) {
		f.hint = "slots that were skipped are no runs: give `window:` as a time"
	}
	return f
}

// strange is the first word of a matcher that is no word of its attribute.
func strange(m alerts.Matcher, words []string) (string, bool) {
	if m.Regexp != nil {
		return "", false
	}
	for _, word := range m.In {
		if word != "" && !slices.Contains(words, word) {
			return word, true
		}
	}
	return "", false
}

func oneOf(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "" })
	return "want one of " + strings.Join(words, ", ")
}

// byRuns reports whether the window counts runs.
func (s *sight) byRuns() bool { return s.Window.Time == 0 }

// words are all values that an attribute can have anywhere; nil where nobody knows.
func (s *sight) words(attr string) []string {
	switch {
	case s.known.Self:
		return nil
	case !s.listed && attr != "trigger": // a series may have a label of that name
		return nil
	}
	switch attr {
	case "status":
		words := []string{}
		for _, status := range checks.Statuses() {
			words = append(words, status.String())
		}
		if s.Metric == "probe.runs" {
			words = append(words, exporters.Unconfirmed)
		}
		return words
	case "cause":
		return s.causes("")
	case "blame":
		words := []string{""}
		for _, b := range checks.Blames() {
			words = append(words, string(b.Blame))
		}
		return words
	case "trigger":
		return triggers()
	case "reason":
		if s.Metric == "probe.skips" {
			return s.causes()
		}
	case "phase":
		if s.Metric == "probe.http.duration" {
			return []string{"resolve", "connect", "tls", "processing", "transfer"}
		}
	}
	return nil
}

// causes are the words of causes; counters say unknown where there is none.
func (s *sight) causes(more ...string) []string {
	words := more
	if s.Metric == "probe.failures" || s.Metric == "probe.skips" {
		words = []string{"unknown", ""}
	}
	for _, c := range checks.Causes() {
		words = append(words, string(c.Cause))
	}
	return words
}

func triggers() []string {
	var words []string
	for _, t := range []checks.Trigger{
		checks.TriggerSchedule, checks.TriggerStartup, checks.TriggerCatchUp, checks.TriggerManual, checks.TriggerGate, checks.TriggerDrill,
		checks.TriggerConfirm,
	} {
		words = append(words, string(t))
	}
	return words
}

// possible are those of the words that a sample of the metric can have.
func (s *sight) possible(attr string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		switch {
		case s.byRuns() && skipping(attr, word):
			return true
		case attr == "status" && word == exporters.Unconfirmed:
			return s.byRuns()
		case attr != "status":
			return false
		}
		switch s.Metric {
		case "probe.success", "probe.duration":
			return word != checks.OK.String() && word != checks.Degraded.String() && word != checks.Failed.String()
		case "probe.failures":
			return word != checks.Failed.String()
		}
		return false
	})
}

// skipping reports whether a word is of slots that were skipped. They are no runs.
func skipping(attr, word string) bool {
	switch attr {
	case "status":
		return word == checks.Skipped.String()
	case "reason", "cause":
		return checks.Cause(word).Blame() == checks.BlameSkipped
	case "blame":
		return word == string(checks.BlameSkipped)
	}
	return false
}
