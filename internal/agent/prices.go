package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/store"
)

// PricedModel is what one model that checks call costs, as it is counted: US dollars in the zone of the provider's address.
// What has no price is absent.
type PricedModel struct {
	Provider   string   `json:"provider"`
	Model      string   `json:"model"`
	As         string   `json:"priced_as"` // what it resolves to
	Checks     []string `json:"checks"`
	Known      bool     `json:"known"` // for tokens, which is what checks use
	Input      *float64 `json:"input_per_million_usd,omitempty"`
	Cached     *float64 `json:"cached_per_million_usd,omitempty"`
	Output     *float64 `json:"output_per_million_usd,omitempty"`
	Pages      *float64 `json:"pages_per_thousand_usd,omitempty"`
	Annotated  *float64 `json:"annotated_pages_per_thousand_usd,omitempty"`
	Minute     *float64 `json:"minute_usd,omitempty"` // of audio
	Characters *float64 `json:"characters_per_million_usd,omitempty"`
	Own        bool     `json:"own,omitempty"` // from the configuration
	Source     string   `json:"source,omitempty"`
	CheckedOn  string   `json:"checked_on,omitempty"`
	AliasOf    string   `json:"alias_known_by"` // "list": a models list of the provider; "table": the built-in aliases
}

// PricesOf lists the price of every model that a check calls. What the provider's models list said of aliases is taken from
// the store, where there is one; the warnings say where that cannot be read.
func PricesOf(ctx context.Context, cfg *config.Config, registry config.Registry, getenv func(string) string) (all []PricedModel, warnings []string) {
	all = pricedModels(cfg, costed(cfg, registry), time.Now(), func(book *pricing.Book, provider string) {
		if err := remember(ctx, cfg, getenv, book, provider); err != nil {
			warnings = append(warnings, fmt.Sprintf("what the models list of %s says of aliases cannot be read, so the built-in ones are shown: %v", provider, err))
		}
	})
	return all, warnings
}

// pricedModels lists the price of every model that a check calls, by books that are taught what aliases stand for.
func pricedModels(cfg *config.Config, built []checks.Check, now time.Time, teach func(book *pricing.Book, provider string)) []PricedModel {
	var all []PricedModel
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		book := pricing.NewBook(cfg.Prices.Table(), p.BaseURL)
		teach(book, p.Name)
		for _, model := range modelsOf(cfg, built, p.Name) {
			row, answered := priced(book, p.Name, model, now), false
			for j, check := range built {
				using, ok := check.(checks.Modelled)
				if ok && cfg.Checks[j].Provider == p.Name && slices.Contains(using.ModelsUsed(), model) {
					row.Checks = append(row.Checks, cfg.Checks[j].Name)
					answered = answered || answers(cfg.Checks[j].Kind, model)
				}
			}
			row.Known = known(book, model, answered, now)
			all = append(all, row)
		}
	}
	return all
}

// remember teaches a book what the agent's was taught. Where there is no store yet it knows the built-in aliases.
func remember(ctx context.Context, cfg *config.Config, getenv func(string) string, book *pricing.Book, provider string) error {
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return nil // nowhere to keep anything, so nothing is kept
	}
	kept, err := store.OpenView(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	data, err := kept.State(ctx, pricesKey(provider))
	if err != nil || data == nil {
		return err
	}
	return book.Restore(data)
}

// known reports whether calls of a model have a price: for what is asked, and where anything is answered for that too.
func known(book *pricing.Book, model string, answers bool, now time.Time) bool {
	use := pricing.Usage{Prompt: 1}
	if answers {
		use.Completion = 1
	}
	_, known := book.Cost(use, model, now)
	return known
}

// answers reports whether a check of a kind has a model answer in tokens: embeddings are none, and the check usable asks a
// model of that name for one.
func answers(kind, model string) bool {
	return kind != "embeddings" && (kind != "usable" || !strings.Contains(model, "embed"))
}

func priced(book *pricing.Book, provider, model string, now time.Time) PricedModel {
	const million, thousand = 1_000_000, 1000
	out := PricedModel{Provider: provider, Model: model, As: book.Resolve(model, now), AliasOf: "table"}
	if !book.Learned().IsZero() {
		out.AliasOf = "list"
	}
	price, found := book.Lookup(model, now)
	if !found {
		return out
	}
	out.As, out.Own, out.Source, out.CheckedOn = price.Model, price.Own, price.Source, price.CheckedOn
	for _, part := range []struct {
		into **float64
		of   pricing.Usage
	}{
		{&out.Input, pricing.Usage{Prompt: million}},
		{&out.Cached, pricing.Usage{Prompt: million, Cached: million}},
		{&out.Output, pricing.Usage{Completion: million}},
		{&out.Pages, pricing.Usage{Pages: thousand}},
		{&out.Annotated, pricing.Usage{Pages: thousand, Annotated: thousand}},
		{&out.Minute, pricing.Usage{Seconds: 60}},
		{&out.Characters, pricing.Usage{Characters: million}},
	} {
		if cost, known := book.Cost(part.of, model, now); known {
			*part.into = new(cost.USD())
		}
	}
	return out
}

// OldPrices are warnings: prices that count and were checked longer ago than the configuration allows, or nobody knows
// when. called is what the models of checks cost. The built-in prices are not spoken of where none of them counts.
func OldPrices(cfg *config.Config, called []PricedModel, now time.Time) []string {
	limit := cfg.Prices.MaxAge
	if limit == 0 {
		return nil
	}
	var all []string
	if age := pricing.Default().Age(now); age > limit && builtInCounts(cfg, called) {
		all = append(all, fmt.Sprintf("the built-in prices were checked on %s, %d days ago: compare them with Mistral's page, and put what differs into `prices`",
			pricing.Default().Date(), int(age.Hours()/24)))
	}
	table := cfg.Prices.Table()
	for _, p := range cfg.Prices.Own {
		if current, ok := table.Lookup(p.Model, now); !ok || !current.Own || !current.From.Equal(p.From) {
			continue // it counts no more, or not yet
		}
		at, err := time.Parse(time.DateOnly, p.CheckedOn)
		switch {
		case err != nil:
			all = append(all, fmt.Sprintf("your price of %s has no checked_on: nobody can tell how old it is", p.Model))
		case now.Sub(at) > limit:
			all = append(all, fmt.Sprintf("your price of %s was checked on %s, %d days ago", p.Model, p.CheckedOn, int(now.Sub(at).Hours()/24)))
		}
	}
	return all
}

// builtInCounts reports whether a built-in price is used: of a model that a check calls, or of those that the application
// calls, which a spend check prices as they come.
func builtInCounts(cfg *config.Config, called []PricedModel) bool {
	return slices.ContainsFunc(called, func(m PricedModel) bool { return !m.Own }) ||
		slices.ContainsFunc(cfg.Checks, func(c config.Check) bool { return c.Kind == "spend" })
}
