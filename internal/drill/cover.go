package drill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	promcheck "github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/checks/spend"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/nearest"
)

// wanted is one expectation that the configuration can meet: it has who sees the fault, and the rule.
type wanted struct {
	Expectation

	rule     alerts.Rule
	severity []checks.Severity // any; empty: whatever
	people   bool              // somebody must be told
}

// plan is what a scenario wants of this configuration.
type plan struct {
	sc      *Scenario
	wants   []wanted
	add     []string // for expectations that nobody sees
	missing []string // it would not have paged, and no run is needed to say so
}

// wanted reports whether a rule is one of those that must fire.
func (p *plan) wanted(rule string) bool {
	return slices.ContainsFunc(p.wants, func(w wanted) bool { return w.Rule == rule })
}

// covered reports whether anything of the configuration sees the scenario.
func (p *plan) covered() bool { return len(p.wants)+len(p.missing) > 0 }

// plan looks at the configuration, without running anything.
func (s *setting) plan(sc *Scenario) *plan {
	p := &plan{sc: sc}
	there := s.seers(sc)
	for _, e := range sc.Expect {
		if problem := s.misspelt(e.Rule); problem != "" {
			p.missing = append(p.missing, problem)
			continue
		}
		if len(e.Seen) > 0 && !slices.ContainsFunc(e.Seen, func(who string) bool { return there[who] }) {
			p.add = append(p.add, strings.TrimSpace(e.Rule+" needs "+s.needs(sc, e)))
			continue
		}
		if problem := s.noSuch(e); problem != "" {
			p.missing = append(p.missing, problem)
			continue
		}
		rule, why := s.rule(e.Rule)
		if why != "" {
			p.missing = append(p.missing, why)
			continue
		}
		if wait := rule.For + s.sooner[rule.Name]; wait >= e.Within {
			p.missing = append(p.missing, fmt.Sprintf("the rule %s waits for %s before it fires, want within %s", rule.Name, short(wait), short(e.Within)))
			continue
		}
		p.wants = append(p.wants, wanted{Expectation: e, rule: rule, severity: severityOf(e, rule), people: s.people(sc)})
	}
	if len(s.cfg.Exporters) == 0 && len(p.wants) > 0 {
		p.missing = append(p.missing, "no route: the configuration has no exporter, so nobody hears of any alert")
		p.wants = nil
	}
	return p
}

// needs is what would see the scenario.
func (s *setting) needs(sc *Scenario, e Expectation) string {
	switch {
	case moves(sc) && s.alias() == "":
		return "a check that calls an alias, such as mistral-small-latest: what is pinned does not move"
	case e.Add != "":
		return e.Add
	}
	return "one of " + strings.Join(e.Seen, ", ")
}

func moves(sc *Scenario) bool {
	return slices.ContainsFunc(sc.Faults, func(f Fault) bool { return f.UsedModel == ModelMoved })
}

// noSuch is a route that a scenario names and the configuration does not have.
func (s *setting) noSuch(e Expectation) string {
	for _, name := range e.Routes {
		if s.exporterOf(name) != name {
			return fmt.Sprintf("%s must be told by %s, and the configuration has no such exporter", e.Rule, name)
		}
	}
	return ""
}

// misspelt says that neither the configuration nor anybody else has a rule of this name.
func (s *setting) misspelt(name string) string {
	var known []string
	for _, list := range [][]alerts.Rule{s.cfg.Alerts.Rules, s.cfg.Alerts.Disabled, alerts.Builtin()} {
		for i := range list {
			known = append(known, list[i].Name)
		}
	}
	if slices.Contains(known, name) {
		return ""
	}
	problem := "there is no rule " + name
	if word := nearest.Word(name, known); word != "" {
		problem += "; did you mean " + word + "?"
	}
	return problem
}

// rule is the rule of a name as the configuration has it, or why there is none.
func (s *setting) rule(name string) (alerts.Rule, string) {
	for i := range s.cfg.Alerts.Rules {
		if s.cfg.Alerts.Rules[i].Name == name {
			return s.cfg.Alerts.Rules[i], ""
		}
	}
	for i := range s.cfg.Alerts.Disabled {
		if s.cfg.Alerts.Disabled[i].Name == name {
			return alerts.Rule{}, "the rule " + name + " is disabled"
		}
	}
	return alerts.Rule{}, "the configuration has no rule " + name
}

// severityOf is what an alert may be: what the scenario says, but for a built-in rule to which the configuration gave
// another severity, which then counts.
func severityOf(e Expectation, rule alerts.Rule) []checks.Severity {
	all := alerts.Builtin()
	at := slices.IndexFunc(all, func(r alerts.Rule) bool { return r.Name == rule.Name })
	if at < 0 || len(e.Severity) == 0 || all[at].Severity == rule.Severity {
		return e.Severity
	}
	own := []checks.Severity{rule.Severity}
	for _, up := range rule.Escalations {
		own = append(own, up.Severity)
	}
	return own
}

// people reports whether somebody must be told of a scenario: whether the configuration has a notifier. Where the scenario has
// one refuse, those that are left may not be for what that brings about, and the one tells it when it is well again.
func (s *setting) people(sc *Scenario) bool {
	has := false
	for i := range s.cfg.Exporters {
		if e := &s.cfg.Exporters[i]; slices.Contains(notifiers(), e.Kind) {
			if s.dead(sc, e.Name) {
				return false
			}
			has = true
		}
	}
	return has
}

// dead reports whether the scenario has the other side of an exporter refuse, for as long as the other faults last.
func (s *setting) dead(sc *Scenario, name string) bool { return s.refuses(sc, name, false) }

// lost reports whether the scenario has it refuse for longer than that.
func (s *setting) lost(sc *Scenario, name string) bool { return s.refuses(sc, name, true) }

func (s *setting) refuses(sc *Scenario, name string, ever bool) bool {
	return slices.ContainsFunc(sc.Faults, func(f Fault) bool {
		return f.Exporter != nil && f.Exporter.Ever == ever && s.exporterOf(f.Exporter.Which) == name
	})
}

// seers are the words of seen_by that are true of the configuration.
func (s *setting) seers(sc *Scenario) map[string]bool {
	there := map[string]bool{
		ExporterBackend: s.exporterOf(ExporterBackend) != "", ExporterNotifier: s.exporterOf(ExporterNotifier) != "",
	}
	for i := range s.cfg.Checks {
		c := &s.cfg.Checks[i]
		if s.sees(c.Kind, c.With, sc) && (!moves(sc) || s.alias() != "") {
			there[c.Kind] = true
		}
	}
	return there
}

// sees reports whether a check could see the scenario as far as its parameters tell.
func (s *setting) sees(name string, with checks.Decoder, sc *Scenario) bool {
	kind, known := s.kind(name)
	if !known {
		return false
	}
	if p, ok := paramsOf[spend.Params](kind, with); ok {
		return slices.ContainsFunc(p.Sources, func(src spend.Source) bool { return src.Prom != nil })
	}
	if p, ok := paramsOf[promcheck.Params](kind, with); ok {
		return asks(p, sc)
	}
	return true
}

// asks reports whether a check asks for one of the answers that the scenario changes; true where that changes none.
func asks(p promcheck.Params, sc *Scenario) bool {
	server := newPromServer()
	server.ask(p)
	changes := false
	for i := range sc.Faults {
		for name := range sc.Faults[i].Prometheus {
			changes = true
			for _, q := range server.questions {
				if q.name == name {
					return true
				}
			}
		}
	}
	return !changes
}
