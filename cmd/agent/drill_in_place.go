package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/drill"
)

const (
	inPlaceLook  = 250 * time.Millisecond // between two looks at the drill
	inPlaceLease = "10s"                  // after which the agent takes us for dead
	inPlaceStop  = 15 * time.Second       // for the agent to end what was interrupted
)

// inPlace is how scenarios are drilled in the running agent.
type inPlace struct {
	wanted   bool
	config   string
	provider string
	length   string // of one scenario; "" is the agent's own bound
	every    string // between two runs of a check; "" is a second
	force    bool
	all      bool                // what cannot be drilled there is left out, where else it is refused
	each     func(drill.Outcome) // is told of each outcome; nil: nobody
}

func (f *inPlace) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.wanted, "in-place", false, "drill in the running agent: its real routes are told, marked DRILL")
	cmd.Flags().StringVar(&f.length, "for", "", "with --in-place, the most that one scenario may take, at most 10m (default 10m)")
	cmd.Flags().StringVar(&f.every, "every", "", "with --in-place, between two runs of a check (default 1s)")
	cmd.Flags().StringVar(&f.provider, "provider", "", "with --in-place, which provider fails; may be left out where there is one")
	cmd.Flags().BoolVar(&f.force, "force", false, "with --in-place, also while an incident is open")
	cmd.MarkFlagsMutuallyExclusive("in-place", "speed")
	cmd.MarkFlagsMutuallyExclusive("in-place", "parallel")
	cmd.MarkFlagsMutuallyExclusive("in-place", "verbose")
}

// given reports whether something was said that is for a drill in place alone.
func (f *inPlace) given() bool { return f.length != "" || f.every != "" || f.provider != "" || f.force }

// run drills the scenarios one after another. Where ctx ends, the drill that goes on is stopped, and the report has what was
// shown until then. The error has its exit code.
func (f inPlace) run(ctx context.Context, p process, scenarios []drill.Scenario) (*drill.Report, error) {
	began := time.Now()
	report := &drill.Report{At: began.UTC(), Config: f.config, InPlace: true}
	able, err := f.able(report, scenarios)
	if err != nil {
		return nil, err
	}
	client, err := clientOf(ctx, p, f.config)
	if err != nil {
		return nil, err
	}
	for _, sc := range able {
		outcome, state, err := f.one(ctx, client, sc)
		if refused, ok := errors.AsType[*agent.RefusedError](err); ok && f.all && refused.Status == http.StatusBadRequest {
			report.LeftOut = append(report.LeftOut, sc.Name+" is left out: "+refused.Text)
			continue
		}
		if err != nil {
			return report, err
		}
		report.Scenarios = append(report.Scenarios, outcome)
		report.LeftOut = addMissing(report.LeftOut, state.LeftOut)
		if f.each != nil {
			f.each(outcome)
		}
	}
	report.Took = time.Since(began).Seconds()
	report.Count()
	return report, nil
}

// able are the scenarios that can be drilled in place. One that cannot is refused where it was named, else left out.
func (f inPlace) able(report *drill.Report, scenarios []drill.Scenario) ([]*drill.Scenario, error) {
	var able []*drill.Scenario
	for i := range scenarios {
		_, err := scenarios[i].InPlace()
		switch {
		case err == nil:
			able = append(able, &scenarios[i])
		case f.all:
			report.LeftOut = append(report.LeftOut, err.Error())
		default:
			return nil, exit(exitUsage, err)
		}
	}
	if len(able) == 0 {
		return nil, exit(exitUndecided, errors.New(strings.Join(report.LeftOut, "\n")))
	}
	return able, nil
}

func addMissing(all, more []string) []string {
	known := make(map[string]bool, len(all))
	for _, line := range all {
		known[line] = true
	}
	for _, line := range more {
		if !known[line] {
			all = append(all, line)
		}
	}
	return all
}

// one drills one scenario.
func (f inPlace) one(ctx context.Context, client *agent.Client, sc *drill.Scenario) (drill.Outcome, agent.DrillState, error) {
	var state agent.DrillState
	ask, err := sc.InPlace()
	if err != nil {
		return drill.Outcome{}, state, exit(exitUsage, err)
	}
	ask.Provider, ask.For, ask.Every, ask.Lease, ask.Force = f.provider, f.length, f.every, inPlaceLease, f.force
	began := time.Now()
	err = client.Call(ctx, http.MethodPost, "/v1/drills", ask, &state)
	if refused, ok := errors.AsType[*agent.RefusedError](err); ok && refused.Status == http.StatusUnprocessableEntity {
		return sc.NotSeen(), state, nil
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return drill.Outcome{}, state, unheard(ctx, client, sc.Name, began)
	case err != nil:
		return drill.Outcome{}, state, asked(err)
	}
	look := time.NewTicker(inPlaceLook)
	defer look.Stop()
	for state.EndedAt.IsZero() {
		select {
		case <-ctx.Done():
			return drill.Outcome{}, state, interrupted(ctx, client, sc.Name)
		case <-look.C:
		}
		before := state.BeganAt
		state = agent.DrillState{}
		if err := client.Call(ctx, http.MethodGet, "/v1/drills", nil, &state); err != nil && ctx.Err() == nil {
			return drill.Outcome{}, state, exit(exitCannot, fmt.Errorf("the drill %s is over, and what it opened is resolved: the agent does not answer, or was restarted: %w", sc.Name, err))
		}
		if ctx.Err() == nil && !state.BeganAt.Equal(before) {
			return drill.Outcome{}, state, exit(exitCannot, fmt.Errorf("the drill %s is over: another has begun", sc.Name))
		}
	}
	return sc.JudgeInPlace(&state), state, nil
}

// unheard stops the drill that may have begun though nobody waited for the answer, and nobody else's.
func unheard(ctx context.Context, client *agent.Client, name string, since time.Time) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), inPlaceStop)
	defer cancel()
	for range 3 { // the agent may still be at it
		var state agent.DrillState
		err := client.Call(bounded, http.MethodGet, "/v1/drills", nil, &state)
		if err == nil && state.EndedAt.IsZero() && state.Scenario == name && !state.BeganAt.Before(since.Round(0)) {
			return interrupted(ctx, client, name)
		}
		time.Sleep(inPlaceLook / 2)
	}
	return exit(exitCannot, errors.New("interrupted before the drill "+name+" began"))
}

// interrupted stops the drill.
func interrupted(ctx context.Context, client *agent.Client, name string) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), inPlaceStop)
	defer cancel()
	if err := client.Call(bounded, http.MethodDelete, "/v1/drills", nil, nil); err != nil {
		return exit(exitCannot, fmt.Errorf("interrupted; the agent ends the drill %s by itself within %s (%w)", name, inPlaceLease, err))
	}
	return exit(exitCannot, fmt.Errorf("interrupted: the drill %s was stopped, and what it opened is resolved", name))
}
