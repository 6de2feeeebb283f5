package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// The built-in prices are of 2026-08-21, and here it is New Year: whoever uses them is told.
func TestOldPricesAreWarnedOfWhereTheyCount(t *testing.T) {
	t.Parallel()
	const (
		builtIn = "the built-in prices were checked on 2026-08-21"
		fresh   = `{model: mistral-small-2603, input_per_million: 1, output_per_million: 2, checked_on: "2026-11-01"}`
		other   = "\n  - {name: embed, kind: embeddings, schedule: '@every 1h', with: {model: mistral-embed}}"
		asked   = "\n  - {name: usable, kind: usable, schedule: '@every 1h', with: {models: [mistral-embed]}}"
		spend   = "\n  - {name: spend, kind: spend, schedule: '@every 1h', with: {sources: [{ledger: {}}]}}"
	)
	for name, tc := range map[string]struct {
		prices, checks string
		want           []string
	}{
		"no own price":                         {"", "", []string{builtIn}},
		"every model has its own":              {"models: [" + fresh + "]", "", nil},
		"another check's model has none":       {"models: [" + fresh + "]", other, []string{builtIn}},
		"nor one that is asked for a token":    {"models: [" + fresh + "]", asked, []string{builtIn}},
		"the application may call any model":   {"models: [" + fresh + "]", spend, []string{builtIn}},
		"an own price of a model nobody calls": {`models: [{model: brand-new, minute: 1, checked_on: "2026-11-01"}]`, "", []string{builtIn}},
		"an own price that is old too":         {`models: [{model: mistral-small-2603, input_per_million: 1, checked_on: "2026-09-01"}]`, "", []string{"your price of mistral-small-2603 was checked on 2026-09-01, 122 days ago"}},
		"an own price of no day":               {"models: [{model: mistral-small-2603, input_per_million: 1}]", "", []string{"your price of mistral-small-2603 has no checked_on"}},
		"an old one that counts no more": {
			`models: [{model: mistral-small-2603, minute: 1, checked_on: "2026-01-01"}, {model: mistral-small-2603, input_per_million: 1, from: "2026-10-01", checked_on: "2026-11-01"}]`, "", nil,
		},
		"one that does not count yet": {
			`models: [{model: mistral-small-2603, input_per_million: 1, from: "2999-01-01", checked_on: "2026-11-01"}]`, "", []string{builtIn},
		},
		"nobody wants to be told": {"max_age: 0s", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change("\nexporters:", tc.checks+"\nexporters:")
			h.change("budget:", "prices: {"+tc.prices+"}\nbudget:")
			cfg, err := h.load()
			if err != nil {
				t.Fatal(err)
			}
			called := agent.CostOf(cfg, h.registry()).Models
			got := agent.OldPrices(cfg, called, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
			if len(got) != len(tc.want) || len(got) > 0 && !strings.HasPrefix(got[0], tc.want[0]) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
