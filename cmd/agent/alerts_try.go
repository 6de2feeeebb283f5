package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/alerts/ruletest"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/nearest"
	"github.com/windsock-monitor/windsock/internal/secret"
)

type tryFlags struct {
	config, output  string
	route, severity string
	labels          []string
	openFor         time.Duration
}

func newAlertsTest(p process) *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run tests of alert rules, or send a test notification",
		Long: `Run files with tests of rules: what checks measure is written down, and what the rules say of it is
compared with what is expected. Nothing is measured, and nobody is told. docs/alert-tests.md says how to write one.
With --route NAME, send a test notification through that exporter of the configuration, first as firing and
then as resolved, and say what the backend answered. It is marked as a test and belongs to no real alert.
Exit code 0: all is as expected, or taken; 2: a file cannot be used; 3: not as expected, not taken, or told to nobody.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			asJSON, err := wantOutput(f.output)
			switch {
			case err != nil:
				return err
			case f.route != "" && len(files) > 0:
				return exit(exitUsage, errors.New("alerts test: want files or --route, not both"))
			case f.route != "":
				return tryRoute(cmd, p, f, asJSON)
			case len(files) == 0:
				return exit(exitUsage, errors.New("alerts test: want a file with tests, or --route with the name of an exporter"))
			}
			return tryRules(cmd, p, f, files, asJSON)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration whose rules are tested, where a file names none (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().StringVar(&f.route, "route", "", "the exporter to send a test notification through")
	cmd.Flags().StringVar(&f.severity, "severity", "P3", "with --route: severity of the test notification")
	cmd.Flags().StringArrayVar(&f.labels, "label", nil, "with --route: a label of the test notification, name=value; may be given again")
	cmd.Flags().DurationVar(&f.openFor, "open-for", 0, "with --route: how long to wait before it is resolved")
	outputFlag(cmd, &f.output)
	return cmd
}

// tried is the JSON form of what the tests of one file said.
type tried struct {
	File   string            `json:"file"`
	OK     bool              `json:"ok"`
	Errors []config.Problem  `json:"errors,omitempty"`
	Error  string            `json:"error,omitempty"`
	Tests  []ruletest.Result `json:"tests,omitempty"`
}

func tryRules(cmd *cobra.Command, p process, f tryFlags, files []string, asJSON bool) error {
	code := exitWell
	var all []tried
	for _, name := range files {
		one, usable := tryFile(cmd.Context(), p, f, name)
		switch {
		case !usable:
			code = exitUsage
		case !one.OK && code == exitWell:
			code = exitBadNews
		}
		if !asJSON {
			printTried(p, &one)
		}
		all = append(all, one)
	}
	if asJSON {
		_ = json.NewEncoder(p.stdout).Encode(map[string]any{"ok": code == exitWell, "files": all})
	}
	if code != exitWell {
		return exit(code, nil)
	}
	return nil
}

// tryFile runs the tests of one file; false where it cannot be used.
func tryFile(ctx context.Context, p process, f tryFlags, name string) (one tried, usable bool) {
	one.File = name
	tests, err := readTests(name, f.configured(p))
	if err == nil {
		one.Tests, err = tests.Run(ctx)
	}
	if err != nil {
		if wrong, ok := errors.AsType[*config.Errors](err); ok {
			one.Errors = wrong.List()
		} else {
			one.Error = err.Error()
		}
		return one, false
	}
	one.OK = !slices.ContainsFunc(one.Tests, func(r ruletest.Result) bool { return !r.OK })
	return one, true
}

// configured reads the rules and checks of a configuration.
func (f tryFlags) configured(p process) func(path string) (ruletest.Setup, error) {
	return func(path string) (ruletest.Setup, error) {
		if path == "" {
			path = f.config
		}
		cfg, err := readConfig(p, path)
		if err == nil {
			err = agent.Buildable(cfg, registry())
		}
		if err != nil {
			return ruletest.Setup{}, err
		}
		return ruletest.Setup{Rules: cfg.Alerts.Rules, Checks: agent.AlertChecks(cfg, registry())}, nil
	}
}

func readTests(name string, configured func(string) (ruletest.Setup, error)) (*ruletest.File, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > config.MaxSize {
		err = fmt.Errorf("the file is larger than %d bytes", config.MaxSize)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	data, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	return ruletest.Read(name, data, configured) //nolint:wrapcheck // it has its place
}

func printTried(p process, one *tried) {
	for _, problem := range one.Errors {
		fmt.Fprintln(p.stderr, problem.String())
	}
	if one.Error != "" {
		fmt.Fprintf(p.stderr, "windsock: %s\n", one.Error)
	}
	failed := 0
	for i := range one.Tests {
		t := &one.Tests[i]
		if t.OK {
			fmt.Fprintf(p.stdout, "✓ %s\n", t.Name)
			continue
		}
		failed++
		fmt.Fprintf(p.stdout, "✗ %s\n", t.Name)
		for _, failure := range t.Failures {
			fmt.Fprintf(p.stdout, "  %s:%d: %s\n", one.File, failure.Line, failure.What)
			printLines(p, "want", failure.Want)
			printLines(p, "got ", failure.Got)
		}
	}
	if len(one.Tests) > 0 {
		fmt.Fprintf(p.stdout, "%s: %d tests, %d failed\n", one.File, len(one.Tests), failed)
	}
}

func printLines(p process, what string, lines []string) {
	if len(lines) == 0 {
		lines = []string{"none"}
	}
	for _, line := range lines {
		fmt.Fprintf(p.stdout, "    %s %s\n", what, line)
	}
}

func unknownExporter(cfg *config.Config, name string) error {
	var names []string
	for i := range cfg.Exporters {
		names = append(names, cfg.Exporters[i].Name)
	}
	if near := nearest.Word(name, names); near != "" {
		return fmt.Errorf("no exporter %q in %s; did you mean %q?", name, cfg.Path, near)
	}
	return fmt.Errorf("no exporter %q in %s, want one of %s", name, cfg.Path, strings.Join(names, ", "))
}

func tryRoute(cmd *cobra.Command, p process, f tryFlags, asJSON bool) error {
	labels, err := f.notification()
	if err != nil {
		return exit(exitUsage, err)
	}
	scrubber, quiet := secret.NewScrubber(), slog.New(slog.DiscardHandler)
	cfg, err := config.Load(loader{path: f.config, getenv: p.getenv, log: quiet, scrubber: scrubber}.options())
	if err != nil {
		return exit(exitUsage, err)
	}
	finding, known := agent.TryRoute(cmd.Context(), cfg, agent.RouteTest{
		Exporter: f.route, Severity: checks.Severity(f.severity), Labels: labels, OpenFor: f.openFor,
		ProbeOptions: agent.ProbeOptions{Registry: registry(), Version: version, Log: quiet, Getenv: p.getenv},
	})
	if !known {
		return exit(exitUsage, unknownExporter(cfg, f.route))
	}
	out := scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	if asJSON {
		_ = json.NewEncoder(out).Encode(finding)
	} else {
		printFinding(out, finding)
	}
	if !finding.OK {
		return exit(exitBadNews, nil)
	}
	return nil
}

// notification checks the flags that say what the test notification is like, and reads its labels.
func (f tryFlags) notification() (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range f.labels {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--label is %q, want name=value", text)
		}
		labels[name] = value
	}
	if !slices.Contains([]checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4}, checks.Severity(f.severity)) {
		return nil, fmt.Errorf("--severity is %q, want P1, P2, P3 or P4", f.severity)
	}
	if f.openFor < 0 || f.openFor > time.Hour {
		return nil, fmt.Errorf("--open-for is %s, want 0s to 1h", f.openFor)
	}
	return labels, nil
}
