package promsource

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// bucket is what was counted in one window.
type bucket struct {
	Whole  bool              `json:"whole,omitempty"` // the server had data when the window began
	Known  bool              `json:"known,omitempty"` // there were series in it
	Late   int64             `json:"late,omitempty"`  // series whose first counts are left out
	Cost   checks.PicoUSD    `json:"usd,omitempty"`   // of a counter of dollars, and of models that were priced for good
	Models map[string]tokens `json:"models,omitempty"`
}

// tokens are those of one model. They are fractions: increase() looks beyond the samples, to the ends of the window.
type tokens struct {
	Input  float64 `json:"i,omitempty"` // the cached ones included
	Cached float64 `json:"c,omitempty"`
	Output float64 `json:"o,omitempty"`
	Astray float64 `json:"x,omitempty"` // in no direction that is known
}

func (t tokens) plus(o tokens) tokens {
	return tokens{t.Input + o.Input, t.Cached + o.Cached, t.Output + o.Output, t.Astray + o.Astray}
}

func (t tokens) all() float64 { return t.Input + t.Output + t.Astray }

// usage is what to price; false where the cached tokens cannot be among the input, a rounding aside.
func (t tokens) usage() (pricing.Usage, bool) {
	u := pricing.Usage{Prompt: whole(t.Input), Cached: whole(t.Cached), Completion: whole(t.Output)}
	if float64(u.Cached) > 1.01*float64(u.Prompt)+1 {
		return pricing.Usage{}, false
	}
	u.Cached = min(u.Cached, u.Prompt)
	return u, true
}

func whole(n float64) int64 { return int64(math.Round(n)) }

// bounded puts the models beyond the bound together, those with the fewest tokens.
func (b *bucket) bounded() {
	if len(b.Models) <= source.MaxModels {
		return
	}
	names := slices.SortedFunc(maps.Keys(b.Models), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.Models[y].all(), b.Models[x].all()), cmp.Compare(x, y))
	})
	for _, name := range names[source.MaxModels-1:] {
		if name != source.OtherModel {
			b.Models[source.OtherModel] = b.Models[source.OtherModel].plus(b.Models[name])
			delete(b.Models, name)
		}
	}
}

// settle prices what can be priced for good, and forgets the tokens of that.
func (b *bucket) settle(prices Prices, at time.Time) {
	for model, t := range b.Models {
		if cost, ok := price(prices, model, t, at); ok && t.Astray == 0 {
			b.Cost = plus(b.Cost, cost)
			delete(b.Models, model)
		}
	}
}

// price is what a model's tokens cost, those that go astray aside; false where it is not known.
func price(prices Prices, model string, t tokens, at time.Time) (checks.PicoUSD, bool) {
	u, ok := t.usage()
	switch {
	case u == pricing.Usage{} && ok:
		return 0, true
	case !ok || model == source.OtherModel || model == source.UnknownModel:
		return 0, false
	}
	return prices.Cost(u, model, at)
}

// astray reports whether there are tokens, and none of a direction that is known.
func (b *bucket) astray() bool {
	some := false
	for _, t := range b.Models {
		if t.Input+t.Cached+t.Output > 0 {
			return false
		}
		some = some || t.Astray > 0
	}
	return some
}

// plus stays at the largest amount.
func plus(a, b checks.PicoUSD) checks.PicoUSD {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}

// sum adds windows up. at is when each was, for the prices.
type sum struct {
	cost     checks.PicoUSD
	models   map[string]tokens
	unpriced map[string]bool
	astray   bool // some tokens go in no direction that is known
	excess   bool // there are more cached tokens than input
}

func (s *sum) add(b bucket, prices Prices, at time.Time) {
	if s.models == nil {
		s.models, s.unpriced = map[string]tokens{}, map[string]bool{}
	}
	s.cost = plus(s.cost, b.Cost)
	for model, t := range b.Models {
		s.models[model] = s.models[model].plus(t)
		cost, ok := price(prices, model, t, at)
		s.cost = plus(s.cost, cost)
		_, fits := t.usage()
		s.excess = s.excess || !fits
		s.astray = s.astray || t.Astray > 0
		if !ok {
			s.unpriced[model] = true
		}
	}
}

// amount is the whole of it. Nobody counts requests here.
func (s *sum) amount(f family) *source.Amount {
	a := &source.Amount{Cost: s.cost, Requests: -1, Unpriced: slices.Sorted(maps.Keys(s.unpriced))}
	for _, model := range slices.Sorted(maps.Keys(s.models)) {
		t := s.models[model]
		if len(f.cached) > 0 {
			a.Tokens = append(a.Tokens, source.Tokens{Model: model, Direction: source.Cached, N: whole(t.Cached)})
		}
		a.Tokens = append(a.Tokens,
			source.Tokens{Model: model, Direction: source.Input, N: whole(t.Input)},
			source.Tokens{Model: model, Direction: source.Output, N: whole(t.Output)})
	}
	return a
}
