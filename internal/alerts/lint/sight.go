package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// sight is one comparison that is looked at.
type sight struct {
	*view
	*alerts.Condition

	path    string
	known   exporters.Metric
	listed  bool            // the catalogue has the metric
	from    []*alerts.Check // that are selected and measure it, or may
	zero    bool            // what is counted is never selected: a counter is always 0
	unpaced bool            // it is for runs beside the schedule only
	count   int             // of samples that a window can hold; 0: no bound
	out     reach
}

// leaf finds when a comparison can hold.
func (v *view) leaf(c *alerts.Condition, path string) reach {
	s := &sight{view: v, Condition: c, path: path}
	s.known, s.listed = exporters.Lookup(c.Metric)
	for _, can := range []func() bool{s.measured, s.selected, s.worded, s.sampled, s.valued} {
		if !can() {
			return s.out
		}
	}
	s.grouped()
	s.paced()
	s.units()
	return s.out
}

// never notes why the comparison can never hold.
func (s *sight) never(f fault) bool {
	f.field = s.path + "." + f.field
	s.out.faults = append(s.out.faults, f)
	if s.out.no == nil {
		s.out.no = &f
	}
	return false
}

// strange notes what is odd about it.
func (s *sight) strange(kind Kind, field, text, hint string) {
	s.out.odd = append(s.out.odd, fault{kind: kind, field: s.path + "." + field, text: text, hint: hint})
}

func (s *sight) aggregate() alerts.Aggregate {
	if s.Aggregate == "" {
		return alerts.Last
	}
	return s.Aggregate
}

func (s *sight) counts() bool { return s.known.Kind == exporters.Counter }

// measured reports whether somebody may measure the metric at all.
func (s *sight) measured() bool {
	if s.known.Self {
		why, absent := s.Absent[s.Metric]
		if absent {
			return s.never(fault{kind: Nobody, field: "metric", text: "the agent does not measure " + s.Metric + " here: " + why})
		}
		return true
	}
	if s.anyCheck(func(c *alerts.Check) bool { return c.Emits(s.Metric) }) {
		return true
	}
	hint := near(s.Metric, s.names)
	switch {
	case s.listed:
		hint = whoMeasures(s.Metric)
	case hint == "" && strings.HasPrefix(s.Metric, "query."):
		hint = "a check of the kind prometheus with a query of this name does, or with `preset: checklist`"
	case hint == "":
		hint = "docs/metrics.md lists them"
	}
	return s.never(fault{kind: Nobody, field: "metric", text: "no check measures " + quote(s.Metric), hint: hint, always: !s.listed})
}

// anyCheck reports whether something is true of any check.
func (l *linter) anyCheck(is func(*alerts.Check) bool) bool {
	for i := range l.Checks {
		if is(&l.Checks[i]) {
			return true
		}
	}
	return false
}

// measured are the names of the metrics that somebody may measure.
func (l *linter) measured() []string {
	var names []string
	for _, m := range exporters.Catalogue() {
		if !m.Page {
			names = append(names, m.Name)
		}
	}
	for i := range l.Checks {
		names = append(names, l.Checks[i].Metrics...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// whoMeasures is which kind of check measures a metric of the catalogue.
func whoMeasures(metric string) string {
	for _, row := range []struct{ prefix, text string }{
		{"probe.llm.time_to_first_token", "a check of the kind chat with `stream: true` does"},
		{"probe.llm.inter_chunk", "a check of the kind chat with `stream: true` does"},
		{"gen_ai.client.operation.time_to_first_chunk", "a check of the kind chat with `stream: true` does"},
		{"probe.llm.model.usable", "a check of the kind usable does"},
		{"probe.llm.model", "a check of the kind models does"},
		{"probe.llm.embedding.", "a check of the kind embeddings does"},
		{"probe.llm.cost.usd", "checks that cost money do, such as those of the kind chat"},
		{"probe.llm.price.known", "checks that cost money do, such as those of the kind chat"},
		{"probe.llm.", "a check that calls a model does, such as one of the kind chat"},
		{"gen_ai.", "a check that calls a model does, such as one of the kind chat"},
		{"spend.", "a check of the kind spend does"},
		{"probe.key.", "a check of the kind credentials does"},
		{"probe.app.chat.", "a check of the kind app with `chat:` does"},
		{"probe.app.", "a check of the kind app does"},
		{"probe.exec.", "a check of the kind exec does"},
		{"probe.prometheus.", "a check of the kind prometheus does"},
		{"probe.status_page.", "a check of the kind status_page does"},
		{"probe.http.", "a check that asks over HTTP does"},
		{"probe.", "a check of the kind egress does"},
	} {
		if strings.HasPrefix(metric, row.prefix) {
			return row.text
		}
	}
	return ""
}

// selected finds the checks whose samples are meant.
func (s *sight) selected() bool {
	if s.known.Self {
		return s.selfSelected()
	}
	var chosen []*alerts.Check
	static := s.static(s.Match)
	for i := range s.Checks {
		if matches(&s.Checks[i], static) {
			chosen = append(chosen, &s.Checks[i])
		}
	}
	if len(chosen) == 0 {
		return s.nobodyMatches()
	}
	for _, c := range chosen {
		if c.Emits(s.Metric) {
			s.from = append(s.from, c)
		}
	}
	s.strangers()
	if len(s.from) > 0 {
		return true
	}
	var who []string
	for i := range s.Checks {
		if s.Checks[i].Emits(s.Metric) {
			who = append(who, s.Checks[i].Name)
		}
	}
	return s.never(fault{
		kind: Nobody, field: "metric", text: fmt.Sprintf("no check that `match:` selects measures %s; those are %s", s.Metric, some(namesOf(chosen))),
		hint: some(who) + map[bool]string{true: " does", false: " do"}[len(who) == 1],
	})
}

// static are the matchers of what a check always is.
func (s *sight) static(match []alerts.Matcher) []alerts.Matcher {
	var out []alerts.Matcher
	for _, m := range match {
		if m.Attr != "trigger" && alerts.Constant(s.Metric, m.Attr) {
			out = append(out, m)
		}
	}
	return out
}

func matches(c *alerts.Check, static []alerts.Matcher) bool {
	for i := range static {
		if !static[i].Matches(c.Attr(static[i].Attr)) {
			return false
		}
	}
	return true
}

// nobodyMatches is the fault of a selection of no check, at the first matcher that alone selects none.
func (s *sight) nobodyMatches() bool {
	for i, m := range s.Match {
		static := s.static(s.Match[i : i+1])
		if len(static) == 0 || s.anyCheck(func(c *alerts.Check) bool { return matches(c, static) }) {
			continue
		}
		present := s.present(m.Attr)
		hint := "checks have none"
		if len(present) > 0 {
			hint = "checks have " + some(present)
		}
		if !m.Not && m.Regexp == nil && len(m.In) > 0 {
			hint = or(near(m.In[0], present), hint)
		}
		text := "no check has " + written(m)
		if m.Attr == "check" {
			text = "no check is called " + strings.TrimPrefix(written(m), "check: ")
		}
		return s.never(fault{kind: NoMatch, field: "match." + m.Attr, text: text, hint: hint})
	}
	return s.never(fault{kind: NoMatch, field: "match", text: "no check is selected: no one has all that `match:` says"})
}

// present are the values that an attribute of the checks has.
func (s *sight) present(attr string) []string {
	var all []string
	for i := range s.Checks {
		if value := s.Checks[i].Attr(attr); value != "" {
			all = append(all, value)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// written is a matcher as it is written.
func written(m alerts.Matcher) string {
	text := strings.Join(m.In, ", ")
	if m.Regexp != nil {
		text = "~" + m.Regexp.String()
	}
	if m.Not {
		text = "!" + text
	}
	return m.Attr + ": " + text
}

// strangers are names of checks and providers that are not there, beside others that are.
func (s *sight) strangers() {
	for _, m := range s.Match {
		if (m.Attr != "check" && m.Attr != "provider") || m.Regexp != nil {
			continue
		}
		present := s.present(m.Attr)
		for _, name := range m.In {
			if name != "" && !slices.Contains(present, name) {
				s.strange(NoMatch, "match."+m.Attr, "no "+m.Attr+" is called "+quote(name), or(near(name, present), "there is "+some(present)))
			}
		}
	}
}

// selfSelected reports whether samples of the agent's own can be selected: they have no check.
func (s *sight) selfSelected() bool {
	for _, m := range s.Match {
		if s.unbound(m.Attr) || m.Matches("") && m.Attr != "trigger" {
			continue
		}
		return s.never(fault{
			kind: NoMatch, field: "match." + m.Attr, text: fmt.Sprintf("%s is the agent's own, and has no %s", s.Metric, m.Attr),
			hint: or(map[bool]string{true: "it has " + some(s.known.Attrs)}[len(s.known.Attrs) > 0], "leave it out"),
		})
	}
	return true
}

// unbound reports whether a sample of the agent's own can have any value for an attribute.
func (s *sight) unbound(attr string) bool {
	return attr == "location" || s.Metric == alertState || slices.Contains(s.known.Attrs, attr)
}

const alertState = "windsock.alert.state"
