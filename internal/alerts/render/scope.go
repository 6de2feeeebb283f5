package render

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// scope is what the matchers of a condition select: among the metric's series by their labels, and among the configured
// checks by all that a series does not say.
type scope struct {
	metric exporters.Metric
	labels []selector      // of the series, in the order of the rule
	checks []alerts.Check  // that measure the metric and match
	narrow bool            // the labels alone would select more checks
	pinned map[string]bool // attributes of which one value is selected
	attrs  []string        // of the metric's series, sorted

	success string // what probe_success must be for a gauge to count: "0", "1", or "" for either
}

// selector is one condition on a label, in words that both PromQL and Datadog can be given.
type selector struct {
	attr   string
	values []string // any of these, or none where not
	regexp string   // in place of values
	not    bool
}

// newScope resolves the matchers of a condition over a metric of the catalogue.
func newScope(in *Input, m exporters.Metric, matchers []alerts.Matcher) (*scope, error) {
	s := &scope{metric: m, pinned: map[string]bool{}, attrs: attrsOf(m)}
	if !m.Self {
		s.checks = measuring(in.Checks, m.Name)
	}
	for _, by := range matchers {
		if err := s.match(by); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.checks, func(a, b alerts.Check) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// measuring are the checks that measure a metric: those that say so, else those of the kind that does, else all.
func measuring(all []alerts.Check, metric string) []alerts.Check {
	says := func(c alerts.Check) bool { return !slices.Contains(c.Metrics, metric) }
	if some := slices.DeleteFunc(slices.Clone(all), says); len(some) > 0 {
		return some
	}
	for _, of := range []struct{ prefix, kind string }{
		{"spend.", "spend"},
		{"probe.key.", "credentials"},
		{"probe.status_page.", "status_page"},
		{"probe.exec.", "exec"},
		{"probe.prometheus.", "prometheus"},
		{"probe.app.", "app"},
		{"probe.llm.embedding.", "embeddings"},
		{"probe.dns.", "egress"},
		{"query.", "prometheus"},
		{"probe.ssl.", "egress"},
		{"probe.egress.", "egress"},
		{"probe.llm.model.usable", "usable"},
		{"probe.llm.model.", "models"},
	} {
		if strings.HasPrefix(metric, of.prefix) {
			return slices.DeleteFunc(slices.Clone(all), func(c alerts.Check) bool { return c.Kind != of.kind })
		}
	}
	return slices.Clone(all)
}

// attrsOf are the attributes of a metric's series.
func attrsOf(m exporters.Metric) []string {
	attrs := []string{"location"}
	if !m.Self {
		attrs = exporters.CommonAttrs()
	}
	attrs = slices.Concat(attrs, m.Attrs)
	slices.Sort(attrs)
	return attrs
}

func (s *scope) match(by alerts.Matcher) error {
	if by.Attr == "cause" && s.metric.Name == "probe.failures" {
		return s.outcome(by)
	}
	if slices.Contains(s.attrs, by.Attr) {
		s.label(by.Attr, by)
		s.keep(by.Attr, by)
		return nil
	}
	if s.metric.Self {
		return cannot("%s has no attribute %s", s.metric.Name, by.Attr)
	}
	switch by.Attr {
	case "cause", "blame", "status":
		return s.outcome(by)
	case "trigger":
		return cannot("no series says what triggered a run")
	}
	s.keep(by.Attr, by)
	s.narrow = true
	return nil
}

// label selects by a label of the series.
func (s *scope) label(attr string, by alerts.Matcher) {
	sel := selector{attr: attr, not: by.Not}
	if by.Regexp != nil {
		sel.regexp = by.Regexp.String()
	} else {
		sel.values = slices.Clone(by.In)
		slices.Sort(sel.values)
	}
	if len(sel.values) == 1 && !sel.not {
		s.pinned[attr] = true
	}
	s.labels = append(s.labels, sel)
}

// keep leaves the checks that match. What is not an attribute of checks selects all.
func (s *scope) keep(attr string, by alerts.Matcher) {
	if slices.Contains(s.metric.Attrs, attr) {
		return
	}
	s.checks = slices.DeleteFunc(s.checks, func(c alerts.Check) bool { return !by.Matches(attrOf(&c, attr)) })
}

func attrOf(c *alerts.Check, attr string) string {
	switch attr {
	case "check":
		return c.Name
	case "kind":
		return c.Kind
	case "provider":
		return c.Provider
	case "location":
		return c.Location
	case "paid":
		return strconv.FormatBool(c.Paid)
	}
	return c.Labels[attr]
}

// outcome selects by what became of the run. A counter of failures or skips says that in its own label; a gauge cannot.
func (s *scope) outcome(by alerts.Matcher) error {
	own, status := "reason", ""
	switch s.metric.Name {
	case "probe.failures":
		own, status = "cause", checks.Failed.String()
	case "probe.skips":
	default:
		return s.ended(by)
	}
	if by.Attr == "status" {
		if status == "" || !by.Matches(status) {
			return cannot("the series of %s do not say with which status a run ended", s.metric.Name)
		}
		return nil
	}
	s.causes(own, func(row checks.CauseInfo) bool {
		if by.Attr == "cause" {
			return by.Matches(string(row.Cause))
		}
		return by.Matches(string(row.Blame))
	})
	if by.Attr == "cause" {
		return nil
	}
	if !by.Matches(string(checks.BlameApplication)) { // their failures are the application's, whatever the cause
		kinds := []string{"app", "exec", "prometheus", "spend"}
		s.keep("kind", alerts.Matcher{In: kinds, Not: true})
		s.labels = append(s.labels, selector{attr: "kind", values: kinds, not: true})
	}
	return nil
}

// causes selects those causes that every matcher takes. A failure is never one that was skipped.
func (s *scope) causes(attr string, takes func(checks.CauseInfo) bool) {
	at := slices.IndexFunc(s.labels, func(l selector) bool { return l.attr == attr && !l.not && l.regexp == "" })
	var values []string
	for _, row := range checks.Causes() {
		failure := row.Blame != checks.BlameSkipped || attr == "reason"
		if failure && takes(row) && (at < 0 || slices.Contains(s.labels[at].values, string(row.Cause))) {
			values = append(values, string(row.Cause))
		}
	}
	slices.Sort(values)
	if at >= 0 {
		s.labels[at].values = values
		return
	}
	s.labels = append(s.labels, selector{attr: attr, values: values})
}

// ended selects the values of a gauge by how the run ended, where probe_success can tell.
func (s *scope) ended(by alerts.Matcher) error {
	good, bad := by.Matches(checks.OK.String()), by.Matches(checks.Failed.String())
	if by.Attr != "status" || s.metric.Kind != exporters.Gauge || good != by.Matches(checks.Degraded.String()) || (!good && !bad) {
		return cannot("the series of %s do not say with which %s a run ended", s.metric.Name, by.Attr)
	}
	switch {
	case good && !bad:
		s.success = "1"
	case bad && !good:
		s.success = "0"
	}
	return nil
}

// class is the checks of one interval.
type class struct {
	interval time.Duration
	checks   []string // nil: the labels select exactly these
}

// classes are the checks of the scope by interval, the shortest first. Without any check there is one class of a minute,
// so that the rule is written all the same.
func (s *scope) classes() []class {
	by := map[time.Duration][]string{}
	for i := range s.checks {
		c := &s.checks[i]
		by[c.Interval] = append(by[c.Interval], c.Name)
	}
	if len(by) == 0 {
		return []class{{interval: time.Minute}}
	}
	var out []class
	for _, interval := range slices.Sorted(maps.Keys(by)) {
		names := by[interval]
		if len(by) == 1 && !s.narrow {
			names = nil
		}
		out = append(out, class{interval, names})
	}
	return out
}

// one is a single class of all checks, for what needs no interval.
func (s *scope) one() class {
	if !s.narrow {
		return class{}
	}
	return class{checks: s.names()}
}

func (s *scope) names() []string {
	names := make([]string, len(s.checks))
	for i := range s.checks {
		names[i] = s.checks[i].Name
	}
	return names
}

// implied are the attributes that follow from others: a check has one kind, provider and location.
func implied(attrs []string) []string {
	if slices.Contains(attrs, "check") {
		return append([]string{"kind", "provider", "location"}, attrs...)
	}
	return append([]string{"location"}, attrs...)
}

// dropped are the attributes that tell the series of one group apart.
func (s *scope) dropped(group []string) []string {
	keep := implied(group)
	return slices.DeleteFunc(slices.Clone(s.attrs), func(attr string) bool {
		return slices.Contains(keep, attr) || (s.pinned[attr] && s.metric.Kind == exporters.Gauge)
	})
}

// groupOf are the attributes by which there is one alert each.
func (s *scope) groupOf(r *alerts.Rule) []string {
	if r.GroupBy != nil {
		return r.GroupBy
	}
	if s.metric.Kind == exporters.Gauge && !s.metric.Self {
		return slices.Concat([]string{"check"}, s.metric.Attrs)
	}
	if s.metric.Self {
		return s.metric.Attrs
	}
	return []string{"check"}
}

// alternation is a regular expression that matches the values and nothing else.
func alternation(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(quoted, "|")
}
