package pricing_test

import (
	"math"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const (
	global = "https://api.mistral.ai"
	eu     = "https://api.eu.mistral.ai"
)

// Every amount here was worked out by hand from the price page: dollars for a million tokens are millionths of a dollar,
// which is 1,000,000 pico-dollars, for one.
func TestCost(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		model, base                string
		prompt, cached, completion int64
		want                       checks.PicoUSD
		known                      bool
	}{
		"a ping on small is 15 x 0.15 + 0.60":        {"mistral-small-latest", global, 15, 0, 1, 2_850_000, true},
		"its canonical id costs the same":            {"mistral-small-2603", global, 15, 0, 1, 2_850_000, true},
		"so does the alias that jumped families":     {"magistral-small-latest", global, 15, 0, 1, 2_850_000, true},
		"a ping on ministral-3b is 16 x 0.10":        {"ministral-3b-latest", global, 15, 0, 1, 1_600_000, true},
		"a ping on medium is 15 x 1.50 + 7.50":       {"mistral-medium-latest", global, 15, 0, 1, 30_000_000, true},
		"large":                                      {"mistral-large-latest", global, 1000, 0, 100, 650_000_000, true},
		"codestral":                                  {"codestral-latest", global, 10, 0, 10, 12_000_000, true},
		"embeddings cost input only":                 {"mistral-embed", global, 4, 0, 0, 400_000, true},
		"embeddings of code":                         {"codestral-embed-2505", global, 4, 0, 0, 600_000, true},
		"the cached part costs a tenth":              {"mistral-small-2603", global, 49, 32, 6, 2_550_000 + 480_000 + 3_600_000, true},
		"a tenth more in Europe":                     {"mistral-small-2603", eu, 15, 0, 1, 3_135_000, true},
		"and in the United States, with a path":      {"mistral-small-2603", "https://API.us.mistral.ai:443/v1", 15, 0, 1, 3_135_000, true},
		"labs models are free":                       {"labs-leanstral-1-5", global, 1000, 0, 1000, 0, true},
		"an unknown model costs the dearest of each": {"mistral-large-4", global, 15, 0, 1, 30_000_000, false},
		"an alias that is about to move is unknown":  {"devstral-latest", global, 15, 0, 1, 30_000_000, false},
		"nothing used":                               {"mistral-small-2603", global, 0, 0, 0, 0, true},
		"negative counts are nothing":                {"mistral-small-2603", global, -5, -5, -5, 0, true},
		"more cached than prompt is not believed":    {"mistral-small-2603", global, 10, 50, 0, 1_500_000, true},
		"absurd counts stay at the end":              {"mistral-small-2603", eu, math.MaxInt64, 0, math.MaxInt64, math.MaxInt64, true},
		"a base URL that is none has no zone":        {"mistral-small-2603", "://", 15, 0, 1, 2_850_000, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, known := pricing.Default().Cost(tt.model, tt.base, tt.prompt, tt.cached, tt.completion)
			if got != tt.want || known != tt.known {
				t.Errorf("got %d, %v, want %d, %v", got, known, tt.want, tt.known)
			}
		})
	}
}

func TestAPingEveryMinuteForThirtyDays(t *testing.T) {
	t.Parallel()
	tests := map[string]checks.PicoUSD{ // 43,200 pings
		"mistral-small-latest":  123_120_000_000,   // $0.12
		"ministral-3b-latest":   69_120_000_000,    // $0.07
		"mistral-medium-latest": 1_296_000_000_000, // $1.30
	}
	for model, want := range tests {
		cost, _ := pricing.Default().Cost(model, global, 15, 0, 1)
		if got := cost * 30 * 24 * 60; got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}
}

func TestWorstIsNeverBelowCost(t *testing.T) {
	t.Parallel()
	table := pricing.Default()
	worst, known := table.Worst("mistral-small-latest", global, 20, 16)
	if want := checks.PicoUSD(276*150_000 + 16*600_000); worst != want || !known {
		t.Errorf("got %d, %v, want %d", worst, known, want)
	}
	if _, known := table.Worst("nobody-knows", global, 20, 16); known {
		t.Error("an unknown model is known")
	}
	for _, size := range []int{-1, 0, math.MaxInt} {
		if cost, _ := table.Worst("mistral-small-latest", eu, size, 0); cost < 256*165_000 {
			t.Errorf("%d bytes: got %d", size, cost)
		}
	}
	// The recorded samples: prompt texts shorter than their prompt tokens, up to 49 of them.
	for _, tokens := range []int64{15, 30, 35, 49} {
		cost, _ := table.Cost("mistral-small-latest", global, tokens, 0, 16)
		if worst, _ := table.Worst("mistral-small-latest", global, 4, 16); worst < cost {
			t.Errorf("%d tokens: worst %d is below %d", tokens, worst, cost)
		}
	}
}

func TestEveryRowIsWhole(t *testing.T) {
	t.Parallel()
	table := pricing.Default()
	if table.Date() != "2026-08-21" {
		t.Errorf("date %q", table.Date())
	}
	dearest, _ := table.Cost("nobody-knows", global, 1, 0, 1)
	for _, price := range table.Prices() {
		if price.Input <= 0 || price.Cached*10 != price.Input || price.Source == "" || price.Date != table.Date() {
			t.Errorf("%+v", price)
		}
		if price.Input+price.Output > dearest {
			t.Errorf("%s is dearer than the unknown", price.Model)
		}
		for _, alias := range table.Aliases(price.Model) {
			if got, ok := table.Lookup(alias); !ok || got != price {
				t.Errorf("%s: got %+v, want %+v", alias, got, price)
			}
		}
	}
	if got, ok := table.Lookup("mistral-medium-3.5"); !ok || got.Input != 1_500_000 || got.Output != 7_500_000 || got.Cached != 150_000 {
		t.Errorf("got %+v", got)
	}
	if len(table.Prices()) != 14 {
		t.Errorf("got %d rows", len(table.Prices()))
	}
}
