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

	"github.com/windsock-monitor/windsock/checks"
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
the loopback interface, through an incident: healthy, slow, 429, 500s, 401, recovery. It needs no
key and no network. All times are divided by one number, so that ten minutes take one.
Exit code 0: the story went as written; 3: it did not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), p, f) },
	}
	cmd.Flags().DurationVar(&f.length, "for", time.Minute, "how long the story takes, 10s to 10m")
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
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE) // a terminal or a reader that goes away
	defer stop()
	dir, err := demoDir(f.keep)
	if err != nil {
		return exit(exitCannot, err)
	}
	if f.keep == "" {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	story := newStory()
	show := newView(p, asJSON, story)
	if err := playDemo(ctx, p, f, dir, show); err != nil {
		return exit(exitCannot, err)
	}
	if ctx.Err() != nil {
		return exit(exitUndecided, errors.New("stopped before the story was over"))
	}
	missing := story.missing()
	show.close(missing)
	if len(missing) > 0 {
		return exit(exitBadNews, fmt.Errorf("the story did not go as written: %s", strings.Join(missing, "; ")))
	}
	return nil
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

// expectation is one verdict that a phase of the story must bring.
type expectation struct {
	phase, check string
	status       checks.Status
	cause        checks.Cause
}

func (e expectation) String() string {
	return fmt.Sprintf("in phase %s, %s was never %s %s", e.phase, e.check, e.status, e.cause)
}

// story knows what should be seen, and what was.
type story struct {
	mu     sync.Mutex // guards the rest
	phases []phaseStart
	seen   map[expectation]bool
	last   map[string]*checks.Report
}

type phaseStart struct {
	name string
	at   time.Time
}

func newStory() *story {
	return &story{seen: map[expectation]bool{}, last: map[string]*checks.Report{}}
}

// script is the story as it is written.
func script() []expectation {
	return []expectation{
		{"healthy", "models", checks.OK, checks.CauseNone},
		{"healthy", "chat-small", checks.OK, checks.CauseNone},
		{"healthy", "egress", checks.OK, checks.CauseNone},
		{"slow", "chat-small", checks.Degraded, checks.CauseSlow},
		{"rate_limited", "chat-small", checks.Failed, checks.CauseRateLimited},
		{"server_errors", "models", checks.Failed, checks.CauseServer},
		{"server_errors", "chat-small", checks.Skipped, checks.CauseBreakerOpen},
		{"key_revoked", "models", checks.Failed, checks.CauseAuth},
		{"recovered", "models", checks.OK, checks.CauseNone},
		{"recovered", "chat-small", checks.OK, checks.CauseNone},
		{"recovered", "chat-large", checks.OK, checks.CauseNone},
	}
}

func (s *story) enter(name string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phases = append(s.phases, phaseStart{name, at})
}

// add takes a report into account and tells in which phase it began and whether the check's verdict changed.
func (s *story) add(r *checks.Report) (phase string, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := r.StartedAt
	if began.IsZero() {
		began = r.ScheduledAt
	}
	for _, p := range s.phases {
		if !began.Before(p.at) {
			phase = p.name
		}
	}
	s.seen[expectation{phase, r.Check, r.Status, r.Cause}] = true
	before := s.last[r.Check]
	s.last[r.Check] = r
	return phase, before == nil || before.Status != r.Status || before.Cause != r.Cause
}

func (s *story) missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, want := range script() {
		if !s.seen[want] {
			out = append(out, want.String())
		}
	}
	for _, name := range []string{"models", "chat-small", "chat-large", "egress"} {
		if r := s.last[name]; r == nil || r.Status != checks.OK && r.Status != checks.Degraded {
			out = append(out, "at the end, "+name+" is not well")
		}
	}
	return out
}

var _ io.Closer = (*view)(nil)
