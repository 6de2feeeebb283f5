package spend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend"
)

// BenchmarkRun is a run over a ledger of 34 days of hours, as the store keeps them: of 1,000 runs a minute of so many checks.
// What the ledger itself takes to sum is measured beside it, in internal/store.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("%d checks", n), func(b *testing.B) {
			hour := time.Now().UTC().Truncate(time.Hour)
			var rows []checks.Spending
			for h := 34 * 24; h >= 0; h-- {
				for c := range n {
					rows = append(rows, checks.Spending{
						Hour: hour.Add(-time.Duration(h) * time.Hour), Check: fmt.Sprintf("chat-%d", c), Provider: "mistral", Model: "mistral-small-latest",
						Trigger: checks.TriggerSchedule, Runs: int64(60_000 / n), Cost: checks.Dollar / 1000, PromptTokens: 15, CompletionTokens: 2,
					})
				}
			}
			check, err := spend.Kind().New(checktest.Decoder(params, ""), checks.Env{Ledger: &book{rows: func(time.Time) []checks.Spending { return rows }}})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if r, err := check.Run(b.Context()); err != nil || r.Status == checks.Unknown {
					b.Fatal(r, err)
				}
			}
		})
	}
}
