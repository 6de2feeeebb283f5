package agent

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// AlertChecks is what rules need to know of the configured checks, for a verb that runs none.
func AlertChecks(cfg *config.Config, registry config.Registry) []alerts.Check {
	return alertChecks(cfg, costed(cfg, registry))
}

func alertChecks(cfg *config.Config, built []checks.Check) []alerts.Check {
	out := make([]alerts.Check, len(cfg.Checks))
	for i := range cfg.Checks {
		out[i] = alertCheck(cfg, &cfg.Checks[i], built[i])
	}
	return out
}

// alertCheck is what rules need to know of a check; built is nil where it cannot be built.
func alertCheck(cfg *config.Config, c *config.Check, built checks.Check) alerts.Check {
	out := alerts.Check{
		Name: c.Name, Kind: c.Kind, Provider: c.Provider, Location: cfg.Location, Labels: pipeline.Labels(cfg.Labels, c.Labels),
		Interval: c.Schedule.Interval(), Timeout: c.Timeout, Confirm: c.Confirm, Due: dueOf(c),
	}
	_, out.Paid = built.(checks.Paid)
	if m, ok := built.(checks.Measuring); ok {
		out.Metrics = m.Measures()
	}
	return out
}

// Asked is the PromQL whose answer is the measurement query.NAME, and the labels of the answer: as a configured check asks
// it, else as the checklist names the application's metrics.
func Asked(cfg *config.Config, registry config.Registry) func(name string) (promql string, labels []string, ok bool) {
	type asking interface {
		Asks(name string) (question string, labels []string, ok bool)
	}
	built := costed(cfg, registry)
	return func(name string) (string, []string, bool) {
		for _, check := range built {
			if a, ok := check.(asking); ok {
				if question, labels, ok := a.Asks(name); ok {
					return question, labels, true
				}
			}
		}
		q, ok := traffic.Find(traffic.Checklist(), name)
		return q.PromQL, q.By, ok
	}
}
