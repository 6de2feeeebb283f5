package incident

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// wellness is how a check of the application's path has been.
type wellness struct {
	since time.Time // when the first of the runs was seen that were well, without one in between that was not; zero: the last was not
	last  time.Time // of the newest of them
}

// Saw takes a final report: the verdicts of the application's own path end an incident.
func (b *Book) Saw(now time.Time, report *checks.Report) Outcome {
	var out Outcome
	if report == nil || !report.Final || report.Trigger == checks.TriggerDrill || report.Status == checks.Skipped {
		return out
	}
	target, known := b.targets[report.Check]
	if !known {
		return out
	}
	b.changedVerdict(now, report, &out)
	if target.Kind == "app" || target.Kind == "chat" {
		b.paths[report.Check] = b.paths[report.Check].after(now, report.Status)
	}
	b.pass(now, &out)
	return out
}

func (w wellness) after(now time.Time, s checks.Status) wellness {
	if !well(s) {
		return wellness{}
	}
	if w.since.IsZero() || w.since.After(now) { // the clock was set back
		w.since = now
	}
	w.last = now
	return w
}

func well(s checks.Status) bool { return s == checks.OK || s == checks.Degraded }

// Recall tells the book of a verdict of before, so that the next one can differ from it.
func (b *Book) Recall(report *checks.Report) {
	if report.Final && report.Status != checks.Skipped {
		b.verdict[report.Check] = report.Status
	}
}

func (b *Book) changedVerdict(now time.Time, r *checks.Report, out *Outcome) {
	before, known := b.verdict[r.Check]
	b.verdict[r.Check] = r.Status
	if !known || before == r.Status {
		return
	}
	text := fmt.Sprintf("%s: %s, was %s", r.Check, r.Status, before)
	if r.Summary != "" {
		text += ": " + r.Summary
	}
	e := b.Event(now, EventVerdict, r.Check, text)
	e.Record = r.ID
	for _, o := range b.open {
		if b.concerns(o, b.targets[r.Check]) {
			e.Incident = o.ID
			break
		}
	}
	out.Events = append(out.Events, e)
}

// concerns reports whether a check is of the incident's provider, of the path that ends it, or named by its alerts.
func (b *Book) concerns(o *open, t Target) bool {
	if t.Provider != "" && t.Provider == o.Provider || b.onPath(o, t.Name) {
		return true
	}
	for _, m := range o.members {
		if m.Labels["check"] == t.Name {
			return true
		}
	}
	return false
}

// path is the checks that must be well before the incident is over, sorted: the application's own, without one those that
// chat; of its provider where they have one. What is the agent's own fault needs none.
func (b *Book) path(o *open) []string {
	if o.Provider == "" && (side(o.Blame) == "here" || o.Blame == "") {
		return nil
	}
	names, known := b.ways[o.Provider]
	if !known {
		names = b.wayOf(o.Provider)
		b.ways[o.Provider] = names
	}
	return names
}

func (b *Book) wayOf(provider string) []string {
	for _, kind := range []string{"app", "chat"} {
		var names []string
		for name, t := range b.targets {
			if t.Kind == kind && (t.Provider == "" || provider == "" || t.Provider == provider) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			return names
		}
	}
	return nil
}

// onPath reports whether the check is on the incident's path.
func (b *Book) onPath(o *open, name string) bool {
	_, found := slices.BinarySearch(b.path(o), name)
	return found
}

// Concerned is the checks to be run more often: those that urgent incidents concern. What is answered within hours or days
// is not worth the money.
func (b *Book) Concerned() map[string]bool {
	names := map[string]bool{}
	for _, o := range b.open {
		if !urgent(o.Severity) {
			continue
		}
		for name, t := range b.targets {
			if b.concerns(o, t) {
				names[name] = true
			}
		}
	}
	return names
}

// Count is the number of open incidents by severity.
func (b *Book) Count() map[checks.Severity]int {
	n := map[checks.Severity]int{}
	for _, o := range b.open {
		n[o.Severity]++
	}
	return n
}

// pass does what time alone does: reminders and closings.
func (b *Book) pass(now time.Time, out *Outcome) {
	for _, o := range slices.Clone(b.open) {
		if b.over(now, o) {
			b.close(now, o, out)
			continue
		}
		b.remind(now, o, out)
	}
}

// over reports whether all alerts are resolved and the path has been well for the window since. Each check of the path
// must have been seen well after the last alert was resolved: what nobody looked at is not well.
func (b *Book) over(now time.Time, o *open) bool {
	if o.QuietAt.After(now) { // the clock was set back
		o.QuietAt = now.UTC()
	}
	if o.QuietAt.IsZero() || now.Sub(o.QuietAt) < b.o.CloseAfter {
		return false
	}
	if b.onPath(o, o.holdup) && b.holdsUp(now, o, o.holdup) { // most often it is the same as before: this is asked with each report
		return false
	}
	for _, name := range b.path(o) {
		if b.holdsUp(now, o, name) {
			o.holdup = name
			return false
		}
	}
	return true
}

// holdsUp reports whether a check of the path has not been well for the window yet.
func (b *Book) holdsUp(now time.Time, o *open, name string) bool {
	w := b.paths[name]
	return w.since.IsZero() || w.last.Before(o.QuietAt) || now.Sub(w.since) < b.o.CloseAfter
}

func (b *Book) close(now time.Time, o *open, out *Outcome) {
	o.ClosedAt = now.UTC()
	closed := o.view()
	e := b.Event(now, EventClosed, o.ClosedBy, o.closing(now))
	e.Incident, e.Closed = o.ID, slim(closed)
	out.Events = append(out.Events, e)
	out.Changed = true
	out.keep(o.ID, nil)
	for fingerprint := range o.members {
		out.keep(memberKey(o.ID, fingerprint), nil)
	}
	maps.DeleteFunc(b.byAlert, func(_ string, at *open) bool { return at == o })
	b.open = slices.DeleteFunc(b.open, func(at *open) bool { return at == o })
}

// slimAlerts is how many alerts of a closed incident its last event lists; the timeline has them all.
const slimAlerts = 20

func slim(i Incident) *Incident {
	i.Alerts = i.Alerts[:min(len(i.Alerts), slimAlerts)]
	for k := range i.Alerts {
		a := &i.Alerts[k]
		a.Diagnosis, a.Impact, a.Action, a.Runbook = "", "", "", ""
	}
	return &i
}

// remind says once that the time to respond is nearly over and once that it is over, while nobody has acknowledged.
func (b *Book) remind(now time.Time, o *open, out *Outcome) {
	if !o.AckedAt.IsZero() || o.Missed || !o.QuietAt.IsZero() {
		return
	}
	missed := !now.Before(o.RespondBy)
	if !missed && (o.Reminded || now.Before(b.o.remindAt(o.RespondFrom, o.RespondBy, o.Severity))) {
		return
	}
	worst := o.worst()
	if worst == nil { // people are told of none of them: later, if that changes
		return
	}
	text := fmt.Sprintf("nobody has acknowledged %s yet, respond by %s", o.Severity, o.RespondBy.Format(time.RFC3339))
	o.Reminded, o.Missed = true, missed
	if missed {
		text = fmt.Sprintf("nobody has acknowledged %s, the time to respond was over at %s", o.Severity, o.RespondBy.Format(time.RFC3339))
	}
	e := b.Event(now, EventRemind, worst.Rule, text)
	e.Incident = o.ID
	out.Events = append(out.Events, e)
	out.Reminders = append(out.Reminders, o.reminder(now, *worst))
	b.save(o, "", out)
}

// reminder is the alert as people are told of it again.
func (o *open) reminder(now time.Time, a checks.Alert) checks.Alert {
	a.Reminder, a.At, a.Previous = true, now.UTC(), a.State
	a.Incident, a.RespondBy, a.Commander = o.ID, o.RespondBy, o.Commander
	return a
}

// worst is the worst open alert that people are told of, nil where there is none.
func (o *open) worst() *checks.Alert {
	view := o.view()
	for i := range view.Alerts {
		if a := &view.Alerts[i]; a.State.Open() && a.Muted == "" {
			return a
		}
	}
	return nil
}
