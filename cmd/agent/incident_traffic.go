package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/traffic"
)

// askTraffic asks a Prometheus what the application's metrics say of the whole incident, through the kind of check that asks
// such a server. What it does not say stays unknown.
func (d *dossier) askTraffic(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	params := prometheus.Params{URL: server, Partial: prometheus.PolicyUnknown}
	for _, q := range d.metrics().Over(d.span()) {
		params.Queries = append(params.Queries, prometheus.Query{Name: q.Name, Query: q.PromQL, Missing: prometheus.PolicyIgnore})
	}
	if err := params.Validate(); err != nil {
		return fmt.Errorf("asking %s: %w", checks.Redacted, err)
	}
	network, err := agent.NetworkOf(d.cfg, version)
	if err != nil {
		return fmt.Errorf("asking Prometheus: %w", err)
	}
	defer network.Close()
	check, err := prometheus.New(params, checks.Env{Network: network, Name: "postmortem", Log: slog.New(slog.DiscardHandler), Timeout: 15 * time.Second})
	if err != nil {
		return fmt.Errorf("asking Prometheus: %w", err)
	}
	result, err := check.Run(ctx)
	if err != nil {
		return fmt.Errorf("asking Prometheus: %w", err)
	}
	if result.Status != checks.OK && len(result.Measurements) == 0 {
		return fmt.Errorf("asking Prometheus: %s", cmp.Or(result.Summary, result.Status.String()))
	}
	return d.tookTraffic(&result)
}

// tookTraffic takes over what a server said.
func (d *dossier) tookTraffic(result *checks.Result) error {
	out := incident.Traffic{Source: "Prometheus, asked for the whole time"}
	for _, m := range result.Measurements {
		value := m.Value
		if !incident.Countable(value) { // a query that somebody changed: no number of requests, and no sum
			continue
		}
		switch m.Name {
		case "query." + traffic.FailedOver:
			out.Failed = &value
		case "query." + traffic.RequestsOver:
			out.Requests = &value
		case "query." + traffic.CostOver:
			out.CostUSD = &value
		}
	}
	if out.Failed == nil {
		return fmt.Errorf("asking Prometheus: it gave no number of that time (%s)", cmp.Or(result.Summary, result.Status.String()))
	}
	if d.seen == nil {
		d.seen = &incident.Seen{}
	}
	d.seen.Traffic = &out
	return nil
}

// span is how long the incident was, and how long ago it ended.
func (d *dossier) span() (length, ago time.Duration) {
	end := d.now
	if in := &d.got.Incident; !in.Open() {
		end = in.ClosedAt
	}
	length = time.Duration(math.Ceil(max(d.course.Duration, 60))) * time.Second
	return length, max(d.now.Sub(end), 0).Truncate(time.Second)
}

// metrics are the application's as the first check that reads them names them, else the checklist's.
func (d *dossier) metrics() traffic.Metrics {
	for i := range d.cfg.Checks {
		c := &d.cfg.Checks[i]
		if c.Kind != "prometheus" || c.With == nil {
			continue
		}
		params := prometheus.Params{Partial: prometheus.PolicyUnknown, Metrics: traffic.Checklist()}
		if err := c.With.Decode(&params); err == nil && params.Preset != "" {
			return params.Metrics
		}
	}
	return traffic.Checklist()
}
