package agent

import (
	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
)

// AlertChecks is what rules need to know of the configured checks, for a verb that runs none: Due is not set.
func AlertChecks(cfg *config.Config, registry config.Registry) []alerts.Check {
	built := costed(cfg, registry)
	out := make([]alerts.Check, len(cfg.Checks))
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		_, paid := built[i].(checks.Paid)
		out[i] = alerts.Check{
			Name: c.Name, Kind: c.Kind, Provider: c.Provider, Location: cfg.Location, Labels: c.Labels, Paid: paid, Interval: c.Schedule.Interval(),
		}
	}
	return out
}
