package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// noting is a writer that remembers what went wrong: a verb whose answer nobody could read did not do what it was asked for.
type noting struct {
	to  io.Writer
	err error
}

func (n *noting) Write(p []byte) (int, error) {
	written, err := n.to.Write(p)
	if err != nil && n.err == nil {
		n.err = err
	}
	return written, err //nolint:wrapcheck // it is the writer's
}

// watch has each verb end with exit code 1 where its answer was not written.
func (n *noting) watch(verbs ...*cobra.Command) {
	for _, verb := range verbs {
		run := verb.RunE
		verb.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if n.err != nil {
				return exit(exitCannot, fmt.Errorf("writing the answer: %w", n.err))
			}
			return err
		}
	}
}
