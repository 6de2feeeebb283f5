// Package plugintest is the suite that says what a plugin is: 28 cases, asked of the process from outside, over the wire.
// Run runs them for a verb, Conform for `go test`; the list is the same. It speaks the protocol by itself, without the
// library that most plugins are written with, and starts the plugin under the agent's own confinement where a case is about
// that.
//
// It may not know any plugin: what a kind needs to be run stands in a file that the author writes. What was not tried is
// never green.
package plugintest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocol is the version of the protocol that the suite asks for.
const Protocol = 1

// Options says what is tested, and how much of it.
type Options struct {
	// Path is the plugin: a file that can be executed.
	Path string
	// Config says what the plugin's kinds need; the zero value guesses from the schemas.
	Config Config
	// Only are the numbers and groups of the cases that are run; none: all.
	Only []string
	// Progress is told of each case, in the order of the numbers, as soon as it and those before it are done; nil: nobody is.
	Progress func(Case)
	// Log gets what the suite does; nil: nowhere.
	Log *slog.Logger
}

// Run runs the suite. The error says that nothing could be tried: the plugin's own faults are in the report. Nothing that
// Run started is left when it returns.
func Run(ctx context.Context, o Options) (Report, error) {
	cases, err := chosen(o.Only)
	if err != nil {
		return Report{}, err
	}
	if o.Path, err = program(o.Path); err != nil {
		return Report{}, err
	}
	if err := o.Config.check(); err != nil {
		return Report{}, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newSuite(ctx, o)
	if err != nil {
		return Report{}, err
	}
	defer s.close()
	began := time.Now()
	s.meet(ctx)
	report := Report{Path: o.Path, Protocol: Protocol, Plugin: s.manifest.Name, Version: s.manifest.Version}
	report.Cases = s.run(ctx, cases)
	report.Took = time.Since(began)
	report.Missing = s.missing()
	report.judge(len(cases) == len(all()))
	if err := ctx.Err(); err != nil {
		return report, fmt.Errorf("testing %q: %w", o.Path, err)
	}
	return report, nil
}

// program finds the file.
func program(path string) (string, error) {
	if path == "" {
		return "", errors.New("no plugin is named")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("the plugin: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("the plugin: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("the plugin %q is not a file", path)
	case info.Mode().Perm()&0o111 == 0:
		return "", fmt.Errorf("the plugin %q cannot be executed: chmod +x", path)
	}
	return path, nil
}

// T is what Conform needs of a *testing.T.
type T interface {
	Helper()
	Context() context.Context
	Log(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// Conform tests the plugin at path in a test of its author: every required case passes. config is the file that
// docs/plugins/conformance.md describes; empty: what can be guessed. What was not tried for want of parameters fails.
func Conform(t T, path, config string) {
	t.Helper()
	o := Options{Path: path}
	var err error
	if config != "" {
		if o.Config, err = ReadConfig(config); err != nil {
			t.Fatal(err)
		}
	}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Cases {
		c := &report.Cases[i]
		line := strings.TrimRight(c.String(), "\n")
		if c.Required && (c.Outcome == NotOK || c.Outcome == NotTried) {
			t.Errorf("%s", line)
			continue
		}
		t.Log(line)
	}
	t.Log(report.Badge())
}

// Count is how many cases the numbers and groups are; the error names one that there is not.
func Count(only []string) (int, error) {
	cases, err := chosen(only)
	return len(cases), err
}

// chosen are the cases of the numbers and groups.
func chosen(only []string) ([]testCase, error) {
	cases := all()
	if len(only) == 0 {
		return cases, nil
	}
	var out []testCase
	for _, c := range cases {
		if slices.Contains(only, strconv.Itoa(c.number)) || slices.Contains(only, c.group) {
			out = append(out, c)
		}
	}
	for _, word := range only {
		known := func(c testCase) bool { return word == strconv.Itoa(c.number) || word == c.group }
		if !slices.ContainsFunc(cases, known) {
			return nil, fmt.Errorf("there is no case or group %q, want 1 to %d or one of %s", word, len(cases), strings.Join(groups(cases), ", "))
		}
	}
	return out, nil
}

func groups(cases []testCase) []string {
	var names []string
	for _, c := range cases {
		if !slices.Contains(names, c.group) {
			names = append(names, c.group)
		}
	}
	return names
}
