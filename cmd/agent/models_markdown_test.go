package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/checks/usable"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/headroom"
)

var updateLimits = flag.Bool("update-limits", false, "write the golden files of the limits page anew") //nolint:gochecknoglobals // a flag of the test binary

func TestTheLimitsPage(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	usd := func(v float64) *float64 { return &v }
	yes, no := true, false
	known := limitsPage{
		Location: "par1-vm7", Service: "checkout | <b>", At: now,
		Budget:   config.Budget{Set: true, PerHour: checks.Dollar / 20, PerDay: checks.Dollar / 2},
		Warnings: []string{"the built-in prices are 101 days old, want at most 90"},
		Prices: []agent.PricedModel{
			{Provider: "mistral", Model: "mistral-small-latest", As: "mistral-small-2603", Checks: []string{"chat", "rag"}, Known: true, Input: usd(0.15), Output: usd(0.6)},
			{Provider: "mistral", Model: "mistral-embed", As: "mistral-embed", Checks: []string{"emb"}, Known: true, Input: usd(0.1)},
			{Provider: "mistral", Model: "ft:nobody|knows", Checks: []string{"tuned"}},
		},
		View: &agent.ModelsView{
			Models: []agent.WatchedModel{
				{
					Provider: "mistral", Check: "list", Model: "mistral-small-latest", Listed: &yes,
					Card:    models.Card{Canonical: "mistral-small-2603", Billing: "mistral-small", Context: 262144, Retires: now.AddDate(0, 0, 20), Replacement: "mistral-small-2701", SeenAt: now.Add(-time.Minute)},
					Usable:  &agent.Usable{OK: true, Verdict: usable.Verdict{At: now.Add(-time.Hour)}},
					MovedAt: now.Add(-3 * time.Hour),
				},
				{
					Provider: "mistral", Check: "list", Model: "ministral-3b-2512", Listed: &no,
					Card: models.Card{Canonical: "ministral-3b-2512", Context: 131072, SeenAt: now.Add(-48 * time.Hour), Retires: now.Add(-24 * time.Hour), Price: &models.Price{Input: 0.1, Output: usd(0.1)}},
				},
				{Provider: "mistral", Check: "ask", Model: "labs-x", Usable: &agent.Usable{Verdict: usable.Verdict{Cause: checks.CauseForbidden, At: now.Add(-time.Hour)}}},
			},
			Changes: []models.Change{{At: now.Add(-3 * time.Hour), Model: "mistral-small-latest", Kind: "moved", Before: "mistral-small-2506", After: "mistral-small-2603"}},
			LeftOut: []string{"mistral-tiny"},
			Limits: []agent.LimitSeen{
				{Provider: "mistral", Window: headroom.Window{Key: "primary", Model: "mistral-small-latest", Resource: "requests", Window: "minute", Limit: 60000, Remaining: 59990, At: now.Add(-time.Minute)}},
				{Provider: "mistral", Window: headroom.Window{Key: "primary", Model: "mistral-small-latest", Resource: "tokens", Limit: 500000, Remaining: 0, At: now.Add(-2 * time.Minute)}},
			},
		},
	}
	for name, page := range map[string]limitsPage{
		"limits": known, "limits-nothing": {At: now, View: &agent.ModelsView{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			page.write(&got)
			path := filepath.Join("testdata", "models", name+".md")
			if *updateLimits {
				if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-want +got (run with -update-limits where this is right):\n%s", diff)
			}
		})
	}
}
