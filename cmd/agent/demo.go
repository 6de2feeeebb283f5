package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// storyLength is how long the incident takes in natural time.
const storyLength = 10 * time.Minute

// demoKey is what the simulator accepts; it opens nothing else.
const demoKey = "demo-key-for-the-simulator-only"

//go:embed demo.yaml
var demoConfig string

type demoFlags struct {
	length  time.Duration
	output  string
	keep    string
	verbose bool
}

func newDemo(p process) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch the agent live through an incident, against the built-in simulator",
		Long: `Run the real agent (schedule, breaker, budget, store, delivery) against the built-in simulator on
the loopback interface, through an incident: healthy, slow, 429, 500s, 401, recovery. Alerts fire and
resolve by the built-in rules. It needs no key and no network. All times are divided by one number, so
that ten minutes take one.
Exit code 0: the story went as written; 3: it did not, a machine too busy for so short a time among the reasons.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), p, f) },
	}
	cmd.Flags().DurationVar(&f.length, "for", time.Minute, "how long the story takes, 10s to 10m; below 20s it wants a machine with little else to do")
	cmd.Flags().StringVar(&f.keep, "state-dir", "", "keep the store here (default: a temporary directory)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "the agent's log on standard error")
	outputFlag(cmd, &f.output)
	return cmd
}

func demo(ctx context.Context, p process, f demoFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	if f.length < 10*time.Second || f.length > storyLength {
		return exit(exitUsage, fmt.Errorf("--for is %s, want 10s to 10m", f.length))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that goes away
	defer stop()
	// SIGPIPE is of any connection, also of a call that was given up on while the simulator answered: that our reader has
	// gone is seen where it is written to.
	signal.Ignore(syscall.SIGPIPE)
	dir, err := demoDir(f.keep)
	if err != nil {
		return exit(exitCannot, err)
	}
	if f.keep == "" {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	story := newStory()
	show := newView(p, asJSON, story)
	show.out = untilGone{show.out, stop}
	err = playDemo(ctx, p, f, dir, show)
	if err == nil {
		err = story.read(context.WithoutCancel(ctx), dir)
	}
	switch {
	case err != nil:
		return exit(exitCannot, err)
	case ctx.Err() != nil:
		return exit(exitUndecided, errors.New("stopped before the story was over"))
	}
	missing := story.missing()
	show.close(missing, story.end())
	if len(missing) > 0 {
		return exit(exitBadNews, fmt.Errorf("the story did not go as written (a busy machine needs more time: --for 3m): %s", strings.Join(missing, "; ")))
	}
	return nil
}

// untilGone is an output that says when nobody reads it any more.
type untilGone struct {
	io.Writer
	gone func()
}

func (w untilGone) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.gone()
	}
	return n, err //nolint:wrapcheck // as any writer
}

func demoDir(keep string) (string, error) {
	if keep != "" {
		return keep, nil
	}
	dir, err := os.MkdirTemp("", "windsock-demo-")
	if err != nil {
		return "", fmt.Errorf("making a place for the store: %w", err)
	}
	return dir, nil
}

// playDemo runs simulator and agent side by side until the story is over, and drains both.
func playDemo(ctx context.Context, p process, f demoFlags, dir string, show *view) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the simulator: %w", err)
	}
	speed := float64(storyLength) / float64(f.length)
	scrubber := secret.NewScrubber()
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(scrubber.Writer(p.stderr), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	cfg, reg, err := demoSettings(listener.Addr().String(), dir, show, log, scrubber)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	running, err := agent.New(ctx, agent.Options{
		Config: config.Compress(cfg, speed), Registry: reg, Version: version, Log: log, Getenv: demoEnv, Stdout: p.stdout,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	served, end := context.WithCancel(context.WithoutCancel(ctx))
	var simulating sync.WaitGroup
	server := simulator.New(simulator.Options{
		Keys: map[string]bool{demoKey: true}, Seed: 1, Speed: speed, Log: slog.New(slog.DiscardHandler),
		Scenario: simulator.DemoScenario(storyLength).Compress(speed), OnPhase: show.phase,
	})
	simulating.Go(func() { _ = server.Serve(served, listener) })
	bounded, stop := context.WithTimeout(ctx, f.length)
	defer stop()
	err = running.Run(bounded, nil)
	end()
	simulating.Wait()
	return err
}

func demoEnv(name string) string {
	if name == "WINDSOCK_DEMO_KEY" {
		return demoKey
	}
	return ""
}

// demoSettings is the demo's configuration, read by the same loader as everybody's, with one more kind of exporter: the
// view, which sits at the end of the road like any other.
func demoSettings(address, dir string, show *view, log *slog.Logger, scrubber *secret.Scrubber) (*config.Config, config.Registry, error) {
	reg := registry()
	reg.Exporters = append(reg.Exporters, exporters.NewKind("view", "The demo's own window.", struct{}{},
		func(struct{}, exporters.Env) (exporters.Exporter, error) { return show, nil }))
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, reg, fmt.Errorf("reading the simulator's address: %w", err)
	}
	text := strings.NewReplacer("SIMULATOR", address, "SIMHOST", host, "SIMPORT", port).Replace(demoConfig)
	cfg, err := config.Parse("demo.yaml", []byte(text), config.Options{
		Registry: reg, Getenv: demoEnv,
		Secrets: secret.NewResolver(secret.Options{Getenv: demoEnv, Log: log, Scrubber: scrubber}),
	})
	if err != nil {
		return nil, reg, err
	}
	cfg.StateDir = dir
	return cfg, reg, nil
}
