package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newDrill(process) *cobra.Command {
	return &cobra.Command{
		Use: "drill", Short: "Prove that alerts fire, reach people, and resolve", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return exit(exitCannot, errors.New("not built yet")) },
	}
}
