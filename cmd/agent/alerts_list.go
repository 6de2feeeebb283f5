package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
)

func newAlertsList(p process) *cobra.Command {
	var config, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show alerts, rules and what mutes them",
		Long:  "Ask the running agent for its alerts, rules, silences and maintenance windows.\nExit code 0: it answered; 1: no agent answers.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantOutput(output)
			if err != nil {
				return err
			}
			client, err := clientOf(cmd.Context(), p, config)
			if err != nil {
				return err
			}
			var got agent.AlertsAnswer
			if err := client.Ask(cmd.Context(), http.MethodGet, "/v1/alerts", nil, &got); err != nil {
				return asked(err)
			}
			if asJSON {
				return printJSON(p.stdout, &got)
			}
			printAlerts(p.stdout, &got, time.Now())
			return nil
		},
	}
	configFlag(cmd, &config)
	outputFlag(cmd, &output)
	return cmd
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return exit(exitCannot, fmt.Errorf("writing the answer: %w", err))
	}
	return nil
}

func printAlerts(w io.Writer, got *agent.AlertsAnswer, now time.Time) {
	if len(got.Alerts) == 0 {
		fmt.Fprintln(w, "no alert is pending or open")
	}
	for i := range got.Alerts {
		printAlert(w, &got.Alerts[i], now)
	}
	for _, m := range got.Mutes {
		printMute(w, &m)
	}
	for _, r := range got.Rules {
		fmt.Fprintf(w, "rule      %-8s  %s  %s", r.State, r.Severity, r.Name)
		if r.Reason != "" {
			fmt.Fprintf(w, ": %s", r.Reason)
		}
		fmt.Fprintln(w)
	}
}

func printAlert(w io.Writer, a *checks.Alert, now time.Time) {
	fmt.Fprintf(w, "alert     %-8s  %s  %s", a.State, a.Severity, a.Rule)
	for _, key := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(w, " %s=%s", key, a.Labels[key])
	}
	fmt.Fprintf(w, ", for %s\n", max(now.Sub(a.Since), 0).Round(time.Second))
	for _, more := range []struct{ word, text string }{
		{"", a.Summary},
		{"", a.Diagnosis},
		{"do: ", a.Action},
		{"runbook: ", a.Runbook},
		{"muted: ", a.Muted},
		{"incident: ", a.Incident},
		{"commander: ", a.Commander},
	} {
		if more.text != "" {
			fmt.Fprintf(w, "          %s%s\n", more.word, more.text)
		}
	}
	if !a.RespondBy.IsZero() && a.Commander == "" {
		fmt.Fprintf(w, "          answer by: %s\n", a.RespondBy.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "          fingerprint: %s\n", a.Fingerprint)
}

func printMute(w io.Writer, m *agent.MuteAnswer) {
	match := strings.Join(m.Match, " ")
	if match == "" {
		match = "everything"
	}
	fmt.Fprintf(w, "mute      %s  until %s  %s: %s", strings.TrimPrefix(m.ID, "silence/"), m.Until.Format(time.RFC3339), match, m.Reason)
	if m.By != "" {
		fmt.Fprintf(w, " (%s)", m.By)
	}
	fmt.Fprintln(w)
}
