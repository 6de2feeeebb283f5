package usagelog

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// Prices is what tokens cost. *pricing.Book is one.
type Prices interface {
	// Cost is 0, false where it is not known.
	Cost(u pricing.Usage, model string, at time.Time) (checks.PicoUSD, bool)
}

// The bounds of what is kept.
const (
	hoursKept   = 32 * 24 * time.Hour
	minutesKept = 65 * time.Minute
	tolerance   = 5 * time.Minute // by which the application's clock may be ahead of ours
)

// cell is what was used of one model in one window. Its fields are short because there are many of them.
type cell struct {
	Requests int64          `json:"n,omitempty"`
	Given    int64          `json:"g,omitempty"` // requests whose cost the record told
	Input    int64          `json:"i,omitempty"` // cached tokens included
	Cached   int64          `json:"c,omitempty"`
	Output   int64          `json:"o,omitempty"`
	Cost     checks.PicoUSD `json:"u,omitempty"`
	Unpriced *tokens        `json:"x,omitempty"` // those that are in the above and not in Cost
}

// tokens are some without a price.
type tokens struct {
	Input  int64 `json:"i,omitempty"`
	Cached int64 `json:"c,omitempty"`
	Output int64 `json:"o,omitempty"`
}

func (t *tokens) add(r *record) *tokens {
	if t == nil {
		t = &tokens{}
	}
	t.Input += r.input
	t.Cached += r.cached
	t.Output += r.output
	return t
}

func (c *cell) add(r *record, cost checks.PicoUSD, priced bool) {
	c.Requests++
	c.Input += r.input
	c.Cached += r.cached
	c.Output += r.output
	c.Cost = plus(c.Cost, cost)
	if r.given {
		c.Given++
	}
	if !priced {
		c.Unpriced = c.Unpriced.add(r)
	}
}

// plus stays at the largest amount.
func plus(a, b checks.PicoUSD) checks.PicoUSD {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// cells are those of one window, by model and, behind a |, the tier where it is not the standard one.
type cells map[string]*cell

func (c cells) of(key string) *cell {
	if c[key] == nil {
		c[key] = &cell{}
	}
	return c[key]
}

// hour is what one hour cost.
type hour struct {
	Cost     checks.PicoUSD     `json:"u,omitempty"`
	Unpriced map[string]*tokens `json:"x,omitempty"` // not in Cost, by the keys of cells
}

// tally is what was counted so far, by windows that begin at Unix times.
type tally struct {
	Minutes map[int64]cells `json:"minutes,omitempty"`
	Days    map[int64]cells `json:"days,omitempty"` // of this month
	Hours   map[int64]*hour `json:"hours,omitempty"`
	Newest  int64           `json:"newest,omitempty"` // the time of the newest record; 0: none was ever seen
	Oldest  int64           `json:"oldest,omitempty"`

	models map[string]bool // the names that are told apart
	prices Prices
	zone   *time.Location
	now    time.Time
	month  time.Time
	near   windows
}

// windows are those of the record before: the next is mostly in the same ones.
type windows struct {
	from, until int64 // of the hour
	minute      int64
	day         int64
	minutes     cells
	days        cells
	hour        *hour
}

// begin makes the tally ready to count at now: what is too old is forgotten.
func (t *tally) begin(now time.Time, prices Prices, zone *time.Location) {
	for _, m := range []*map[int64]cells{&t.Minutes, &t.Days} {
		if *m == nil {
			*m = map[int64]cells{}
		}
	}
	if t.Hours == nil {
		t.Hours = map[int64]*hour{}
	}
	t.prices, t.zone, t.now, t.near = prices, zone, now, windows{}
	_, t.month = source.Windows(now, zone)
	older := func(than time.Time) func(int64, cells) bool {
		return func(at int64, _ cells) bool { return at < than.Unix() }
	}
	maps.DeleteFunc(t.Minutes, older(now.Add(-minutesKept)))
	maps.DeleteFunc(t.Days, older(t.month))
	maps.DeleteFunc(t.Hours, func(at int64, _ *hour) bool { return at < now.Add(-hoursKept).Unix() })
	t.models = map[string]bool{}
	for _, all := range []map[int64]cells{t.Minutes, t.Days} {
		for _, c := range all {
			for key := range c {
				model, _, _ := strings.Cut(key, "|")
				t.models[model] = true
			}
		}
	}
	t.reprice()
}

// reprice looks whether prices are known by now that were not: the provider's list of models teaches them.
func (t *tally) reprice() {
	for _, all := range []map[int64]cells{t.Minutes, t.Days} {
		for at, c := range all {
			t.repriceCells(at, c)
		}
	}
	for at, h := range t.Hours {
		for key, some := range h.Unpriced {
			if cost, ok := t.priceOf(some, key, at); ok {
				h.Cost = plus(h.Cost, cost)
				delete(h.Unpriced, key)
			}
		}
	}
}

func (t *tally) repriceCells(at int64, c cells) {
	for key, one := range c {
		if cost, ok := t.priceOf(one.Unpriced, key, at); ok {
			one.Cost, one.Unpriced = plus(one.Cost, cost), nil
		}
	}
}

func (t *tally) priceOf(some *tokens, key string, at int64) (checks.PicoUSD, bool) {
	if some == nil {
		return 0, false
	}
	model, tier, _ := strings.Cut(key, "|")
	u := pricing.Usage{Prompt: some.Input, Cached: some.Cached, Completion: some.Output, Tier: tier}
	return t.prices.Cost(u, model, time.Unix(at, 0))
}

// add counts a record, and says why it cannot.
func (t *tally) add(r *record) flaw {
	if r.at.After(t.now.Add(tolerance)) {
		return flawFuture
	}
	at := r.at.Unix()
	t.Newest = max(t.Newest, at)
	if t.Oldest == 0 || at < t.Oldest {
		t.Oldest = at
	}
	model, key := t.name(r)
	cost, priced := r.cost, r.given
	if !priced {
		cost, priced = t.prices.Cost(pricing.Usage{Prompt: r.input, Cached: r.cached, Completion: r.output, Tier: string(r.tier)}, model, r.at)
	}
	t.find(r.at)
	if t.near.minutes != nil {
		t.near.minutes.of(key).add(r, cost, priced)
	}
	if t.near.days != nil {
		t.near.days.of(key).add(r, cost, priced)
	}
	if h := t.near.hour; h != nil {
		h.Cost = plus(h.Cost, cost)
		if !priced {
			if h.Unpriced == nil {
				h.Unpriced = map[string]*tokens{}
			}
			h.Unpriced[key] = h.Unpriced[key].add(r)
		}
	}
	return flawNone
}

// find makes near the windows that at is in, nil for those that are too old.
func (t *tally) find(when time.Time) {
	at := when.Unix()
	if n := &t.near; at < n.from || at >= n.until {
		local := when.In(t.zone)
		_, offset := local.Zone()
		from := at - mod(at+int64(offset), 3600)
		day, _ := source.Windows(when, t.zone)
		*n = windows{from: from, until: from + 3600, minute: -1, day: day.Unix()}
		if !when.Before(t.month) {
			n.days = window(t.Days, day.Unix())
		}
		if at >= t.now.Add(-hoursKept).Unix() {
			if t.Hours[from] == nil {
				t.Hours[from] = &hour{}
			}
			n.hour = t.Hours[from]
		}
	}
	if minute := at - mod(at, 60); minute != t.near.minute {
		t.near.minute, t.near.minutes = minute, nil
		if minute >= t.now.Add(-minutesKept).Unix() {
			t.near.minutes = window(t.Minutes, minute)
		}
	}
}

func window(all map[int64]cells, at int64) cells {
	if all[at] == nil {
		all[at] = cells{}
	}
	return all[at]
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// name is the model that a record is priced as, and the key that it is counted under.
func (t *tally) name(r *record) (model, key string) {
	if len(r.model) == 0 {
		return source.UnknownModel, source.UnknownModel
	}
	standard := len(r.tier) == 0 || string(r.tier) == pricing.TierStandard
	if standard && t.models[string(r.model)] {
		model = string(r.model)
		return model, model
	}
	model = string(r.model)
	key = model
	switch {
	case t.models[model]:
	case len(t.models) < source.MaxModels && source.FitModel(model):
		t.models[model] = true
	default:
		key = source.OtherModel
	}
	switch tier := string(r.tier); {
	case standard:
	case tier == pricing.TierPriority || tier == pricing.TierBatch:
		key += "|" + tier
	default:
		key += "|?"
	}
	return model, key
}

// sum is what was used since a window of some began. given is whether all costs are the records' own.
func sum(some map[int64]cells, since time.Time) (a *source.Amount, given bool) {
	byModel := map[string]*cell{}
	a = &source.Amount{}
	unpriced := map[string]bool{}
	var told int64
	for at, c := range some {
		if at < since.Unix() {
			continue
		}
		for key, one := range c {
			model, _, _ := strings.Cut(key, "|")
			if one.Unpriced != nil {
				unpriced[model] = true
			}
			all := cells(byModel).of(model)
			all.Input += one.Input
			all.Cached += one.Cached
			all.Output += one.Output
			a.Requests += one.Requests
			a.Cost = plus(a.Cost, one.Cost)
			told += one.Given
		}
	}
	for model, c := range byModel {
		for direction, n := range map[source.Direction]int64{source.Input: c.Input, source.Cached: c.Cached, source.Output: c.Output} {
			a.Tokens = append(a.Tokens, source.Tokens{Model: model, Direction: direction, N: n})
		}
	}
	slices.SortFunc(a.Tokens, func(x, y source.Tokens) int {
		return cmp.Or(cmp.Compare(x.Model, y.Model), cmp.Compare(x.Direction, y.Direction))
	})
	a.Unpriced = slices.Sorted(maps.Keys(unpriced))
	return a, a.Requests > 0 && told == a.Requests
}
