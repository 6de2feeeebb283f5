package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/incident"
)

// timelineAnswer is what `incident timeline -o json` prints.
type timelineAnswer struct {
	Incident incident.Incident `json:"incident"`
	Course   incident.Course   `json:"course"`
	Timeline []incident.Event  `json:"timeline"`
}

func newIncidentTimeline(p process) *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use:   "timeline ID",
		Short: "Show how an incident went: its milestones, the times between them, and every line of the timeline",
		Long: `Show when it began, when the alert fired, who took it, when the cause was identified, when users were served again and
when it was over, with the times between, and then the whole timeline from half an hour before it to its end.
A mark that begins with "cause:" or "mitigated:" tells a milestone better than the agent can.
ID may be the beginning of an id, or latest. Where no agent answers, it is read from the store.
Exit code 2: there is no such incident; 1: neither the agent nor the store could be read.`,
		Example: "  windsock incident timeline latest\n  windsock incident timeline 01M8 -o markdown >timeline.md",
		RunE:    func(cmd *cobra.Command, args []string) error { return showTimeline(cmd.Context(), p, f, args[0]) },
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	outputs(cmd, &f.output, "text", "json", "markdown")
	return cmd
}

func showTimeline(ctx context.Context, p process, f incidentFlags, id string) error {
	if err := wantOneOf(f.output, "text", "json", "markdown"); err != nil {
		return err
	}
	d, err := openDossier(ctx, p, f.config, id, false)
	if err != nil {
		return err
	}
	out := d.cfg.Scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	switch f.output {
	case "json":
		return printJSON(out, timelineAnswer{d.got.Incident, d.course, d.got.Timeline})
	case "markdown":
		_, err = io.WriteString(out, incident.TimelineMarkdown(d.now, &d.got.Incident, d.course, d.got.Timeline))
		return err
	}
	in := &d.got.Incident
	fmt.Fprintf(out, "incident %s  %s  %s\n%s\n\n", in.ID, in.Severity, lasted(in, d.now), in.Title)
	printCourse(out, d.course)
	fmt.Fprintln(out)
	printEvents(out, d.got.Timeline)
	return nil
}

func printCourse(w io.Writer, c incident.Course) {
	for _, m := range c.Milestones {
		at := "-"
		if !m.At.IsZero() {
			at = m.At.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(w, "%-10s %-19s  %s", m.Step, at, m.How)
		if m.By != "" {
			fmt.Fprintf(w, " (%s)", m.By)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%-10s %s\n", "lasted", incident.Took(&c.Duration))
	for _, t := range []struct {
		word string
		took *float64
	}{{"detect", c.Detect}, {"ack", c.Ack}, {"identify", c.Identify}, {"mitigate", c.Mitigate}, {"resolve", c.Resolve}} {
		fmt.Fprintf(w, "%-10s %s\n", t.word, incident.Took(t.took))
	}
}

func printEvents(w io.Writer, timeline []incident.Event) {
	for i := range timeline {
		e := &timeline[i]
		mine := " "
		if e.Incident != "" {
			mine = "│"
		}
		fmt.Fprintf(w, "%s %s %-8s %s", e.At.UTC().Format(time.DateTime), mine, e.Kind, e.Text)
		if e.Kind == incident.EventMark && e.Subject != "" {
			fmt.Fprintf(w, " (%s)", e.Subject)
		}
		fmt.Fprintln(w)
	}
}
