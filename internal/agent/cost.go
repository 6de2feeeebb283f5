package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/store"
)

// Cost is what a schedule can cost, and what it costs as a rule. A month is 30 days.
type Cost struct {
	WorstPerHour    checks.PicoUSD `json:"worst_per_hour_pico_usd"`
	WorstPerDay     checks.PicoUSD `json:"worst_per_day_pico_usd"`
	WorstPerMonth   checks.PicoUSD `json:"worst_per_month_pico_usd"`
	TypicalPerHour  checks.PicoUSD `json:"typical_per_hour_pico_usd"`
	TypicalPerDay   checks.PicoUSD `json:"typical_per_day_pico_usd"`
	TypicalPerMonth checks.PicoUSD `json:"typical_per_month_pico_usd"`
	PricesKnown     bool           `json:"prices_known"`
	PriceDate       string         `json:"price_date"`
	Dearest         string         `json:"-"` // the check with the dearest run
	DearestRun      checks.PicoUSD `json:"-"`
}

// CostOf adds up the cost of every paid run.
func CostOf(cfg *config.Config, registry config.Registry) Cost {
	now := time.Now()
	cost := Cost{PricesKnown: true, PriceDate: pricing.Default().Date()}
	counted := map[string]fullest{} // by schedule: a year of a cron expression is work
	for i, built := range costed(cfg, registry) {
		paid, ok := built.(checks.Paid)
		if !ok {
			continue
		}
		check := &cfg.Checks[i]
		worst, priced := paid.MaxCost(now)
		typical := worst
		if knows, ok := built.(checks.Typical); ok {
			typical, _ = knows.TypicalCost(now)
		}
		runs, known := counted[check.Schedule.String()]
		if !known {
			runs = runsOf(check)
			counted[check.Schedule.String()] = runs
		}
		cost.add(runs, worst, typical, check.Confirm > 0)
		cost.PricesKnown = cost.PricesKnown && priced
		if worst > cost.DearestRun {
			cost.Dearest, cost.DearestRun = check.Name, worst
		}
	}
	return cost
}

func (c *Cost) add(runs fullest, worst, typical checks.PicoUSD, confirmed bool) {
	times := checks.PicoUSD(1)
	if confirmed { // a failure is looked at twice
		times = 2
	}
	c.WorstPerHour += times * worst * checks.PicoUSD(runs.hour)
	c.WorstPerDay += times * worst * checks.PicoUSD(runs.day)
	c.WorstPerMonth += times * worst * checks.PicoUSD(runs.month)
	c.TypicalPerHour += typical * checks.PicoUSD(runs.hour)
	c.TypicalPerDay += typical * checks.PicoUSD(runs.day)
	c.TypicalPerMonth += typical * checks.PicoUSD(runs.month)
}

// costed builds the checks for their prices alone, in the order of the file; nil where one cannot be built, which Buildable
// has said.
func costed(cfg *config.Config, registry config.Registry) []checks.Check {
	all := make([]checks.Check, len(cfg.Checks))
	for i := range cfg.Checks {
		provider := cfg.Checks[i].Provider
		env := checks.Env{
			Prices: pricing.NewBook(cfg.Prices.Table(), baseURL(cfg, provider)),
			Models: func() []string { return modelsOf(cfg, all, provider) },
		}
		if built, err := buildOnly(&cfg.Checks[i], registry, env); err == nil {
			all[i] = built
		}
	}
	return all
}

// modelsOf lists the models that checks of a provider call, sorted.
func modelsOf(cfg *config.Config, built []checks.Check, provider string) []string {
	var all []string
	for i, check := range built {
		if using, ok := check.(checks.Modelled); ok && cfg.Checks[i].Provider == provider {
			all = append(all, using.ModelsUsed()...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func baseURL(cfg *config.Config, provider string) string {
	for i := range cfg.Providers {
		if cfg.Providers[i].Name == provider {
			return cfg.Providers[i].BaseURL
		}
	}
	return ""
}

// fullest is how often a check runs at the most in an hour, a day and 30 days.
type fullest struct{ hour, day, month int64 }

// runsOf counts the slots of a year: a cron expression may leave out hours, days and months.
func runsOf(check *config.Check) fullest {
	const day = 24 * time.Hour
	if check.Schedule.IsEvery() {
		interval := max(check.Schedule.Interval(), time.Second)
		upTo := func(d time.Duration) int64 { return int64((d + interval - 1) / interval) }
		return fullest{upTo(time.Hour), upTo(day), upTo(30 * day)}
	}
	var runs fullest
	days := make([]int64, 0, 366)
	begin := time.Now().Truncate(day).Add(-1)
	for range cap(days) {
		sum := int64(0)
		for range 24 {
			n := int64(check.Schedule.Count(begin, begin.Add(time.Hour)))
			runs.hour = max(runs.hour, n)
			sum += n
			begin = begin.Add(time.Hour)
		}
		days = append(days, sum)
		runs.day = max(runs.day, sum)
		window := int64(0)
		for _, n := range days[max(len(days)-30, 0):] {
			window += n
		}
		runs.month = max(runs.month, window)
	}
	return runs
}

// OverBudget says where a schedule must pass its own budget: what it costs as a rule is above a limit, or one run may cost
// more than a limit, so that its check never runs. The error carries the place in the file.
func OverBudget(cfg *config.Config, cost *Cost) error {
	key, err := overBudget(&cfg.Budget, cost)
	if err == nil {
		return nil
	}
	return cfg.PlaceBudget(key, err)
}

// overBudget names the key of the budget that is passed.
func overBudget(budget *config.Budget, cost *Cost) (key string, err error) {
	for _, limit := range []struct {
		key             string
		amount, typical checks.PicoUSD
	}{
		{"per_hour", budget.PerHour, cost.TypicalPerHour},
		{"per_day", budget.PerDay, cost.TypicalPerDay},
		{"per_month", budget.PerMonth, cost.TypicalPerMonth},
	} {
		switch {
		case limit.amount == 0:
		case cost.DearestRun > limit.amount:
			return limit.key, fmt.Errorf("the budget of %s is less than the %s that one run of the check %q may cost: it would never run",
				limit.amount, cost.DearestRun, cost.Dearest)
		case limit.typical > limit.amount:
			return limit.key, fmt.Errorf("the schedule costs about %s %s, and the budget is %s: run paid checks less often, or allow more",
				limit.typical, limitWords(limit.key), limit.amount)
		}
	}
	return "", nil
}

func limitWords(key string) string {
	return map[string]string{"per_hour": "an hour", "per_day": "a day", "per_month": "in 30 days"}[key]
}

// OldPrices are warnings: prices that were checked longer ago than the configuration allows.
func OldPrices(cfg *config.Config, now time.Time) []string {
	limit := cfg.Prices.MaxAge
	if limit == 0 {
		return nil
	}
	var all []string
	if age := pricing.Default().Age(now); age > limit {
		all = append(all, fmt.Sprintf("the built-in prices were checked on %s, %d days ago: compare them with Mistral's page, and put what differs into `prices`",
			pricing.Default().Date(), int(age.Hours()/24)))
	}
	for _, p := range cfg.Prices.Own {
		at, err := time.Parse(time.DateOnly, p.CheckedOn)
		if err == nil && now.Sub(at) > limit {
			all = append(all, fmt.Sprintf("your price of %s was checked on %s, %d days ago", p.Model, p.CheckedOn, int(now.Sub(at).Hours()/24)))
		}
	}
	return all
}

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
// the store, where there is one.
func PricesOf(ctx context.Context, cfg *config.Config, registry config.Registry, getenv func(string) string) []PricedModel {
	var all []PricedModel
	built := costed(cfg, registry)
	now := time.Now()
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		book := pricing.NewBook(cfg.Prices.Table(), p.BaseURL)
		remember(ctx, cfg, getenv, book, p.Name)
		for _, model := range modelsOf(cfg, built, p.Name) {
			all = append(all, priced(book, p.Name, model, now))
			for j, check := range built {
				using, ok := check.(checks.Modelled)
				if ok && cfg.Checks[j].Provider == p.Name && slices.Contains(using.ModelsUsed(), model) {
					all[len(all)-1].Checks = append(all[len(all)-1].Checks, cfg.Checks[j].Name)
				}
			}
		}
	}
	return all
}

// remember teaches a book what the agent's was taught. Without a store that can be read it knows the built-in aliases.
func remember(ctx context.Context, cfg *config.Config, getenv func(string) string, book *pricing.Book, provider string) {
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return
	}
	kept, err := store.OpenView(ctx, dir)
	if err != nil {
		return
	}
	defer func() { _ = kept.Close() }()
	if data, err := kept.State(ctx, pricesKey(provider)); err == nil && data != nil {
		_ = book.Restore(data) // one that cannot be read teaches nothing
	}
}

func priced(book *pricing.Book, provider, model string, now time.Time) PricedModel {
	const million, thousand = 1_000_000, 1000
	out := PricedModel{Provider: provider, Model: model, As: book.Resolve(model), AliasOf: "table"}
	if !book.Learned().IsZero() {
		out.AliasOf = "list"
	}
	price, found := book.Lookup(model, now)
	if !found {
		return out
	}
	out.Known, out.As, out.Own, out.Source, out.CheckedOn = price.ByTokens(), price.Model, price.Own, price.Source, price.CheckedOn
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
