package drill

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/mirage"
)

// InPlace is what the running agent is asked for. The error says why the scenario cannot be drilled there: its fault is none
// between the agent's checks and what they ask.
func (sc *Scenario) InPlace() (agent.DrillRequest, error) {
	asked := agent.DrillRequest{Scenario: sc.Name, What: sc.What}
	for i := range sc.Faults {
		fault, err := sc.Faults[i].inPlace()
		if err != nil {
			return asked, fmt.Errorf("%s is not for --in-place: %w; `windsock drill %s` shows it beside the agent", sc.Name, err, sc.Name)
		}
		asked.Faults = append(asked.Faults, fault)
	}
	for i := range sc.Expect {
		e := &sc.Expect[i]
		asked.Expect = append(asked.Expect, agent.DrillExpectation{Rule: e.Rule, Severity: e.Severity, Seen: e.Seen, Lasting: e.Lasting})
	}
	return asked, nil
}

func (f *Fault) inPlace() (agent.DrillFault, error) {
	out := agent.DrillFault{UsedModel: f.UsedModel}
	switch {
	case f.Prometheus != nil:
		return out, errors.New("the application's spend is read over hours, which the running agent does not make shorter")
	case f.Exporter != nil:
		return out, errors.New("the running agent's own exporters would have to fail, and tell nothing that is real meanwhile")
	case f.API != nil:
		out.API = &mirage.API{Fault: *f.API}
	case f.DNS != nil:
		out.DNS = &mirage.Unresolved{Hosts: f.DNS.Hosts, Answer: f.DNS.Answer}
	case f.Connect != nil:
		out.Connect = &mirage.Unreachable{Hosts: f.Connect.Hosts, How: f.Connect.How}
	case f.TLS != nil:
		out.TLS = &mirage.Distrusted{Hosts: f.TLS.Hosts, How: f.TLS.How}
	case f.App != nil:
		out.App = &mirage.SickApp{Health: f.App.Health, Status: f.App.Status, Refuse: f.App.Refuse}
	}
	return out, nil
}

// NotSeen is the outcome of a scenario that no check of the running agent could see.
func (sc *Scenario) NotSeen() Outcome {
	out := Outcome{Scenario: sc.Name, What: sc.What, File: sc.File, Verdict: NotCovered}
	for i := range sc.Expect {
		if add := sc.Expect[i].Add; add != "" && !slices.Contains(out.Add, add) {
			out.Add = append(out.Add, add)
		}
	}
	return out
}

// JudgeInPlace says how a drill in the running agent came out.
func (sc *Scenario) JudgeInPlace(state *agent.DrillState) Outcome {
	out := Outcome{Scenario: sc.Name, What: sc.What, File: sc.File, Verdict: Passed}
	covered := false
	expected := map[string]bool{}
	for i := range sc.Expect {
		e := &sc.Expect[i]
		expected[e.Rule] = true
		if !seen(e, state) {
			if e.Add != "" {
				out.Add = append(out.Add, e.Add)
			}
			continue
		}
		covered = true
		told, missing := e.judgeInPlace(state)
		out.Alerts, out.Missing = append(out.Alerts, told), append(out.Missing, missing...)
	}
	for i := range state.Alerts {
		if rule := state.Alerts[i].Rule; !expected[rule] && !slices.Contains(out.Others, rule) {
			out.Others = append(out.Others, rule)
		}
	}
	switch {
	case len(state.Checks) == 0 || state.BrokeAt.IsZero():
		out.Verdict = Undecided
		out.Missing = append(out.Missing, "the drill ended before the fault: "+state.Why)
	case !covered:
		out.Verdict = NotCovered
	case len(out.Missing) > 0:
		out.Verdict = Failed
	}
	if out.Verdict == Failed && state.Why != "" {
		out.Missing = append(out.Missing, "the drill ended early: "+state.Why)
	}
	return out
}

// seen reports whether a check that was drilled could see what the expectation is about.
func seen(e *Expectation, state *agent.DrillState) bool {
	return len(e.Seen) == 0 || slices.ContainsFunc(state.Checks, func(c agent.DrillCheck) bool { return slices.Contains(e.Seen, c.Kind) })
}

func (e *Expectation) judgeInPlace(state *agent.DrillState) (told Told, missing []string) {
	told = Told{Rule: e.Rule, Wanted: e.wanted()}
	a := e.find(state)
	switch {
	case a == nil && slices.Contains(state.Missing, e.Rule):
		return told, []string{fmt.Sprintf("there is no rule %s, or it is disabled", e.Rule)}
	case a == nil:
		return told, []string{e.Rule + " did not fire"}
	}
	told.Fired, told.Severity, told.Blame = true, a.Severity, a.Blame
	told.ToDetect = new(state.ToDetect(a).Seconds())
	if len(e.Severity) > 0 && !slices.Contains(e.Severity, a.Severity) {
		missing = append(missing, fmt.Sprintf("%s is %s, want %s", e.Rule, a.Severity, joined(e.Severity)))
	}
	if len(e.Blame) > 0 && !slices.Contains(e.Blame, a.Blame) {
		missing = append(missing, fmt.Sprintf("%s blames %s, want %s", e.Rule, a.Blame, joined(e.Blame)))
	}
	missing = append(missing, told.routes(e, a)...)
	if took, ok := state.ToResolve(a); ok {
		told.ToResolve = new(took.Seconds())
	} else if !a.Lasting {
		missing = append(missing, e.Rule+" did not end when the fault did")
	}
	return told, missing
}

// find is the alert of the rule, the most severe where there are several.
func (e *Expectation) find(state *agent.DrillState) *agent.DrillAlert {
	var found *agent.DrillAlert
	for i := range state.Alerts {
		if a := &state.Alerts[i]; a.Rule == e.Rule && (found == nil || a.Severity < found.Severity) {
			found = a
		}
	}
	return found
}

// routes notes who told the alert, and says what is missing.
func (t *Told) routes(e *Expectation, a *agent.DrillAlert) (missing []string) {
	var last time.Time
	for i := range a.Routes {
		r := &a.Routes[i]
		if !r.Wants && !slices.Contains(e.Routes, r.Exporter) {
			continue
		}
		told := !r.ToldAt.IsZero()
		// what is told of an alert of a drill says so first: whoever was told was told the mark
		t.Routes = append(t.Routes, Route{Exporter: r.Exporter, Kind: r.Kind, People: r.People, Told: told, Resolved: !r.ResolvedAt.IsZero(), Marked: told, Why: r.Why})
		if why := untold(r, a, t.Rule); why != "" {
			missing = append(missing, why)
		}
		if r.ToldAt.After(last) {
			last = r.ToldAt
		}
	}
	if !last.IsZero() {
		t.ToNotify = new(max(last.Sub(a.FiredAt), 0).Seconds())
	}
	for _, name := range e.Routes {
		if !slices.ContainsFunc(t.Routes, func(r Route) bool { return r.Exporter == name }) {
			missing = append(missing, "there is no exporter "+name)
		}
	}
	return append(missing, t.nobody(a)...)
}

// untold says what a route did not tell, "" where it told all.
func untold(r *agent.DrillRoute, a *agent.DrillAlert, rule string) string {
	switch {
	case r.ToldAt.IsZero() && a.Muted == "":
		return strings.TrimSuffix(r.Exporter+" did not tell "+rule+": "+r.Why, ": ")
	case !r.ToldAt.IsZero() && r.TellsEnds && r.ResolvedAt.IsZero():
		return r.Exporter + " did not tell that " + rule + " is over"
	}
	return ""
}

// nobody says why nobody was told, where there are routes to people.
func (t *Told) nobody(a *agent.DrillAlert) []string {
	reached := slices.ContainsFunc(t.Routes, func(r Route) bool { return r.People && r.Told })
	people := slices.ContainsFunc(a.Routes, func(r agent.DrillRoute) bool { return r.People })
	switch {
	case reached:
		return nil
	case a.Muted != "":
		return []string{"nobody was told of " + t.Rule + ": " + a.Muted}
	case people && !slices.ContainsFunc(t.Routes, func(r Route) bool { return r.People }):
		return []string{"nobody was told of " + t.Rule + ": no route to people takes it"}
	}
	return nil
}

// wanted is the expectation in words. How long it may take is not part of it: in place checks run faster than they do else.
func (e *Expectation) wanted() string {
	var parts []string
	if len(e.Severity) > 0 {
		parts = append(parts, joined(e.Severity))
	}
	if len(e.Blame) > 0 {
		parts = append(parts, "blame "+joined(e.Blame))
	}
	return strings.Join(parts, ", ")
}

func joined[T checks.Severity | checks.Blame](all []T) string {
	words := make([]string, len(all))
	for i := range all {
		words[i] = string(all[i])
	}
	return strings.Join(words, " or ")
}
