package adminapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// usage is the page usage, after Mistral's specification of August 2026 (UsageOUTJSON). What stands in the lists is not
// specified there; the names are those that were seen: billing_metric, billing_group, value, value_paid.
type usage struct {
	cost   *checks.PicoUSD // at the prices of the page; nil where not all of it could be priced
	why    string          // it is nil
	tokens []source.Tokens // nil where directions could not be told
}

// item is one thing that was used.
type item struct {
	model, group string
	fields       map[string]any
}

// readUsage reads the page. Vibe, the coding assistant, is left out: it is not what an application spends.
func readUsage(page map[string]any, now time.Time) (usage, *source.Problem) {
	completion, ok := page["completion"].(map[string]any)
	if _, listed := completion["models"].(map[string]any); !ok || !listed {
		return usage{}, source.Problemf(checks.CauseMalformed, "the page usage has no list of models")
	}
	start, _ := page["start_date"].(string)
	if at, err := time.Parse(time.RFC3339, start); err == nil && at.UTC().Format("2006-01") != now.Format("2006-01") {
		return usage{}, source.Problemf(checks.CauseMalformed, "the page usage is of another month than was asked for")
	}
	if bad := foreign("usage", page["currency"]); bad != nil {
		return usage{}, bad
	}
	var items []item
	for _, section := range slices.Sorted(maps.Keys(page)) {
		if !strings.HasPrefix(section, "vibe") && section != "prices" {
			items = collect(items, item{}, page[section])
		}
	}
	u := usage{tokens: tokensOf(collect(nil, item{}, completion))}
	u.price(items, page["prices"])
	return u, nil
}

// price adds the items up.
func (u *usage) price(items []item, told any) {
	prices, _ := told.([]any)
	sum := new(big.Rat)
	for _, i := range items {
		amount, why := i.cost(prices)
		if why != "" {
			u.why = "the page usage has something that cannot be priced: " + why
			return
		}
		sum.Add(sum, amount)
	}
	cost, ok := pico(sum)
	if !ok {
		u.why = "the page usage has a sum that cannot be"
		return
	}
	u.cost = &cost
}

// collect finds the lists of items in a section, which stand below a model and a group.
func collect(into []item, at item, v any) []item {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			into = collect(into, item{model: at.group, group: key}, v[key])
		}
	case []any:
		for _, one := range v {
			fields, _ := one.(map[string]any) // nil has no value, which is told
			into = append(into, item{model: at.model, group: at.group, fields: fields})
		}
	}
	return into
}

// quantity is how much was used, and whether that is told.
func (i item) quantity() (*big.Rat, bool) {
	for _, key := range []string{"value_paid", "value"} {
		if v, told := i.fields[key]; told && v != nil {
			n, ok := number(v)
			return n, ok && n.Sign() >= 0
		}
	}
	return nil, false
}

// cost is the quantity at the one price that fits all that the item tells of itself; why says why there is none.
func (i item) cost(prices []any) (amount *big.Rat, why string) {
	n, ok := i.quantity()
	if !ok {
		return nil, "an item without a quantity"
	}
	if n.Sign() == 0 {
		return n, ""
	}
	if _, ok := i.fields["billing_metric"].(string); !ok {
		return nil, "an item without billing_metric"
	}
	var found *big.Rat
	for _, one := range prices {
		fields, _ := one.(map[string]any)
		if !i.fits(fields) {
			continue
		}
		price, ok := number(fields["price"])
		if !ok || price.Sign() < 0 {
			return nil, "a price that is none"
		}
		if found != nil && found.Cmp(price) != 0 {
			return nil, "an item with several prices"
		}
		found = price
	}
	if found == nil {
		return nil, "an item without a price"
	}
	return new(big.Rat).Mul(n, found), ""
}

func (i item) fits(price map[string]any) bool {
	for _, key := range []string{"billing_metric", "billing_group", "event_type", "api_zone", "service_tier"} {
		if v, told := i.fields[key]; told && v != nil && v != price[key] {
			return false
		}
	}
	return price != nil
}

var fit = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$`)

// mostModels bounds the names that are passed on.
const mostModels = 50

// tokensOf are the tokens of the completions, nil where a group is none of input and output, or a count is no whole number.
func tokensOf(items []item) []source.Tokens {
	type key struct {
		model     string
		direction source.Direction
	}
	sums := map[key]int64{}
	models := map[string]bool{}
	for _, i := range items {
		direction, ok := map[string]source.Direction{"input": source.Input, "output": source.Output}[strings.ToLower(i.group)]
		n, told := i.quantity()
		if !ok || !told || !n.IsInt() || !n.Num().IsInt64() {
			return nil
		}
		model := i.model
		if _, canonical, ok := strings.Cut(model, "::"); ok { // alias::model
			model = canonical
		}
		if !models[model] && (len(models) == mostModels || !fit.MatchString(model)) {
			model = "other"
		}
		models[model] = true
		sums[key{model, direction}] += n.Num().Int64()
	}
	var all []source.Tokens
	for k, n := range sums {
		all = append(all, source.Tokens{Model: k.model, Direction: k.direction, N: n})
	}
	slices.SortFunc(all, func(a, b source.Tokens) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Direction, b.Direction))
	})
	return all
}

// limits is the page spend-limit (LimitsOUT). Amounts are nil where they are not told.
type limits struct {
	used, total, limit *checks.PicoUSD // of the month: without Vibe, with it, and at most
	reached, unpaid    bool
}

func readLimits(page map[string]any) (limits, *source.Problem) {
	all, _ := page["limits"].(map[string]any)
	c, ok := all["completion"].(map[string]any)
	if !ok {
		return limits{}, source.Problemf(checks.CauseMalformed, "the page spend-limit has no limits for completions")
	}
	if bad := foreign("spend-limit", all["currency"]); bad != nil {
		return limits{}, bad
	}
	l := limits{}
	for key, into := range map[string]**checks.PicoUSD{"usage": &l.used, "total_usage": &l.total, "usage_limit": &l.limit} {
		if v, told := c[key]; told && v != nil {
			n, ok := number(v)
			cost, fits := checks.PicoUSD(0), false
			if ok {
				cost, fits = pico(n)
			}
			if !fits {
				return limits{}, source.Problemf(checks.CauseMalformed, "the page spend-limit has a %s that is no amount", key)
			}
			*into = &cost
		}
	}
	if none, _ := c["no_monthly_limit"].(bool); none {
		l.limit = nil
	}
	l.reached, _ = c["monthly_limit_reached"].(bool)
	l.unpaid, _ = all["last_payment_failure"].(bool)
	return l, nil
}

func (l limits) measurements() []checks.Measurement {
	if l.limit == nil {
		return nil
	}
	return []checks.Measurement{{Name: "spend.limit.usd", Value: l.limit.USD()}}
}

// notes are what the limits mean.
func (l limits) notes(u usage) []string {
	var all []string
	if spent := cmp.Or(l.total, l.used); !l.reached && l.limit != nil && spent != nil && *l.limit > 0 {
		all = append(all, fmt.Sprintf("%.0f%% of the month's spend limit is used", 100*spent.USD()/l.limit.USD()))
	}
	if l.used != nil && u.cost != nil && apart(*l.used, *u.cost) {
		all = append(all, fmt.Sprintf("the page usage at its prices is %s, the page spend-limit says %s", u.cost, l.used))
	}
	return all
}

// alarms are what wants somebody to look.
func (l limits) alarms() []source.Alarm {
	var all []source.Alarm
	if l.reached {
		all = append(all, source.Alarm{Blame: checks.BlameAccount, Text: "the month's spend limit is reached: requests are refused"})
	}
	if l.unpaid {
		all = append(all, source.Alarm{Blame: checks.BlameAccount, Text: "the last payment failed"})
	}
	return all
}

// apart reports whether two amounts differ by more than a hundredth and a cent.
func apart(a, b checks.PicoUSD) bool {
	difference := max(a-b, b-a)
	return difference > checks.Dollar/100 && difference > max(a, b)/100
}

// decimal is a number of a length that can be worked with.
var decimal = regexp.MustCompile(`^-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?$`)

// number reads a JSON number, or a text that is one, as long as it is of a size that can be.
func number(v any) (*big.Rat, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	if !decimal.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// pico is an amount of dollars, rounded to the nearest; false for one below zero or beyond a million dollars.
func pico(usd *big.Rat) (checks.PicoUSD, bool) {
	const most = 1_000_000
	if usd.Sign() < 0 || usd.Cmp(new(big.Rat).SetInt64(most)) > 0 {
		return 0, false
	}
	scaled := new(big.Rat).Mul(usd, new(big.Rat).SetInt64(int64(checks.Dollar)))
	twice := new(big.Int).Lsh(scaled.Num(), 1)
	twice.Add(twice, scaled.Denom())
	twice.Quo(twice, new(big.Int).Lsh(scaled.Denom(), 1))
	return checks.PicoUSD(twice.Int64()), true
}
