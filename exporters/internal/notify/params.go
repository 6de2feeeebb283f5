package notify

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// Params are the keys of `with:` that all notifiers share. They stand inline in a kind's own params.
type Params struct {
	Match        map[string]Values `yaml:"match" jsonschema_description:"which alerts are told, by severity, rule, state, blame and labels, all of which must match: {severity: [P1, P2], team: platform, env: \"!dev\", check: \"~chat-.*\"}. A value is a text, a list of which one must match, !text for anything else, or ~expression over the whole value. Absent: all"`
	GroupBy      []string          `yaml:"group_by" jsonschema_description:"what is told in one message: alerts with the same incident, rule, severity, fingerprint or labels. Absent: [incident], and for an alert without an incident its rule and labels"`
	SendResolved bool              `yaml:"send_resolved" jsonschema_description:"tell the end of what was told"`
	Reminders    bool              `yaml:"reminders" jsonschema_description:"tell reminders, marked as such"`
}

// Defaults are the params of a file that says nothing.
func Defaults() Params { return Params{SendResolved: true, Reminders: true} }

// Values are what one attribute may be: a text or a list of texts.
type Values []string

// UnmarshalYAML reads a text as a list of one.
func (v *Values) UnmarshalYAML(decode func(any) error) error {
	var list []string
	err := decode(&list)
	if err == nil {
		*v = list
		return nil
	}
	var one string
	if decode(&one) != nil {
		return err
	}
	*v = Values{one}
	return nil
}

// Validate checks what the types do not.
func (p Params) Validate() error {
	_, err := newRoute(p.Match)
	errs := []error{err}
	for _, attr := range p.GroupBy {
		if strings.TrimSpace(attr) == "" {
			errs = append(errs, checks.Invalid("group_by", "an empty name, want incident, rule, severity, fingerprint or a label"))
		}
	}
	return errors.Join(errs...)
}

// route says which alerts are told.
type route []rule

type rule struct {
	attr string
	in   []pattern
}

type pattern struct {
	text   string
	regexp *regexp.Regexp
	not    bool
}

func newRoute(match map[string]Values) (route, error) {
	var (
		made route
		errs []error
	)
	for _, attr := range slices.Sorted(maps.Keys(match)) {
		if len(match[attr]) == 0 {
			errs = append(errs, checks.Invalid("match."+attr, "no value, nothing would be told"))
		}
		r := rule{attr: attr}
		for _, text := range match[attr] {
			p, err := newPattern(attr, text)
			errs = append(errs, err)
			r.in = append(r.in, p)
		}
		made = append(made, r)
	}
	return made, errors.Join(errs...)
}

func newPattern(attr, text string) (pattern, error) {
	p := pattern{text: text}
	p.text, p.not = strings.CutPrefix(text, "!")
	if expression, ok := strings.CutPrefix(p.text, "~"); ok {
		compiled, err := regexp.Compile("^(?:" + expression + ")$")
		if err != nil {
			return p, checks.Invalid("match."+attr, "%q is not a regular expression", expression)
		}
		p.regexp = compiled
		return p, nil
	}
	if attr == attrSeverity && !slices.Contains([]checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4}, checks.Severity(p.text)) {
		return p, checks.Invalid("match."+attr, "%q is not one of P1, P2, P3, P4", p.text)
	}
	return p, nil
}

func (p pattern) matches(value string) bool {
	if p.regexp != nil {
		return p.regexp.MatchString(value) != p.not
	}
	return (p.text == value) != p.not
}

// takes reports whether an alert is told. Of the values of one attribute one must match, and none that begins with ! may
// be against it.
func (r route) takes(a *checks.Alert) bool {
	for _, rule := range r {
		if !rule.takes(attribute(a, rule.attr)) {
			return false
		}
	}
	return true
}

func (r rule) takes(value string) bool {
	wanted, found := false, false
	for _, p := range r.in {
		switch {
		case p.not && !p.matches(value):
			return false
		case !p.not:
			wanted = true
			found = found || p.matches(value)
		}
	}
	return found || !wanted
}

// The attributes that are no labels.
const (
	attrIncident = "incident"
	attrSeverity = "severity"
)

func attribute(a *checks.Alert, name string) string {
	switch name {
	case attrSeverity:
		return string(a.Severity)
	case attrIncident:
		return a.Incident
	case "rule":
		return a.Rule
	case "fingerprint":
		return a.Fingerprint
	case "state":
		return string(a.State)
	case "blame":
		return string(a.Blame)
	}
	return a.Labels[name]
}

// group is what the alert is told together with.
func (p Params) group(a *checks.Alert) string {
	by := p.GroupBy
	if len(by) == 0 {
		by = []string{attrIncident}
	}
	if len(by) == 1 && by[0] == attrIncident && a.Incident == "" {
		by = append([]string{"rule"}, slices.Sorted(maps.Keys(a.Labels))...)
	}
	parts := make([]string, 0, len(by)+1)
	for _, name := range by {
		parts = append(parts, name+"="+attribute(a, name))
	}
	if drill := a.Drill(); drill != "" { // what is told of an outage must not be taken for part of a drill
		parts = append(parts, checks.LabelDrill+"="+drill)
	}
	return strings.Join(parts, ",")
}

// bySeverity orders the most severe first, and the oldest of those.
func bySeverity(a, b checks.Alert) int {
	return cmp.Or(cmp.Compare(a.Severity, b.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Fingerprint, b.Fingerprint))
}
