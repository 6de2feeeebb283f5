package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// newIncident is the root of what concerns incidents.
func newIncident(p process) *cobra.Command {
	said := &noting{to: p.stdout}
	p.stdout = said
	cmd := &cobra.Command{
		Use:   "incident",
		Short: "List incidents, show what happened in one, tell of it, keep its evidence, close it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(exitUsage, errors.Join(errors.New("incident: name a verb"), cmd.Help()))
		},
	}
	cmd.AddCommand(
		newIncidentList(p), newIncidentShow(p), newIncidentTimeline(p), newIncidentMark(p), newIncidentEvidence(p), newIncidentComms(p),
		newIncidentPostmortem(p), newIncidentClose(p),
	)
	said.watch(cmd.Commands()...)
	return cmd
}

type incidentFlags struct{ config, output string }

func newIncidentList(p process) *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the incidents that are open, and those of the last 30 days",
		Long:  "Ask the running agent for its incidents; where none answers, read them from the store.\nExit code 0: here they are; 1: neither the agent nor the store could be read.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var got *agent.IncidentsAnswer
			asJSON, err := f.look(cmd.Context(), p, "/v1/incidents", &got, func(ctx context.Context, cfg *config.Config) (err error) {
				got, err = agent.SeenIncidents(ctx, cfg, p.getenv)
				return err
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(p.stdout, got)
			}
			printIncidents(p.stdout, got.Incidents, time.Now())
			return nil
		},
	}
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	return cmd
}

func newIncidentShow(p process) *cobra.Command {
	var f incidentFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an incident with its timeline",
		Long:  "Show one incident, by its id, the beginning of it, or latest: its alerts, who commands it or by when somebody should, the page\nof the runbook, and what happened from half an hour before it to its end. Where no agent answers, it is\nread from the store.\nExit code 2: there is no such incident; 1: neither the agent nor the store could be read.",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantOutput(f.output)
			if err != nil {
				return err
			}
			d, err := openDossier(cmd.Context(), p, f.config, args[0], false)
			if err != nil {
				return err
			}
			shown := shownIncident{IncidentAnswer: *d.got, Runbook: d.page()}
			if asJSON {
				return printJSON(p.stdout, shown)
			}
			printIncident(p.stdout, &shown, time.Now())
			return nil
		},
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	return cmd
}

func newIncidentMark(p process) *cobra.Command {
	var path, by string
	cmd := &cobra.Command{
		Use:   "mark TEXT",
		Short: "Note in the timeline what you did: a deploy, a canary",
		Long:  "Have the running agent note a line in its timeline, where the incidents of that time show it.\nExit code 1: no agent answers; 2: the text is empty, too long or of more than one line.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientOf(cmd.Context(), p, path)
			if err != nil {
				return err
			}
			request := agent.MarkRequest{Text: strings.Join(args, " "), By: by}
			if err := client.Ask(cmd.Context(), http.MethodPost, "/v1/marks", request, nil); err != nil {
				if _, refused := errors.AsType[*agent.RefusedError](err); !refused {
					err = fmt.Errorf("a mark needs the running agent: %w", err)
				}
				return asked(err)
			}
			fmt.Fprintln(p.stdout, "marked")
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&by, "by", operator(p), "who did it")
	return cmd
}

// look asks the running agent, and where none answers the store.
func (f incidentFlags) look(ctx context.Context, p process, path string, into any, seen func(context.Context, *config.Config) error) (asJSON bool, err error) {
	if asJSON, err = wantOutput(f.output); err != nil {
		return false, err
	}
	client, err := clientOf(ctx, p, f.config)
	if err != nil {
		return false, err
	}
	err = client.Ask(ctx, http.MethodGet, path, nil, into)
	if _, refused := errors.AsType[*agent.RefusedError](err); err == nil || refused {
		return asJSON, asked(err)
	}
	cfg, unread := readConfig(p, f.config)
	if unread != nil {
		return false, unread
	}
	if failed := seen(ctx, cfg); failed != nil {
		return false, neither(ctx, err, failed)
	}
	fromStore(p, err)
	return asJSON, nil
}

// fromStore says that what is told is the store's, and why.
func fromStore(p process, unasked error) {
	why := "no agent answers"
	if silent, stuck := errors.AsType[*agent.SilentError](unasked); stuck {
		why = silent.Error()
	}
	fmt.Fprintf(p.stderr, "hint: %s; this is what the store has\n", why)
}

// neither is why nothing could be told: the agent was not asked, and the store could not be read.
func neither(ctx context.Context, unasked, unread error) error {
	notAllowed, closed := errors.AsType[*agent.NotAllowedError](unasked)
	switch {
	case agent.IsNoIncident(unread):
		return exit(exitUsage, unread)
	case ctx.Err() != nil:
		return exit(exitCannot, errors.New("interrupted; nothing was written"))
	case closed:
		return exit(exitCannot, fmt.Errorf("%w; and the store: %w", notAllowed, unread))
	}
	return exit(exitCannot, unread)
}

func printIncidents(w io.Writer, all []incident.Incident, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no incident in the last 30 days")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSEVERITY\tSTATE\tOPENED\tANSWER BY\tCOMMANDER\tWHAT")
	for i := range all {
		in := &all[i]
		commander := in.Commander
		if commander == "" {
			commander = "-"
		}
		by := "-"
		if in.Open() && in.Commander == "" && !in.RespondBy.IsZero() {
			by = in.RespondBy.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", in.ID, in.Severity, lasted(in, now), in.OpenedAt.UTC().Format(time.RFC3339), by, commander, in.Title)
	}
	_ = table.Flush()
}

// lasted is the state of an incident, with how long it has been in it or took.
func lasted(in *incident.Incident, now time.Time) string {
	if in.Open() {
		return "open " + max(now.Sub(in.OpenedAt), 0).Round(time.Second).String()
	}
	return "closed after " + in.ClosedAt.Sub(in.OpenedAt).Round(time.Second).String()
}

// shownIncident is what `incident show -o json` prints.
type shownIncident struct {
	agent.IncidentAnswer

	Runbook runbookPage `json:"runbook"`
}

// runbookPage is where people read what to do.
type runbookPage struct {
	Branch runbook.Branch `json:"branch"`
	Title  string         `json:"title"`
	Page   string         `json:"page"` // its address
}

func (d *dossier) page() runbookPage {
	page := incident.BranchOf(&d.got.Incident, d.seen).Page(d.cfg.Runbook)
	return runbookPage{page.Branch, page.Title, incident.PageAddress(d.cfg.Runbook, page.Branch)}
}

func printIncident(w io.Writer, got *shownIncident, now time.Time) {
	in := &got.Incident
	fmt.Fprintf(w, "incident %s  %s  %s\n%s\n", in.ID, in.Severity, lasted(in, now), in.Title)
	for _, more := range []struct{ word, text string }{
		{"provider", in.Provider},
		{"blame", string(in.Blame)},
		{"commander", in.Commander},
		{"note", in.Note},
		{"answer by", deadline(in)},
		{"closed by", closedBy(in)},
		{"runbook", got.Runbook.Title + ": " + got.Runbook.Page},
	} {
		if more.text != "" {
			fmt.Fprintf(w, "%-10s %s\n", more.word, more.text)
		}
	}
	for i := range in.Alerts {
		fmt.Fprintf(w, "alert      %s\n", alertLine(&in.Alerts[i]))
	}
	fmt.Fprintln(w)
	printEvents(w, got.Timeline)
}

// closedBy says who closed it by hand, and why.
func closedBy(in *incident.Incident) string {
	if in.Reason == "" {
		return in.ClosedBy
	}
	return in.ClosedBy + ": " + in.Reason
}

func deadline(in *incident.Incident) string {
	switch at := in.RespondBy.UTC().Format(time.RFC3339); {
	case in.RespondBy.IsZero() || in.Commander != "" && !in.Missed:
		return ""
	case in.Missed:
		return at + ", missed"
	default:
		return at
	}
}

func alertLine(a *checks.Alert) string {
	line := fmt.Sprintf("%-8s %s %s", a.State, a.Severity, a.Rule)
	if a.Summary != "" {
		line += ": " + a.Summary
	}
	if a.Muted != "" {
		line += " (muted: " + a.Muted + ")"
	}
	return line
}
