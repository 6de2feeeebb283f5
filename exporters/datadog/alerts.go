package datadog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const (
	alertCheck    = "windsock.alert"
	maxTitle      = 100
	maxEventText  = 1000
	shortText     = 120 // of an event that does not fit into a packet otherwise
	maxEventTags  = 12  // of an event: it has to fit into a packet
	fixedTags     = 4   // of them are not labels
	maxAlertTags  = 12
	maxTold       = 10_000 // alerts that are kept with the cursor
	maxAlertLines = 2000   // of one Refresh
)

// event tells of a transition. What nobody is to be told of has low priority: a mute, a pending alert and its end.
func (b *batch) event(t *tally, rec *checks.Record) {
	a := rec.Alert
	at := timeOf(rec)
	if age := b.now.Sub(at); age > eventAge || age < -metricLead {
		t.old++
		return
	}
	priority := statsd.Normal
	if a.Muted != "" || (!a.State.Open() && !a.Previous.Open()) {
		priority = statsd.Low
	}
	event := &statsd.Event{
		Title: line(title(a), maxTitle), Text: eventText(a, b.e.runbooks), Timestamp: at,
		AggregationKey: line(cmp.Or(a.Fingerprint, a.Rule, "alert"), maxTitle), Priority: priority,
		SourceTypeName: "windsock", AlertType: alertType(a), Tags: eventTags(a),
	}
	err := b.e.client.Event(event)
	if _, long := errors.AsType[statsd.MessageTooLongError](err); long { // labels are dear, people must hear of it
		event.Text, event.Tags = line(event.Text, shortText), event.Tags[:min(len(event.Tags), fixedTags)]
		err = b.e.client.Event(event)
	}
	b.did(t, err)
}

func timeOf(rec *checks.Record) time.Time {
	if rec.Alert.At.IsZero() {
		return rec.At
	}
	return rec.Alert.At
}

func title(a *checks.Alert) string {
	state := "is " + cmp.Or(string(a.State), "unknown")
	if a.State == checks.AlertNoData {
		state = "has no data"
	}
	switch {
	case a.Reminder:
		state += ", a reminder"
	case a.Muted != "" && a.State.Open():
		state += ", muted"
	}
	drill := ""
	if a.Drill() != "" {
		drill = "DRILL "
	}
	return fmt.Sprintf("%s[%s] %s %s", drill, cmp.Or(string(a.Severity), "P?"), cmp.Or(a.Rule, "alert"), state)
}

// eventTags are the alert's own words first, then its labels by name.
func eventTags(a *checks.Alert) []string {
	own := tagsOf([]exporters.Attr{
		{Key: "rule", Value: a.Rule},
		{Key: "severity", Value: string(a.Severity)},
		{Key: "state", Value: string(a.State)},
		{Key: "blame", Value: string(a.Blame)},
	})
	return append(own, labelTags(a, maxEventTags-fixedTags, "rule", "severity", "state", "blame")...)
}

// labelTags are the tags of the first n labels. The keys of taken are not theirs to give.
func labelTags(a *checks.Alert, n int, taken ...string) []string {
	var attrs []exporters.Attr
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if len(attrs) == n {
			break
		}
		if !slices.Contains(taken, name) {
			attrs = append(attrs, exporters.Attr{Key: name, Value: exporters.Clean(a.Labels[name], maxTitle)})
		}
	}
	return tagsOf(attrs)
}

// eventText is what a person needs first, a line each, then the numbers. Pages of the runbook are below runbooks.
func eventText(a *checks.Alert, runbooks string) string {
	lines := make([]string, 0, 12)
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, name+line(value, 200))
		}
	}
	add("", a.Summary)
	add("muted: ", a.Muted)
	add("diagnosis: ", a.Diagnosis)
	add("impact: ", a.Impact)
	add("action: ", a.Action)
	add("runbook: ", cmp.Or(exporters.RunbookURL(a.Runbook, runbooks), a.Runbook))
	if a.State.Open() {
		add("respond by: ", rfc3339(a.RespondBy))
	}
	add("incident commander: ", a.Commander)
	add("incident: ", a.Incident)
	add("blame: ", string(a.Blame))
	add("value: ", number(a.Value))
	add("threshold: ", number(a.Threshold))
	add("since: ", rfc3339(a.Since))
	text := strings.Join(lines, "\n")
	if len(text) > maxEventText {
		text = strings.ToValidUTF8(text[:maxEventText], "")
	}
	return text
}

func rfc3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func alertType(a *checks.Alert) statsd.EventAlertType {
	if a.Muted != "" && a.State.Open() {
		return statsd.Info
	}
	switch a.State {
	case checks.AlertFiring:
		if grave(a) {
			return statsd.Error
		}
		return statsd.Warning
	case checks.AlertNoData:
		return statsd.Warning
	case checks.AlertResolved:
		return statsd.Success
	case checks.AlertPending:
	}
	return statsd.Info
}

func grave(a *checks.Alert) bool { return a.Severity == checks.P1 || a.Severity == checks.P2 }

// alertStatus is that of an alert that is open, or over.
func alertStatus(a *checks.Alert) statsd.ServiceCheckStatus {
	switch {
	case a.State == checks.AlertNoData:
		return statsd.Unknown
	case !a.State.Open():
		return statsd.Ok
	case grave(a):
		return statsd.Critical
	}
	return statsd.Warn
}

// alertCheck tells where the alert stands. A service check tells people, so one that is muted says nothing until the mute
// or the alert ends: what was said before stays. Its tags are those of the alert for as long as it lives: the severity,
// which rises, is in the message, or the check of the lesser severity would fail forever.
func (b *batch) alertCheck(t *tally, rec *checks.Record) {
	a := rec.Alert
	if a.Rule == "" || a.State == checks.AlertPending || (a.State.Open() && a.Muted != "") {
		return
	}
	at := timeOf(rec)
	if age := b.now.Sub(at); age > checkAge || age < -checkAge {
		t.old++
		return
	}
	b.sendAlert(t, a, at)
}

// sendAlert sends the service check and books what was told.
func (b *batch) sendAlert(t *tally, a *checks.Alert, at time.Time) {
	tags := append(tagsOf([]exporters.Attr{{Key: "rule", Value: a.Rule}}), labelTags(a, maxAlertTags, "rule", "severity")...)
	b.did(t, b.e.client.ServiceCheck(&statsd.ServiceCheck{
		Name: b.named(alertCheck), Status: alertStatus(a), Timestamp: at, Tags: tags,
		Message: line(strings.TrimSpace(string(a.Severity)+" "+a.Summary), maxMessage),
	}))
	if key := cmp.Or(a.Fingerprint, strings.Join(tags, ",")); a.State.Open() && len(b.seconds.Told) < maxTold {
		b.seconds.Told[key] = tags
	} else {
		delete(b.seconds.Told, key)
	}
}

// Refresh says again how the open alerts stand, because Datadog shows a gauge for minutes only, and that those are over
// that were told and are open no more: their end may have been too old for a service check, or lost.
func (e *Exporter) Refresh(ctx context.Context, open []checks.Alert) ([]byte, error) {
	if len(open) == 0 && e.client != nil && len(e.ledger.now.Told) == 0 {
		return nil, nil
	}
	if err := e.open(); err != nil {
		return nil, exporters.Hold(err)
	}
	stop := e.wire.begin(ctx, e.params.Timeout)
	defer stop()
	_ = e.faults.take()
	b := newBatch(e, e.ledger.now.clone(), time.Now())
	b.refresh(open)
	if err := e.finish(b); err != nil {
		return nil, err
	}
	e.ledger.tell(b.seconds.Told)
	return e.ledger.now.encode(), nil
}

func (b *batch) refresh(open []checks.Alert) {
	var t tally
	over := maps.Clone(b.seconds.Told)
	for i := range open {
		delete(over, open[i].Fingerprint)
	}
	for _, a := range open[:min(len(open), maxAlertLines)] {
		a.At = b.now
		for _, p := range exporters.Points(checks.Record{At: a.At, Alert: &a}) {
			b.did(&t, b.e.client.GaugeWithTimestamp(b.e.name(p.Name), p.Value, b.tagsOf(p.Attrs), 1, p.At))
		}
		if a.Muted == "" && a.Rule != "" {
			b.sendAlert(&t, &a, b.now)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(over)) {
		b.did(&t, b.e.client.ServiceCheck(&statsd.ServiceCheck{
			Name: b.named(alertCheck), Status: statsd.Ok, Timestamp: b.now, Tags: over[key], Message: "not open any more",
		}))
		delete(b.seconds.Told, key)
	}
}
