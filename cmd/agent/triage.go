package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/triage"
	"github.com/windsock-monitor/windsock/internal/triage/look"
)

type triageFlags struct {
	config, output, provider, app, prometheus, appLog string
	free                                              bool
}

func newTriage(p process) *cobra.Command {
	var f triageFlags
	cmd := &cobra.Command{
		Use:   "triage",
		Short: "Walk the runbook's decision tree: what is wrong, whose fault it is, what to do next",
		Long: `Look at everything between the configuration and the application at the same time, within 15 seconds
whatever hangs, and print the path: configuration, key, own network, DNS, connect, proxy, TLS, models
list, one paid ping within the budget, status page, application, its error rate, and what the running
agent knows. At the end stand cause, blame, severity, the next three actions, commands and temporary
changes with their way back. Nothing of that is run. It needs no agent and no configuration.
Exit code 0: nothing is wrong; 3: something is, class in --output json; 4: nobody can tell; 2: asked wrongly.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return triageNow(cmd.Context(), p, &f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml; without one a built-in default)")
	cmd.Flags().StringVar(&f.provider, "provider", "", "the provider to look at (default: the one whose chat is checked, else the first)")
	cmd.Flags().StringVar(&f.app, "app", "", "URL of the application, or of its health route (default: that of the check of the kind app)")
	cmd.Flags().StringVar(&f.prometheus, "prometheus", "", "URL of the Prometheus with the application's metrics (default: that of the check of the kind prometheus)")
	cmd.Flags().StringVar(&f.appLog, "app-log", "", "read the errors of the last 15 minutes from this log, where there is no Prometheus: FILE or unit:NAME")
	cmd.Flags().BoolVar(&f.free, "free", false, "make no call that costs money")
	outputFlag(cmd, &f.output)
	return cmd
}

// check refuses what cannot be meant.
func (f *triageFlags) check() error {
	example := map[string]string{"app": "http://127.0.0.1:3000/health", "prometheus": "http://127.0.0.1:9090"}
	for name, text := range map[string]string{"app": f.app, "prometheus": f.prometheus} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return fmt.Errorf("--%s is not an http or https URL, want for example %s", name, example[name])
		case u.User != nil:
			return fmt.Errorf("--%s holds a user or password: give the configuration a check whose auth names it by reference", name)
		case u.Fragment != "":
			return fmt.Errorf("--%s has a fragment, which is never sent", name)
		}
	}
	if unit, is := strings.CutPrefix(f.appLog, "unit:"); is && unit == "" {
		return errors.New("--app-log is unit: without a name, want FILE or unit:NAME")
	}
	return nil
}

// findAgent bounds the search for the running agent.
const findAgent = 2 * time.Second

func triageNow(ctx context.Context, p process, f *triageFlags) error {
	asJSON, err := wantOutput(f.output)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return exit(exitUsage, err)
	}
	began := time.Now()
	scrubber := secret.NewScrubber()
	s, err := settingOf(p, f, scrubber)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer s.network.Close()
	log := slog.New(slog.DiscardHandler)
	running := look.NewRunning(s.cfg, p.getenv, func(ctx context.Context) string { return controlOfRunning(ctx, s.cfg) }, findAgent)
	road := &paidRoad{process: p, setting: s, running: running, log: log, closed: make(chan struct{}), left: 1}
	o := look.Options{
		Config: s.cfg, Provider: s.provider, Registry: registry(), Network: s.network, Log: log, Model: s.model, Reference: s.reference,
		App: f.app, Prometheus: f.prometheus, AppLog: f.appLog, Scrub: scrubber.String, Getenv: p.getenv, Agent: running,
	}
	if !f.free {
		o.Ping = road.ping
		if s.app.Paid {
			o.Smoke, road.left = road.smoke, 2
		}
	}
	walk := triage.Walk{Free: f.free}
	walk.Steps, walk.Alerts, walk.Interrupted = look.Run(ctx, o)
	road.close() //nolint:contextcheck // what is closed ends though ctx has
	walk.Steps = append([]triage.Step{s.step}, walk.Steps...)
	verdict := triage.Judge(&walk)
	switch err := writeTriage(scrubber.Writer(p.stdout), tellTriage(s, &walk, &verdict, began), asJSON); {
	case err != nil:
		return err
	case walk.Interrupted:
		return exit(exitUndecided, errors.New("stopped before the end"))
	case verdict.Class == triage.Nobody:
		return nil
	case verdict.Class == triage.CannotTell:
		return exit(exitUndecided, nil)
	}
	return exit(exitBadNews, nil)
}
