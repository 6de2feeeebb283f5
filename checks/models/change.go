package models

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The kinds of change, as the attribute of probe.llm.model.changes has them.
const (
	changeMoved       = "moved"
	changePrice       = "price" // of the same model; a move tells what it does to the price
	changeRetirement  = "retirement"
	changeLost        = "capability_lost"
	changeContext     = "context_length"
	changeTemperature = "default_temperature"
)

const changesName = "probe.llm.model.changes"

// Change is one thing that became different between two lists.
type Change struct {
	At          time.Time `json:"at"` // when it was seen
	Model       string    `json:"model"`
	Kind        string    `json:"kind"`
	Before      string    `json:"before"`
	After       string    `json:"after"`
	PriceBefore *Price    `json:"price_before,omitempty"`
	PriceAfter  *Price    `json:"price_after,omitempty"`
	BilledAfter string    `json:"billed_after,omitempty"` // what it is billed as now, where that is not what it stands for
	Told        int       `json:"told,omitempty"`         // how often, where no record of it was found
	Own         bool      `json:"own,omitempty"`          // of our price table, and not of the provider's list
}

// Moved reports whether the id came to stand for another model.
func (c *Change) Moved() bool { return c.Kind == changeMoved }

// Text is the change for a person: "mistral-small-latest moved from A to B, input +50 %, output +100 %".
func (c *Change) Text() string {
	switch c.Kind {
	case changeMoved:
		text := fmt.Sprintf("%s moved from %s to %s", c.Model, c.Before, c.After)
		if c.BilledAfter != "" {
			text += ", billed as " + c.BilledAfter
		}
		return text + c.money()
	case changePrice:
		return fmt.Sprintf("price of %s: %s; was %s", c.Model, c.After, c.Before)
	case changeRetirement:
		return fmt.Sprintf("retirement of %s: %s, was %s", c.Model, c.After, c.Before)
	case changeLost:
		return fmt.Sprintf("%s lost %s", c.Model, c.Before)
	}
	return fmt.Sprintf("%s of %s is %s, was %s", strings.ReplaceAll(c.Kind, "_", " "), c.Model, c.After, c.Before)
}

// blame is whose doing the change is.
func (c *Change) blame() checks.Blame {
	if c.Own {
		return checks.BlameConfig
	}
	return checks.BlameProvider
}

// money is what a move does to the price.
func (c *Change) money() string {
	switch before, after := c.PriceBefore, c.PriceAfter; {
	case before == nil || after == nil:
		return ", and what that does to the price is not known"
	case before.equal(after):
		return ", at the same price"
	default:
		text := ", input " + grown(before.Input, after.Input)
		if before.Output != nil && after.Output != nil {
			text += ", output " + grown(*before.Output, *after.Output)
		}
		return text
	}
}

func grown(before, after float64) string {
	if before == 0 {
		return fmt.Sprintf("$%g", after)
	}
	return fmt.Sprintf("%+.0f %%", 100*(after/before-1))
}

// changes are the differences between a card and the one before.
func changes(id string, before, after *Card) []Change {
	var all []Change
	add := func(kind, was, is string) {
		all = append(all, Change{
			At: after.SeenAt, Model: id, Kind: kind, Before: was, After: is, PriceBefore: before.Price, PriceAfter: after.Price,
			BilledAfter: after.BilledAs(), Own: kind == changePrice && before.Billing == after.Billing,
		})
	}
	switch {
	case before.Canonical != after.Canonical:
		add(changeMoved, before.Canonical, after.Canonical)
	case !samePrice(before, after):
		add(changePrice, before.bill(), after.bill())
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

// told is Text, and that it was told before where it was.
func (c *Change) told() string {
	if c.Told == 0 {
		return c.Text()
	}
	return c.Text() + ", seen at " + c.At.UTC().Format(time.RFC3339) + " by a run without a record"
}

// maxTellings of one change are made: where the store keeps no record until the next run, no record is no sign.
const maxTellings = 3

// again are the changes that a run told of whose record nothing is known: the agent was killed before it was kept. Where that
// cannot be seen they are told again, rather twice than not at all.
func (m *Models) again(ctx context.Context, h *History, ids []string) ([]Change, error) {
	if len(h.Untold) == 0 || m.records == nil {
		return nil, nil
	}
	records, err := m.records.Since(ctx, changesName, h.ToldAt)
	if len(records) > 0 {
		return nil, nil
	}
	done := func(c Change) bool { return c.Told >= maxTellings || !slices.Contains(ids, c.Model) }
	return slices.DeleteFunc(slices.Clone(h.Untold), done), err
}

// measured counts the changes by their kind, and the moves by alias too.
func measured(all []Change) []checks.Measurement {
	kinds, moves := map[string]float64{}, map[string]float64{}
	for i := range all {
		kinds[all[i].Kind]++
		if all[i].Moved() {
			moves[all[i].Model]++
		}
	}
	var out []checks.Measurement
	add := func(name, attr string, counts map[string]float64) {
		for _, value := range slices.Sorted(maps.Keys(counts)) {
			out = append(out, checks.Measurement{Name: name, Value: counts[value], Attrs: map[string]string{attr: value}})
		}
	}
	add("probe.llm.model.moves", "alias", moves)
	add(changesName, "change", kinds)
	return out
}
