package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
)

type pricesFlags struct{ config, output string }

func newPrices(p process) *cobra.Command {
	var f pricesFlags
	cmd := &cobra.Command{
		Use:   "prices",
		Short: "Show what the models of the checks cost, where that is from and how old it is",
		Long: `Show the price that is counted for each model that a check calls: what the id is priced as (by the
provider's models list as the agent saw it last, else by the built-in aliases), US dollars for a million
tokens in the zone of the provider's address, and where the price is from. It asks nobody.
Exit code 0: every price is known; 3: one is not, and counts as the dearest.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showPrices(cmd.Context(), p, f) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	outputFlag(cmd, &f.output)
	return cmd
}

// priceList is the JSON form of the prices.
type priceList struct {
	Models   []agent.PricedModel `json:"models"`
	Warnings []string            `json:"warnings,omitempty"`
}

func showPrices(ctx context.Context, p process, f pricesFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	cfg, err := readConfig(p, f.config)
	if err != nil {
		return err
	}
	var list priceList
	list.Models, list.Warnings = agent.PricesOf(ctx, cfg, registry(), p.getenv)
	list.Warnings = append(list.Warnings, agent.OldPrices(cfg, list.Models, time.Now())...)
	if asJSON {
		_ = json.NewEncoder(p.stdout).Encode(list)
	} else {
		printPrices(p.stdout, list)
	}
	for i := range list.Models {
		if !list.Models[i].Known {
			return exit(exitBadNews, nil)
		}
	}
	return nil
}

func printPrices(w io.Writer, list priceList) {
	for _, text := range list.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
	if len(list.Models) == 0 {
		fmt.Fprintln(w, "no check calls a model")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tPRICED AS\tIN $/M\tCACHED $/M\tOUT $/M\tOTHER\tCHECKED ON\tSOURCE\tCHECKS")
	for i := range list.Models {
		m := &list.Models[i]
		in, from := amount(m.Input), m.Source
		if !m.Known {
			in, from = "UNKNOWN", strings.TrimPrefix(m.Source+"; tokens count as the dearest", "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Model, m.As, in, amount(m.Cached), amount(m.Output), otherUnits(m),
			m.CheckedOn, from, strings.Join(m.Checks, ", "))
	}
	_ = table.Flush()
}

// amount is a price of the table; "-" where there is none.
func amount(usd *float64) string {
	if usd == nil {
		return "-"
	}
	return dollars(*usd)
}

// otherUnits is what a model costs beside tokens; "-" where that is nothing.
func otherUnits(m *agent.PricedModel) string {
	var parts []string
	for _, part := range []struct {
		usd  *float64
		unit string
	}{
		{m.Pages, "1000 pages"}, {m.Annotated, "1000 annotated pages"}, {m.Minute, "minute"}, {m.Characters, "M characters"},
	} {
		if part.usd != nil && *part.usd > 0 {
			parts = append(parts, "$"+dollars(*part.usd)+"/"+part.unit)
		}
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}
