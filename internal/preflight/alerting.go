package preflight

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

// reachFor bounds the look at one notifier.
const reachFor = 6 * time.Second

// alerting looks at the budget, and at who hears of alerts. Nobody is told of anything.
func (r *run) alerting(ctx context.Context) {
	if r.noConfig(itemBudget, itemP1, itemP2) {
		return
	}
	r.set(itemBudget, r.budget())
	notifiers, others := r.notifiers(ctx)
	for _, row := range []struct {
		id       string
		severity checks.Severity
	}{{itemP1, checks.P1}, {itemP2, checks.P2}} {
		if ctx.Err() != nil {
			return
		}
		r.set(row.id, r.routed(row.severity, notifiers).with(others...))
	}
}

func (r *run) budget() finding {
	if !r.cfg.Budget.Set {
		return blocked("add budget: {per_hour: 0.05, per_day: 0.50}", "nothing bounds what paid checks spend")
	}
	cost := agent.CostOf(r.cfg, r.o.Registry)
	if err := agent.OverBudget(r.cfg, &cost); err != nil {
		return fail("raise the budget, or run paid checks less often", "the schedule passes its own budget: %v", err)
	}
	return pass("%s an hour and %s a day at most; the schedule needs %s a day at worst", r.cfg.Budget.PerHour, r.cfg.Budget.PerDay, cost.WorstPerDay)
}

// notifier is an exporter that tells people of alerts.
type notifier struct {
	name    string
	takes   func(checks.Alert) bool
	trouble string // why it would not be reached
}

// notifiers builds those that the configuration has, and knocks where they go. others says what was not looked at.
func (r *run) notifiers(ctx context.Context) (all []notifier, others []string) {
	for i := range r.cfg.Exporters {
		e := &r.cfg.Exporters[i]
		if e.Foreign.Plugin != "" {
			others = append(others, fmt.Sprintf("%s: the plugin %s serves it, and was not asked", e.Name, e.Foreign.Plugin))
			continue
		}
		built, err := r.exporter(e)
		if err != nil {
			others = append(others, fmt.Sprintf("%s: %v", e.Name, err))
			continue
		}
		if routing, ok := built.(exporters.Routing); ok {
			all = append(all, notifier{e.Name, routing.Takes, r.knock(ctx, routing)})
		}
		if closer, ok := built.(io.Closer); ok {
			_ = closer.Close()
		}
	}
	return all, others
}

func (r *run) exporter(e *config.Exporter) (exporters.Exporter, error) {
	for _, kind := range r.o.Registry.Exporters {
		if kind.Name == e.Kind {
			return kind.New(e.With, exporters.Env{
				Log: slog.New(slog.DiscardHandler), Name: e.Name, Version: r.o.Version, Instance: "preflight", Location: r.cfg.Location, Labels: r.cfg.Labels,
				Network: r.network, Stdout: io.Discard, Getenv: r.o.Getenv, Probing: true,
			})
		}
	}
	return nil, fmt.Errorf("there is no kind %q", e.Kind)
}

func (r *run) knock(ctx context.Context, routing exporters.Routing) string {
	ctx, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	if err := routing.Reach(ctx); err != nil {
		return err.Error()
	}
	return ""
}

// heard is who would be told of the alerts of one severity.
type heard struct {
	rules    int
	reached  []string          // names of notifiers
	silent   []string          // rules that nobody is told of
	troubles map[string]string // of notifiers that take them and are not there
}

// hear goes through the rules that can raise an alert of a severity.
func (r *run) hear(severity checks.Severity, notifiers []notifier) heard {
	h := heard{troubles: map[string]string{}}
	for i := range r.cfg.Alerts.Rules {
		rule := &r.cfg.Alerts.Rules[i]
		if rule.Severity != severity {
			continue
		}
		h.rules++
		alert := checks.Alert{Rule: rule.Name, State: checks.AlertFiring, Severity: severity, Labels: map[string]string{}}
		maps.Copy(alert.Labels, r.cfg.Labels)
		maps.Copy(alert.Labels, rule.Labels)
		if !h.told(alert, notifiers) {
			h.silent = append(h.silent, rule.Name)
		}
	}
	slices.Sort(h.reached)
	h.reached = slices.Compact(h.reached)
	return h
}

// told reports whether somebody would be told of the alert.
func (h *heard) told(alert checks.Alert, notifiers []notifier) bool {
	somebody := false
	for _, n := range notifiers {
		switch {
		case !n.takes(alert):
		case n.trouble != "":
			h.troubles[n.name] = n.trouble
		default:
			somebody = true
			h.reached = append(h.reached, n.name)
		}
	}
	return somebody
}

// routed judges whether alerts of a severity reach somebody.
func (r *run) routed(severity checks.Severity, notifiers []notifier) finding {
	h := r.hear(severity, notifiers)
	var evidence []string
	for _, name := range slices.Sorted(maps.Keys(h.troubles)) {
		evidence = append(evidence, name+" cannot be reached: "+h.troubles[name])
	}
	if len(h.reached) > 0 && len(h.silent) > 0 {
		evidence = append(evidence, "by the rule alone nobody takes "+strings.Join(h.silent, ", ")+"; labels of a check may decide otherwise")
	}
	var f finding
	switch {
	case h.rules == 0:
		f = fail("leave the built-in rules on: alerts: {defaults: true}", "no rule is of severity %s", severity)
	case len(notifiers) == 0:
		f = blocked("add an exporter of the kind slack, pagerduty, webhook or alertmanager", "no exporter tells people of alerts")
	case len(h.reached) == 0 && len(h.troubles) > 0:
		f = fail("look at the address and the credential of the exporter; windsock alerts test --route NAME sends a test", "who would hear of %s cannot be reached", severity)
	case len(h.reached) == 0:
		f = fail("let an exporter's match take severity "+string(severity), "no exporter takes alerts of %s", severity)
	default:
		f = pass("%s of %s reach %s", many(h.rules-len(h.silent), "rule"), severity, strings.Join(h.reached, ", "))
	}
	return f.with(evidence...)
}
