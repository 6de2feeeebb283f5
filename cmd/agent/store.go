package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// newStore is the root of what concerns the state directory.
func newStore(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, compact, back up and export what the agent keeps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(exitUsage, errors.Join(errors.New("store: name a verb"), cmd.Help()))
		},
	}
	cmd.AddCommand(newStoreCheck(p), newStoreBackup(p), newStoreExport(p), newStoreCompact(p))
	return cmd
}

// storeFlags say which store is meant.
type storeFlags struct{ config, store string }

func (f *storeFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.store, "store", "", "a state directory, or the file of a backup, in place of the configuration's")
}

// path is the store that is meant: no configuration is read where it is named.
func (f *storeFlags) path(p process) (string, error) {
	if f.store != "" {
		return f.store, nil
	}
	cfg, err := readConfig(p, f.config)
	if err != nil {
		return "", err
	}
	dir, err := agent.StateDir(cfg, p.getenv)
	if err != nil {
		return "", exit(exitCannot, err)
	}
	return dir, nil
}

// cannot ends a verb that could not do it, in words of what to do.
func cannot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w: ask as root or as the agent's user", err)
	}
	return exit(exitCannot, err)
}

// size is a number of bytes as people read it.
func size(bytes int64) string {
	switch {
	case bytes < 10<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10<<20:
		return fmt.Sprintf("%d KiB", bytes>>10)
	case bytes < 10<<30:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d GiB", bytes>>30)
}
