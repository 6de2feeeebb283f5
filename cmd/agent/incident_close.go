package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
)

type closeFlags struct {
	config, by, reason string
	force              bool
}

func newIncidentClose(p process) *cobra.Command {
	var f closeFlags
	cmd := &cobra.Command{
		Use:   "close ID",
		Short: "Close an incident by hand",
		Long: `Close an incident whose alerts are resolved, without waiting for the path to have been well for a while. While alerts
are open it takes --force and a --reason, which the timeline keeps. It stays closed over restarts; what still fires
opens no other incident until it is resolved and fires again, or becomes worse. A new alert opens a new incident.
ID may be the beginning of an id, or latest.
Exit code 0: closed; 2: there is no such incident, it is closed, or alerts are open; 1: no agent answers.`,
		Example: "  windsock incident close latest --reason 'the provider says that it is over'",
		RunE:    func(cmd *cobra.Command, args []string) error { return closeIncident(cmd.Context(), p, f, args[0]) },
	}
	idArgument(cmd)
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "why, in one line")
	flags.StringVar(&f.by, "by", operator(p), "who closes it")
	flags.BoolVar(&f.force, "force", false, "though alerts are open; needs --reason")
	return cmd
}

func closeIncident(ctx context.Context, p process, f closeFlags, id string) error {
	if f.force && f.reason == "" {
		return exit(exitUsage, errors.New("--force needs a --reason, for those who read the timeline later"))
	}
	client, err := clientOf(ctx, p, f.config)
	if err != nil {
		return err
	}
	var closed agent.ClosedAnswer
	request := agent.CloseRequest{Reason: f.reason, By: f.by, Force: f.force}
	if err := client.Ask(ctx, http.MethodPost, "/v1/incidents/"+url.PathEscape(id)+"/close", request, &closed); err != nil {
		if _, refused := errors.AsType[*agent.RefusedError](err); !refused {
			err = fmt.Errorf("closing an incident needs the running agent: %w", err)
		}
		return asked(err)
	}
	if closed.Unkept != "" {
		fmt.Fprintf(p.stderr, "warning: %s: it is closed in memory only, and open again if the agent ends before that is mended\n", closed.Unkept)
	}
	fmt.Fprintf(p.stdout, "closed %s\nhint: windsock incident postmortem %s --out postmortem.md\n", closed.Closed, closed.Closed)
	return nil
}
