// Package pricing knows what Mistral's models cost: a static, dated table in whole pico-dollars. It guesses nothing: what
// is not in the table costs as much as the dearest model, and says so. It performs no I/O.
package pricing

import (
	"maps"
	"math"
	"math/bits"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/windsock-monitor/windsock/checks"
)

// promptOverhead is how many tokens the provider's template may add to a prompt: roles, control tokens, a system prompt
// of the model. Pings of about ten words were billed 30 to 49 prompt tokens (recorded in 2026); this is five times that.
const promptOverhead = 256

// Price is what one model costs in the global zone, for a token each.
type Price struct {
	Model  string // the canonical id
	Input  checks.PicoUSD
	Cached checks.PicoUSD // a prompt token from the cache: a tenth of Input
	Output checks.PicoUSD
	Source string
	Date   string // 2006-01-02
}

// Table is a price list of one date. It is immutable.
type Table struct {
	date    string
	prices  map[string]Price
	aliases map[string]string
	dearest Price
}

// Default is the table that is built in.
func Default() *Table { return builtIn() }

//nolint:gochecknoglobals // immutable, and the same for every check
var builtIn = sync.OnceValue(func() *Table {
	t := &Table{date: tableDate, prices: map[string]Price{}, aliases: aliases(), dearest: Price{Model: "unknown", Date: tableDate}}
	for _, r := range rows() {
		p := newPrice(r)
		t.prices[p.Model] = p
		t.dearest.Input = max(t.dearest.Input, p.Input)
		t.dearest.Cached = max(t.dearest.Cached, p.Cached)
		t.dearest.Output = max(t.dearest.Output, p.Output)
	}
	return t
})

func newPrice(r row) Price {
	input := checks.PicoUSD(r.input) * perMillion
	return Price{
		Model: r.model, Input: input, Cached: input / 10, Output: checks.PicoUSD(r.output) * perMillion,
		Source: docs, Date: tableDate,
	}
}

// Date is the date of the table, 2006-01-02.
func (t *Table) Date() string { return t.date }

// Lookup returns the price of a model by its id or one of its aliases. Models whose id begins with labs- are free.
func (t *Table) Lookup(model string) (Price, bool) {
	if canonical, ok := t.aliases[model]; ok {
		model = canonical
	}
	if p, ok := t.prices[model]; ok {
		return p, true
	}
	if strings.HasPrefix(model, "labs-") {
		return Price{Model: model, Source: docs, Date: t.date}, true
	}
	return Price{}, false
}

// Prices lists the table, sorted by model.
func (t *Table) Prices() []Price {
	return slices.SortedFunc(maps.Values(t.prices), func(a, b Price) int { return strings.Compare(a.Model, b.Model) })
}

// Aliases returns the known aliases of a model, sorted.
func (t *Table) Aliases(model string) []string {
	var names []string
	for alias, canonical := range t.aliases {
		if canonical == model {
			names = append(names, alias)
		}
	}
	slices.Sort(names)
	return names
}

// Cost is what a usage costs at the standard tier. Cached tokens are part of the prompt's. A model that is not in the
// table costs the dearest known price of each kind, and known is false. Counts that make no sense (negative, more cached
// than prompt) are read so that the cost is not too low; sums beyond an int64 stay at its end.
func (t *Table) Cost(model, baseURL string, promptTokens, cachedTokens, completionTokens int64) (cost checks.PicoUSD, known bool) {
	price, known := t.Lookup(model)
	if !known {
		price = t.dearest
	}
	prompt, cached, completion := max(promptTokens, 0), max(cachedTokens, 0), max(completionTokens, 0)
	if cached > prompt {
		cached = 0
	}
	sum := plus(times(price.Input, prompt-cached), times(price.Cached, cached))
	sum = plus(sum, times(price.Output, completion))
	return zoned(sum, baseURL), known
}

// Worst is the most that one request can cost: every byte of the prompt a token, what the provider's template may add,
// and every allowed token used.
func (t *Table) Worst(model, baseURL string, promptBytes, maxTokens int) (cost checks.PicoUSD, known bool) {
	prompt := int64(min(max(promptBytes, 0), math.MaxInt-promptOverhead)) + promptOverhead
	return t.Cost(model, baseURL, prompt, 0, int64(maxTokens))
}

// zoned adds the tenth that the regional hosts cost, rounded up.
func zoned(sum checks.PicoUSD, baseURL string) checks.PicoUSD {
	u, err := url.Parse(baseURL)
	if err != nil {
		return sum
	}
	host := strings.ToLower(u.Hostname())
	if !strings.HasPrefix(host, "api.eu.") && !strings.HasPrefix(host, "api.us.") {
		return sum
	}
	tenth := sum / 10
	if sum%10 != 0 {
		tenth++
	}
	return plus(sum, tenth)
}

// times and plus stay at the largest amount where an int64 would overflow: a usage out of its senses must stop the
// budget, not refill it.
func times(price checks.PicoUSD, n int64) checks.PicoUSD {
	high, low := bits.Mul64(uint64(price), uint64(n))
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return checks.PicoUSD(low)
}

func plus(a, b checks.PicoUSD) checks.PicoUSD {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
