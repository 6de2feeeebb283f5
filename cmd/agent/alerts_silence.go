package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/nearest"
)

type silenceFlags struct {
	config, output            string
	length                    time.Duration
	until, reason, by, expire string
	list                      bool
}

func newAlertsSilence(p process) *cobra.Command {
	var f silenceFlags
	cmd := &cobra.Command{
		Use:   "silence (RULE|LABEL=VALUE)… --for 2h --reason TEXT",
		Short: "Keep people from being told of alerts for a while",
		Long: `Silence the alerts that match all of what is named: a rule, or a label of the alert. Several rules, or several values of
one label, are any of them. LABEL!=VALUE is none of them, LABEL=~PATTERN a regular expression over the whole value.
An alert goes on firing and resolving while it is silenced; only nobody is told.`,
		Example: `  windsock alerts silence high-latency --for 2h --reason "load test"
  windsock alerts silence provider=mistral severity=P3 --until 2027-01-02T08:00:00Z --reason "known, ticket 12"
  windsock alerts silence --list
  windsock alerts silence --expire 01JZ3Y6T2W8M5Q4R7S9V0X1B2C`,
		RunE: func(cmd *cobra.Command, args []string) error { return silence(cmd.Context(), p, &f, args) },
	}
	configFlag(cmd, &f.config)
	outputFlag(cmd, &f.output)
	cmd.Flags().DurationVar(&f.length, "for", 0, "how long")
	cmd.Flags().StringVar(&f.until, "until", "", "until when, instead of --for: 2027-01-02T08:00:00Z")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why: those who look at the alert are told")
	cmd.Flags().StringVar(&f.by, "by", operator(p), "who silences")
	cmd.Flags().BoolVar(&f.list, "list", false, "list what mutes alerts now")
	cmd.Flags().StringVar(&f.expire, "expire", "", "end the silence with this id now")
	return cmd
}

func silence(ctx context.Context, p process, f *silenceFlags, args []string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	request, err := f.request(args)
	if err != nil {
		return exit(exitUsage, err)
	}
	client, err := clientOf(ctx, p, f.config)
	if err != nil {
		return err
	}
	switch {
	case f.list:
		return listMutes(ctx, p, client, asJSON)
	case f.expire != "":
		if err := client.Ask(ctx, http.MethodDelete, "/v1/silences/"+url.PathEscape(f.expire), nil, nil); err != nil {
			return asked(err)
		}
		fmt.Fprintf(p.stdout, "ended %s\n", f.expire)
		return nil
	}
	var made alerting.Silence
	if err := client.Ask(ctx, http.MethodPost, "/v1/silences", request, &made); err != nil {
		return asked(err)
	}
	if asJSON {
		return printJSON(p.stdout, &made)
	}
	fmt.Fprintf(p.stdout, "silenced %s until %s\n", made.ID, made.Until.Format(time.RFC3339))
	hintOfRules(ctx, p, client, made.Match["rule"])
	return nil
}

// hintOfRules says which of the names are no rule's: their silence hushes nobody.
func hintOfRules(ctx context.Context, p process, client *agent.Client, names []string) {
	var got agent.AlertsAnswer
	if client.Ask(ctx, http.MethodGet, "/v1/alerts", nil, &got) != nil {
		return
	}
	var rules []string
	for i := range got.Rules {
		rules = append(rules, got.Rules[i].Name)
	}
	for _, name := range names {
		name = strings.TrimPrefix(name, "!")
		if strings.HasPrefix(name, "~") || slices.Contains(rules, name) {
			continue
		}
		hint := fmt.Sprintf("hint: no rule is called %q", name)
		if near := nearest.Word(name, rules); near != "" {
			hint += fmt.Sprintf("; did you mean %q?", near)
		}
		fmt.Fprintln(p.stderr, hint)
	}
}

// request is what the agent is asked for, where it is asked for a silence.
func (f *silenceFlags) request(args []string) (*agent.SilenceRequest, error) {
	if f.list || f.expire != "" {
		if len(args) > 0 || f.list && f.expire != "" {
			return nil, errors.New("--list and --expire stand alone")
		}
		return nil, nil //nolint:nilnil // there is nothing to ask for
	}
	if (f.length == 0) == (f.until == "") {
		return nil, errors.New("a silence has an end: want one of --for and --until")
	}
	if strings.TrimSpace(f.reason) == "" {
		return nil, errors.New("a silence has a reason: want --reason")
	}
	request := &agent.SilenceRequest{Match: matchOf(args), Reason: f.reason, By: f.by}
	if _, err := alerting.Matchers(plain(request.Match)); err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}
	if f.until == "" {
		request.For = f.length.String()
		return request, nil
	}
	until, err := time.Parse(time.RFC3339, f.until)
	if err != nil {
		return nil, fmt.Errorf("--until is %q, want a time such as 2027-01-02T08:00:00Z", f.until)
	}
	request.Until = until
	return request, nil
}

// matchOf reads rules and labels.
func matchOf(args []string) map[string]agent.Values {
	match := map[string]agent.Values{}
	for _, arg := range args {
		attr, value, isLabel := strings.Cut(arg, "=")
		if !isLabel {
			attr, value = "rule", arg
		}
		if name, not := strings.CutSuffix(attr, "!"); not {
			attr, value = name, "!"+value
		}
		match[attr] = append(match[attr], value)
	}
	return match
}

func plain(match map[string]agent.Values) map[string][]string {
	out := map[string][]string{}
	for attr, values := range match {
		out[attr] = values
	}
	return out
}

func listMutes(ctx context.Context, p process, client *agent.Client, asJSON bool) error {
	var got agent.AlertsAnswer
	if err := client.Ask(ctx, http.MethodGet, "/v1/alerts", nil, &got); err != nil {
		return asked(err)
	}
	if asJSON {
		return printJSON(p.stdout, got.Mutes)
	}
	if len(got.Mutes) == 0 {
		fmt.Fprintln(p.stdout, "nothing is muted")
	}
	for _, m := range got.Mutes {
		printMute(p.stdout, &m)
	}
	return nil
}
