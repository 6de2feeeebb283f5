package prometheus

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	minStale    = 10 * time.Minute
	firstStale  = 25 * time.Hour // of a check that was heard of once: it may be a daily one
	agentStale  = 10 * time.Minute
	resolvedFor = time.Hour // how long a resolved alert is shown
	pendingFor  = 24 * time.Hour
	intervals   = 3 // a check may miss two
	refreshLag  = 2 * time.Minute
)

// These are given out by this exporter only. The other wire formats carry the time of every value.
const (
	metricLastRun = "probe.last_run_timestamp"
	metricHidden  = "windsock.export.hidden"
)

// source is what one check, one alert or the agent last said.
type source struct {
	gauges    []exporters.Point // replaced as a whole, never changed
	heard     time.Time         // when it was last heard of, by the monotonic clock
	scheduled time.Time         // of a check: its last slot
	interval  time.Duration     // of a check: between its last two slots; 0 where unknown
	lastRun   time.Time         // of a check: its last run that judged the target
	about     []exporters.Attr  // of a check: its common attributes
	check     bool
	alert     checks.AlertState // of an alert
}

// subject is what a record is about; "" for what has no gauges.
func subject(rec checks.Record) string {
	switch rec.Type() {
	case checks.TypeReport:
		return "check\x00" + rec.Report.Check
	case checks.TypeAgent:
		return "agent"
	case checks.TypeAlert:
		parts := []string{"alert", rec.Alert.Rule}
		for _, name := range slices.Sorted(maps.Keys(rec.Alert.Labels)) {
			parts = append(parts, name+"\x01"+rec.Alert.Labels[name])
		}
		return strings.Join(parts, "\x00")
	}
	return ""
}

// show replaces what the record's source said before. A report that is not final replaces nothing.
func (e *Exporter) show(rec checks.Record, points []exporters.Point, now time.Time) {
	key := subject(rec)
	if key == "" || len(points) == 0 || (rec.Report != nil && !rec.Report.Final) {
		return
	}
	s := &source{heard: now}
	if age := now.Sub(points[0].At); age > 0 {
		s.heard = now.Add(-age)
	}
	for _, p := range points {
		if p.Kind == exporters.Gauge {
			s.gauges = append(s.gauges, p)
		}
	}
	switch {
	case rec.Report != nil:
		s.ofCheck(rec.Report, e.sources[key], points[0])
	case rec.Alert != nil:
		s.alert = rec.Alert.State
	}
	e.sources[key] = s
}

func (s *source) ofCheck(r *checks.Report, last *source, p exporters.Point) {
	s.check = true
	if last != nil {
		s.scheduled, s.interval, s.lastRun, s.about = last.scheduled, last.interval, last.lastRun, last.about
	}
	if r.Trigger == checks.TriggerSchedule || r.Trigger == checks.TriggerConfirm {
		if gap := r.ScheduledAt.Sub(s.scheduled); gap > 0 && !s.scheduled.IsZero() {
			s.interval = gap
		}
		s.scheduled = r.ScheduledAt
	}
	if r.Status.Reached() {
		s.lastRun = p.At
		s.about = slices.DeleteFunc(slices.Clone(p.Attrs), func(a exporters.Attr) bool { return !slices.Contains(exporters.CommonAttrs(), a.Key) })
	}
}

// stale reports whether what the source said is no longer the present.
func (e *Exporter) stale(s *source, now time.Time) bool {
	silence := now.Sub(s.heard)
	switch {
	case s.alert != "":
		return (s.alert == checks.AlertResolved && silence > resolvedFor) || (s.alert == checks.AlertPending && silence > pendingFor)
	case !s.check:
		return silence > agentStale
	case e.params.StaleAfter > 0:
		return silence > e.params.StaleAfter
	case s.interval == 0:
		return silence > firstStale
	}
	return silence > max(minStale, intervals*s.interval)
}

// forget drops the sources that are stale, so that names that come and go do not pile up.
func (e *Exporter) forget(now time.Time) {
	maps.DeleteFunc(e.sources, func(_ string, s *source) bool { return e.stale(s, now) })
}
