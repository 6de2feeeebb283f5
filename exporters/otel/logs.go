package otel

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const keyRecordID = "windsock.record.id"

// maxBody bounds an event's body. An honest record has a hundredth of it; a cut body is no JSON any more, and says so in
// the attribute windsock.truncated.
const maxBody = 64 << 10

// logBuilder turns records into log events: event name windsock.report, windsock.alert or windsock.agent, the record's
// JSON form as the body, its id and the bounded words as attributes.
type logBuilder struct {
	identity identity
	events   Events
	traces   bool   // name the run's span
	runbooks string // where the pages of the runbook are
}

func (b *logBuilder) build(batch []checks.Record) []*logspb.ResourceLogs {
	var events []*logspb.LogRecord
	for _, rec := range batch {
		if !b.wanted(rec) {
			continue
		}
		if event := b.event(rec); event != nil {
			events = append(events, event)
		}
	}
	if len(events) == 0 {
		return nil
	}
	return []*logspb.ResourceLogs{{
		Resource:  b.identity.wire,
		ScopeLogs: []*logspb.ScopeLogs{{Scope: b.identity.origin, LogRecords: events}},
	}}
}

func (b *logBuilder) wanted(rec checks.Record) bool {
	switch b.events {
	case EventsAll:
		return true
	case EventsNone:
		return false
	case EventsFailures:
	}
	if rec.Report == nil {
		return rec.Alert != nil
	}
	switch rec.Report.Status {
	case checks.Failed, checks.Unknown, checks.Error:
		return true
	case checks.OK, checks.Degraded, checks.Skipped:
	}
	return false
}

// event is nil for a record that holds nothing. A record that JSON cannot write (a measurement that is not a number) is
// told without it: its id must arrive.
func (b *logBuilder) event(rec checks.Record) *logspb.LogRecord {
	if rec.Type() == "" {
		return nil
	}
	body, err := json.Marshal(rec)
	if err != nil {
		body = []byte(err.Error())
	}
	cut := len(body) > maxBody
	at := unixNano(rec.At)
	event := &logspb.LogRecord{
		TimeUnixNano: at, ObservedTimeUnixNano: at, // both the record's, so that a batch sent again is the same batch
		EventName: "windsock." + string(rec.Type()),
		Body:      text("", string(body[:min(len(body), maxBody)])).GetValue(),
	}
	switch {
	case rec.Report != nil:
		b.report(event, rec)
	case rec.Alert != nil:
		alertEvent(event, rec, b.runbooks)
	default:
		event.SeverityNumber = logspb.SeverityNumber_SEVERITY_NUMBER_INFO
		event.Attributes = texts(keyRecordID, rec.ID, "location", rec.Agent.Location)
	}
	if cut {
		event.Attributes = append(event.Attributes, text("windsock.truncated", "true"))
	}
	event.SeverityText = severityText(event.GetSeverityNumber())
	return event
}

func (b *logBuilder) report(event *logspb.LogRecord, rec checks.Record) {
	r := rec.Report
	event.SeverityNumber = reportSeverity(r.Status)
	event.Attributes = texts(
		keyRecordID, rec.ID, "check", r.Check, "kind", r.Kind, "provider", r.Provider, "location", r.Location,
		"status", r.Status.String(), "cause", string(r.Cause), "blame", string(blame(r)), "error.type", string(r.Cause),
		"trigger", string(r.Trigger), "windsock.summary", r.Summary,
	)
	if b.traces && !r.StartedAt.IsZero() {
		event.TraceId, event.SpanId = ids(rec)
		event.Flags = sampled
	}
}

// maxLabels bounds the labels of an alert that become attributes; the body has them all.
const maxLabels = 32

// alertEvent tells a transition by its attributes alone. Of what is absent there is no attribute; numbers that are none
// are left out. A label never stands in for a field: all have the prefix windsock.alert.label.
func alertEvent(event *logspb.LogRecord, rec checks.Record, runbooks string) {
	a := rec.Alert
	event.SeverityNumber = alertSeverity(a)
	event.Attributes = texts(
		keyRecordID, rec.ID, "rule", a.Rule, "state", string(a.State), "severity", string(a.Severity),
		"blame", string(a.Blame), "windsock.alert.fingerprint", a.Fingerprint, "windsock.incident", a.Incident,
		"windsock.alert.previous", string(a.Previous), "windsock.alert.muted", a.Muted, "windsock.summary", a.Summary,
		"windsock.alert.diagnosis", a.Diagnosis, "windsock.alert.impact", a.Impact, "windsock.alert.action", a.Action,
		"windsock.alert.runbook", a.Runbook, "windsock.alert.runbook_url", exporters.RunbookURL(a.Runbook, runbooks), "windsock.alert.commander", a.Commander,
		"windsock.alert.since", rfc3339(a.Since), "windsock.alert.respond_by", rfc3339(a.RespondBy),
	)
	if a.Reminder {
		event.Attributes = append(event.Attributes, truth("windsock.alert.reminder"))
	}
	for _, n := range []struct {
		key   string
		value float64
	}{{"windsock.alert.value", a.Value}, {"windsock.alert.threshold", a.Threshold}} {
		if !math.IsNaN(n.value) && !math.IsInf(n.value, 0) {
			event.Attributes = append(event.Attributes, double(n.key, n.value))
		}
	}
	event.Attributes = append(event.Attributes, labels(a.Labels)...)
}

// labels are the first maxLabels by name. Names that are alike once they are cleaned are one: keys are unique.
func labels(all map[string]string) []*commonpb.KeyValue {
	pairs, seen := make([]string, 0, 2*min(len(all), maxLabels)), map[string]bool{"": true}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(pairs) == 2*maxLabels {
			break
		}
		if key := exporters.Clean(name, maxLabelName); !seen[key] {
			seen[key] = true
			pairs = append(pairs, "windsock.alert.label."+key, all[name])
		}
	}
	return texts(pairs...)
}

const maxLabelName = 64 // bytes

func rfc3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func blame(r *checks.Report) checks.Blame {
	if r.Blame != checks.BlameNone {
		return r.Blame
	}
	return r.Cause.Blame()
}

func reportSeverity(s checks.Status) logspb.SeverityNumber {
	switch s {
	case checks.Failed:
		return logspb.SeverityNumber_SEVERITY_NUMBER_ERROR
	case checks.Degraded, checks.Unknown, checks.Error:
		return logspb.SeverityNumber_SEVERITY_NUMBER_WARN
	case checks.OK, checks.Skipped:
	}
	return logspb.SeverityNumber_SEVERITY_NUMBER_INFO
}

// alertSeverity is INFO for what nobody is to be told of.
func alertSeverity(a *checks.Alert) logspb.SeverityNumber {
	if a.Muted != "" {
		return logspb.SeverityNumber_SEVERITY_NUMBER_INFO
	}
	switch a.State {
	case checks.AlertFiring, checks.AlertNoData:
		if a.Severity == checks.P1 || a.Severity == checks.P2 {
			return logspb.SeverityNumber_SEVERITY_NUMBER_ERROR
		}
		return logspb.SeverityNumber_SEVERITY_NUMBER_WARN
	case checks.AlertPending, checks.AlertResolved:
	}
	return logspb.SeverityNumber_SEVERITY_NUMBER_INFO
}

func severityText(n logspb.SeverityNumber) string {
	switch n { //nolint:exhaustive // the three that are used
	case logspb.SeverityNumber_SEVERITY_NUMBER_ERROR:
		return "ERROR"
	case logspb.SeverityNumber_SEVERITY_NUMBER_WARN:
		return "WARN"
	default:
		return "INFO"
	}
}
