package agent

import (
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts/lint"
	"github.com/windsock-monitor/windsock/internal/config"
)

// Linted is what is to be said of the rules of a configuration, in its places.
type Linted struct {
	Errors   *config.Errors // nil: none
	Warnings *config.Errors // nil: none
	Notes    []lint.Finding // of built-in rules that the file does not change
	Own      int            // rules of the file's own, and built-in ones that it changes
}

// LintRules looks at the rules of a configuration beside its checks. Of one with a check that cannot be built it says
// nothing: what that would measure nobody knows.
func LintRules(cfg *config.Config, registry config.Registry) Linted {
	source := cfg.Alerts.Source
	out := Linted{Own: ownRules(cfg)}
	built := costed(cfg, registry)
	if slices.Contains(built, nil) {
		return out
	}
	found := lint.Lint(lint.Input{
		Rules: cfg.Alerts.Rules, Checks: alertChecks(cfg, built), Absent: unmeasured(cfg), Given: source.Given, Bare: source.Bare,
	})
	var wrong, odd []config.RuleFault
	for _, f := range found {
		fault := config.RuleFault{Rule: f.Rule, Field: f.Field, Text: f.Text, Hint: f.Hint}
		switch f.Severity {
		case lint.Error:
			wrong = append(wrong, fault)
		case lint.Warning:
			odd = append(odd, fault)
		case lint.Note:
			out.Notes = append(out.Notes, f)
		}
	}
	out.Errors, out.Warnings = source.Errors(wrong), source.Errors(odd)
	return out
}

// CheckRules is what keeps the rules from being used, and what is odd about them. Where the file has none of its own there
// is nothing to say, and no check is built for it.
func CheckRules(cfg *config.Config, registry config.Registry) (odd []config.Problem, err error) {
	if ownRules(cfg) == 0 {
		return nil, nil
	}
	l := LintRules(cfg, registry)
	if l.Warnings != nil {
		odd = l.Warnings.List()
	}
	return odd, l.Err()
}

// ownRules counts the rules that the file makes or changes.
func ownRules(cfg *config.Config) int {
	n := 0
	for i := range cfg.Alerts.Rules {
		if cfg.Alerts.Source.Given(cfg.Alerts.Rules[i].Name, "name") {
			n++
		}
	}
	return n
}

// Err is what keeps the rules from being used.
func (l *Linted) Err() error {
	if l.Errors == nil {
		return nil // not a nil *Errors, which is no nil error
	}
	return l.Errors
}

// unmeasured are the agent's own metrics that it does not give out as it is configured, and why.
func unmeasured(cfg *config.Config) map[string]string {
	out := map[string]string{"windsock.export.folded": "only exporters count it, and no rule can see it"}
	for _, m := range exporters.Catalogue() {
		switch {
		case !m.Self:
		case m.Page:
			out[m.Name] = "it is made for the Prometheus page, and no rule can see it"
		case cfg.Heartbeat.Every == 0 && strings.HasPrefix(m.Name, "windsock.heartbeat."):
			out[m.Name] = "there is no `heartbeat:`"
		case !cfg.Budget.Set && strings.HasPrefix(m.Name, "windsock.budget."):
			out[m.Name] = "there is no `budget:`"
		case len(cfg.Providers) == 0 && slices.Contains(m.Attrs, "provider"):
			out[m.Name] = "there is no provider"
		case len(cfg.Exporters) == 0 && slices.Contains(m.Attrs, "exporter"):
			out[m.Name] = "there is no exporter"
		}
	}
	return out
}
