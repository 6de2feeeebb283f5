package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// alert takes a transition: a line of the story, and a row of the table until it is resolved.
func (v *view) alert(a *checks.Alert) {
	v.story.alert(a)
	before := v.told[a.Fingerprint]
	if a.State == checks.AlertResolved {
		delete(v.told, a.Fingerprint)
	} else {
		v.told[a.Fingerprint] = a
	}
	v.say(fmt.Sprintf("%6.1fs  %-10s %-9s %s", a.At.Sub(v.began).Seconds(), "ALERT", moved(a, before), alarmed(a)))
}

// moved is what became of an alert, in a word.
func moved(a, before *checks.Alert) string {
	switch {
	case a.State == checks.AlertResolved && !a.Previous.Open():
		return "over" // it was pending, and came to nothing
	case a.State != a.Previous:
		return string(a.State)
	case before != nil && before.Severity != a.Severity:
		return "worse"
	}
	return "goes on" // a reminder, or it is muted no longer
}

// alarmed is an alert in a line: how bad it is, what, why nobody is told, and in which incident.
func alarmed(a *checks.Alert) string {
	text := fmt.Sprintf("%s %s", a.Severity, a.Rule)
	if a.Incident != "" {
		text += " [incident " + shortID(a.Incident) + "]"
	}
	if a.Summary != "" {
		text += " " + a.Summary
	}
	if a.Muted != "" {
		text += " (nobody is told: " + a.Muted + ")"
	}
	return text
}

// standing are the alerts that are pending or open, the worst first.
func (v *view) standing() []*checks.Alert {
	return slices.SortedFunc(maps.Values(v.told), func(a, b *checks.Alert) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}

func colourOf(s checks.AlertState) string {
	switch s {
	case checks.AlertResolved:
		return colour(checks.OK)
	case checks.AlertPending:
		return colour(checks.Degraded)
	case checks.AlertFiring:
		return colour(checks.Failed)
	case checks.AlertNoData:
	}
	return colour(checks.Unknown)
}

// close says how the story ended.
func (v *view) close(missing []string, end ending) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw()
	if v.asJSON {
		_ = json.NewEncoder(v.out).Encode(struct { // the last line; all before it are records
			Type    string   `json:"type"`
			OK      bool     `json:"ok"`
			Missing []string `json:"missing,omitempty"`
			Alerts  any      `json:"alerts"`
		}{"story", len(missing) == 0, missing, end})
		return
	}
	fmt.Fprintf(v.out, "\nalerts: %d fired, %d resolved\n", end.Fired, end.Resolved)
	for i := range end.Incidents {
		in := &end.Incidents[i]
		fmt.Fprintf(v.out, "incident %s  %s  %s  %d alerts, blame %s: %s\n",
			shortID(in.ID), in.Severity, lasted(in, time.Now()), len(in.Alerts), in.Blame, in.Title)
	}
	if len(missing) == 0 {
		fmt.Fprintln(v.out, "the story went as written: every verdict changed with the provider, every alert fired and resolved, and all is well again")
	}
}
