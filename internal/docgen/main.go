// Command docgen writes the pages of the documentation that are made of code: docs/checks/*.md, docs/causes.md, the table of
// the built-in rules in docs/alerts.md, and docs/runbook/*.md.
// A test fails when they are stale.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/docgen/pages"
)

func main() {
	out := flag.String("out", "docs", "folder to write to")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err) //nolint:forbidigo // this is a main, for developers
		os.Exit(1)                              //nolint:forbidigo // this is a main, for developers
	}
}

func write(out string) error {
	rendered, err := pages.Render(all.Kinds(), all.Examples())
	if err != nil {
		return fmt.Errorf("rendering: %w", err)
	}
	for name, text := range rendered {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("making the folder of a page: %w", err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // pages are for everybody to read
			return fmt.Errorf("writing a page: %w", err)
		}
	}
	if err := writeRunbook(out); err != nil {
		return err
	}
	return writeRules(filepath.Join(out, "alerts.md"))
}

func writeRunbook(out string) error {
	rules := alerts.Builtin()
	written := map[string][]byte{}
	for _, name := range pages.Written() {
		page, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name))) //nolint:gosec // the path is the developer's
		if err != nil {
			return fmt.Errorf("reading a page of the runbook: %w", err)
		}
		written[name] = page
	}
	made, err := pages.WithRunbook(written, rules)
	if err != nil {
		return fmt.Errorf("rendering the runbook: %w", err)
	}
	maps.Copy(made, pages.Runbook(rules))
	for name, text := range made {
		if err := os.WriteFile(filepath.Join(out, filepath.FromSlash(name)), text, 0o644); err != nil { //nolint:gosec // pages are for everybody to read
			return fmt.Errorf("writing a page: %w", err)
		}
	}
	return nil
}

func writeRules(path string) error {
	page, err := os.ReadFile(path) //nolint:gosec // the path is the developer's
	if err != nil {
		return fmt.Errorf("reading the page of the rules: %w", err)
	}
	if page, err = pages.WithRules(page, alerts.Builtin()); err != nil {
		return fmt.Errorf("rendering %s: %w", path, err)
	}
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // pages are for everybody to read
		return fmt.Errorf("writing a page: %w", err)
	}
	return nil
}
