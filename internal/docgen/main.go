// Command docgen writes the pages of the documentation that are made of code: docs/checks/*.md, docs/causes.md, and the table
// of the built-in rules in docs/alerts.md.
// A test fails when they are stale.
package main

import (
	"flag"
	"fmt"
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
	return writeRules(filepath.Join(out, "alerts.md"))
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
