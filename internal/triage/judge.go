package triage

import (
	"fmt"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// Judge says what follows from a path.
func Judge(w *Walk) Conclusion {
	probe := w.decisive()
	signals := w.signals(probe)
	blame := checks.BlameNone
	if probe != nil {
		blame = w.blame(probe)
	}
	c := Conclusion{Signals: signals, Class: Matrix(signals, blame)}
	if c.Class == Nobody && w.Step(Alerts).Verdict == Unknown { // an agent runs, and what it has seen is not known
		c.Class = CannotTell
	}
	alert := w.byAlert(c.Class)
	switch {
	case w.Interrupted:
		c.Class = CannotTell
		c.cannotTell("stopped before the end: what was not looked at is unknown", checks.CauseNone)
	case c.Class == Nobody && alert != nil, c.Class == CannotTell && alert != nil && (signals.App != Bad || outside(ClassOf(alert.Blame))):
		c.ofAlert(alert)
		c.atLeast(w, signals)
	case c.Class == Nobody:
		c.Branch, c.Why = runbook.Nobody, w.wellWords()
	case c.Class == CannotTell:
		c.cannotTell(w.blindWords(), w.Step(Ping).Cause)
		c.atLeast(w, signals)
	case probe != nil && probe.Cause == checks.CauseConfig && signals.App == Bad: // which is no reason for an application to be down
		c.ofBoth(w, probe)
	case probe != nil && (signals.Probe == Bad || signals.App != Bad):
		c.ofProbe(probe, blame)
	default:
		c.ofApp(w.appStep())
	}
	c.Also = w.also(&c, probe)
	return c
}

// cannotTell is the end where too little is known. Where the agent itself kept the ping from being made there is a page of that.
func (c *Conclusion) cannotTell(why string, kept checks.Cause) {
	c.Branch, c.Severity, c.Why = runbook.CannotTell, checks.P3, why
	rules := map[checks.Cause]string{
		checks.CauseBudget: "budget-exhausted", checks.CauseBreakerOpen: "circuit-open", checks.CauseHeadroom: "headroom-low",
	}
	if of, known := runbook.ForRule(rules[kept]); known {
		c.Branch, c.Severity = of, usual(of)
	}
}

func (c *Conclusion) ofProbe(probe *Step, blame checks.Blame) {
	c.Cause, c.Blame = probe.Cause, blame
	c.Branch = branch(probe, blame)
	c.Severity = severity(c, probe)
	c.Why = fmt.Sprintf("%s: %s", words(probe.Name), probe.Detail)
	switch {
	case blame == checks.BlameLocal:
		c.Why += "; the reference host cannot be reached either, so it is our own network"
	case c.Signals.Page == Bad && c.Class == Provider:
		c.Why += "; its status page says so too"
	case c.Signals.Page == Good && c.Class == Provider:
		c.Why += "; its status page does not say so, and lags by 10 to 30 minutes"
	}
}

func (c *Conclusion) ofApp(step Step) {
	c.Cause, c.Blame, c.Branch = step.Cause, checks.BlameApplication, runbook.Application
	if step.Blame == checks.BlameConfig { // it was asked without what it wants
		c.Blame = step.Blame
	}
	c.Severity = severityOfApp(&step)
	c.Why = fmt.Sprintf("%s: %s; the provider answers us", words(step.Name), step.Detail)
	if c.Signals.Page == Bad {
		c.Why += ", though its status page announces something: it may concern what only the application calls"
	}
}

// ofBoth is an application that is down where our own file or key is wrong, too: that can wait.
func (c *Conclusion) ofBoth(w *Walk, probe *Step) {
	step := w.appStep()
	if w.answered() {
		c.ofApp(step)
		return
	}
	c.Class = CannotTell
	c.cannotTell(fmt.Sprintf("%s: %s; whether the provider answers us is not known: %s: %s", words(step.Name), step.Detail, words(probe.Name), probe.Detail), checks.CauseNone)
	c.Severity = severityOfApp(&step)
}

// answered reports whether a conversation was had.
func (w *Walk) answered() bool {
	ping := w.Step(Ping).Verdict
	return ping == OK || ping == Degraded
}

// severityOfApp is how urgent it is that the application does not do, whoever is at fault.
func severityOfApp(step *Step) checks.Severity {
	switch {
	case step.Verdict == Degraded:
		return checks.P3
	case step.Name == ErrorRate, step.Name == AppLog:
		return checks.P2
	}
	return checks.P1
}

// atLeast makes nothing less of an application that is seen to be down, where something else is said first.
func (c *Conclusion) atLeast(w *Walk, signals Signals) {
	if signals.App != Bad {
		return
	}
	step := w.appStep()
	c.Severity = min(c.Severity, severityOfApp(&step)) // P1 before P2, as words are
}

func (c *Conclusion) ofAlert(a *Alert) {
	c.Class, c.Cause, c.Blame, c.Severity = ClassOf(a.Blame), a.Cause, a.Blame, a.Severity
	if c.Class == CannotTell {
		c.Class, c.Blame = Ours, checks.BlameOurs
	}
	if of, known := runbook.ForRule(a.Rule); known {
		c.Branch = of
	} else {
		c.Branch = runbook.Of(a.Cause, c.Blame, "")
	}
	c.Why = fmt.Sprintf("the agent's alert %s fires: %s", a.Rule, a.Summary)
}

// decisive is the step that decides for the probe; nil where nothing is wrong with it. What keeps everybody from the
// provider comes before what is wrong with the file or the key: those may be wrong in this shell only.
func (w *Walk) decisive() *Step {
	var order []Step
	if w.Step(ModelsList).Verdict != OK && !w.answered() {
		for _, name := range []Name{DNS, Connect, Proxy, TLS} {
			order = append(order, w.Step(name))
		}
	}
	list, ping, key := w.Step(ModelsList), w.Step(Ping), w.Step(Key)
	if away(&list) {
		order = append(order, list)
	}
	order = append(order, w.Step(Configuration))
	if !w.answered() && w.Step(Configuration).Verdict != Unknown { // somebody had the key; nobody knows where it is
		order = append(order, key)
	}
	order = append(order, list, ping)
	for i := range order {
		if order[i].Verdict == Wrong && order[i].Cause != checks.CauseNone {
			return &order[i]
		}
	}
	for _, name := range []Name{Ping, ModelsList, TLS, Key, Retirements} {
		if step := w.Step(name); step.Verdict == Degraded && step.Cause != checks.CauseNone {
			return &step
		}
	}
	return nil
}

// away reports whether a step says that the provider or the way to it is down, whatever the key.
func away(s *Step) bool {
	by := s.Cause.Blame()
	return s.Verdict == Wrong && (by == checks.BlameNetwork || by == checks.BlameProvider)
}

// blame is whose fault a step is: our own network's, where the reference host cannot be reached either and the other side
// was never seen.
func (w *Walk) blame(s *Step) checks.Blame {
	notReached := []checks.Cause{checks.CauseDNS, checks.CauseConnect, checks.CauseTimeoutConnect}
	switch {
	case slices.Contains(notReached, s.Cause) && w.Step(OwnNetwork).Verdict == Wrong:
		return checks.BlameLocal
	case s.Blame != checks.BlameNone:
		return s.Blame
	}
	return s.Cause.Blame()
}

// outside reports whether a fault is none of the application's.
func outside(class Class) bool { return class == Provider || class == Network || class == Account }

// byAlert is the alert that decides where nothing else does. What our probes saw a while ago does not count against what
// a conversation says now; where none was had, it is all that is known.
func (w *Walk) byAlert(class Class) *Alert {
	ping := w.Step(Ping)
	for i := range w.Alerts {
		a := &w.Alerts[i]
		of := ClassOf(a.Blame)
		if class == Nobody && ping.Verdict != Skipped && !a.Traffic && outside(of) {
			continue
		}
		if class == CannotTell && (of == CannotTell || ping.Verdict != Skipped) {
			continue
		}
		return a
	}
	return nil
}

func (w *Walk) appStep() Step {
	for _, verdict := range []Verdict{Wrong, Degraded} {
		for _, name := range []Name{AppHealth, AppSmoke, ErrorRate, AppLog} {
			if step := w.Step(name); step.Verdict == verdict {
				return step
			}
		}
	}
	return Step{Name: AppHealth}
}

func branch(s *Step, blame checks.Blame) runbook.Branch {
	rule := ""
	switch {
	case s.Name == Configuration, s.Name == Key && s.Cause == checks.CauseConfig:
		return runbook.Configuration
	case s.Verdict != Degraded:
	case s.Cause == checks.CauseModelGone:
		rule = "model-retiring"
	case s.Cause == checks.CauseTLS:
		rule = "certificate-expiring"
	}
	if of, known := runbook.ForRule(rule); known {
		return of
	}
	return runbook.Of(s.Cause, blame, "")
}

// severity is the page's, less where users are seen to be served, and for what is not yet trouble.
func severity(c *Conclusion, probe *Step) checks.Severity {
	base := usual(c.Branch)
	switch {
	case probe.Verdict == Degraded && probe.Cause == checks.CauseSlow:
		base = checks.P2
	case probe.Verdict == Degraded:
		return base
	case c.Signals.Probe == Slow:
		return checks.P3
	}
	if c.Signals.App == Good {
		base = lower(base)
	}
	return base
}

// usual is what the page says when users are concerned.
func usual(b runbook.Branch) checks.Severity { return b.Page(runbook.Setting{}).Severity }

func lower(s checks.Severity) checks.Severity {
	switch s {
	case checks.P1:
		return checks.P2
	case checks.P2, checks.P3:
		return checks.P3
	case checks.P4:
	}
	return checks.P4
}
