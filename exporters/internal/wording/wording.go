// Package wording is what the exporters that tell people say of an alert in the same words: its title, when people hear
// more, where its runbook stands. It knows no product's markup and escapes nothing.
package wording

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Drill begins whatever is said of an alert that a drill brought about.
const Drill = "DRILL "

// Title is one line: "[P1] api-down is firing", with Drill before it where that is no outage.
func Title(a *checks.Alert) string {
	title := "[" + cmp.Or(string(a.Severity), "P?") + "] " + Rule(a) + " " + Status(a)
	if a.Drill() != "" {
		title = Drill + title
	}
	return exporters.Clean(title, 200)
}

// Summary is the alert's own, with Drill before it where that is no outage.
func Summary(a *checks.Alert) string {
	if a.Drill() == "" || strings.HasPrefix(a.Summary, Drill) {
		return a.Summary
	}
	return strings.TrimSpace(Drill + a.Summary)
}

// Line is Title and what the alert says, which is said to be a drill once.
func Line(a *checks.Alert) string {
	if said := strings.TrimPrefix(a.Summary, Drill); said != "" {
		return Title(a) + ": " + said
	}
	return Title(a)
}

// Rule is the rule's name.
func Rule(a *checks.Alert) string { return cmp.Or(a.Rule, "alert") }

// Status is where the alert stands, after "it".
func Status(a *checks.Alert) string {
	switch a.State {
	case checks.AlertNoData:
		return "has no data"
	case checks.AlertFiring, checks.AlertPending, checks.AlertResolved:
		return "is " + string(a.State)
	}
	return "is in an unknown state"
}

// Number is a value for a person: six digits at most.
func Number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// Labels are "name=value" by name, the first n.
func Labels(a *checks.Alert, n int) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if len(all) == n {
			break
		}
		if a.Labels[name] != "" {
			all = append(all, exporters.Clean(name, 64)+"="+exporters.Clean(a.Labels[name], 128))
		}
	}
	return all
}

// Runbook is the URL of an alert's runbook: one that it has, or a page below base, "" being those that ship. "" where it has none.
func Runbook(a *checks.Alert, base string) string { return exporters.RunbookURL(a.Runbook, base) }

// NextUpdate is by when people hear more of an open alert: its RespondBy, else what its severity gives from when it began.
// The time is zero where only the words say it.
func NextUpdate(a *checks.Alert) (by time.Time, words string) {
	if !a.RespondBy.IsZero() {
		return a.RespondBy, ""
	}
	from := a.Since
	if from.IsZero() {
		from = a.At
	}
	within := map[checks.Severity]time.Duration{checks.P1: 15 * time.Minute, checks.P2: time.Hour, checks.P3: 4 * time.Hour}[a.Severity]
	switch {
	case within == 0:
		return time.Time{}, "next business day"
	case from.IsZero():
		return time.Time{}, "within " + strings.TrimSuffix(strings.TrimSuffix(within.String(), "0s"), "0m")
	}
	return from.Add(within), ""
}

// ValidBase checks a base for Runbook. "" is one.
func ValidBase(key, base string) error {
	u, err := url.Parse(base)
	if base != "" && (err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil) {
		return checks.Invalid(key, "%q is not the beginning of a URL, want https://wiki.example/runbooks#", base)
	}
	return nil
}
