package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// newAlerts is the root of what concerns alerts.
func newAlerts(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "List, silence and acknowledge the running agent's alerts; lint, render and test rules",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(exitUsage, errors.Join(errors.New("alerts: name a verb"), cmd.Help()))
		},
	}
	cmd.AddCommand(newAlertsList(p))
	cmd.AddCommand(newAlertsSilence(p))
	cmd.AddCommand(newAlertsAck(p))
	cmd.AddCommand(newAlertsLint(p))
	cmd.AddCommand(newAlertsRender(p))
	cmd.AddCommand(newAlertsTest(p))
	return cmd
}

func configFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "config", "c", "", "the agent's configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
}

// clientOf asks the agent that runs with a configuration.
func clientOf(ctx context.Context, p process, path string) (*agent.Client, error) {
	cfg, err := readConfig(p, path)
	if err != nil {
		return nil, err
	}
	if socket := controlOfRunning(ctx, cfg); socket != "" {
		return agent.NewClient(socket), nil
	}
	socket, err := agent.ControlPath(cfg, p.getenv)
	if err != nil {
		return nil, exit(exitCannot, err)
	}
	return agent.NewClient(socket), nil
}

// asked is the exit code of what the running agent was asked: wrongly where it says so.
func asked(err error) error {
	refused, ok := errors.AsType[*agent.RefusedError](err)
	switch {
	case err == nil:
		return nil
	case ok && refused.Status == http.StatusNotFound, ok && refused.Status == http.StatusBadRequest:
		return exit(exitUsage, err)
	}
	return exit(exitCannot, err)
}

// operator is the name that the agent is told where nobody gives another; "" leaves it to the agent.
func operator(p process) string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if who := p.getenv(name); who != "" {
			return who
		}
	}
	return ""
}

type ackFlags struct{ config, note, by string }

func newAlertsAck(p process) *cobra.Command {
	var f ackFlags
	cmd := &cobra.Command{
		Use:   "ack TARGET",
		Short: "Take an incident: who acknowledges it commands it",
		Long:  "Acknowledge an incident by its id, by a rule or by the fingerprint of one of its alerts.\nExit code 2: no open incident has that name; 1: no agent answers.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientOf(cmd.Context(), p, f.config)
			if err != nil {
				return err
			}
			request := agent.AckRequest{Target: args[0], By: f.by, Note: f.note}
			if err := client.Ask(cmd.Context(), http.MethodPost, "/v1/alerts/ack", request, nil); err != nil {
				return asked(err)
			}
			fmt.Fprintf(p.stdout, "acknowledged %s\n", args[0])
			return nil
		},
	}
	configFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.note, "note", "", "what you do about it")
	cmd.Flags().StringVar(&f.by, "by", operator(p), "who takes it")
	return cmd
}
