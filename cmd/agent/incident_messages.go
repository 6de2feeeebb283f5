package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/evidence"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// outputs adds --output with the words that it takes, the first of which is the default.
func outputs(cmd *cobra.Command, into *string, words ...string) {
	cmd.Flags().StringVarP(into, "output", "o", words[0], strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// wantOneOf refuses an --output that is none of the words.
func wantOneOf(output string, words ...string) error {
	if slices.Contains(words, output) {
		return nil
	}
	return exit(exitUsage, fmt.Errorf("--output is %q, want %s or %s", output, strings.Join(words[:len(words)-1], ", "), words[len(words)-1]))
}

// brief is what messages and the postmortem are made of.
func (d *dossier) brief() *incident.Brief {
	return &incident.Brief{
		Now: d.now, Incident: &d.got.Incident, Course: d.course, Seen: d.seen, Setting: settingFor(d.cfg, d.got.Incident.Provider), Zone: d.cfg.Incidents.Timezone,
		Internals: d.internals(),
	}
}

// settingFor is what the team says of itself, for what concerns one of the providers; "" is the first.
func settingFor(cfg *config.Config, provider string) runbook.Setting {
	setting := cfg.Runbook
	for i := range cfg.Providers {
		if p := &cfg.Providers[i]; p.Name == provider {
			setting.API = p.BaseURL
		}
	}
	return setting
}

// internals are the words that the outside must not read: names of providers, hosts and people, and those of checks, rules and the
// like that are no words of the language, as "chat" and "checkout" are.
func (d *dossier) internals() []string {
	words := []string{d.cfg.Location, d.got.Incident.Commander, d.got.Incident.ClosedBy, codeWord(d.cfg.Runbook.Service), d.got.Incident.ID}
	for i := range d.cfg.Providers {
		words = append(words, d.cfg.Providers[i].Name)
		if u, err := url.Parse(d.cfg.Providers[i].BaseURL); err == nil {
			words = append(words, u.Hostname())
		}
	}
	for i := range d.cfg.Checks {
		words = append(words, codeWord(d.cfg.Checks[i].Name))
	}
	for i := range d.got.Incident.Alerts {
		words = append(words, codeWord(d.got.Incident.Alerts[i].Rule))
	}
	if d.seen != nil {
		words = append(words, codeWord(string(d.seen.Cause)))
	}
	if k := d.cfg.Runbook.Deployment.Kubernetes; k != nil {
		words = append(words, codeWord(k.Deployment), codeWord(k.Namespace))
	}
	return incident.Words(append(words, families()...)...)
}

// families are the names that the provider's models begin with, and its own.
func families() []string {
	return []string{"mistral", "mixtral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral"}
}

// codeWord is a name that nobody outside would say; "" for one that is a word of the language.
func codeWord(name string) string {
	if strings.ContainsAny(name, "-_.0123456789") {
		return name
	}
	return ""
}

type commsFlags struct{ config, output, audience, state string }

// commsAnswer is what `incident comms -o json` prints.
type commsAnswer struct {
	Incident string             `json:"incident"`
	Messages []incident.Message `json:"messages"`
}

func newIncidentComms(p process) *cobra.Command {
	var f commsFlags
	var states []string
	for _, phase := range incident.Phases() {
		states = append(states, string(phase))
	}
	cmd := &cobra.Command{
		Use:   "comms ID",
		Short: "Fill in the messages of an incident: for the team, and for the status page",
		Long: `Print the message for the team's channel (Slack's mrkdwn) and the one for the status page, filled in from the incident
and from runbook: of the configuration. Nothing is sent. The public one names no provider, check, host, model,
cause or person. The state is the one that the incident has come to, unless --state says another.
The next update is due after 30 minutes (P1), 1 hour (P2), 4 hours (P3) or on the next business day (P4).
ID may be the beginning of an id, or latest.
Exit code 2: there is no such incident; 1: neither the agent nor the store could be read.`,
		Example: "  windsock incident comms latest --for external --state investigating",
		RunE:    func(cmd *cobra.Command, args []string) error { return printComms(cmd.Context(), p, f, args[0]) },
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	cmd.Flags().StringVar(&f.audience, "for", "", "internal or external; both where it is not given")
	cmd.Flags().StringVar(&f.state, "state", "", strings.Join(states, ", "))
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"internal", "external"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func printComms(ctx context.Context, p process, f commsFlags, id string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	audiences, err := f.audiences()
	if err != nil {
		return err
	}
	d, err := openDossier(ctx, p, f.config, id, false)
	if err != nil {
		return err
	}
	out := d.cfg.Scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	answer := commsAnswer{Incident: d.got.Incident.ID}
	for _, audience := range audiences {
		answer.Messages = append(answer.Messages, d.brief().Message(audience, incident.Phase(f.state)))
	}
	if asJSON {
		return printJSON(out, answer)
	}
	for i := range answer.Messages {
		m := &answer.Messages[i]
		for _, note := range m.Notes {
			fmt.Fprintf(p.stderr, "hint: %s\n", note)
		}
		if len(answer.Messages) > 1 {
			fmt.Fprintf(out, "--- %s, %s%s\n", m.For, m.State, addressee(m.To))
		}
		fmt.Fprint(out, m.Text)
	}
	return nil
}

func addressee(to string) string {
	if to == "" {
		return ""
	}
	return ", for " + to
}

// audiences are those that are asked for.
func (f *commsFlags) audiences() ([]incident.Audience, error) {
	all := []incident.Audience{incident.Internal, incident.External}
	if f.state != "" && !slices.Contains(incident.Phases(), incident.Phase(f.state)) {
		return nil, exit(exitUsage, fmt.Errorf("--state is %q, want one of %v", f.state, incident.Phases()))
	}
	switch one := incident.Audience(f.audience); {
	case f.audience == "":
		return all, nil
	case slices.Contains(all, one):
		return []incident.Audience{one}, nil
	}
	return nil, exit(exitUsage, fmt.Errorf("--for is %q, want internal or external", f.audience))
}

type postmortemFlags struct {
	config, out, prometheus string
	force                   bool
}

func newIncidentPostmortem(p process) *cobra.Command {
	var f postmortemFlags
	cmd := &cobra.Command{
		Use:   "postmortem ID",
		Short: "Begin the postmortem of an incident: all that the agent knows, as Markdown",
		Long: `Write header, timeline, the times to detect, acknowledge, mitigate and resolve, the impact, the evidence, and the action
items that its cause begins with. What people have to write is marked as such and never made up; a number that
nobody measured is "not known". Failed requests are those that checks of kind prometheus saw, or with --prometheus
what that server says of the whole time.
ID may be the beginning of an id, or latest.
Exit code 2: there is no such incident, or FILE is there and --force was not given; 1: it could not be read or written.`,
		Example: "  windsock incident postmortem latest --out postmortem.md\n  windsock incident postmortem 01M8 --prometheus http://127.0.0.1:9090",
		RunE:    func(cmd *cobra.Command, args []string) error { return writePostmortem(cmd.Context(), p, f, args[0]) },
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "a file, of mode 0600, in place of the standard output; it has its name when it is whole")
	flags.BoolVar(&f.force, "force", false, "replace the file")
	flags.StringVar(&f.prometheus, "prometheus", "", "ask this server for the application's failed requests: http://127.0.0.1:9090")
	return cmd
}

func writePostmortem(ctx context.Context, p process, f postmortemFlags, id string) error {
	d, err := openDossier(ctx, p, f.config, id, false)
	if err != nil {
		return err
	}
	if f.prometheus != "" {
		if err := d.askTraffic(ctx, f.prometheus); err != nil {
			fmt.Fprintf(p.stderr, "warning: %v; the failed requests are not known from there\n", err)
		}
	}
	text := d.cfg.Scrubber.String(d.brief().Postmortem(d.got.Timeline))
	if f.out == "" {
		_, err := io.WriteString(p.stdout, text)
		return exitOr(exitCannot, err)
	}
	err = evidence.WriteFile(ctx, f.out, f.force, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return unwritten(err)
	}
	fmt.Fprintf(p.stderr, "%s\n", f.out)
	return nil
}

// unwritten is the exit code of a file that was not written.
func unwritten(err error) error {
	if errors.Is(err, os.ErrExist) {
		return exit(exitUsage, fmt.Errorf("%w; give another name, or --force", err))
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w; make its folder first", err)
	}
	return exit(exitCannot, err)
}
