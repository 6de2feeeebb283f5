package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pricing"
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
	Models          []PricedModel  `json:"-"` // by the built-in aliases
	Dearest         string         `json:"-"` // the check with the dearest run
	DearestRun      checks.PicoUSD `json:"-"`
}

// CostOf adds up the cost of every paid run.
func CostOf(cfg *config.Config, registry config.Registry) Cost {
	now := time.Now()
	cost := Cost{PricesKnown: true, PriceDate: pricing.Default().Date()}
	counted := map[string]fullest{} // by schedule: a year of a cron expression is work
	all := costed(cfg, registry)
	cost.Models = pricedModels(cfg, all, now, func(*pricing.Book, string) {})
	for i, built := range all {
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

// PaidChecks are the names of the checks whose runs cost money.
func PaidChecks(cfg *config.Config, registry config.Registry) map[string]bool {
	paid := map[string]bool{}
	for i, built := range costed(cfg, registry) {
		_, paid[cfg.Checks[i].Name] = built.(checks.Paid)
	}
	return paid
}

func (c *Cost) add(runs fullest, worst, typical checks.PicoUSD, confirmed bool) {
	times := int64(1)
	if confirmed { // a failure is looked at twice
		times = 2
	}
	for _, part := range []struct {
		sum  *checks.PicoUSD
		cost checks.PicoUSD
		runs int64
	}{
		{&c.WorstPerHour, worst, times * runs.hour},
		{&c.WorstPerDay, worst, times * runs.day},
		{&c.WorstPerMonth, worst, times * runs.month},
		{&c.TypicalPerHour, typical, runs.hour},
		{&c.TypicalPerDay, typical, runs.day},
		{&c.TypicalPerMonth, typical, runs.month},
	} {
		*part.sum = part.sum.Plus(part.cost.Times(part.runs))
	}
}

// costed builds the checks for their prices alone, in the order of the file; nil where one cannot be built, which Buildable
// has said.
func costed(cfg *config.Config, registry config.Registry) []checks.Check {
	all := make([]checks.Check, len(cfg.Checks))
	spawner, err := spawnerOf(cfg, nil)
	if err != nil {
		spawner = nil // whoever builds to run says so
	}
	for i := range cfg.Checks {
		provider := cfg.Checks[i].Provider
		env := checks.Env{
			Spawn:  spawner,
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
