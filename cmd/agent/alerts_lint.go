package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

type lintFlags struct {
	config, output string
	strict         bool
}

func newAlertsLint(p process) *cobra.Command {
	var f lintFlags
	cmd := &cobra.Command{
		Use:   "lint [FILE]",
		Short: "Find alert rules that cannot work",
		Long: `Look at the alert rules of the configuration beside its checks: a rule that cannot fire at the cadence of its
checks, on a metric that nobody measures, with a window shorter than two intervals, with a number in
another unit, in the shadow of another rule, or without a runbook. validate says the same; docs/alert-tests.md
says what to do. Nothing is measured.
Exit code 0: no error; 2: a rule cannot work, or the file cannot be used; with --strict 3: there are warnings.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.config = args[0]
			}
			return lintAlerts(p, f)
		},
	}
	configFlag(cmd, &f.config)
	cmd.Flags().BoolVar(&f.strict, "strict", false, "warnings are bad news")
	outputFlag(cmd, &f.output)
	return cmd
}

// lintedFile is the JSON form of what lint found.
type lintedFile struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Errors   []config.Problem `json:"errors,omitempty"`
	Warnings []config.Problem `json:"warnings,omitempty"`
	More     int              `json:"more,omitempty"` // beyond a hundred of either
	Notes    []lintedNote     `json:"notes,omitempty"`
	Error    string           `json:"error,omitempty"`
	Rules    int              `json:"rules"` // of the file's own, and built-in ones that it changes
}

// lintedNote is why a built-in rule has nothing to look at.
type lintedNote struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func lintAlerts(p process, f lintFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	result := lintedFile{File: f.config}
	cfg, err := readConfig(p, f.config)
	if err == nil {
		result.File = cfg.Path
		err = agent.Buildable(cfg, registry())
	}
	var linted agent.Linted
	if err == nil {
		linted = agent.LintRules(cfg, registry())
		err = linted.Err()
	}
	result.take(&linted, err)
	if asJSON {
		_ = json.NewEncoder(p.stdout).Encode(result)
		err = nil
	}
	switch {
	case !result.OK:
		return exit(exitUsage, err)
	case !asJSON:
		printLinted(p, &result)
	}
	if f.strict && len(result.Warnings) > 0 {
		return exit(exitBadNews, nil)
	}
	return nil
}

func (l *lintedFile) take(linted *agent.Linted, err error) {
	l.OK, l.Rules = err == nil, linted.Own
	if wrong, ok := errors.AsType[*config.Errors](err); ok {
		l.Errors, l.More = wrong.List(), wrong.More()
	} else if err != nil {
		l.Error = err.Error()
	}
	l.Warnings = listed(linted.Warnings)
	l.More += more(linted.Warnings)
	for _, n := range linted.Notes {
		l.Notes = append(l.Notes, lintedNote{Rule: n.Rule, Text: n.Text, Hint: n.Hint})
	}
}

// listed are the problems of a list that may be nil.
func listed(e *config.Errors) []config.Problem {
	if e == nil {
		return nil
	}
	return e.List()
}

func more(e *config.Errors) int {
	if e == nil {
		return 0
	}
	return e.More()
}

func printLinted(p process, l *lintedFile) {
	for _, n := range l.Notes {
		fmt.Fprintln(p.stdout, noteText(n))
	}
	for _, w := range l.Warnings {
		fmt.Fprintf(p.stdout, "%s:%d:%d: warning: %s\n", w.File, w.Line, w.Column, said(w))
	}
	warnings := len(l.Warnings) + l.More
	if l.More > 0 {
		fmt.Fprintf(p.stdout, "and %d more warnings\n", l.More)
	}
	fmt.Fprintf(p.stdout, "%s: %d rules of your own, 0 errors, %d warnings\n", l.File, l.Rules, warnings)
}

func noteText(n lintedNote) string {
	text := "note: the built-in rule " + n.Rule + " cannot fire here: " + n.Text
	if n.Hint != "" {
		text += "; " + n.Hint
	}
	return text
}

// said is a problem without its place.
func said(w config.Problem) string {
	if w.Hint == "" {
		return w.Message
	}
	return w.Message + "; " + w.Hint
}
