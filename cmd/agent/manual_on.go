//go:build windsock_manual

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/manual"
)

// documented adds the verb that writes the manual pages into a new folder. No build that is shipped has it: it is for
// systemd/packages.
func documented(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use: "manual DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			on, err := time.Parse(time.RFC3339, date)
			if err != nil {
				return exit(exitCannot, fmt.Errorf("the date of this build: %w", err))
			}
			return writeManual(root, manual.Book{Version: version, Date: on}, args[0])
		},
	})
}

func writeManual(root *cobra.Command, book manual.Book, dir string) error {
	schema, err := config.Schema(registry())
	if err != nil {
		return exit(exitCannot, err)
	}
	pages := book.Verbs(root)
	if pages["schedules.yaml.5"], err = book.Configuration(schema); err != nil {
		return exit(exitCannot, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pages are public
		return exit(exitCannot, err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // as above
			return exit(exitCannot, err)
		}
	}
	return nil
}
