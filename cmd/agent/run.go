package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

// gcPercent is how much the heap may grow before it is collected, in percent of what lives: an agent is a guest on its
// machine. docs/performance.md has what it costs.
const gcPercent = 50

func newRun(p process) *cobra.Command {
	var path string
	var dev bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent until SIGTERM; SIGHUP reads the configuration again",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return run(cmd, p, path, dev) },
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().BoolVar(&dev, "dev-plugins", false, "run plugins that are not what was locked, while you write one; warned of every minute")
	return cmd
}

func run(cmd *cobra.Command, p process, path string, dev bool) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // first of all: a SIGHUP that comes early must not end us
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE)
	late := newLateHandler()
	load := loader{path: path, getenv: p.getenv, log: slog.New(late), scrubber: p.scrubber}
	cfg, err := load.load()
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	if err != nil {
		late.settle(newLog(p, config.Log{Format: config.LogAuto}).Handler())
		return exit(exitConfig, err)
	}
	log := newLog(p, cfg.Log)
	late.settle(log.Handler())
	slog.SetDefault(log) // what net/http prints on its own goes the same way
	load.log = log
	options := agent.Options{
		Config: cfg, Reload: load.load, Registry: registry(), Version: version, Log: log, Getenv: p.getenv, Stdout: p.stdout, DevPlugins: dev,
	}
	if systemd := agent.NewSystemd(p.getenv, log); systemd != nil {
		options.Notify = systemd
	}
	running, err := agent.New(cmd.Context(), options)
	if err != nil && cmd.Context().Err() != nil {
		log.Info("stopped before the start was over", "error", err)
		return nil
	}
	if err != nil {
		return exit(exitCannot, fmt.Errorf("starting: %w", err))
	}
	debug.SetGCPercent(gcPercent)
	debug.FreeOSMemory() // reading the file took more than running needs
	if err := running.Run(cmd.Context(), hup); err != nil {
		return exit(exitCannot, err)
	}
	return nil
}
