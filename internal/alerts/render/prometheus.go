package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/prometheus"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

const (
	agentDown      = "windsock-down"
	heartbeatGone  = "windsock-heartbeat"
	downFor        = 5 * time.Minute
	heartbeats     = 3 // so many may be missed
	bridge         = time.Minute
	labelState     = "state"
	prometheusHead = `# Written by "windsock alerts render --format prometheus". Write it again when the configuration changes.
`
	inhibitHead = `#
# What an alert silences is the Alertmanager's to know. For its configuration:
#
`
)

// alerting is one alert of a rule file.
type alerting struct {
	name          string
	expr          string
	wait, keep    time.Duration
	labels, notes map[string]string
}

// Prometheus is a rule file (Prometheus 2.42 or later) with a group for each layer and one for the agent itself.
//
// A rule is one alert, and one more for each severity that it can rise to and for no data. A window of runs is a window
// of as many intervals of each check; checks with different intervals are joined by "or". What PromQL cannot say is
// written as an alert on the agent's own verdict, with a Remark.
func Prometheus(in Input) ([]byte, []Remark) {
	w := &ruleFile{in: &in}
	w.head()
	for _, layer := range layers(in.Rules) {
		var group []alerting
		for _, r := range ofLayer(in.Rules, layer) {
			group = append(group, w.rule(&r)...)
		}
		w.group(string(layer), group)
	}
	w.group("windsock", w.itself())
	return []byte(w.out.String()), w.remarks
}

type ruleFile struct {
	in      *Input
	out     strings.Builder
	remarks []Remark
}

func (w *ruleFile) head() {
	w.out.WriteString(prometheusHead)
	if text := Inhibitions(w.in.Rules); text != "" {
		w.out.WriteString(inhibitHead)
		for line := range strings.Lines(text) {
			w.out.WriteString("# " + line)
		}
	}
	w.out.WriteString("groups:\n")
}

func (w *ruleFile) remark(lost bool, rule, format string, args ...any) {
	w.remarks = append(w.remarks, Remark{rule, fmt.Sprintf(format, args...), lost})
}

// rule is the alerts that a rule becomes.
func (w *ruleFile) rule(r *alerts.Rule) []alerting {
	p := promql{w.in, r}
	base, err := p.condition(&r.When)
	if err != nil {
		w.remark(true, r.Name, "PromQL cannot say it (%v): written on the agent's own verdict", err)
		return []alerting{w.alert(r, r.Severity, fmt.Sprintf(ownState, strconv.Quote(r.Name)), true)}
	}
	if r.Inhibits != nil {
		w.remark(false, r.Name, "what it silences (%s) is for the Alertmanager: inhibit_rules stand as a comment in the file", strings.Join(r.Inhibits.Rules, ", "))
	}
	var group []alerting
	if !impossible(&r.When) {
		group = append(group, w.alert(r, r.Severity, base.text, false))
	}
	for _, severity := range severities() {
		if when, ok := rises(r, severity); ok {
			group = append(group, w.escalation(p, base, severity, when))
		}
	}
	if !r.AbsentAfter.IsZero() {
		group = append(group, w.noData(p)...)
	}
	return group
}

// rises is when a rule comes to a severity.
func rises(r *alerts.Rule, to checks.Severity) (*alerts.Condition, bool) {
	var when []alerts.Condition
	for i := range r.Escalations {
		if r.Escalations[i].Severity == to {
			when = append(when, r.Escalations[i].When)
		}
	}
	if len(when) == 0 {
		return nil, false
	}
	if len(when) == 1 {
		return &when[0], true
	}
	return &alerts.Condition{Any: when}, true
}

// impossible is the condition of a rule that is there for what is absent.
func impossible(c *alerts.Condition) bool {
	return c.Metric == "probe.success" && c.Op == alerts.Below && c.Threshold <= 0
}

func (w *ruleFile) escalation(p promql, base vector, severity checks.Severity, when *alerts.Condition) alerting {
	more, err := p.condition(when)
	if err != nil {
		w.remark(true, p.rule.Name, "PromQL cannot say when it rises to %s (%v): that is written on the agent's own verdict", severity, err)
		return w.alert(p.rule, severity, fmt.Sprintf(ownState, strconv.Quote(p.rule.Name)+", severity="+strconv.Quote(string(severity))), true)
	}
	return w.alert(p.rule, severity, join(vector{parens(base.text), base.attrs}, "and", more).text, false)
}

// alert is a rule with one severity. What is the agent's verdict has waited already.
func (w *ruleFile) alert(r *alerts.Rule, severity checks.Severity, expr string, verdict bool) alerting {
	a := alerting{name: r.Name, expr: expr, labels: w.labels(r, severity), notes: notes(r, severity)}
	if !verdict {
		a.wait, a.keep = r.For, r.KeepFiringFor
		if countsRuns(&r.When) {
			a.keep = max(a.keep, bridge)
		}
	}
	return a
}

// countsRuns reports whether a condition counts over a window of runs. Runs that end just before a scrape in one interval
// and just after it in the next leave such a window one run short until the scrape after.
func countsRuns(c *alerts.Condition) bool {
	for _, of := range [][]alerts.Condition{c.All, c.Any} {
		if slices.ContainsFunc(of, func(c alerts.Condition) bool { return countsRuns(&c) }) {
			return true
		}
	}
	m, ok := exporters.Lookup(c.Metric)
	return ok && m.Kind == exporters.Counter && !m.Self && c.Window.Time == 0
}

func (w *ruleFile) labels(r *alerts.Rule, severity checks.Severity) map[string]string {
	labels := map[string]string{}
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(r.Labels))) { // of names that become alike the first stays
		if name := prometheus.LabelName(key); name != "" {
			labels[name] = plain(r.Labels[key])
		}
	}
	labels["severity"], labels["layer"] = string(severity), string(r.Layer)
	return labels
}

func notes(r *alerts.Rule, severity checks.Severity) map[string]string {
	out := map[string]string{}
	for name, text := range map[string]string{"summary": r.Summary, "impact": r.Impact, "action": r.Action} {
		if text == "" {
			continue
		}
		if translated, ok := templated(r, severity, text); ok {
			out[name] = translated
		} else if name != "summary" {
			out[name] = plain(text)
		}
	}
	if out["summary"] == "" {
		out["summary"] = plain(words(&r.When)) + ": {{ $value }}"
	}
	if r.Doc != "" {
		out["description"] = plain(r.Doc)
	}
	switch {
	case strings.Contains(r.Runbook, "://"):
		out["runbook_url"] = plain(r.Runbook)
	case r.Runbook != "":
		out["runbook"] = plain(r.Runbook)
	}
	return out
}

// noData are the alerts that say that nobody can tell.
func (w *ruleFile) noData(p promql) []alerting {
	r := p.rule
	made := func(expr string, wait time.Duration) alerting {
		a := alerting{name: r.Name, expr: expr, wait: wait, labels: w.labels(r, r.Severity), notes: notes(r, r.Severity)}
		a.labels[labelState] = string(checks.AlertNoData)
		if !impossible(&r.When) {
			a.notes["summary"] = "no data for " + plain(words(&r.When))
		}
		return a
	}
	if name, ok := strings.CutPrefix(metricOf(&r.When), traffic); ok {
		question, _, known := w.in.trafficOf(name)
		if !known || r.AbsentAfter.Time == 0 {
			return nil
		}
		return []alerting{made("absent("+question+")", r.AbsentAfter.Time)}
	}
	expr, err := p.silent()
	if err != nil {
		w.remark(true, r.Name, "PromQL cannot say its absence (%v): that is written on the agent's own verdict", err)
		return []alerting{w.alert(r, r.Severity, fmt.Sprintf("windsock_alert_state{rule=%q} == 3", r.Name), true)}
	}
	return []alerting{made(expr, 0)}
}

func (in *Input) trafficOf(name string) (promql string, labels []string, ok bool) {
	if in.Traffic == nil {
		return "", nil, false
	}
	return in.Traffic(name)
}

// group writes a group with its alerts.
func (w *ruleFile) group(layer string, group []alerting) {
	if len(group) == 0 {
		return
	}
	name := layer
	if layer != "windsock" {
		name = "windsock-" + layer
	}
	fmt.Fprintf(&w.out, "  - name: %s\n    rules:\n", name)
	for i := range group {
		w.alerting(&group[i])
	}
}

func (w *ruleFile) alerting(a *alerting) {
	fmt.Fprintf(&w.out, "      - alert: %s\n        expr: |-\n", a.name)
	for line := range strings.Lines(a.expr) {
		w.out.WriteString("          " + line)
	}
	w.out.WriteString("\n")
	if a.wait > 0 {
		fmt.Fprintf(&w.out, "        for: %s\n", duration(a.wait))
	}
	if a.keep > 0 {
		fmt.Fprintf(&w.out, "        keep_firing_for: %s\n", duration(a.keep))
	}
	for _, m := range []struct {
		key    string
		values map[string]string
	}{{"labels", a.labels}, {"annotations", a.notes}} {
		fmt.Fprintf(&w.out, "        %s:\n", m.key)
		for _, name := range slices.Sorted(maps.Keys(m.values)) {
			fmt.Fprintf(&w.out, "          %s: %s\n", name, quoted(m.values[name]))
		}
	}
}

// quoted is a string in YAML, without the characters that no YAML holds.
func quoted(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFEFF' || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// itself are the alerts that the agent cannot give of itself.
func (w *ruleFile) itself() []alerting {
	where := ""
	if w.in.Location != "" {
		where = fmt.Sprintf("{location=%q}", w.in.Location)
	}
	made := func(name, expr, summary, description string) alerting {
		return alerting{
			name: name, expr: expr, wait: downFor,
			labels: map[string]string{"severity": string(checks.P2), "layer": string(alerts.LayerAgent)},
			notes:  map[string]string{"summary": summary, "description": description},
		}
	}
	out := []alerting{made(agentDown, "absent(windsock_build_info"+where+")", "the Windsock agent is not there",
		"Nothing of the agent has come for five minutes: no check is run, and no other alert can be believed.")}
	if w.in.Heartbeat > 0 {
		sent := "windsock_heartbeat_sent_total" + where
		span := cmp.Or(duration(heartbeats*w.in.Heartbeat), minute)
		out = append(out, made(heartbeatGone, "increase("+sent+"["+span+"]) == 0\nor absent("+sent+")", "the Windsock agent sends no heartbeat",
			"The agent withholds its heartbeat while it is not well, or cannot send it."))
	}
	return out
}
