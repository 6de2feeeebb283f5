// Package pricing knows what Mistral's models cost, in whole pico-dollars: a dated table, which the configuration may
// extend and override, and for each provider a book that follows the aliases of its models list. It guesses nothing: what has
// no price is unknown, and where a bound is wanted it counts as the dearest. It performs no I/O.
package pricing

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// promptOverhead is how many tokens the provider's template may add to a prompt: roles, control tokens, a system prompt
// of the model. Pings of about ten words were billed 30 to 49 prompt tokens (recorded in 2026); this is five times that.
const promptOverhead = 256

// worstPrompt is the most tokens that a prompt of so many bytes can be.
func worstPrompt(bytes int) int64 {
	return int64(min(max(bytes, 0), math.MaxInt-promptOverhead)) + promptOverhead
}

// Usage is what is priced.
type Usage struct {
	Prompt     int64 // tokens, the cached ones included
	Cached     int64 // of Prompt
	Completion int64 // tokens, thinking included
	Pages      int64 // of documents, the annotated ones included
	Annotated  int64 // of Pages
	Seconds    int64 // of audio
	Characters int64 // of speech
	Tier       string
}

// The tiers, as usage.service_tier and the price page have them. "" is standard.
const (
	TierStandard = "standard"
	TierPriority = "priority"
	TierBatch    = "batch"
)

// Price is what one model costs at the standard tier in the global zone. What is 0 has no price.
type Price struct {
	Model         string         // the id
	From          time.Time      // since when; zero: always
	Input         checks.PicoUSD // for a prompt token
	Cached        checks.PicoUSD // for a prompt token from the cache
	Output        checks.PicoUSD // for a completion token
	Page          checks.PicoUSD // for a page
	AnnotatedPage checks.PicoUSD // for a page that is annotated too, in place of Page
	Minute        checks.PicoUSD // for a minute of audio
	Character     checks.PicoUSD // for a character of speech
	Batch         int            // per cent of the price at the batch tier; 0 is 50
	Free          bool           // it costs nothing, whatever is used
	Source        string
	CheckedOn     string // 2006-01-02
	Own           bool   // from the configuration
}

// ByTokens reports whether the price is for tokens, be it that they are free.
func (p Price) ByTokens() bool { return p.Free || p.Input > 0 || p.Output > 0 }

func (p Price) batch() ratio {
	if p.Batch == 0 {
		return ratio{1, 2}
	}
	return ratio{int64(p.Batch), 100}
}

// sum is what a usage costs before zone and tier; false where a part of it has no price. Counts that make no sense
// (negative, more cached than prompt) are read so that the cost is not too low.
func (p Price) sum(u Usage) (checks.PicoUSD, bool) {
	if p.Free {
		return 0, true
	}
	prompt, cached, completion := max(u.Prompt, 0), max(u.Cached, 0), max(u.Completion, 0)
	if cached > prompt {
		cached = 0
	}
	annotated := max(u.Annotated, 0)
	plain := max(u.Pages-annotated, 0)
	minutes, known := ratio{1, 60}.of(p.Minute.Times(max(u.Seconds, 0))), u.Seconds <= 0 || p.Minute > 0
	sum := minutes
	for _, part := range []struct {
		price checks.PicoUSD
		n     int64
	}{{p.Page, plain}, {p.AnnotatedPage, annotated}, {p.Character, max(u.Characters, 0)}} {
		known = known && (part.n == 0 || part.price > 0)
		sum = sum.Plus(part.price.Times(part.n))
	}
	if !p.ByTokens() && known && sum > 0 { // priced by another unit alone: the tokens that are counted beside it cost nothing
		return sum, true
	}
	for _, part := range []struct {
		price checks.PicoUSD
		n     int64
	}{{p.Input, prompt - cached}, {p.Cached, cached}, {p.Output, completion}} {
		known = known && (part.n == 0 || part.price > 0)
		sum = sum.Plus(part.price.Times(part.n))
	}
	return sum, known
}

// Table is a price list. It is immutable.
type Table struct {
	date    string
	prices  map[string][]Price // by model, the newest first
	aliases map[string]string
}

// Default is the table that is built in.
func Default() *Table { return builtIn() }

//nolint:gochecknoglobals // immutable, and the same for every check
var builtIn = sync.OnceValue(func() *Table {
	t := &Table{date: tableDate, prices: map[string][]Price{}, aliases: aliases()}
	for _, r := range rows() {
		t.prices[r.model] = []Price{r.price()}
	}
	return t
})

// With is the table with rows of the configuration: for their models they take the place of the built-in ones.
func (t *Table) With(own []Price) *Table {
	if len(own) == 0 {
		return t
	}
	out := &Table{date: t.date, prices: maps.Clone(t.prices), aliases: t.aliases}
	replaced := map[string]bool{}
	for _, p := range own {
		p.Own = true
		replaced[p.Model] = true
		out.prices[p.Model] = append([]Price{p}, out.prices[p.Model]...)
	}
	for model := range replaced { // the built-in price counts until the first of one's own does
		slices.SortStableFunc(out.prices[model], func(a, b Price) int { return b.From.Compare(a.From) })
	}
	return out
}

// Age is how long ago the built-in rows were checked.
func (t *Table) Age(now time.Time) time.Duration {
	at, err := time.Parse(time.DateOnly, t.date)
	if err != nil {
		return 0
	}
	return now.Sub(at)
}

// Date is the date of the built-in rows, 2006-01-02.
func (t *Table) Date() string { return t.date }

// has reports whether the table has a price for the id or alias at a time.
func (t *Table) has(model string, at time.Time) bool {
	_, ok := t.row(model, at)
	return ok
}

// own reports whether the configuration gives the id a price that counts at a time. One of the future outranks nothing.
func (t *Table) own(model string, at time.Time) bool {
	return slices.ContainsFunc(t.prices[model], func(p Price) bool { return p.Own && !p.From.After(at) })
}

// Lookup returns the price of a model at a time, by its id or one of the aliases that the table knows. Models whose id
// begins with labs- are free.
func (t *Table) Lookup(model string, at time.Time) (Price, bool) {
	if price, ok := t.row(model, at); ok {
		return price, true
	}
	if strings.HasPrefix(model, labs) {
		return Price{Model: model, Free: true, Source: docs, CheckedOn: t.date}, true
	}
	return Price{}, false
}

// labs begins the ids of models that are free.
const labs = "labs-"

// row is the price that the table has, by the id or an alias.
func (t *Table) row(model string, at time.Time) (Price, bool) {
	for _, id := range []string{model, t.aliases[model]} {
		for _, p := range t.prices[id] {
			if !p.From.After(at) {
				return p, true
			}
		}
	}
	return Price{}, false
}

// dearest is the dearest price of each kind at a time.
func (t *Table) dearest(at time.Time) Price {
	var d Price
	for model := range t.prices {
		p, _ := t.Lookup(model, at)
		d.Input, d.Cached, d.Output = max(d.Input, p.Input), max(d.Cached, p.Cached), max(d.Output, p.Output)
		d.Page, d.AnnotatedPage = max(d.Page, p.Page), max(d.AnnotatedPage, p.AnnotatedPage)
		d.Minute, d.Character = max(d.Minute, p.Minute), max(d.Character, p.Character)
	}
	return d
}

// Prices lists the table, sorted by model, the newest price of each first.
func (t *Table) Prices() []Price {
	var all []Price
	for _, prices := range t.prices {
		all = append(all, prices...)
	}
	slices.SortStableFunc(all, func(a, b Price) int { return strings.Compare(a.Model, b.Model) })
	return all
}

// Aliases returns the aliases of a model that the table knows, sorted.
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

// tierOf is the factor of a tier; false for a word that nobody has explained.
func tierOf(tier string) (ratio, bool) {
	switch strings.ToLower(tier) {
	case "", TierStandard, "default":
		return ratio{1, 1}, true
	case TierPriority:
		return dearestTier(), true
	case TierBatch:
		return ratio{1, 2}, true
	}
	return ratio{}, false
}

func dearestTier() ratio { return ratio{7, 4} }

// ratio is a factor of two small whole numbers.
type ratio struct{ up, down int64 }

func (r ratio) times(other ratio) ratio { return ratio{r.up * other.up, r.down * other.down} }

// of multiplies an amount, rounded up.
func (r ratio) of(sum checks.PicoUSD) checks.PicoUSD {
	product := sum.Times(r.up)
	if product == math.MaxInt64 {
		return product
	}
	quotient := product / checks.PicoUSD(r.down)
	if product%checks.PicoUSD(r.down) != 0 {
		quotient++
	}
	return quotient
}
