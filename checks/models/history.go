package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// The kinds of change, as the attribute of probe.llm.model.changes has them.
const (
	changeMoved       = "moved"
	changeRetirement  = "retirement"
	changeLost        = "capability_lost"
	changeContext     = "context_length"
	changeTemperature = "default_temperature"
)

// maxChanges are kept.
const maxChanges = 50

// History is what the check remembers of the models that it watches. It is the check's memory as JSON.
type History struct {
	ListedAt time.Time `json:"listed_at,omitzero"` // when the newest list came that was looked at
	Watched  []string  `json:"watched"`            // the ids that were looked for in it, listed or not

	Cards   map[string]Card `json:"cards"`             // by id
	Changes []Change        `json:"changes,omitempty"` // the oldest first
}

// Card is what one id was when it was last listed.
type Card struct {
	Canonical    string    `json:"canonical,omitempty"` // the model that it stands for
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
	Input  float64 `json:"input"`
	Cached float64 `json:"cached"`
	Output float64 `json:"output"`
}

// Change is one thing that became different between two lists.
type Change struct {
	At          time.Time `json:"at"` // when it was seen
	Model       string    `json:"model"`
	Kind        string    `json:"kind"`
	Before      string    `json:"before"`
	After       string    `json:"after"`
	PriceBefore *Price    `json:"price_before,omitempty"`
	PriceAfter  *Price    `json:"price_after,omitempty"`
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

// Moved reports whether the id came to stand for another model.
func (c *Change) Moved() bool { return c.Kind == changeMoved }

// Text is the change for a person: "mistral-small-latest moved from A to B, input +50 %, output +100 %".
func (c *Change) Text() string {
	switch c.Kind {
	case changeMoved:
		return fmt.Sprintf("%s moved from %s to %s%s", c.Model, c.Before, c.After, c.money())
	case changeRetirement:
		return fmt.Sprintf("retirement of %s: %s, was %s", c.Model, c.After, c.Before)
	case changeLost:
		return fmt.Sprintf("%s lost %s", c.Model, c.Before)
	}
	return fmt.Sprintf("%s of %s is %s, was %s", strings.ReplaceAll(c.Kind, "_", " "), c.Model, c.After, c.Before)
}

// money is what a move does to the price.
func (c *Change) money() string {
	switch before, after := c.PriceBefore, c.PriceAfter; {
	case before == nil || after == nil:
		return ", and what that does to the price is not known"
	case *before == *after:
		return ", at the same price"
	default:
		return fmt.Sprintf(", input %s, output %s", grown(before.Input, after.Input), grown(before.Output, after.Output))
	}
}

func grown(before, after float64) string {
	if before == 0 {
		return fmt.Sprintf("$%g", after)
	}
	return fmt.Sprintf("%+.0f %%", 100*(after/before-1))
}

// cardOf is what the list says of an id, with its price.
func cardOf(model *mistral.Model, prices *pricing.Book, now time.Time) Card {
	c := Card{
		Canonical: canonical(model), Retires: model.Deprecation, Replacement: model.Replacement,
		Context: model.MaxContextLength, Temperature: model.DefaultTemperature, SeenAt: now,
	}
	for _, name := range slices.Sorted(maps.Keys(model.Capabilities)) {
		if model.Capabilities[name] {
			c.Capabilities = append(c.Capabilities, name)
		}
	}
	const million = 1_000_000
	worth := func(u pricing.Usage) (float64, bool) {
		cost, known := prices.Cost(u, model.ID, now)
		return cost.USD(), known
	}
	input, known := worth(pricing.Usage{Prompt: million})
	if !known {
		return c
	}
	cached, _ := worth(pricing.Usage{Prompt: million, Cached: million})
	output, _ := worth(pricing.Usage{Completion: million})
	c.Price = &Price{Input: input, Cached: cached, Output: output}
	return c
}

// canonical is the model that an id stands for: the billing name tells alias and model apart also where name does not.
func canonical(model *mistral.Model) string {
	for _, name := range []string{model.Name, model.BillingName} {
		if name != "" && name != model.ID {
			return name
		}
	}
	return model.ID
}

// changes are the differences between a card and the one before.
func changes(id string, before, after *Card) []Change {
	var all []Change
	add := func(kind, was, is string) {
		all = append(all, Change{
			At: after.SeenAt, Model: id, Kind: kind, Before: was, After: is, PriceBefore: before.Price, PriceAfter: after.Price,
		})
	}
	if before.Canonical != after.Canonical {
		add(changeMoved, before.Canonical, after.Canonical)
	}
	if !before.Retires.Equal(after.Retires) || before.Replacement != after.Replacement {
		add(changeRetirement, end(before), end(after))
	}
	if lost := without(before.Capabilities, after.Capabilities); len(lost) > 0 {
		add(changeLost, strings.Join(lost, ", "), "none")
	}
	if before.Context != after.Context {
		add(changeContext, strconv.FormatInt(before.Context, 10), strconv.FormatInt(after.Context, 10))
	}
	if was, is := degrees(before.Temperature), degrees(after.Temperature); was != is {
		add(changeTemperature, was, is)
	}
	return all
}

func without(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(before), func(name string) bool { return slices.Contains(after, name) })
}

// end is a retirement for a person.
func end(c *Card) string {
	switch {
	case c.Retires.IsZero():
		return "none announced"
	case c.Replacement == "":
		return c.Retires.UTC().Format(time.DateOnly)
	}
	return c.Retires.UTC().Format(time.DateOnly) + ", replaced by " + c.Replacement
}

func degrees(t *float64) string {
	if t == nil {
		return "none"
	}
	return fmt.Sprint(*t)
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

// measured counts the changes.
func measured(all []Change) []checks.Measurement {
	var out []checks.Measurement
	for i := range all {
		c := &all[i]
		if c.Kind == changeMoved {
			out = append(out, checks.Measurement{Name: "probe.llm.model.moves", Value: 1, Attrs: map[string]string{"alias": c.Model}})
		}
		out = append(out, checks.Measurement{
			Name: "probe.llm.model.changes", Value: 1, Attrs: map[string]string{"change": c.Kind, "model": c.Model},
		})
	}
	return out
}
