package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// compressAlerts does what Compress says for what becomes of results. Times until a moment stay: a certificate ends when
// it does.
func compressAlerts(out *Config, n float64) {
	out.Alerts.Rules = slices.Clone(out.Alerts.Rules)
	for i := range out.Alerts.Rules {
		r := &out.Alerts.Rules[i]
		r.For, r.KeepFiringFor, r.AbsentAfter.Time = divide(r.For, n), divide(r.KeepFiringFor, n), divide(r.AbsentAfter.Time, n)
		r.When = compressCondition(r.When, n)
		r.Escalations = slices.Clone(r.Escalations)
		for j := range r.Escalations {
			r.Escalations[j].When = compressCondition(r.Escalations[j].When, n)
		}
		r.Notes = slices.Clone(r.Notes)
		for j := range r.Notes {
			r.Notes[j].When = compressCondition(r.Notes[j].When, n)
		}
	}
	out.Maintenance = slices.Clone(out.Maintenance)
	for i := range out.Maintenance {
		m := &out.Maintenance[i]
		m.Schedule, m.Duration = m.Schedule.Compress(n), divide(m.Duration, n)
	}
	out.Heartbeat.Every = divide(out.Heartbeat.Every, n)
	out.Incidents.Schedule, out.Incidents.CloseAfter = out.Incidents.Schedule.Compress(n), divide(out.Incidents.CloseAfter, n)
	out.Incidents.RespondIn = maps.Clone(out.Incidents.RespondIn)
	for severity, d := range out.Incidents.RespondIn {
		out.Incidents.RespondIn[severity] = divide(d, n)
	}
}

func compressCondition(c alerts.Condition, n float64) alerts.Condition {
	c.All, c.Any = slices.Clone(c.All), slices.Clone(c.Any)
	for _, list := range [][]alerts.Condition{c.All, c.Any} {
		for i := range list {
			list[i] = compressCondition(list[i], n)
		}
	}
	c.Window.Time = divide(c.Window.Time, n)
	switch {
	case c.Aggregate == alerts.Count || c.Metric == "":
	case c.Aggregate == alerts.Rate:
		c.Threshold *= n
	case isLatency(c.Metric):
		c.Threshold /= n
	}
	return c
}

// isLatency reports whether a metric is a time that a run takes. Ages and the agent's own times are not of the compressed world.
func isLatency(name string) bool {
	m, known := exporters.Lookup(name)
	return known && m.Unit == "s" && !m.Self && !isMoment(name) && !strings.HasSuffix(name, "age") && !strings.HasPrefix(name, "probe.exec.")
}
