package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

const (
	maxRules  = 10_000
	maxWindow = 31 * 24 * time.Hour
	maxText   = 1000 // characters of a summary, an impact or an action
)

// alerts reads the rules: those of the file, over the built-in ones.
func (b *builder) alerts() {
	given := b.file.Alerts.Rules
	if len(given) > maxRules {
		b.add(b.at("alerts.rules"), "", "%d rules, want at most %d", len(given), maxRules)
		return
	}
	var builtin []alerts.Rule
	if b.file.Alerts.Defaults {
		builtin = alerts.Builtin()
	}
	known := make(map[string]int, len(builtin))
	for i := range builtin {
		known[builtin[i].Name] = i
	}
	var own []alerts.Rule
	disabled := map[string]bool{}
	names := map[string]int{}
	for i := range given {
		path := fmt.Sprintf("alerts.rules.%d", i)
		r := &given[i]
		b.unique(path, r.Name, names)
		disabled[r.Name] = r.Disable
		if at, ok := known[r.Name]; ok {
			b.overlay(path, r, &builtin[at])
			continue
		}
		own = append(own, b.ownRule(path, r, builtin))
	}
	for _, r := range slices.Concat(builtin, own) {
		if disabled[r.Name] {
			b.cfg.Alerts.Disabled = append(b.cfg.Alerts.Disabled, r)
			continue
		}
		b.cfg.Alerts.Rules = append(b.cfg.Alerts.Rules, r)
	}
	b.inhibited(given, builtin)
	b.cfg.Alerts.Source = b.ruleSource(given)
}

// ownRule is a rule that the file makes.
func (b *builder) ownRule(path string, r *rule, builtin []alerts.Rule) alerts.Rule {
	out := alerts.Rule{Name: r.Name, Layer: alerts.LayerProbe}
	if r.When.node == nil {
		hint := ""
		for i := range builtin {
			if h := near(r.Name, []string{builtin[i].Name}); h != "" {
				hint = h
			}
		}
		b.add(b.at(path+".name"), hint, "the rule %s is no built-in one, so it must say `when:`", quote(r.Name))
		return out
	}
	if r.Severity == "" && !b.given(path, "severity") {
		b.add(b.at(path+".name"), "", "the rule %s is no built-in one, so it must say `severity:`, want one of P1, P2, P3, P4", quote(r.Name))
	}
	b.overlay(path, r, &out)
	out.Layer = layerOf(out.When)
	return out
}

// layerOf is what a condition looks at.
func layerOf(c alerts.Condition) alerts.Layer {
	for _, inner := range slices.Concat(c.All, c.Any) {
		if layer := layerOf(inner); layer != alerts.LayerProbe {
			return layer
		}
	}
	switch {
	case strings.HasPrefix(c.Metric, "query."):
		return alerts.LayerTraffic
	case strings.HasPrefix(c.Metric, "windsock."):
		return alerts.LayerAgent
	}
	return alerts.LayerProbe
}

// overlay replaces what the file gives.
func (b *builder) overlay(path string, r *rule, out *alerts.Rule) {
	if r.Severity != "" {
		out.Severity = checks.Severity(r.Severity)
	}
	if r.When.node != nil {
		out.When = b.condition(r.When.node)
	}
	b.threshold(path, r, out)
	replace(&out.For, r.For)
	replace(&out.KeepFiringFor, r.KeepFiringFor)
	for key, d := range map[string]*time.Duration{"for": r.For, "keep_firing_for": r.KeepFiringFor} {
		if d != nil && *d > maxWindow {
			b.add(b.at(path+"."+key), "", "found %s, want at most %s", short(*d), short(maxWindow))
		}
	}
	if r.AbsentAfter.node != nil {
		out.AbsentAfter = b.window(r.AbsentAfter.node, "intervals")
	}
	if replace(&out.GroupBy, r.GroupBy) {
		if out.GroupBy == nil {
			out.GroupBy = []string{}
		}
		b.attributes(path+".group_by", out.GroupBy)
	}
	if len(r.Labels) > 0 {
		b.labels(path+".labels", r.Labels)
		out.Labels = r.Labels
	}
	if replace(&out.Runbook, r.Runbook) {
		out.Runbook = b.runbook(path+".runbook", out.Runbook)
	}
	for key, text := range map[string]struct {
		given *string
		into  *string
	}{"summary": {r.Summary, &out.Summary}, "impact": {r.Impact, &out.Impact}, "action": {r.Action, &out.Action}} {
		if replace(text.into, text.given) {
			b.text(path+"."+key, *text.into)
		}
	}
	b.relations(path, r, out)
}

// relations are what a rule says of other severities and other rules.
func (b *builder) relations(path string, r *rule, out *alerts.Rule) {
	if r.Escalate != nil {
		out.Escalations = nil
		for i, e := range *r.Escalate {
			at := fmt.Sprintf("%s.escalate.%d", path, i)
			if e.Severity >= string(out.Severity) && e.Severity != "" && out.Severity != "" {
				b.add(b.at(at+".severity"), "", "%s is not worse than the rule's own %s", e.Severity, out.Severity)
			}
			if e.When.node != nil {
				out.Escalations = append(out.Escalations, alerts.Escalation{Severity: checks.Severity(e.Severity), When: b.condition(e.When.node)})
			}
		}
	}
	if in := r.Inhibits; in != nil {
		out.Inhibits = &alerts.Inhibition{Rules: in.Rules, Equal: in.Equal, Severity: checks.Severity(in.Severity)}
		b.attributes(path+".inhibits.equal", in.Equal)
	}
}

func replace[T any](into, given *T) bool {
	if given == nil {
		return false
	}
	*into = *given
	return true
}

// threshold changes the number of a rule with one condition.
func (b *builder) threshold(path string, r *rule, out *alerts.Rule) {
	key, given := b.compared(r.Above, r.Below, r.Equals)
	if key == "" {
		return
	}
	at := b.keyAt(path, string(key))
	switch {
	case r.When.node != nil:
		b.add(at, "put it into `when:`", "the rule has a `when:` of its own, which holds the threshold")
	case out.When.Metric == "":
		b.add(at, "give `when:`", "the rule %s has several conditions, so there is no one threshold", quote(r.Name))
	default:
		out.When.Op, out.When.Threshold = key, b.amount(given.node, &out.When)
	}
}

// text tries a text of a rule.
func (b *builder) text(path, text string) {
	if len(text) > maxText {
		b.add(b.at(path), "", "want at most %d characters", maxText)
		return
	}
	if _, err := alerts.Text(text); err != nil {
		b.add(b.at(path), "want such as {{seconds .Value}} or {{.Labels.check}}", "the template cannot be used: %s", templateFault(err))
	}
}

// templateFault is what the library says without the words that it says before.
func templateFault(err error) string {
	text := err.Error()
	for _, noise := range []string{"reading the text: ", "trying the text: ", "template: ", "executing \"text\" at "} {
		text = strings.Replace(text, noise, "", 1)
	}
	text = regexp.MustCompile(`^text:1:(\d+:)? ?`).ReplaceAllString(text, "")
	return strings.Replace(text, "type alerts.Facts", "an alert", 1)
}

// runbook is the name of a text or a URL.
func (b *builder) runbook(path, text string) string {
	if page, ok := runbook.ForRule(text); ok {
		return string(page)
	}
	if text == "" || isName(text) || regexp.MustCompile(`^https?://[^\s/?#]+`).MatchString(text) && !strings.ContainsAny(text, " \t\n") {
		return text
	}
	b.add(b.at(path), "", "found %s, want the name of a page of the runbook, such as auth-failure, or a URL", quote(text))
	return text
}

// attributes are names that may stand in a list of them.
func (b *builder) attributes(path string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s.%d", path, i)
		if !isAttribute(name) {
			b.add(b.at(at), "", "found the attribute %s, want letters, digits, _, . and -, beginning with a letter", quote(name))
		}
		if slices.Index(names, name) < i {
			b.add(b.at(at), "", "the attribute %s is there twice", quote(name))
		}
	}
}

func isAttribute(name string) bool {
	return regexp.MustCompile(attributePattern).MatchString(name)
}

// inhibited checks the names of rules that rules explain.
func (b *builder) inhibited(given []rule, builtin []alerts.Rule) {
	var names []string
	known := map[string]bool{}
	learn := func(name string) {
		if !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	for i := range given {
		learn(given[i].Name)
	}
	for i := range builtin {
		learn(builtin[i].Name)
	}
	for i := range given {
		if given[i].Inhibits == nil {
			continue
		}
		for j, name := range given[i].Inhibits.Rules {
			at := fmt.Sprintf("alerts.rules.%d.inhibits.rules.%d", i, j)
			switch {
			case name == given[i].Name:
				b.add(b.at(at), "", "a rule cannot explain itself")
			case !known[name]:
				b.add(b.at(at), near(name, names), "no rule %s", quote(name))
			}
		}
	}
}
