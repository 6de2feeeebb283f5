package main

import "github.com/spf13/cobra"

func newAlerts(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "Alert rules: what they say, and what they say elsewhere",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newAlertsRender(p))
	return cmd
}
