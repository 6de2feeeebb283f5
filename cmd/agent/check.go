package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

type checkFlags struct {
	config, output string
	list, verbose  bool
}

func newCheck(p process) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [NAME…]",
		Short: "Run checks once, now, and print what was seen on the way",
		Long: `Run the named checks once, or all of them, through the same road as the agent: breaker, budget,
store. Exit code 0: well; 3: a check failed; 4: a check could not tell or was skipped; 1: a check could not be run.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if f.list {
				return listKinds(p, f.output)
			}
			return check(cmd.Context(), p, f, names)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		return namesLeft(p, f.config, given), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Flags().BoolVar(&f.list, "list", false, "list the kinds of check")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log to standard error")
	outputFlag(cmd, &f.output)
	return cmd
}

// namesLeft are the names of the file's checks that were not given yet; none where the file cannot be used.
func namesLeft(p process, path string, given []string) []string {
	cfg, err := readConfig(p, path)
	if err != nil {
		return nil
	}
	var left []string
	for _, c := range cfg.Checks {
		if !slices.Contains(given, c.Name) {
			left = append(left, c.Name)
		}
	}
	return left
}

func check(ctx context.Context, p process, f checkFlags, names []string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	scrubber := secret.NewScrubber()
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(scrubber.Writer(p.stderr), nil))
	}
	load := loader{path: f.config, getenv: p.getenv, log: log, scrubber: scrubber}
	cfg, err := load.load()
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	if err != nil {
		return exit(exitUsage, err)
	}
	for _, name := range names {
		if err := knownCheck(cfg, name); err != nil {
			return exit(exitUsage, err)
		}
	}
	out := scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	worst := exitWell
	err = runChecks(ctx, p, agent.Options{
		Config: cfg, Registry: registry(), Version: version, Log: log, Getenv: p.getenv, Stdout: p.stdout,
	}, names, func(r *checks.Report) {
		worst = worse(worst, r.Status)
		if asJSON {
			_ = json.NewEncoder(out).Encode(checks.OfReport(r))
			return
		}
		printReport(out, r)
	})
	if err != nil {
		return exit(exitCannot, err)
	}
	if worst != exitWell {
		return exit(worst, nil)
	}
	return nil
}

// runChecks makes the runs here, or has the agent make them that holds the state directory: the money is counted once.
func runChecks(ctx context.Context, p process, o agent.Options, names []string, each func(*checks.Report)) error {
	cfg := o.Config
	if len(names) == 0 {
		for i := range cfg.Checks {
			names = append(names, cfg.Checks[i].Name)
		}
	}
	if running := controlOfRunning(ctx, cfg); running != "" {
		return askRunning(ctx, running, names, each)
	}
	socket, err := agent.ControlPath(cfg, p.getenv)
	if err != nil {
		return err
	}
	dir, err := agent.StateDir(cfg, p.getenv)
	if err == nil {
		err = becomeOwnerOf(dir)
	}
	if err != nil {
		return err
	}
	cfg.Listen, cfg.Exporters = "", nil
	once, err := agent.New(ctx, o)
	if _, locked := errors.AsType[*store.LockedError](err); locked {
		if askErr := askRunning(ctx, socket, names, each); askErr != nil {
			return errors.Join(err, askErr)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(once.Once(ctx, names, each), once.Close()) //nolint:contextcheck // what is closed ends though ctx has
}

// controlOfRunning is the control socket of the agent that runs with this configuration, as its /health says; "" where
// none does. An operator's shell does not know the service's directories, and the money must be counted once.
func controlOfRunning(ctx context.Context, cfg *config.Config) string {
	if cfg.Listen == "" {
		return ""
	}
	body, err := fetchHealth(ctx, cfg.Listen)
	if err != nil {
		return ""
	}
	var health status.Health
	if json.Unmarshal(body, &health) != nil {
		return ""
	}
	mine, err := filepath.Abs(cfg.Path)
	if err != nil || health.Config.Path != mine && health.Config.Path != cfg.Path {
		return ""
	}
	return health.Control
}

func askRunning(ctx context.Context, socket string, names []string, each func(*checks.Report)) error {
	for _, name := range names {
		report, err := agent.NewClient(socket).Run(ctx, name)
		if err != nil {
			return err
		}
		each(report)
	}
	return nil
}

// worse is the exit code of several verdicts: bad news before our own errors before "cannot tell".
func worse(code int, status checks.Status) int {
	rank := map[int]int{exitWell: 0, exitUndecided: 1, exitCannot: 2, exitBadNews: 3}
	next := exitWell
	switch status {
	case checks.OK, checks.Degraded:
	case checks.Failed:
		next = exitBadNews
	case checks.Error:
		next = exitCannot
	case checks.Unknown, checks.Skipped:
		next = exitUndecided
	}
	if rank[next] > rank[code] {
		return next
	}
	return code
}

func printReport(w io.Writer, r *checks.Report) {
	fmt.Fprintf(w, "%-9s %s  %s\n", r.Status, r.Check, r.Took.Round(time.Millisecond))
	if r.Cause != checks.CauseNone {
		fmt.Fprintf(w, "          cause %s, blame %s\n", r.Cause, r.Blame)
	}
	if r.Summary != "" {
		fmt.Fprintf(w, "          %s\n", r.Summary)
	}
	for _, step := range r.Evidence {
		mark := "✓"
		if !step.OK {
			mark = "✗"
		}
		fmt.Fprintf(w, "          %s %-12s %s\n", mark, step.Name, step.Detail)
	}
	for _, phase := range r.Phases {
		fmt.Fprintf(w, "            %-12s %s\n", phase.Name, phase.Took.Round(10*time.Microsecond))
	}
	if u := r.Usage; u != nil {
		fmt.Fprintf(w, "            tokens %d in, %d out; %s\n", u.PromptTokens, u.CompletionTokens, u.Cost)
	}
	if id := r.Facts["request_id"]; id != "" {
		fmt.Fprintf(w, "            request id %s\n", id)
	}
}

func listKinds(p process, output string) error {
	asJSON, err := wantOutput(output)
	if err != nil {
		return err
	}
	for _, kind := range registry().Checks {
		if asJSON {
			_ = json.NewEncoder(p.stdout).Encode(map[string]string{"kind": kind.Name, "doc": kind.Doc})
			continue
		}
		fmt.Fprintf(p.stdout, "%-12s %s\n", kind.Name, firstSentence(kind.Doc))
	}
	return nil
}
