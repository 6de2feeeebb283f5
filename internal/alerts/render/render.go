// Package render writes alert rules for other systems: a rule file of Prometheus, monitors of Datadog, a dashboard of
// Grafana. Every function is pure, and the same rules give the same bytes. What a system cannot say is a Remark; nothing
// is left out without one.
package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// Input is what is rendered.
type Input struct {
	Rules     []alerts.Rule  // those that are not disabled, defaults included
	Checks    []alerts.Check // all that are configured
	Location  string         // of the agent; "" where it has none
	Heartbeat time.Duration  // between two heartbeats; 0 where there is none

	// Traffic is the question in PromQL whose answer is the measurement query.NAME, asked of the application's own metrics,
	// and false for a name that it does not know. The labels are those of the answer. nil knows none.
	Traffic func(name string) (promql string, labels []string, ok bool)
}

// Remark is what must be said of one rule beside what was written.
type Remark struct {
	Rule   string
	Reason string
	Lost   bool // the system cannot express it, or not all of it
}

// String is one line: "high-latency: Datadog has no p95 of a gauge".
func (r Remark) String() string { return r.Rule + ": " + r.Reason }

// inexpressible is why a rule cannot be written as it stands.
type inexpressible struct{ reason string }

func (e *inexpressible) Error() string { return e.reason }

func cannot(format string, args ...any) error {
	return &inexpressible{fmt.Sprintf(format, args...)}
}

// layers are the layers in the order of the output, then any other.
func layers(rules []alerts.Rule) []alerts.Layer {
	order := []alerts.Layer{alerts.LayerProbe, alerts.LayerTraffic, alerts.LayerAgent}
	for i := range rules {
		if l := rules[i].Layer; !slices.Contains(order, l) {
			order = append(order, l)
		}
	}
	return order
}

// ofLayer are the rules of a layer, by name.
func ofLayer(rules []alerts.Rule, layer alerts.Layer) []alerts.Rule {
	var out []alerts.Rule
	for i := range rules {
		if rules[i].Layer == layer {
			out = append(out, rules[i])
		}
	}
	slices.SortFunc(out, func(a, b alerts.Rule) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Inhibitions are the inhibit rules of an Alertmanager that do what rules say of each other: a worse severity of an alert
// stands for the lesser ones, and an alert silences those that it explains. "" where there are none.
func Inhibitions(rules []alerts.Rule) string {
	var out strings.Builder
	for _, layer := range layers(rules) {
		for _, r := range ofLayer(rules, layer) {
			for _, severity := range severities() {
				if _, ok := rises(&r, severity); ok {
					inhibition(&out, r.Name, []string{string(severity)}, []string{r.Name, strings.Join(below(severity), "|")}, append(slices.Clone(r.GroupBy), "location"))
				}
			}
			if i := r.Inhibits; i != nil && len(i.Rules) > 0 {
				own, asked := split(rules, i.Rules)
				inhibition(&out, r.Name, orWorse(i.Severity), own, i.Equal)
				inhibition(&out, r.Name, orWorse(i.Severity), asked, nil)
			}
		}
	}
	if out.Len() == 0 {
		return ""
	}
	return "inhibit_rules:\n" + out.String()
}

// split are the rules that have our labels, and those whose series are the application's, which have none of them.
func split(rules []alerts.Rule, names []string) (own, asked []string) {
	for _, name := range names {
		if slices.ContainsFunc(rules, func(r alerts.Rule) bool { return r.Name == name && r.Layer == alerts.LayerTraffic }) {
			asked = append(asked, name)
		} else {
			own = append(own, name)
		}
	}
	if len(own) > 0 {
		own = []string{strings.Join(own, "|")}
	}
	if len(asked) > 0 {
		asked = []string{strings.Join(asked, "|")}
	}
	return own, asked
}

// inhibition is one rule; target is the names of the alerts and, where it is of some only, their severities.
func inhibition(out *strings.Builder, name string, severity, target, equal []string) {
	if len(target) == 0 {
		return
	}
	fmt.Fprintf(out, "  - source_matchers: ['alertname=%q', 'severity=~%q']\n    target_matchers: ['alertname=~%q'", name, strings.Join(severity, "|"), target[0])
	if len(target) > 1 {
		fmt.Fprintf(out, ", 'severity=~%q'", target[1])
	}
	out.WriteString("]\n")
	if len(equal) > 0 {
		fmt.Fprintf(out, "    equal: [%s]\n", strings.Join(equal, ", "))
	}
}

func severities() []checks.Severity {
	return []checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4}
}

func below(s checks.Severity) []string {
	var out []string
	for _, other := range severities() {
		if other > s {
			out = append(out, string(other))
		}
	}
	return out
}

func orWorse(s checks.Severity) []string {
	var out []string
	for _, other := range severities() {
		if s == "" || other <= s {
			out = append(out, string(other))
		}
	}
	return out
}
