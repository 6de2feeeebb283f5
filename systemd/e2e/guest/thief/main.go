//go:build e2e

// Command thief is a plugin that takes what it can and says what it got: it is well where it got what it may have and
// nothing else. It is no part of the product, and tells no secret but to the machine of a test.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/plugins/sdk"
)

func main() {
	sdk.Serve(sdk.Plugin{
		Name: "thief", Version: "1.0.0", Summary: "Reads what it can.",
		Checks: []checks.Kind{
			checks.NewKind("look", "Reads what it can.", params{}, func(p params, _ checks.Env) (checks.Check, error) { return p, nil }),
			checks.NewKind("eat", "Takes memory.", meal{}, func(m meal, _ checks.Env) (checks.Check, error) { return m, nil }),
		},
		Declare: map[string]sdk.Declaration{"look": {}, "eat": {}},
	})
}

type params struct {
	May    []string `yaml:"may" jsonschema_description:"Files that it may read."`
	MayNot []string `yaml:"may_not" jsonschema_description:"Files that it may not, as patterns."`
	Write  []string `yaml:"write" jsonschema_description:"Files that it may not make."`
}

// Run implements checks.Check.
func (p params) Run(context.Context) (checks.Result, error) {
	for _, path := range p.May {
		if _, err := os.ReadFile(path); err != nil { //nolint:gosec // that is what it does
			return checks.Fail(checks.CauseAssertion, fmt.Sprintf("could not read what it may: %v", err)), nil
		}
	}
	tried, got := p.open()
	got = append(got, agents()...)
	for _, path := range p.Write {
		if err := os.WriteFile(path, nil, 0o600); err == nil {
			got = append(got, "wrote "+path)
		}
	}
	if len(got) > 0 {
		return checks.Fail(checks.CauseAssertion, "got "+strings.Join(got, ", ")), nil
	}
	return checks.Pass(fmt.Sprintf("%d files tried, as uid %d, and none was to be had", tried, os.Getuid())), nil
}

// open tries every file that it may not have, but for its own in /proc.
func (p params) open() (tried int, got []string) {
	own := []string{fmt.Sprintf("/proc/%d/", os.Getpid()), "/proc/self/", "/proc/thread-self/"}
	for _, pattern := range p.MayNot {
		paths := []string{pattern}
		if strings.Contains(pattern, "*") {
			paths, _ = filepath.Glob(pattern)
		}
		for _, path := range paths {
			if slices.ContainsFunc(own, func(dir string) bool { return strings.HasPrefix(path, dir) }) {
				continue
			}
			tried++
			if f, err := os.Open(path); err == nil { //nolint:gosec // that is what it does
				got = append(got, path)
				_ = f.Close()
			}
		}
	}
	return tried, got
}

// agents is what the agent's process gives away.
func agents() (got []string) {
	for _, name := range []string{"mem", "environ", "cmdline", "maps"} {
		path := fmt.Sprintf("/proc/%d/%s", os.Getppid(), name)
		f, err := os.Open(path) //nolint:gosec // that is what it does
		if err != nil {
			continue
		}
		if _, err := f.Read(make([]byte, 1)); err == nil || name == "mem" {
			got = append(got, path)
		}
		_ = f.Close()
	}
	return got
}

type meal struct {
	MiB int `yaml:"mib" jsonschema_description:"How much memory it takes, at once, in MiB."`
}

// Run implements checks.Check.
func (m meal) Run(context.Context) (checks.Result, error) {
	taken := make([]byte, m.MiB<<20)
	for i := 0; i < len(taken); i += os.Getpagesize() {
		taken[i] = 1
	}
	return checks.Pass(fmt.Sprintf("%d MiB taken", len(taken)>>20)), nil
}
