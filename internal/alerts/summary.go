package alerts

import (
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// describe gives the alert its number and its texts, as they are when it moves. The state before is still inst.state.
func (e *Engine) describe(inst *instance) {
	a, rule := &inst.alert, inst.program.rule
	a.Value, a.Blame = inst.live, inst.blamed(a.State)
	if inst.lead.leaf != nil {
		a.Threshold = inst.lead.leaf.Threshold
	} else {
		a.Threshold = inst.program.leaves[0].Threshold
	}
	made := inst.made(a.State)
	switch {
	case inst.program.summary == nil || a.State == checks.AlertNoData:
		a.Summary = made
	case a.State != checks.AlertResolved || a.Summary == "": // one that is over keeps what was said of it
		a.Summary = inst.text(inst.program.summary, made)
	}
	if a.State == checks.AlertResolved {
		return
	}
	a.Impact = inst.text(inst.program.impact, rule.Impact)
	a.Action = inst.text(inst.program.action, rule.Action)
	if a.State == checks.AlertFiring {
		if text := e.diagnosis(inst, a.At.UnixNano()); text != "" {
			a.Diagnosis = text
		}
	}
}

// blamed is whose fault the newest failure was that the rule looked at. Where there was none it is ours that we cannot
// see, and what the agent says of itself.
func (inst *instance) blamed(to checks.AlertState) checks.Blame {
	switch {
	case to == checks.AlertNoData && !inst.fired:
		return checks.BlameOurs
	case inst.blame != checks.BlameNone:
		return inst.blame
	case inst.program.rule.Layer == LayerAgent:
		return checks.BlameOurs
	}
	return checks.BlameNone
}

// text executes a text of the rule; what cannot be executed is replaced.
func (inst *instance) text(t *template.Template, instead string) string {
	if t == nil {
		return exporters.Clean(instead, maxText)
	}
	a := &inst.alert
	facts := Facts{
		Rule: a.Rule, Severity: a.Severity, Blame: a.Blame, Value: a.Value, Threshold: a.Threshold, Labels: a.Labels, Since: a.Since,
		Metric: inst.program.leaves[0].Metric,
	}
	if inst.lead.leaf != nil {
		facts.Metric = inst.lead.leaf.Metric
	}
	var out bounded
	if err := t.Execute(&out, facts); err != nil && !errors.Is(err, errLong) {
		return exporters.Clean(instead, maxText)
	}
	return exporters.Clean(out.String(), maxText)
}

var errLong = errors.New("the text is too long")

// bounded keeps the beginning of what is written to it.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len() > 4*maxText {
		return 0, errLong
	}
	return b.Builder.Write(p[:min(len(p), 4*maxText)])
}

// made is the text of the condition: "p95 of probe.duration over 5 runs is 6.2 s, above 5 s".
func (inst *instance) made(state checks.AlertState) string {
	l := inst.lead.leaf
	if l == nil {
		l = inst.program.leaves[0]
	}
	if state == checks.AlertNoData {
		return exporters.Clean("no data: no sample of "+l.Metric+" for "+l.program.rule.AbsentAfter.String(), maxText)
	}
	var b strings.Builder
	if l.Share != nil {
		fmt.Fprintf(&b, "%d of %d by %s: ", inst.lead.part, inst.lead.of, strings.Join(l.Share.Of, ", "))
	}
	b.WriteString(l.what())
	if inst.gone {
		return exporters.Clean(b.String()+" is not measured any more", maxText)
	}
	if !inst.lead.known {
		return exporters.Clean(b.String()+" is not known", maxText)
	}
	fmt.Fprintf(&b, " is %s, ", l.say(inst.live))
	if state == checks.AlertResolved {
		b.WriteString("no longer ")
	}
	fmt.Fprintf(&b, "%s %s", l.Op, l.say(l.Threshold))
	return exporters.Clean(b.String(), maxText)
}

// what is the number in words: "p95 of probe.duration over 5 runs".
func (l *leaf) what() string {
	text := l.Metric
	if l.Until {
		text = "time until " + text
	}
	if l.aggregate != Last {
		text = string(l.aggregate) + " of " + text
	}
	if !l.Window.IsZero() {
		text += " over " + l.Window.String()
	}
	return text
}

// say writes a number of the metric with its unit.
func (l *leaf) say(v float64) string {
	unit := l.known.Unit
	switch {
	case l.aggregate == Count:
		return number(v)
	case l.aggregate == Rate:
		return strings.TrimSpace(number(v)+" "+unit) + "/s"
	case l.Until || unit == "s":
		return seconds(v)
	case strings.HasSuffix(l.Metric, ".usd"):
		return usd(v)
	case strings.HasSuffix(l.Metric, ".share"):
		return percent(v)
	case unit == "By":
		return number(v) + " bytes"
	case unit == "":
		return number(v)
	}
	return number(v) + " " + strings.Trim(unit, "{}")
}

// String is the window in words: "5 runs", "10 min", "3 intervals".
func (w Window) String() string {
	switch {
	case w.Runs == 1:
		return "1 run"
	case w.Runs > 0:
		return fmt.Sprintf("%d runs", w.Runs)
	case w.Intervals == 1:
		return "1 interval"
	case w.Intervals > 0:
		return fmt.Sprintf("%d intervals", w.Intervals)
	}
	return seconds(w.Time.Seconds())
}
