package agent

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pipeline"
)

// AlertChecks is what rules need to know of the configured checks, for a verb that runs none.
func AlertChecks(cfg *config.Config, registry config.Registry) []alerts.Check {
	built := costed(cfg, registry)
	out := make([]alerts.Check, len(cfg.Checks))
	for i := range cfg.Checks {
		_, paid := built[i].(checks.Paid)
		out[i] = alertCheck(cfg, &cfg.Checks[i], paid)
		if m, ok := built[i].(checks.Measuring); ok {
			out[i].Metrics = m.Measures()
		}
	}
	return out
}

func alertCheck(cfg *config.Config, c *config.Check, paid bool) alerts.Check {
	return alerts.Check{
		Name: c.Name, Kind: c.Kind, Provider: c.Provider, Location: cfg.Location, Labels: pipeline.Labels(cfg.Labels, c.Labels), Paid: paid,
		Interval: c.Schedule.Interval(), Due: dueOf(c),
	}
}
