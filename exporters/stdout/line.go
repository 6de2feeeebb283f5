package stdout

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Bounds of the columns, in bytes. What is longer moves the rest of its line to the right.
const (
	maxName = 64
	maxText = 400
)

// line is a record for a person: when, what became of it, which check, how long, why. Text of targets is cleaned: one
// line, no control characters, so that no target writes to a terminal.
func line(rec checks.Record) string {
	switch rec.Type() {
	case checks.TypeReport:
		return reportLine(rec.Report)
	case checks.TypeAlert:
		return alertLine(rec.Alert)
	case checks.TypeAgent:
		return agentLine(rec)
	}
	return columns(rec.At, "empty", exporters.Clean(rec.ID, maxName), "", "a record that holds nothing")
}

func columns(at time.Time, status, name, took, text string) string {
	return strings.TrimRight(fmt.Sprintf("%s  %-8s  %-20s  %8s  %s", at.UTC().Format("2006-01-02T15:04:05Z"), status, name, took, text), " ")
}

func reportLine(r *checks.Report) string {
	took := "-"
	if !r.StartedAt.IsZero() {
		took = r.Took.Round(time.Millisecond).String()
	}
	var why strings.Builder
	if r.Cause != checks.CauseNone {
		why.WriteString(exporters.Clean(string(r.Cause), maxName))
		if r.Blame != checks.BlameNone && r.Blame != checks.BlameSkipped {
			fmt.Fprintf(&why, " (%s)", exporters.Clean(string(r.Blame), maxName))
		}
	}
	if r.Slots > 1 {
		fmt.Fprintf(&why, " ×%d slots", r.Slots)
	}
	if !r.Final {
		why.WriteString(", unconfirmed")
	}
	text := strings.Trim(why.String(), ", ")
	if summary := exporters.Clean(r.Summary, maxText); summary != "" {
		text = strings.TrimPrefix(text+": "+summary, ": ")
	}
	return columns(r.At(), r.Status.String(), exporters.Clean(r.Check, maxName), took, text)
}

func alertLine(a *checks.Alert) string {
	text := fmt.Sprintf("%s alert, value %g, threshold %g", exporters.Clean(string(a.Severity), maxName), a.Value, a.Threshold)
	if a.Drill() != "" {
		text = "DRILL " + text
	}
	if !a.Since.IsZero() {
		text += ", since " + a.Since.UTC().Format("15:04:05Z")
	}
	return columns(a.At, exporters.Clean(string(a.State), maxName), exporters.Clean(a.Rule, maxName), "", text)
}

func agentLine(rec checks.Record) string {
	s := rec.Agent
	text := fmt.Sprintf("%d measurements of the agent itself", len(s.Measurements))
	if up := rec.At.Sub(s.StartedAt); !s.StartedAt.IsZero() && up > 0 {
		text += ", up " + up.Round(time.Second).String()
	}
	return columns(rec.At, "agent", "windsock "+exporters.Clean(s.Version, maxName), "", text)
}
