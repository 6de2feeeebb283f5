package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
)

type validateFlags struct {
	config, output string
	online, quiet  bool
}

func newValidate(p process) *cobra.Command {
	var f validateFlags
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration; with --online the host and the network, too",
		Long: `Check everything that can be checked without the network and without the secrets, print every
error with its place, and what the schedule can cost. With --online, also look at the host under the
agent, with the rights of the user that the service runs as: kernel, sandbox, systemd, permissions,
state, disk, memory, resolvers, clock, port; read each secret, resolve each name, ask each provider
for nothing, and send one record of the agent's own through each exporter. It takes ten seconds at
the most. ✓ is well, ! is worth knowing, ✗ is wrong; each of the latter two has a way out.
Exit code 0: usable; 2: not; with --online 3: usable, but something is wrong.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.config = args[0]
			}
			return validate(cmd, p, f)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing where nothing is wrong: for scripts and units")
	cmd.Flags().BoolVar(&f.online, "online", false, "also look at the host, and try each secret, DNS name, provider and exporter")
	outputFlag(cmd, &f.output)
	return cmd
}

// validation is the JSON form of what validate found.
type validation struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Errors   []config.Problem `json:"errors,omitempty"`
	Warnings []config.Problem `json:"warnings,omitempty"`
	Error    string           `json:"error,omitempty"`
	Checks   int              `json:"checks"`
	Aged     []string         `json:"old_prices,omitempty"`
	Limited  bool             `json:"limited"` // a budget bounds what paid checks spend
	Cost     *agent.Cost      `json:"cost,omitempty"`
	Disk     *agent.DiskUse   `json:"disk,omitempty"`
	Online   []agent.Finding  `json:"online,omitempty"`
}

func validate(cmd *cobra.Command, p process, f validateFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	scrubber := secret.NewScrubber()
	quiet := slog.New(slog.DiscardHandler)
	cfg, err := config.Load(loader{path: f.config, getenv: p.getenv, log: quiet, scrubber: scrubber}.options())
	if err == nil {
		err = cfg.RefusePlugins() // the agent would start without them, which nobody who asks means
	}
	if err == nil {
		err = agent.Buildable(cfg, registry())
	}
	var odd []config.Problem
	if err == nil {
		odd, err = agent.CheckRules(cfg, registry())
	}
	var cost agent.Cost
	if err == nil {
		cost = agent.CostOf(cfg, registry())
		err = agent.OverBudget(cfg, &cost)
	}
	result := validation{File: f.config, OK: err == nil}
	if err != nil {
		return refuse(p, asJSON, result, err)
	}
	result.File, result.Checks, result.Warnings = cfg.Path, len(cfg.Checks), cfg.Warnings
	result.Warnings = append(result.Warnings, odd...)
	result.Aged = agent.OldPrices(cfg, cost.Models, time.Now())
	result.Cost, result.Limited = &cost, cfg.Budget.Set
	disk := agent.DiskOf(cmd.Context(), cfg, p.getenv)
	result.Disk = &disk
	if f.online {
		result.Online = agent.Probe(cmd.Context(), cfg, agent.ProbeOptions{
			Registry: registry(), Version: version, Built: builtAt(), Log: quiet, Getenv: p.getenv,
		})
	}
	out := scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	wrong := slices.DeleteFunc(slices.Clone(result.Online), func(finding agent.Finding) bool { return finding.OK })
	switch {
	case asJSON:
		_ = json.NewEncoder(out).Encode(result)
	case f.quiet:
		for _, finding := range wrong {
			printFinding(out, finding)
		}
	default:
		printValidation(process{stdout: out, stderr: p.stderr}, result)
	}
	if len(wrong) > 0 {
		return exit(exitBadNews, nil)
	}
	return nil
}

// builtAt is when the source of this build was committed; zero where the build does not say.
func builtAt() time.Time {
	at, _ := time.Parse(time.RFC3339, describeBuild().Date)
	return at
}

func refuse(p process, asJSON bool, result validation, err error) error {
	if wrong, ok := errors.AsType[*config.Errors](err); ok {
		result.Errors = wrong.List()
	} else {
		result.Error = err.Error()
	}
	if !asJSON {
		return exit(exitUsage, err)
	}
	_ = json.NewEncoder(p.stdout).Encode(result)
	return exit(exitUsage, nil)
}

func printFinding(out io.Writer, finding agent.Finding) {
	mark := "✓"
	switch {
	case !finding.OK:
		mark = "✗"
	case finding.Level != "":
		mark = "!"
	}
	fmt.Fprintf(out, "%s %s: %s\n", mark, finding.Subject, finding.Detail)
	if finding.Hint != "" {
		fmt.Fprintf(out, "  hint: %s\n", finding.Hint)
	}
}

func printValidation(p process, v validation) {
	for _, w := range v.Warnings {
		fmt.Fprintf(p.stdout, "warning: %s:%d: %s\n", w.File, w.Line, said(w))
	}
	for _, text := range v.Aged {
		fmt.Fprintf(p.stdout, "warning: %s\n", text)
	}
	for _, finding := range v.Online {
		printFinding(p.stdout, finding)
	}
	if v.Disk.NoRoom != "" {
		fmt.Fprintf(p.stdout, "warning: %s\n", v.Disk.NoRoom)
	}
	fmt.Fprintf(p.stdout, "%s: %d checks, usable\n", v.File, v.Checks)
	printDisk(p.stdout, v.Disk)
	if c := v.Cost; c.WorstPerDay > 0 {
		if !v.Limited {
			fmt.Fprintln(p.stdout, "warning: there is no `budget`: nothing limits what the paid checks spend")
		}
		fmt.Fprintf(p.stdout, "cost at worst: %s an hour, %s a day, %s in 30 days\n", c.WorstPerHour, c.WorstPerDay, c.WorstPerMonth)
		fmt.Fprintf(p.stdout, "cost as a rule: about %s an hour, %s a day, %s in 30 days", c.TypicalPerHour, c.TypicalPerDay, c.TypicalPerMonth)
		if !c.PricesKnown {
			fmt.Fprint(p.stdout, " (a model without a known price counts at the dearest one)")
		}
		fmt.Fprintf(p.stdout, "; prices of %s\n", c.PriceDate)
	}
}

func printDisk(w io.Writer, d *agent.DiskUse) {
	how := "as records of each kind are as a rule"
	if d.Measured {
		how = "by the records of the store"
	}
	fmt.Fprintf(w, "disk: about %d records and %s a day, %s; ", d.RecordsPerDay, size(d.BytesPerDay), how)
	if d.Binds == "max_size" {
		fmt.Fprintf(w, "store.max_size (%s) drops the oldest first: %.1f days are kept, not %.1f", size(d.MaxSize), d.KeptDays, d.MaxAgeDays)
	} else {
		fmt.Fprintf(w, "store.max_age drops the oldest after %.1f days", d.MaxAgeDays)
	}
	fmt.Fprintf(w, ", with %s in the state directory at most\n", size(d.Most))
}
