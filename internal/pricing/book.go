package pricing

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Card is what a models list says of one id that bears on its price.
type Card struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`    // the canonical id
	Billing string `json:"billing,omitempty"` // billing_model_name
}

// Book prices the calls of one provider: a table, the zone of the provider's address, and what its models lists say that
// aliases stand for at present. It is safe for concurrent use.
type Book struct {
	table *Table
	zone  ratio

	mu      sync.Mutex // guards the rest
	cards   map[string]Card
	learned time.Time
	follows bool // an alias whose list is too old has no price
}

// Stale is how old a models list may be before what an id stands for is no longer known, in a book that follows lists.
const Stale = time.Hour

// NewBook makes a book of the provider at baseURL.
func NewBook(table *Table, baseURL string) *Book {
	return &Book{table: table, zone: zoneOf(baseURL)}
}

// Of is the book that a check is lent as Env.Prices; where it is lent none, one of the built-in table in the global zone.
func Of(lent any) (*Book, error) {
	switch book := lent.(type) {
	case nil:
		return NewBook(Default(), ""), nil
	case *Book:
		return book, nil
	}
	return nil, fmt.Errorf("the prices are a %T, which is no price book", lent)
}

// Table is what the book knows beside the lists.
func (b *Book) Table() *Table { return b.table }

// Follow has the book price no alias by a list older than Stale, nor by the built-in aliases alone: an alias may have moved
// to a dearer model. An id that is itself in the table stands for itself.
func (b *Book) Follow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follows = true
}

// Learn takes over what a models list says and reports whether it says anything new. An empty list teaches nothing, and an id
// that a list leaves out stands for what it stood for: calls of it may still be billed.
func (b *Book) Learn(now time.Time, cards []Card) (changed bool) {
	if len(cards) == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := make(map[string]Card, len(cards))
	if len(b.cards) < mostCards {
		maps.Copy(fresh, b.cards)
	}
	for _, card := range cards {
		fresh[card.ID] = card
	}
	changed = !maps.Equal(b.cards, fresh)
	b.cards, b.learned = fresh, now
	return changed
}

// mostCards is how many ids are remembered that no list names any more.
const mostCards = 2000

// Learned is when the last list came; zero where there was none.
func (b *Book) Learned() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.learned
}

// Snapshot is what Learn learned, to be kept over a restart.
func (b *Book) Snapshot() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := memory{Learned: b.learned}
	for _, id := range slices.Sorted(maps.Keys(b.cards)) {
		kept.Cards = append(kept.Cards, b.cards[id])
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("keeping the aliases of models: %w", err)
	}
	return data, nil
}

// Restore takes over a Snapshot.
func (b *Book) Restore(data []byte) error {
	var kept memory
	if err := json.Unmarshal(data, &kept); err != nil {
		return fmt.Errorf("reading the aliases of models: %w", err)
	}
	b.Learn(kept.Learned, kept.Cards)
	return nil
}

type memory struct {
	Learned time.Time `json:"learned"`
	Cards   []Card    `json:"cards"`
}

// Resolve is the id under which a model is priced: what the provider's list says that it is billed as, else its canonical
// name, else the id itself. A price that the configuration gives to the id outranks the list, and one that it gives to the
// canonical name a billing name without a price: nothing else is cheaper than it is said to be.
func (b *Book) Resolve(model string, at time.Time) string {
	b.mu.Lock()
	card, listed := b.cards[model]
	b.mu.Unlock()
	switch {
	case !listed || b.table.own(model, at):
		return model
	case card.Billing != "" && (b.table.has(card.Billing, at) || !b.table.own(card.Name, at)):
		return card.Billing
	case card.Name != "":
		return card.Name
	}
	return model
}

// Lookup is the price of a model at a time; false where nobody knows it. Only an id that itself begins with labs- is free.
func (b *Book) Lookup(model string, at time.Time) (Price, bool) {
	if b.adrift(model, at) {
		return Price{}, false
	}
	name := b.Resolve(model, at)
	if price, ok := b.table.row(name, at); ok {
		return price, true
	}
	if strings.HasPrefix(model, labs) {
		return b.table.Lookup(name, at)
	}
	return Price{}, false
}

// adrift reports whether nobody can say any more what a model stands for.
func (b *Book) adrift(model string, at time.Time) bool {
	b.mu.Lock()
	follows, learned := b.follows, b.learned
	b.mu.Unlock()
	if !follows || at.Sub(learned).Abs() < Stale || b.table.own(model, at) {
		return false
	}
	return len(b.table.prices[model]) == 0 || strings.HasSuffix(model, "-latest")
}

// Cost is what a usage costs, exactly: every multiplication is of whole numbers, and what is left of the last division is
// rounded up to a pico-dollar. Where the model's price, the tier or a unit of the usage is not known it is 0, false: no
// guess.
func (b *Book) Cost(u Usage, model string, at time.Time) (checks.PicoUSD, bool) {
	price, ok := b.Lookup(model, at)
	tier, known := tierOf(u.Tier)
	if !ok || !known {
		return 0, false
	}
	sum, ok := price.sum(u)
	if !ok {
		return 0, false
	}
	if strings.EqualFold(u.Tier, TierBatch) {
		tier = price.batch()
	}
	return b.zone.times(tier).of(sum), true
}

// Charge is Cost, and where that is not known the most that it can be: the dearest known price of each kind, and the dearest
// tier where the usage's is not known. The budget counts with it.
func (b *Book) Charge(u Usage, model string, at time.Time) (cost checks.PicoUSD, known bool) {
	if cost, known = b.Cost(u, model, at); known {
		return cost, true
	}
	tier, ok := tierOf(u.Tier)
	if !ok {
		tier = dearestTier()
	}
	sum, _ := b.table.dearest(at).sum(u)
	return b.zone.times(tier).of(sum), false
}

// Worst is the most that one call can cost at the standard tier: every byte of the prompt a token, what the provider's
// template may add, and every allowed token used.
func (b *Book) Worst(model string, promptBytes, maxTokens int, at time.Time) (cost checks.PicoUSD, known bool) {
	return b.Charge(Usage{Prompt: worstPrompt(promptBytes), Completion: int64(maxTokens)}, model, at)
}

// Date is when the price of a model was checked, 2006-01-02; of an unknown one the date of the built-in table.
func (b *Book) Date(model string, at time.Time) string {
	if price, ok := b.Lookup(model, at); ok {
		return price.CheckedOn
	}
	return b.table.Date()
}

// zoneOf is the factor of a provider's address: the regional hosts cost a tenth more.
func zoneOf(baseURL string) ratio {
	u, err := url.Parse(baseURL)
	if err != nil {
		return ratio{1, 1}
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(host, "api.eu.") || strings.HasPrefix(host, "api.us.") {
		return ratio{11, 10}
	}
	return ratio{1, 1}
}
