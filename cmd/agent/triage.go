package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newTriage(process) *cobra.Command {
	return &cobra.Command{
		Use: "triage", Short: "Walk the runbook's decision tree: what is wrong, whose fault it is, what to do next", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return exit(exitCannot, errors.New("not built yet")) },
	}
}
