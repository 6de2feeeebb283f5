package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newGate(process) *cobra.Command {
	return &cobra.Command{
		Use: "gate", Short: "Watch a rollout, and decide: promote, roll back, or too little to say", Hidden: true,
		RunE: func(*cobra.Command, []string) error { return exit(exitCannot, errors.New("not built yet")) },
	}
}
