package main

import (
	"log/slog"
	"slices"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// loader reads the configuration, at the start and at each reload.
type loader struct {
	path     string
	getenv   func(string) string
	log      *slog.Logger
	scrubber *secret.Scrubber
}

func registry() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
}

func (l loader) options() config.Options {
	return config.Options{
		Path: l.path, Registry: registry(), Getenv: l.getenv,
		Secrets: secret.NewResolver(secret.Options{Getenv: l.getenv, Log: l.log, Scrubber: l.scrubber}),
	}
}

// load reads the configuration for an agent that runs with it. One with a rule that cannot work is refused, as any that is
// wrong.
func (l loader) load() (*config.Config, error) {
	cfg, err := config.Load(l.options())
	if err != nil {
		return nil, err
	}
	odd, err := agent.CheckRules(cfg, registry())
	if err != nil {
		return nil, err
	}
	for _, f := range cfg.PluginFaults {
		l.log.Error("a plugin, or what uses it, cannot be used", "plugin", f.Plugin, "file", f.File, "line", f.Line, "column", f.Column, "fault", said(f.Problem))
	}
	for _, w := range slices.Concat(cfg.Warnings, odd) {
		l.log.Warn("configuration", "file", w.File, "line", w.Line, "warning", said(w))
	}
	return cfg, nil
}

// readConfig reads the configuration for a verb that runs nothing: its warnings are for those that do.
func readConfig(p process, path string) (*config.Config, error) {
	load := loader{path: path, getenv: p.getenv, log: slog.New(slog.DiscardHandler), scrubber: secret.NewScrubber()}
	cfg, err := config.Load(load.options())
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	return cfg, nil
}
