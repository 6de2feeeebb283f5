package incident

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// BranchOf is the page of the runbook that an incident belongs to: that of the cause that most of its failed runs have, where
// it is blamed as the incident is, else that of the rule of its worst alert, else that of the blame.
func BranchOf(in *Incident, seen *Seen) runbook.Branch {
	if seen != nil && seen.Cause != checks.CauseNone && (in.Blame == checks.BlameNone || side(in.Blame) == side(seen.Blame)) {
		return runbook.Of(seen.Cause, seen.Blame, seen.Kind)
	}
	for i := range in.Alerts {
		if branch, known := runbook.ForRule(in.Alerts[i].Rule); known {
			return branch
		}
	}
	if seen != nil && seen.Cause != checks.CauseNone {
		return runbook.Of(seen.Cause, seen.Blame, seen.Kind)
	}
	switch in.Blame {
	case checks.BlameApplication:
		return runbook.Application
	case checks.BlameLocal:
		return runbook.LocalNetwork
	case checks.BlameOurs:
		return runbook.Configuration
	case checks.BlameNone, checks.BlameNetwork, checks.BlameAccount, checks.BlameProvider, checks.BlameConfig, checks.BlameSkipped:
	}
	return runbook.CannotTell
}

// Took is a time for a person: "4m30s"; "not known" where it is nil.
func Took(seconds *float64) string {
	if seconds == nil {
		return "not known"
	}
	return time.Duration(*seconds * float64(time.Second)).Round(time.Second).String()
}

// oneLine is a text without what would end a line or move a cursor.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
}

// md is a text of others as Markdown shows it: no markup of it counts.
func md(text string) string {
	var out strings.Builder
	for _, r := range oneLine(text) {
		if strings.ContainsRune("\\`*_[]<>|#~&", r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// mdCode is a text of others in which nothing is markup.
func mdCode(text string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "\\|").Replace(oneLine(text)) + "`"
}

func stamped(at time.Time) string {
	if at.IsZero() {
		return "not known"
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC")
}

// clock is a moment for people: in UTC, and in the team's zone where that is another.
func clock(at time.Time, zone *time.Location) string {
	text := at.UTC().Format("2006-01-02 15:04 UTC")
	if zone == nil {
		return text
	}
	if local := at.In(zone); local.Format("15:04") != at.UTC().Format("15:04") {
		text += local.Format(" (15:04 MST)")
	}
	return text
}

// TimelineMarkdown is the course and the whole timeline of an incident.
func TimelineMarkdown(now time.Time, in *Incident, c Course, timeline []Event) string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Timeline of incident %s\n\n%s, %s: %s\n\n", in.ID, in.Severity, stateOf(now, in), md(in.Title))
	courseTable(&out, c)
	out.WriteString("\n## All that was noted\n\n")
	eventTable(&out, in, timeline)
	return out.String()
}

func stateOf(now time.Time, in *Incident) string {
	if in.Open() {
		return "open for " + max(now.Sub(in.OpenedAt), 0).Round(time.Second).String()
	}
	return "closed after " + in.ClosedAt.Sub(in.OpenedAt).Round(time.Second).String()
}

func courseTable(out *strings.Builder, c Course) {
	out.WriteString("| milestone | when | what |\n|---|---|---|\n")
	for _, m := range c.Milestones {
		what := md(m.How)
		if m.By != "" {
			what += " (" + md(m.By) + ")"
		}
		if m.Record != "" {
			what += ", record " + mdCode(m.Record)
		}
		when := "not known"
		if !m.At.IsZero() {
			when = stamped(m.At)
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", m.Step, when, what)
	}
	out.WriteString("\n| time to | |\n|---|---|\n")
	for _, t := range []struct {
		word string
		took *float64
	}{
		{"detect, from its beginning to the alert", c.Detect},
		{"acknowledge, from the alert", c.Ack},
		{"identify the cause, from the alert", c.Identify},
		{"mitigate, from its beginning", c.Mitigate},
		{"resolve, from its beginning", c.Resolve},
	} {
		fmt.Fprintf(out, "| %s | %s |\n", t.word, Took(t.took))
	}
}

func eventTable(out *strings.Builder, in *Incident, timeline []Event) {
	if len(timeline) == 0 {
		out.WriteString("Nothing.\n")
		return
	}
	out.WriteString("| when (UTC) | of it | kind | what |\n|---|---|---|---|\n")
	for i := range timeline {
		e := &timeline[i]
		mine, text := "", md(e.Text)
		if e.Incident == in.ID {
			mine = "yes"
		}
		if e.Kind == EventMark && e.Subject != "" {
			text += " (" + md(e.Subject) + ")"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", e.At.UTC().Format(time.DateTime), mine, e.Kind, text)
	}
}
