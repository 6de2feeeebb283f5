package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/plugins/plugintest"
)

type conformanceFlags struct {
	config, junit, output string
	only                  []string
	json                  bool
}

func newPluginsTest(p process) *cobra.Command {
	var f conformanceFlags
	cmd := &cobra.Command{
		Use:   "test PATH",
		Short: "Test a plugin against the protocol: the cases that say what a plugin is",
		Long: `Run the 28 cases of docs/plugins/conformance.md against the program PATH. What its kinds need to be run
stands in the file of --config; without one, parameters are guessed from the defaults of their schemas,
and what cannot be guessed is not tried. Needs no configuration and no running agent.
Exit code 0: every required case passed; 3: one did not; 4: one was not tried; 1: nothing could be tried.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return testPlugin(cmd.Context(), p, f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "file with the parameters of the plugin's kinds, in JSON")
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "numbers and groups of the cases to run, as 7,9 or export")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write the results to this file too, as JUnit's XML")
	cmd.Flags().BoolVar(&f.json, "json", false, "the same as --output json")
	outputFlag(cmd, &f.output)
	return cmd
}

func testPlugin(ctx context.Context, p process, f conformanceFlags, path string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	o := plugintest.Options{Path: path, Only: f.only}
	count, err := plugintest.Count(f.only)
	if err == nil && f.config != "" {
		o.Config, err = plugintest.ReadConfig(f.config)
	}
	if err != nil {
		return exit(exitUsage, fmt.Errorf("plugins test: %w", err))
	}
	asJSON = asJSON || f.json
	plan := true
	if !asJSON {
		o.Progress = func(c plugintest.Case) {
			if plan {
				fmt.Fprintf(p.stdout, "1..%d\n", count)
			}
			plan = false
			fmt.Fprint(p.stdout, c.String())
		}
	}
	report, err := plugintest.Run(ctx, o)
	if err != nil {
		return exit(exitCannot, fmt.Errorf("plugins test: %w", err))
	}
	if f.junit != "" {
		err = writeJUnit(f.junit, &report)
	}
	if asJSON {
		err = errors.Join(err, printJSON(p.stdout, report))
	} else {
		printConformance(p, &report)
	}
	switch {
	case err != nil:
		return exit(exitCannot, fmt.Errorf("plugins test: %w", err))
	case report.Failed():
		return exit(exitBadNews, nil)
	case !report.Passed():
		return exit(exitUndecided, nil)
	}
	return nil
}

func printConformance(p process, r *plugintest.Report) {
	name := strings.TrimSpace(r.Plugin + " " + r.Version)
	if name == "" {
		name = filepath.Base(r.Path)
	}
	fmt.Fprintf(p.stdout, "# %s: ", name)
	for i, o := range []plugintest.Outcome{plugintest.OK, plugintest.NotOK, plugintest.Skipped, plugintest.NotTried} {
		if i > 0 {
			fmt.Fprint(p.stdout, ", ")
		}
		fmt.Fprintf(p.stdout, "%d %s", r.Count(o), o)
	}
	fmt.Fprintln(p.stdout)
	for _, line := range r.Missing {
		fmt.Fprintf(p.stdout, "# the file of --config: %s\n", line)
	}
	fmt.Fprintln(p.stdout, r.Badge())
}

func writeJUnit(path string, r *plugintest.Report) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // the operator names the file, and others read it
	if err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	return errors.Join(r.JUnit(file), file.Close())
}
