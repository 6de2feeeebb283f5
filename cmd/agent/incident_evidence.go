package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/evidence"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

type evidenceFlags struct {
	config, output, out, log, retain string
	kubectl, force                   bool
	patience                         time.Duration
}

// evidenceAnswer is what `incident evidence -o json` prints.
type evidenceAnswer struct {
	Path     string            `json:"path"`
	Bytes    int64             `json:"bytes"`
	Manifest evidence.Manifest `json:"manifest"`
}

func newIncidentEvidence(p process) *cobra.Command {
	var f evidenceFlags
	cmd := &cobra.Command{
		Use:   "evidence ID",
		Short: "Keep what tells of an incident: an archive without a key, a prompt or an answer",
		Long: `Write a tar.gz of mode 0600 with a manifest: the records of the incident's time and checks, its alerts and timeline, the
structure of the configuration, versions, what was found on the host, how far exporters had come, and the lines of a
log from that time. What goes in is on a list, field by field, and each text goes through the redactor; keys, prompts,
answers and headers are on no list. What could not be had is named in the manifest, and the rest is written.
--log takes a file, or unit:NAME for the journal of a unit; without it the journal of the agent's own unit is taken.
--kubectl adds counts and states of the deployment and its pods, never their environment or annotations.
ID may be the beginning of an id, or latest.
Exit code 0: written; 2: there is no such incident, or FILE is there and --force was not given; 1: it could not be read or written.`,
		Example: "  windsock incident evidence latest --out /var/tmp/incident.tar.gz --kubectl --log unit:shop.service",
		RunE:    func(cmd *cobra.Command, args []string) error { return keepEvidence(cmd.Context(), p, f, args[0]) },
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "the archive (default windsock-evidence-ID.tar.gz here)")
	flags.BoolVar(&f.force, "force", false, "replace the archive")
	flags.StringVar(&f.log, "log", "", "a log file, or unit:NAME")
	flags.StringVar(&f.retain, "retain", "90d", "how long it may be kept: noted in the manifest; nobody deletes it for you")
	flags.BoolVar(&f.kubectl, "kubectl", false, "add a summary of the deployment of runbook:, by kubectl")
	flags.DurationVar(&f.patience, "patience", 10*time.Second, "how long kubectl and journalctl may take, each time")
	return cmd
}

func keepEvidence(ctx context.Context, p process, f evidenceFlags, id string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	keep, err := params.ParseDuration(f.retain)
	if err != nil || keep < 24*time.Hour {
		return exit(exitUsage, fmt.Errorf("--retain is %q, want a day at least: 90d", f.retain))
	}
	d, err := openDossier(ctx, p, f.config, id, true)
	if err != nil {
		return err
	}
	c := &collecting{dossier: d, p: p, f: f, programs: evidence.Programs{Getenv: p.getenv, Most: f.patience}}
	c.begin(ctx, keep)
	if err = c.collect(ctx); err == nil {
		err = ctx.Err()
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing was written")
	}
	if err != nil {
		return exit(exitCannot, err)
	}
	answer := evidenceAnswer{Path: cmp.Or(f.out, c.bundle.Folder()+".tar.gz")}
	err = evidence.WriteFile(ctx, answer.Path, f.force, func(w io.Writer) error {
		answer.Bytes, err = c.bundle.WriteTo(w)
		return err
	})
	if err != nil {
		return unwritten(err)
	}
	answer.Manifest = c.bundle.Manifest
	if asJSON {
		return printJSON(p.stdout, answer)
	}
	printEvidence(p.stdout, &answer)
	return nil
}

func printEvidence(w io.Writer, a *evidenceAnswer) {
	fmt.Fprintf(w, "%s: %s, %d files, keep until %s\n", a.Path, size(a.Bytes), len(a.Manifest.Files)+1, a.Manifest.RetainUntil)
	for _, rule := range evidence.Rules() {
		if n := a.Manifest.Redacted[rule]; n > 0 {
			fmt.Fprintf(w, "redacted   %s %d times\n", rule, n)
		}
	}
	for _, notes := range []struct {
		word string
		all  []evidence.Note
	}{{"in part", a.Manifest.Bounded}, {"left out", a.Manifest.Left}} {
		for _, n := range notes.all {
			fmt.Fprintf(w, "%-10s %s: %s\n", notes.word, n.What, n.Why)
		}
	}
}

// collecting is an archive on its way.
type collecting struct {
	*dossier

	p        process
	f        evidenceFlags
	programs evidence.Programs
	bundle   *evidence.Bundle
	span     evidence.Span
	unit     string
}

// begin makes the redactor know all secrets that this user may know, and looks at the host.
func (c *collecting) begin(ctx context.Context, keep time.Duration) {
	redactor := evidence.NewRedactor(c.cfg.Scrubber)
	var unknown []string
	for _, s := range agent.SecretsOf(c.cfg) {
		bounded, cancel := context.WithTimeout(ctx, 3*time.Second)
		if value, err := s.Secret.Reveal(bounded); err == nil {
			redactor.Know(value)
		} else {
			unknown = append(unknown, s.Of)
		}
		cancel()
	}
	for _, name := range secretVariables() {
		if value := c.p.getenv(name); len(value) >= 8 {
			redactor.Know(value)
		}
	}
	in := &c.got.Incident
	c.span = evidence.Span{From: in.OpenedAt.Add(-incident.Before), To: in.ClosedAt}
	if in.Open() {
		c.span.To = c.now
	}
	service, findings := agent.HostFacts(ctx, c.cfg, agent.ProbeOptions{Registry: registry(), Version: version, Getenv: c.p.getenv})
	c.unit = service.Unit
	c.bundle = evidence.New(evidence.Manifest{
		Incident: in.ID, CollectedAt: c.now.UTC().Truncate(time.Second), RetainUntil: c.now.Add(keep).UTC().Format(time.DateOnly),
		Versions: evidence.VersionsHere(version, commit, service.Manager), Source: c.source(),
		WindowFrom: c.span.From.UTC(), WindowTo: c.span.To.UTC(),
	}, redactor)
	if len(unknown) > 0 {
		c.bundle.Partly("redaction by value", "this user cannot read "+strings.Join(unknown, ", ")+": of these the patterns alone keep texts clean")
	}
	c.note(c.bundle.JSON("host.json", evidence.Host(findings)))
}

// secretVariables are variables of the environment whose values are never to be in an archive, whether the configuration
// names them or not.
func secretVariables() []string {
	return []string{
		"MISTRAL_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "VAULT_TOKEN", "DD_API_KEY",
		"DD_APP_KEY", "SLACK_BOT_TOKEN", "SLACK_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "PAGERDUTY_TOKEN", "DATABASE_URL", "PGPASSWORD", "REDIS_URL",
	}
}

func (c *collecting) note(err error) {
	if err != nil {
		c.bundle.Without("a file", err.Error())
	}
}

// collect adds all that can be had. What cannot is noted.
func (c *collecting) collect(ctx context.Context) error {
	in := &c.got.Incident
	err := errors.Join(
		c.bundle.JSON("incident.json", evidence.Incident(in, c.course)),
		c.bundle.Lines("timeline.ndjson", evidence.Timeline(c.got.Timeline)),
		c.bundle.JSON("configuration.json", evidence.Settings(c.cfg)),
		c.records(),
	)
	if err != nil {
		return err
	}
	c.agentState(ctx)
	c.logs(ctx)
	c.cluster(ctx)
	return nil
}

func (c *collecting) records() error {
	if c.seen == nil {
		c.bundle.Without("records", fmt.Sprint(c.lack))
		return nil
	}
	var reports, transitions []any
	for i := range c.took {
		switch r := &c.took[i]; {
		case r.Report != nil:
			reports = append(reports, evidence.Record(r))
		case r.Alert != nil:
			transitions = append(transitions, evidence.Record(r))
		}
	}
	if len(c.took) == mostRecords {
		c.bundle.Partly("records", fmt.Sprintf("the first %d; the summary counts all", mostRecords))
	}
	return errors.Join(
		c.bundle.Lines("records.ndjson", reports), c.bundle.Lines("transitions.ndjson", transitions), c.bundle.JSON("summary.json", c.seen),
	)
}

// agentState adds how the running agent is, and how far its exporters are; of one that does not run, what the store knows.
func (c *collecting) agentState(ctx context.Context) {
	if c.client != nil {
		body, err := c.client.Health(ctx)
		var health status.Health
		if err == nil {
			err = json.Unmarshal(body, &health)
		}
		if err == nil {
			c.bundle.Manifest.Versions.Agent = health.Version
			c.note(c.bundle.JSON("agent.json", evidence.Health(&health)))
			c.note(c.bundle.JSON("exporters.json", evidence.Exporters(&health)))
			return
		}
		c.bundle.Without("agent", err.Error())
	} else {
		c.bundle.Without("agent", "none answers")
	}
	dir, err := agent.StateDir(c.cfg, c.p.getenv)
	var found *store.Inspection
	if err == nil {
		found, err = store.Inspect(ctx, dir, false)
	}
	if err != nil {
		c.bundle.Without("exporters", err.Error())
		return
	}
	all := []evidence.Exporter{}
	for _, e := range found.Exporters {
		all = append(all, evidence.Exporter{Name: e.Exporter, Queue: e.Records, Oldest: e.Oldest, Position: int64(e.Position)})
	}
	c.note(c.bundle.JSON("exporters.json", all))
}

// logs adds the lines of the log that was named, else of the agent's own unit.
func (c *collecting) logs(ctx context.Context) {
	name, isUnit := strings.CutPrefix(c.f.log, "unit:")
	if c.f.log == "" {
		if name, isUnit = c.unit, true; name == "" {
			c.bundle.Without("log", "no unit of this host runs this configuration; name a log with --log")
			return
		}
	}
	var text, note string
	var err error
	if isUnit {
		text, note, err = c.programs.Journal(ctx, name, c.span)
	} else {
		text, note, err = evidence.LogFile(name, c.span)
	}
	switch {
	case err != nil:
		c.bundle.Without("log", err.Error())
	case text == "":
		c.bundle.Without("log", filepath.Base(name)+" has no line of that time")
	default:
		c.bundle.Text("log.txt", text)
	}
	if note != "" {
		c.bundle.Partly("log", note)
	}
}

func (c *collecting) cluster(ctx context.Context) {
	if !c.f.kubectl {
		return
	}
	seen, err := c.programs.AskCluster(ctx, c.cfg.Runbook.Deployment.Kubernetes)
	if err != nil {
		c.bundle.Without("kubectl", err.Error())
	}
	if seen != nil {
		c.note(c.bundle.JSON("cluster.json", seen))
	}
}
