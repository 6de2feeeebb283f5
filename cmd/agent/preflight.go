package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newPreflight(process) *cobra.Command {
	return &cobra.Command{
		Use: "preflight", Short: "Go through the checklist before a deployment, item by item", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return exit(exitCannot, errors.New("not built yet")) },
	}
}
