package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// toWrite marks what a person has to write: nothing of it is made up.
func toWrite(out *strings.Builder, what string) {
	fmt.Fprintf(out, "> TO BE WRITTEN BY A PERSON: %s\n", what)
}

// Postmortem writes what the agent knows of an incident as Markdown, and marks what people have to add. timeline is the whole
// of it.
func (b *Brief) Postmortem(timeline []Event) string {
	var out strings.Builder
	b.header(&out)
	out.WriteString("## Summary\n\n")
	toWrite(&out, "what happened, in three sentences that somebody understands who was not there.")
	out.WriteString("\n## Timeline\n\n")
	courseTable(&out, b.Course)
	out.WriteString("\nAll that was noted, from half an hour before the alert to the end:\n\n")
	eventTable(&out, b.Incident, timeline)
	b.impactSection(&out)
	b.causeSection(&out)
	b.evidenceSection(&out)
	b.itemsSection(&out)
	out.WriteString("\n## What we learned\n\n")
	toWrite(&out, "what went well, what went badly, where we were lucky.")
	return out.String()
}

func (b *Brief) header(out *strings.Builder) {
	in := b.Incident
	fmt.Fprintf(out, "# Postmortem: %s\n\n", md(in.Title))
	if name := in.Drill(); name != "" {
		fmt.Fprintf(out, "> A drill (%s): nothing was wrong.\n\n", md(name))
	}
	if in.Open() {
		out.WriteString("> The incident is still open: times and numbers are as of " + stamped(b.Now) + ".\n\n")
	}
	row := func(word, text string) {
		if text == "" {
			text = "not known"
		}
		fmt.Fprintf(out, "| %s | %s |\n", word, text)
	}
	out.WriteString("| | |\n|---|---|\n")
	row("incident", mdCode(in.ID))
	row("severity", string(in.Severity))
	row("service", md(b.Setting.Service))
	row("provider", md(in.Provider))
	row("began", b.when(StepBegan))
	row("alert fired", b.when(StepFired))
	row("resolved", b.when(StepResolved))
	row("duration", Took(&b.Course.Duration))
	row("incident commander", cmp.Or(md(in.Commander), "nobody acknowledged it"))
	row("response", b.response())
	if in.ClosedBy != "" {
		row("closed by hand", md(in.ClosedBy)+": "+md(in.Reason))
	}
	fmt.Fprintf(out, "\n")
	toWrite(out, "authors, reviewers, the date of the review.")
	out.WriteString("\n")
}

func (b *Brief) when(s Step) string {
	if s == StepResolved && b.Incident.Open() {
		return "not yet"
	}
	return stamped(b.Course.at(s))
}

// response says whether somebody answered in time.
func (b *Brief) response() string {
	in := b.Incident
	at := b.Course.at(StepAcked)
	switch {
	case in.RespondBy.IsZero():
		return ""
	case at.IsZero() && in.Open() && !in.Missed:
		return "nobody yet; due by " + stamped(in.RespondBy)
	case at.IsZero():
		return "nobody acknowledged it; due by " + stamped(in.RespondBy)
	case at.After(in.RespondBy):
		return "late: " + stamped(at) + ", due by " + stamped(in.RespondBy)
	}
	return "in time: " + stamped(at) + ", due by " + stamped(in.RespondBy)
}

func (b *Brief) impactSection(out *strings.Builder) {
	s := b.Seen
	out.WriteString("\n## Impact\n\n| | |\n|---|---|\n")
	row := func(word, text string) { fmt.Fprintf(out, "| %s | %s |\n", word, text) }
	runs, spend := "not known", "not known"
	if s != nil {
		runs = fmt.Sprintf("%d of %d", s.Failed, s.Runs)
		if s.Runs == 0 {
			runs = "not known: no run was made"
		}
		spend = s.Spend.String()
	}
	row("failed runs of the checks", runs)
	if s != nil {
		row("degraded runs", strconv.Itoa(s.Degraded))
		row("runs that could not tell", strconv.Itoa(s.Unknown))
		row("slots that were skipped", strconv.Itoa(s.Skipped))
	}
	row("failed requests of the application", b.requests())
	row("spend of the checks", spend)
	row("spend of the application", b.applicationSpend())
	if s != nil && len(s.Checks) > 0 {
		out.WriteString("\n| check | failed | degraded | runs | causes |\n|---|---|---|---|---|\n")
		for i := range s.Checks {
			c := &s.Checks[i]
			fmt.Fprintf(out, "| %s | %d | %d | %d | %s |\n", mdCode(c.Check), c.Failed, c.Degraded, c.Runs, causesOf(c.Causes))
		}
	}
	out.WriteString("\n")
	toWrite(out, "who was affected and how they noticed; what it cost them and us.")
}

// requests is how many of the application's requests failed: never 0 where nobody knows.
func (b *Brief) requests() string {
	text := failedRequests(b.Seen)
	if b.Seen == nil || b.Seen.Traffic == nil || b.Seen.Traffic.Failed == nil {
		return text + ": nothing that was read measured them"
	}
	text += ", by " + md(b.Seen.Traffic.Source)
	if covered := b.Seen.Traffic.Covered; covered > 0 && covered < b.Course.Duration-1 {
		text += ", which saw " + Took(&covered) + " of " + Took(&b.Course.Duration)
	}
	return text
}

func (b *Brief) applicationSpend() string {
	switch s := b.Seen; {
	case s == nil || s.Traffic == nil:
	case s.Traffic.CostUSD != nil:
		return fmt.Sprintf("$%.2f, by %s", *s.Traffic.CostUSD, md(s.Traffic.Source))
	case s.Traffic.CostHour != nil:
		return fmt.Sprintf("at most $%.2f an hour, by %s", *s.Traffic.CostHour, md(s.Traffic.Source))
	}
	return "not known"
}

func causesOf(counts map[checks.Cause]int) string {
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", cause, counts[cause]))
	}
	return strings.Join(parts, ", ")
}

func (b *Brief) causeSection(out *strings.Builder) {
	out.WriteString("\n## Cause\n\n")
	in, page := b.Incident, BranchOf(b.Incident, b.Seen).Page(b.Setting)
	switch s := b.Seen; {
	case s != nil && s.Cause != checks.CauseNone:
		info, _ := s.Cause.Info()
		fmt.Fprintf(out, "The failed runs say %s (%s)%s, first in record %s of %s.\n", mdCode(string(s.Cause)), md(info.Doc), blamed(s.Blame), mdCode(s.Named.ID), mdCode(s.Named.Check))
	case s != nil:
		fmt.Fprintf(out, "No run that failed names a cause%s.\n", blamed(in.Blame))
	default:
		fmt.Fprintf(out, "Not known: the records could not be read%s.\n", blamed(in.Blame))
	}
	fmt.Fprintf(out, "Page of the runbook: %s, %s.\n\n", md(page.Title), mdCode(PageAddress(b.Setting, page.Branch)))
	toWrite(out, "why it could happen, and why it had the effect that it had: five times why. The agent knows what was seen, not why.")
}

func (b *Brief) evidenceSection(out *strings.Builder) {
	out.WriteString("\n## Contributing evidence\n\n")
	s, in := b.Seen, b.Incident
	if s != nil && len(s.Refs) > 0 {
		out.WriteString("The first run of each check and verdict that was not well; `windsock incident evidence` keeps all of them.\n\n| record | when | check | verdict | cause | what |\n|---|---|---|---|---|---|\n")
		for _, r := range s.Refs {
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", mdCode(r.ID), stamped(r.At), mdCode(r.Check), r.Status, r.Cause, md(r.Summary))
		}
		if s.MoreRefs > 0 {
			fmt.Fprintf(out, "\nand %d more.\n", s.MoreRefs)
		}
	} else {
		out.WriteString("No record of a run that was not well was read.\n")
	}
	if len(in.Alerts) > 0 {
		out.WriteString("\n| alert | severity | since | blame | what |\n|---|---|---|---|---|\n")
		for i := range in.Alerts {
			a := &in.Alerts[i]
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", mdCode(a.Rule), a.Severity, stamped(a.Since), a.Blame, md(a.Summary))
		}
	}
}

func (b *Brief) itemsSection(out *strings.Builder) {
	out.WriteString("\n## Action items\n\nTo begin with, for this cause; strike out what does not fit.\n\n| item | owner | by |\n|---|---|---|\n")
	for _, item := range b.items() {
		fmt.Fprintf(out, "| %s | | |\n", md(item))
	}
	out.WriteString("\n")
	toWrite(out, "owners and dates, and what else must change.")
}

// items are those of the cause's page, and those that follow from how the incident went.
func (b *Brief) items() []string {
	items := slices.Clone(BranchOf(b.Incident, b.Seen).Page(b.Setting).Items)
	in, acked := b.Incident, b.Course.at(StepAcked)
	if !in.RespondBy.IsZero() && (acked.After(in.RespondBy) || acked.IsZero() && (in.Missed || !in.Open())) {
		items = append(items, "Find out why nobody acknowledged the alert in time, and change who is told, or how")
	}
	if b.Seen == nil || b.Seen.Traffic == nil || b.Seen.Traffic.Failed == nil {
		items = append(items, "Have the application's failed requests measured: a check of kind prometheus with the preset checklist")
	}
	if b.Incident.ClosedBy != "" && in.QuietAt.IsZero() {
		items = append(items, "See to the alerts that were open when the incident was closed by hand")
	}
	return items
}
