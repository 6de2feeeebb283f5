package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/preflight"
	"github.com/windsock-monitor/windsock/internal/secret"
)

type preflightFlags struct {
	config, output, target, env string
	free                        bool
}

func newPreflight(p process) *cobra.Command {
	var f preflightFlags
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Go through the checklist before a deployment, item by item",
		Long: `Go through the checklist before a deployment: keys and what they may use, models, the parameters of each
call and keys in the sources, types and tests, what is logged, rate limits, budget, who hears of alerts, the
health route, documents, and a staging application whose provider misbehaves. Each item is PASS where something
shows it, FAIL where it was measured and is not so, BLOCKED where nothing shows it, and ATTESTED where nothing
shows it and somebody stands for it. docs/preflight.md says what shows what.
It runs the programs that the configuration names below preflight and no others, and sends the application two
canaries, marked as such. Models are asked for one token each, through the budget; --free leaves that out.
Exit code 0: ready; 3: not ready, or interrupted; 2: asked wrongly; 1: the report could not be written.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return goPreflight(cmd.Context(), p, f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().StringVar(&f.target, "target", "", "the folder of the application's sources (default preflight.target of the configuration)")
	cmd.Flags().StringVar(&f.env, "env", "production", "the environment that is deployed to; the rules of production count for production and prod")
	cmd.Flags().BoolVar(&f.free, "free", false, "leave out what costs money: what only that would show is blocked")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "text, json or markdown")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func goPreflight(ctx context.Context, p process, f preflightFlags) error {
	if f.output != "text" && f.output != "json" && f.output != "markdown" {
		return exit(exitUsage, fmt.Errorf("--output is %q, want text, json or markdown", f.output))
	}
	if f.env == "" {
		return exit(exitUsage, errors.New("--env is empty, want the name of an environment"))
	}
	scrubber := secret.NewScrubber()
	options, err := preflightOptions(ctx, p, f, scrubber)
	if err != nil {
		return exit(exitUsage, err)
	}
	report := preflight.Run(ctx, options)
	out := scrubber.Writer(p.stdout)
	switch f.output {
	case "json":
		err = json.NewEncoder(out).Encode(report)
	case "markdown":
		err = markdownPreflight(out, report)
	default:
		err = printPreflight(out, report)
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return exit(exitCannot, fmt.Errorf("writing the report: %w", err))
	}
	switch {
	case report.Interrupted:
		return exit(exitBadNews, errors.New("interrupted: what was not reached is blocked"))
	case !report.Ready:
		return exit(exitBadNews, nil)
	}
	return nil
}

// preflightOptions reads the configuration. None at all is an item of the report; one that was named, or cannot be used, is a
// wrong question.
func preflightOptions(ctx context.Context, p process, f preflightFlags, scrubber *secret.Scrubber) (preflight.Options, error) {
	o := preflight.Options{
		Registry: registry(), Version: version, Env: f.env, Production: f.env == "production" || f.env == "prod", Target: f.target, Free: f.free,
		Getenv: p.getenv, Scrubber: scrubber,
	}
	quiet := slog.New(slog.DiscardHandler)
	cfg, err := config.Load(loader{path: f.config, getenv: p.getenv, log: quiet, scrubber: scrubber}.options())
	if errors.Is(err, fs.ErrNotExist) && f.config == "" {
		o.NoConfig = err.Error()
		return o, nil
	}
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	if err == nil {
		_, err = agent.CheckRules(cfg, registry())
	}
	if err != nil {
		return o, err
	}
	o.Config = cfg
	if client := runningAgent(ctx, p, cfg); client != nil {
		o.Running = client.Run
		return o, nil
	}
	o.Once = func(ctx context.Context, cfg *config.Config, names []string, each func(*checks.Report)) error {
		return onceHere(ctx, p, cfg, names, each)
	}
	if dir, err := agent.StateDir(cfg, p.getenv); err == nil && !f.free {
		return o, becomeOwnerOf(dir) // before anything else is opened or run
	}
	return o, nil
}

// runningAgent is the agent that runs with the configuration; nil where none answers.
func runningAgent(ctx context.Context, p process, cfg *config.Config) *agent.Client {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	socket := controlOfRunning(ctx, cfg)
	if socket == "" {
		socket, _ = agent.ControlPath(cfg, p.getenv)
	}
	if socket == "" {
		return nil
	}
	client := agent.NewClient(socket)
	if _, err := client.Health(ctx); err != nil {
		return nil
	}
	return client
}

// onceHere makes runs of an agent that serves nothing and exports nothing.
func onceHere(ctx context.Context, p process, cfg *config.Config, names []string, each func(*checks.Report)) error {
	own := *cfg
	own.Listen, own.Exporters = "", nil
	once, err := agent.New(ctx, agent.Options{
		Config: &own, Registry: registry(), Version: version, Log: slog.New(slog.DiscardHandler), Getenv: p.getenv, Stdout: p.stdout,
	})
	if err != nil {
		return err
	}
	return errors.Join(once.Once(ctx, names, each), once.Close()) //nolint:contextcheck // what is closed ends though ctx has
}
