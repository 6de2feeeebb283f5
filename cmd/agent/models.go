package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// movedLately is how long after an alias moved `models` calls it news.
const movedLately = 24 * time.Hour

type modelsFlags struct{ config, output string }

func newModels(p process) *cobra.Command {
	said := &noting{to: p.stdout}
	p.stdout = said
	var f modelsFlags
	cmd := &cobra.Command{
		Use:   "models",
		Short: "Show the models that are watched: what they stand for, cost, and when they retire",
		Long: `Show what checks of the kinds models and usable saw last, from the store: what each id stands for,
when it moved, its price, its retirement, whether it answers, what changed, and the rate limits that
paid answers told last. It works beside a running agent and asks nobody. As markdown it is the page of limits
that a team keeps: with the prices of all models that checks call, the budget, and what was never observed.
Exit code 0: well; 3: a model is not listed, refuses to answer, has retired, or moved within 24 hours;
4: nothing was seen yet.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showModels(cmd.Context(), p, f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "text, json or markdown")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp))
	said.watch(cmd)
	return cmd
}

func showModels(ctx context.Context, p process, f modelsFlags) error {
	if !slices.Contains([]string{"text", "json", "markdown"}, f.output) {
		return exit(exitUsage, fmt.Errorf("--output is %q, want text, json or markdown", f.output))
	}
	cfg, err := readConfig(p, f.config)
	if err != nil {
		return err
	}
	view, err := agent.SeenModels(ctx, cfg, p.getenv)
	if err != nil {
		return exit(exitCannot, err)
	}
	now := time.Now()
	switch f.output {
	case "json":
		_ = json.NewEncoder(p.stdout).Encode(view)
	case "markdown":
		var text strings.Builder
		page := limitsPageOf(ctx, p, cfg, view, now)
		page.write(&text)
		fmt.Fprint(p.stdout, p.scrubber.String(text.String()))
	default:
		printModels(p.stdout, view, now)
	}
	if len(view.Models) == 0 {
		if f.output != "json" {
			fmt.Fprintln(p.stderr, "hint: run the agent, or `windsock check` with the name of a check of the kind models or usable")
		}
		return exit(exitUndecided, nil)
	}
	for i := range view.Models {
		if m := &view.Models[i]; m.Gone() || m.Usable != nil && !m.Usable.OK || retired(m, now) || now.Sub(m.MovedAt) < movedLately {
			return exit(exitBadNews, nil)
		}
	}
	return nil
}

func retired(m *agent.WatchedModel, now time.Time) bool {
	return !m.Retires.IsZero() && m.Retires.Before(now)
}

func printModels(w io.Writer, view *agent.ModelsView, now time.Time) {
	if len(view.Models) == 0 {
		fmt.Fprintln(w, "no model was seen yet")
		printLimits(w, view, now)
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tSTANDS FOR\tIN $/M\tOUT $/M\tCONTEXT\tUSABLE\tRETIRES\tSEEN")
	for i := range view.Models {
		m := &view.Models[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", m.Model, card(m), answers(m), retirement(m, now), seen(m, now))
	}
	_ = table.Flush()
	if len(view.LeftOut) > 0 {
		fmt.Fprintf(w, "too many to be watched, and only looked for in the list: %s\n", strings.Join(view.LeftOut, ", "))
	}
	for i := range view.Changes {
		fmt.Fprintf(w, "%s  %s\n", view.Changes[i].At.UTC().Format(time.RFC3339), view.Changes[i].Text())
	}
	printLimits(w, view, now)
}

// printLimits prints the rate limits as paid answers told them last.
func printLimits(w io.Writer, view *agent.ModelsView, now time.Time) {
	for i := range view.Limits {
		l := &view.Limits[i]
		fmt.Fprintf(w, "limit of %s for %s: %d of %d %s left", l.Provider, l.Model, l.Remaining, l.Limit, l.Resource)
		if l.Window.Window != "" {
			fmt.Fprintf(w, " per %s", l.Window.Window)
		}
		fmt.Fprintf(w, ", %s\n", ago(now.Sub(l.At)))
	}
}

// card is the columns of what the list said of a model; of one that was never listed nothing is known.
func card(m *agent.WatchedModel) string {
	if m.SeenAt.IsZero() {
		return "-\t-\t-\t-"
	}
	in, out := "unknown", "unknown"
	if m.Price != nil {
		in, out = dollars(m.Price.Input), amount(m.Price.Output)
	}
	stands := m.Canonical
	if billed := m.BilledAs(); billed != "" {
		stands += ", billed as " + billed
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d", stands, in, out, m.Context)
}

// seen is when a model was last listed, or asked where no list is looked at.
func seen(m *agent.WatchedModel, now time.Time) string {
	switch {
	case m.Listed == nil:
		return "asked " + ago(now.Sub(m.Usable.At))
	case *m.Listed:
		return ago(now.Sub(m.SeenAt))
	case m.SeenAt.IsZero():
		return "NOT LISTED, never seen"
	}
	return "NOT LISTED, last " + ago(now.Sub(m.SeenAt))
}

// answers is whether the model answered when it was last asked.
func answers(m *agent.WatchedModel) string {
	switch {
	case m.Usable == nil:
		return "-"
	case m.Usable.OK:
		return "yes"
	}
	return "NO, " + string(m.Usable.Cause)
}

func dollars(price float64) string { return strconv.FormatFloat(price, 'f', -1, 64) }

func ago(d time.Duration) string { return max(d, 0).Round(time.Second).String() + " ago" }

func retirement(m *agent.WatchedModel, now time.Time) string {
	switch left := m.Retires.Sub(now); {
	case m.Retires.IsZero():
		return "-"
	case left < 0:
		return "RETIRED"
	case m.Replacement != "":
		return fmt.Sprintf("in %d days, then %s", int(left.Hours()/24), m.Replacement)
	default:
		return fmt.Sprintf("in %d days", int(left.Hours()/24))
	}
}
