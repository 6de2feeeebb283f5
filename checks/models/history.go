package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// maxChanges are kept: as many as one run can see.
const maxChanges = 100

// History is what the check remembers of the models that it watches. It is the check's memory as JSON.
type History struct {
	ListedAt time.Time `json:"listed_at,omitzero"` // when the newest list came that was looked at
	Watched  []string  `json:"watched"`            // the ids that were looked for in it, listed or not
	LeftOut  []string  `json:"left_out,omitempty"` // those that were too many to be watched over time

	Cards   map[string]Card `json:"cards"`             // by id
	Changes []Change        `json:"changes,omitempty"` // the oldest first

	// What the last run told, and when it began. This is saved before the record of that run is: only the next one can see
	// whether there is such a record.
	Untold []Change  `json:"untold,omitempty"`
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Card is what one id was when it was last listed.
type Card struct {
	Canonical    string    `json:"canonical,omitempty"` // the model that it stands for
	Billing      string    `json:"billing,omitempty"`   // the name under which the provider bills it, where it says so
	Retires      time.Time `json:"retires,omitzero"`
	Replacement  string    `json:"replacement,omitempty"`
	Capabilities []string  `json:"capabilities,omitempty"` // that it has, sorted
	Context      int64     `json:"context,omitempty"`
	Temperature  *float64  `json:"temperature,omitempty"`
	Price        *Price    `json:"price,omitempty"`  // nil: not known
	SeenAt       time.Time `json:"seen_at,omitzero"` // zero: it was never listed
}

// Price is US dollars for a million tokens, in the provider's zone.
type Price struct {
	Input  float64  `json:"input"`
	Cached *float64 `json:"cached,omitempty"` // nil: not known
	Output *float64 `json:"output,omitempty"` // nil: not known, or there is nothing to pay for
}

// ReadHistory reads the check's memory; an empty one is an empty history.
func ReadHistory(data []byte) (History, error) {
	h := History{Cards: map[string]Card{}}
	if len(data) == 0 {
		return h, nil
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return History{Cards: map[string]Card{}}, fmt.Errorf("reading what is remembered of the models: %w", err)
	}
	if h.Cards == nil {
		h.Cards = map[string]Card{}
	}
	return h, nil
}

// Listed reports whether an id was in the newest list.
func (h *History) Listed(id string) bool {
	card, known := h.Cards[id]
	return known && card.SeenAt.Equal(h.ListedAt)
}

// cardOf is what the list says of an id, with its price.
func cardOf(model *mistral.Model, prices *pricing.Book, now time.Time) Card {
	c := Card{
		Canonical: canonical(model), Billing: model.BillingName, Retires: model.Deprecation, Replacement: model.Replacement,
		Context: model.MaxContextLength, Temperature: model.DefaultTemperature, SeenAt: now,
	}
	for _, name := range slices.Sorted(maps.Keys(model.Capabilities)) {
		if model.Capabilities[name] {
			c.Capabilities = append(c.Capabilities, name)
		}
	}
	const million = 1_000_000
	worth := func(u pricing.Usage) *float64 {
		cost, known := prices.Cost(u, model.ID, now)
		if !known {
			return nil
		}
		return new(cost.USD())
	}
	output := worth(pricing.Usage{Completion: million})
	input := worth(pricing.Usage{Prompt: million})
	if input == nil || output == nil && model.Capabilities["completion_chat"] {
		return c
	}
	c.Price = &Price{Input: *input, Cached: worth(pricing.Usage{Prompt: million, Cached: million}), Output: output}
	return c
}

// canonical is the model that an id stands for: the card's name. A card of a -latest alias may name the alias itself (that of
// mistral-medium-latest does, recorded in autumn 2026), which is no model: then what it is billed as tells.
func canonical(model *mistral.Model) string {
	switch {
	case model.Name != "" && model.Name != model.ID:
		return model.Name
	case model.BillingName != "" && latest(model.ID):
		return model.BillingName
	}
	return model.ID
}

// latest reports whether an id says of itself that it moves.
func latest(id string) bool { return strings.HasSuffix(id, "-latest") }

// BilledAs is the name under which the provider bills the model where that is not what the id stands for, else "". It is what
// the model is priced as.
func (c *Card) BilledAs() string {
	if c.Billing == c.Canonical {
		return ""
	}
	return c.Billing
}

// bill is what the model costs, and as what, for a person.
func (c *Card) bill() string {
	text := "not known"
	if p := c.Price; p != nil {
		parts := []string{fmt.Sprintf("input $%g", p.Input)}
		for _, part := range p.others() {
			parts = append(parts, fmt.Sprintf("%s $%g", part.direction, part.usd))
		}
		text = strings.Join(parts, ", ")
	}
	if billed := c.BilledAs(); billed != "" {
		text += ", billed as " + billed
	}
	return text
}

// samePrice reports whether two cards cost the same, under the same name as far as both say one.
func samePrice(a, b *Card) bool {
	if a.Billing != "" && b.Billing != "" && a.Billing != b.Billing {
		return false
	}
	if a.Price == nil || b.Price == nil {
		return a.Price == b.Price
	}
	return a.Price.equal(b.Price)
}

// priced is the price of one direction.
type priced struct {
	direction string
	usd       float64
}

// others are the prices beside the input's, as far as they are known.
func (p *Price) others() []priced {
	var all []priced
	if p.Cached != nil {
		all = append(all, priced{"cached", *p.Cached})
	}
	if p.Output != nil {
		all = append(all, priced{"output", *p.Output})
	}
	return all
}

func (p *Price) equal(q *Price) bool {
	return p.Input == q.Input && slices.Equal(p.others(), q.others())
}

// take brings the history up to what is listed now, and returns what changed. An id that is seen for the first time did
// not change, and one that is not listed is remembered as it was.
func (h *History) take(ids []string, listed map[string]mistral.Model, prices *pricing.Book, now time.Time) []Change {
	h.ListedAt, h.Watched = now, ids
	var all []Change
	for _, id := range ids {
		model, ok := listed[id]
		if !ok {
			continue
		}
		after := cardOf(&model, prices, now)
		if before, known := h.Cards[id]; known {
			all = append(all, changes(id, &before, &after)...)
		}
		h.Cards[id] = after
	}
	maps.DeleteFunc(h.Cards, func(id string, _ Card) bool { return !slices.Contains(ids, id) })
	h.Changes = append(h.Changes, all...)
	h.Changes = h.Changes[max(len(h.Changes)-maxChanges, 0):]
	return all
}

// tell remembers what the run that began at a time tells, until the next one knows that its record was kept.
func (h *History) tell(all []Change, began time.Time) {
	h.Untold, h.ToldAt = slices.Clone(all), began
	for i := range h.Untold {
		h.Untold[i].Told++
	}
}
