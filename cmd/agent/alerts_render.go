package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/alerts/render"
	"github.com/windsock-monitor/windsock/internal/config"
)

type renderFlags struct{ config, format, out string }

func newAlertsRender(p process) *cobra.Command {
	var f renderFlags
	cmd := &cobra.Command{
		Use:   "render --format prometheus|datadog|grafana",
		Short: "Write the alert rules for Prometheus, Datadog or Grafana",
		Long: `Write the rules of the configuration, the built-in ones included, as a rule file of Prometheus, as monitors of
Datadog, or the measurements that they read as a dashboard of Grafana. The same configuration gives the same
bytes. It asks nobody. What a system cannot express is said on standard error, a line for each rule.
Exit code 0: everything could be written; 3: written, but not all of it as it stands.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return renderAlerts(p, f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().StringVar(&f.format, "format", "", "prometheus, datadog or grafana")
	cmd.Flags().StringVar(&f.out, "out", "", "the file to write (default: standard output)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"prometheus", "datadog", "grafana"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func renderAlerts(p process, f renderFlags) error {
	write, ok := map[string]func(render.Input) ([]byte, []render.Remark){
		"prometheus": render.Prometheus, "datadog": render.Datadog, "grafana": render.Grafana,
	}[f.format]
	if !ok {
		return exit(exitUsage, fmt.Errorf("--format is %q, want prometheus, datadog or grafana", f.format))
	}
	cfg, err := readConfig(p, f.config)
	if err != nil {
		return err
	}
	if err := agent.Buildable(cfg, registry()); err != nil {
		return exit(exitUsage, err)
	}
	text, remarks := write(rendered(cfg))
	if err := put(p.stdout, f.out, text); err != nil {
		return exit(exitCannot, err)
	}
	lost := false
	for _, r := range remarks {
		fmt.Fprintln(p.stderr, r)
		lost = lost || r.Lost
	}
	if lost {
		return exit(exitBadNews, nil)
	}
	return nil
}

// rendered is what is written of a configuration.
func rendered(cfg *config.Config) render.Input {
	rules := slices.Clone(cfg.Alerts.Rules)
	for i := range rules {
		rules[i].Runbook = exporters.RunbookURL(rules[i].Runbook, cfg.Runbook.URL)
	}
	return render.Input{
		Rules: rules, Checks: agent.AlertChecks(cfg, registry()), Location: cfg.Location, Heartbeat: cfg.Heartbeat.Every,
		Traffic: agent.Asked(cfg, registry()),
	}
}

// put writes to the file, or to stdout where there is none. A file is there as a whole, or as it was.
func put(stdout io.Writer, path string, text []byte) error {
	if path == "" {
		_, err := stdout.Write(text)
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil { //nolint:gosec // Prometheus reads it as another user
		return fmt.Errorf("writing: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return errors.Join(fmt.Errorf("writing: %w", err), os.Remove(part))
	}
	return nil
}
