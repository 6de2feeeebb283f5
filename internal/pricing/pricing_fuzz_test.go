package pricing_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// FuzzCost holds the sums against arbitrary precision: exact, rounded up, at the end where an int64 ends, never below that
// of a smaller usage.
func FuzzCost(f *testing.F) {
	f.Add(int64(15), int64(0), int64(1))
	f.Add(int64(49), int64(32), int64(6))
	f.Add(int64(math.MaxInt64), int64(0), int64(math.MaxInt64))
	f.Add(int64(-1), int64(5), int64(0))
	f.Fuzz(func(t *testing.T, prompt, cached, completion int64) {
		u := pricing.Usage{Prompt: prompt, Cached: cached, Completion: completion, Tier: pricing.TierPriority}
		got, known := book(eu).Cost(u, "mistral-small-2603", day())
		if want := exactCost(prompt, cached, completion); got != want || !known {
			t.Errorf("got %d, %v, want %d", got, known, want)
		}
		u.Completion = completion / 2
		if less, _ := book(eu).Cost(u, "mistral-small-2603", day()); completion > 0 && less > got {
			t.Errorf("half the answer costs %d, all of it %d", less, got)
		}
	})
}

// exactCost is a call on mistral-small-2603 at the priority tier in Europe: 7/4 x 11/10.
func exactCost(prompt, cached, completion int64) checks.PicoUSD {
	prompt, cached, completion = max(prompt, 0), max(cached, 0), max(completion, 0)
	if cached > prompt {
		cached = 0
	}
	end := big.NewInt(math.MaxInt64)
	sum := new(big.Int).Mul(big.NewInt(prompt-cached), big.NewInt(150_000))
	sum.Add(sum, new(big.Int).Mul(big.NewInt(cached), big.NewInt(15_000)))
	sum.Add(sum, new(big.Int).Mul(big.NewInt(completion), big.NewInt(600_000)))
	sum.Mul(sum, big.NewInt(77))
	if sum.Cmp(end) >= 0 {
		return math.MaxInt64
	}
	sum.Add(sum, big.NewInt(39)).Div(sum, big.NewInt(40))
	return checks.PicoUSD(sum.Int64())
}

func TestTheBatchTierIsKnownInAnyCase(t *testing.T) {
	t.Parallel()
	table := pricing.Default().With([]pricing.Price{{Model: "m", Input: 100, Output: 100, Batch: 80}})
	got, known := pricing.NewBook(table, global).Cost(pricing.Usage{Prompt: 10, Tier: "Batch"}, "m", day())
	if got != 800 || !known {
		t.Errorf("got %d, %v, want 800", got, known)
	}
}
