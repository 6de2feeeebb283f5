package config

import (
	"fmt"
	"maps"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// keepSchedule says that an incident leaves a schedule alone.
const keepSchedule = "off"

// incidents reads how incidents are answered. It goes before the checks, which take its schedule.
func (b *builder) incidents() {
	given, out := b.file.Incidents, &b.cfg.Incidents
	out.CloseAfter, out.Timezone = given.CloseAfter, time.UTC
	b.atLeast("incidents.close_after", given.CloseAfter, time.Second)
	if given.Schedule != keepSchedule {
		spec, err := schedule.Parse(given.Schedule, "")
		if err != nil {
			b.badSchedule("incidents.schedule", "incidents.schedule", err)
		}
		out.Schedule = spec
	}
	if _, err := schedule.Parse("@hourly", given.Timezone); err != nil {
		b.badSchedule("incidents.timezone", "incidents.timezone", err)
	} else if zone, err := time.LoadLocation(given.Timezone); err == nil {
		out.Timezone = zone
	}
	in := given.RespondIn
	out.RespondIn = map[checks.Severity]time.Duration{checks.P1: in.P1, checks.P2: in.P2, checks.P3: in.P3}
	for severity, d := range out.RespondIn {
		b.atLeast("incidents.respond_in."+string(severity), d, time.Second)
	}
	if in.P1 > in.P2 || in.P2 > in.P3 {
		b.warn(b.at("incidents.respond_in"), "a worse incident has more time to respond: P1 %s, P2 %s, P3 %s", short(in.P1), short(in.P2), short(in.P3))
	}
}

// incidentSchedule is when the check runs while an incident concerns it: never more seldom than else.
func (b *builder) incidentSchedule(path string, c *check, out *Check) {
	switch {
	case c.Incident == nil:
		out.IncidentSchedule = b.cfg.Incidents.Schedule
	case *c.Incident == keepSchedule:
		return
	default:
		spec, err := schedule.Parse(*c.Incident, c.Timezone)
		if err != nil {
			b.badSchedule(path+".incident_schedule", path+".timezone", err)
			return
		}
		if own := out.Schedule.Interval(); own > 0 && spec.Interval() > own {
			b.add(b.at(path+".incident_schedule"), "", "the interval of %s is above the check's own of %s", short(spec.Interval()), short(own))
			return
		}
		out.IncidentSchedule = spec
	}
	if own := out.Schedule.Interval(); own > 0 && out.IncidentSchedule.Interval() >= own {
		out.IncidentSchedule = schedule.Spec{}
	}
}

// maintenance reads the windows.
func (b *builder) maintenance() {
	names := map[string]int{}
	for i := range b.file.Maintenance {
		path := fmt.Sprintf("maintenance.%d", i)
		m := &b.file.Maintenance[i]
		b.unique(path, m.Name, names)
		out := Maintenance{
			Name: m.Name, Duration: m.Duration, Skip: m.Checks == "skip", Match: b.matchers(m.Match.node), Reason: m.Reason,
		}
		if b.given(path, "duration") {
			b.atLeast(path+".duration", m.Duration, time.Second)
		}
		if b.given(path, "reason") && (m.Reason == "" || !isLabel(m.Reason, 200)) {
			b.add(b.at(path+".reason"), "", "want 1 to 200 printable characters")
		}
		if b.given(path, "schedule") {
			spec, err := schedule.Parse(m.Schedule, m.Timezone)
			if err != nil {
				b.badSchedule(path+".schedule", path+".timezone", err)
			} else if m.Duration >= spec.Interval() {
				b.add(b.at(path+".duration"), "", "the window of %s begins every %s (%s), so it would never end", short(m.Duration), short(spec.Interval()), m.Schedule)
			}
			out.Schedule = spec
		}
		b.mattersTo(path, out)
		b.cfg.Maintenance = append(b.cfg.Maintenance, out)
	}
}

// mattersTo warns of a window that selects no check.
func (b *builder) mattersTo(path string, m Maintenance) {
	for i := range b.cfg.Checks {
		c := &b.cfg.Checks[i]
		attrs := map[string]string{"check": c.Name, "kind": c.Kind, "provider": c.Provider, "location": b.cfg.Location}
		own := maps.Clone(b.cfg.Labels)
		if own == nil {
			own = map[string]string{}
		}
		maps.Copy(own, c.Labels)
		maps.Copy(own, attrs)
		selected := true
		for _, matcher := range m.Match {
			selected = selected && matcher.Matches(own[matcher.Attr])
		}
		if selected {
			return
		}
	}
	if len(b.cfg.Checks) > 0 {
		b.warn(b.keyAt(path, "match"), "the window %q selects no check of this file", m.Name)
	}
}

// heartbeat reads the dead man's switch.
func (b *builder) heartbeat() {
	given := b.file.Heartbeat
	if given == nil || given.URL.IsZero() && !b.given("heartbeat", "url") {
		return
	}
	b.cfg.Heartbeat = Heartbeat{URL: given.URL, Every: time.Minute, Place: b.placing("heartbeat.url")}
	if b.given("heartbeat", "every") {
		b.cfg.Heartbeat.Every = given.Every
		b.atLeast("heartbeat.every", given.Every, time.Second)
	}
}
