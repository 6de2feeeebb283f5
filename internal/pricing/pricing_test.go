package pricing_test

import (
	"math"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const (
	global = "https://api.mistral.ai"
	eu     = "https://api.eu.mistral.ai"
)

func book(base string) *pricing.Book { return pricing.NewBook(pricing.Default(), base) }

func day() time.Time { return time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC) }

// Every amount here was worked out by hand from the price page: dollars for a million tokens are millionths of a dollar,
// which is 1,000,000 pico-dollars, for one.
func TestCost(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		model, base                string
		prompt, cached, completion int64
		want                       checks.PicoUSD
		known                      bool
	}{
		"a ping on small is 15 x 0.15 + 0.60":        {"mistral-small-latest", global, 15, 0, 1, 2_850_000, true},
		"its canonical id costs the same":            {"mistral-small-2603", global, 15, 0, 1, 2_850_000, true},
		"so does the alias that jumped families":     {"magistral-small-latest", global, 15, 0, 1, 2_850_000, true},
		"a ping on ministral-3b is 16 x 0.10":        {"ministral-3b-latest", global, 15, 0, 1, 1_600_000, true},
		"a ping on medium is 15 x 1.50 + 7.50":       {"mistral-medium-latest", global, 15, 0, 1, 30_000_000, true},
		"large":                                      {"mistral-large-latest", global, 1000, 0, 100, 650_000_000, true},
		"codestral":                                  {"codestral-latest", global, 10, 0, 10, 12_000_000, true},
		"embeddings cost input only":                 {"mistral-embed", global, 4, 0, 0, 400_000, true},
		"embeddings of code":                         {"codestral-embed-2505", global, 4, 0, 0, 600_000, true},
		"the cached part costs a tenth":              {"mistral-small-2603", global, 49, 32, 6, 2_550_000 + 480_000 + 3_600_000, true},
		"a tenth more in Europe":                     {"mistral-small-2603", eu, 15, 0, 1, 3_135_000, true},
		"and in the United States, with a path":      {"mistral-small-2603", "https://API.us.mistral.ai:443/v1", 15, 0, 1, 3_135_000, true},
		"labs models are free":                       {"labs-leanstral-1-5", global, 1000, 0, 1000, 0, true},
		"an unknown model costs the dearest of each": {"mistral-large-4", global, 15, 0, 1, 30_000_000, false},
		"an alias that is about to move is unknown":  {"devstral-latest", global, 15, 0, 1, 30_000_000, false},
		"nothing used":                               {"mistral-small-2603", global, 0, 0, 0, 0, true},
		"negative counts are nothing":                {"mistral-small-2603", global, -5, -5, -5, 0, true},
		"more cached than prompt is not believed":    {"mistral-small-2603", global, 10, 50, 0, 1_500_000, true},
		"absurd counts stay at the end":              {"mistral-small-2603", eu, math.MaxInt64, 0, math.MaxInt64, math.MaxInt64, true},
		"a base URL that is none has no zone":        {"mistral-small-2603", "://", 15, 0, 1, 2_850_000, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, known := book(tt.base).Charge(pricing.Usage{Prompt: tt.prompt, Cached: tt.cached, Completion: tt.completion}, tt.model, day())
			if got != tt.want || known != tt.known {
				t.Errorf("got %d, %v, want %d, %v", got, known, tt.want, tt.known)
			}
		})
	}
}

func TestAPingEveryMinuteForThirtyDays(t *testing.T) {
	t.Parallel()
	tests := map[string]checks.PicoUSD{ // 43,200 pings
		"mistral-small-latest":  123_120_000_000,   // $0.12
		"ministral-3b-latest":   69_120_000_000,    // $0.07
		"mistral-medium-latest": 1_296_000_000_000, // $1.30
	}
	for model, want := range tests {
		cost, _ := book(global).Cost(pricing.Usage{Prompt: 15, Completion: 1}, model, day())
		if got := cost * 30 * 24 * 60; got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}
}

func TestWorstIsNeverBelowCost(t *testing.T) {
	t.Parallel()
	worst, known := book(global).Worst("mistral-small-latest", 20, 16, day())
	if want := checks.PicoUSD(276*150_000 + 16*600_000); worst != want || !known {
		t.Errorf("got %d, %v, want %d", worst, known, want)
	}
	if _, known := book(global).Worst("nobody-knows", 20, 16, day()); known {
		t.Error("an unknown model is known")
	}
	for _, size := range []int{-1, 0, math.MaxInt} {
		if cost, _ := book(eu).Worst("mistral-small-latest", size, 0, day()); cost < 256*165_000 {
			t.Errorf("%d bytes: got %d", size, cost)
		}
	}
	// The recorded samples: prompt texts shorter than their prompt tokens, up to 49 of them.
	for _, tokens := range []int64{15, 30, 35, 49} {
		cost, _ := book(global).Cost(pricing.Usage{Prompt: tokens, Completion: 16}, "mistral-small-latest", day())
		if worst, _ := book(global).Worst("mistral-small-latest", 4, 16, day()); worst < cost {
			t.Errorf("%d tokens: worst %d is below %d", tokens, worst, cost)
		}
	}
}

func TestEveryRowIsWhole(t *testing.T) {
	t.Parallel()
	table := pricing.Default()
	if table.Date() != "2026-08-21" {
		t.Errorf("date %q", table.Date())
	}
	dearest, _ := book(global).Charge(pricing.Usage{Prompt: 1, Completion: 1}, "nobody-knows", day())
	for _, price := range table.Prices() {
		units := price.Input + price.Page + price.Minute + price.Character
		if (units > 0) == price.Free || price.Cached*10 != price.Input || price.Source == "" || price.CheckedOn != table.Date() {
			t.Errorf("%+v", price)
		}
		if price.Input+price.Output > dearest {
			t.Errorf("%s is dearer than the unknown", price.Model)
		}
		for _, alias := range table.Aliases(price.Model) {
			if got, ok := table.Lookup(alias, day()); !ok || got != price {
				t.Errorf("%s: got %+v, want %+v", alias, got, price)
			}
		}
	}
	if got, ok := table.Lookup("mistral-medium-3.5", day()); !ok || got.Input != 1_500_000 || got.Output != 7_500_000 || got.Cached != 150_000 {
		t.Errorf("got %+v", got)
	}
	if len(table.Prices()) != 22 {
		t.Errorf("got %d rows", len(table.Prices()))
	}
}

// Pages, minutes and characters, again worked out from the page by hand: $4 for 1000 pages are 4,000,000,000 pico-dollars
// for one, $0.003 for a minute are 50,000,000 for a second, $16 for a million characters are 16,000,000 for one.
func TestCostOfWhatIsNotPricedByTokens(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		model string
		u     pricing.Usage
		want  checks.PicoUSD
		known bool
	}{
		"a thousand pages":                          {"mistral-ocr-latest", pricing.Usage{Pages: 1000}, 4 * checks.Dollar, true},
		"a page of the model before":                {"mistral-ocr-3", pricing.Usage{Pages: 1}, 2_000_000_000, true},
		"annotated pages cost more":                 {"mistral-ocr-4-0", pricing.Usage{Pages: 3, Annotated: 3}, 15_000_000_000, true},
		"of three pages one is annotated":           {"mistral-ocr-2512", pricing.Usage{Pages: 3, Annotated: 1}, 7_000_000_000, true},
		"more annotated than there are":             {"mistral-ocr-2512", pricing.Usage{Pages: 1, Annotated: 2}, 6_000_000_000, true},
		"a second of a recording":                   {"voxtral-mini-latest", pricing.Usage{Seconds: 1}, 50_000_000, true},
		"the tokens of a transcript are not billed": {"voxtral-mini-2602", pricing.Usage{Seconds: 60, Prompt: 4, Completion: 635}, 3_000_000_000, true},
		"a minute as it is spoken":                  {"voxtral-mini-realtime-latest", pricing.Usage{Seconds: 60}, 6_000_000_000, true},
		"audio by the minute, text by tokens":       {"voxtral-small-latest", pricing.Usage{Seconds: 90, Prompt: 10, Completion: 5}, 6_000_000_000 + 1_000_000 + 2_000_000, true},
		"a million characters of speech":            {"voxtral-mini-tts-latest", pricing.Usage{Characters: 1_000_000}, 16 * checks.Dollar, true},
		"one character":                             {"voxtral-mini-tts-2603", pricing.Usage{Characters: 1}, 16_000_000, true},
		"moderation is free":                        {"mistral-moderation-2603", pricing.Usage{Prompt: 1_000_000}, 0, true},
		"tokens alone of what is priced by pages":   {"mistral-ocr-4-1", pricing.Usage{Prompt: 10, Completion: 1}, 0, false},
		"tokens alone of what is priced by minutes": {"voxtral-mini-2602", pricing.Usage{Prompt: 10}, 0, false},
		"pages of what is priced by tokens":         {"mistral-small-2603", pricing.Usage{Pages: 1}, 0, false},
		"an answer of what has no price for one":    {"mistral-embed", pricing.Usage{Prompt: 1, Completion: 1}, 0, false},
	} {
		if got, known := book(global).Cost(tc.u, tc.model, day()); got != tc.want || known != tc.known {
			t.Errorf("%s: got %d, %v, want %d, %v", name, got, known, tc.want, tc.known)
		}
	}
}

// What pages and minutes cost must not make the unknown token dearer, and each kind has its own dearest.
func TestTheDearestOfEachKind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		u    pricing.Usage
		want checks.PicoUSD
	}{
		"a million tokens":          {pricing.Usage{Prompt: 1_000_000}, 3 * checks.Dollar / 2},
		"a million of them cached":  {pricing.Usage{Prompt: 1_000_000, Cached: 1_000_000}, 15 * checks.Dollar / 100},
		"a million of an answer":    {pricing.Usage{Completion: 1_000_000}, 15 * checks.Dollar / 2},
		"a thousand pages":          {pricing.Usage{Pages: 1000}, 4 * checks.Dollar},
		"as many, and annotated":    {pricing.Usage{Pages: 1000, Annotated: 1000}, 5 * checks.Dollar},
		"a thousand minutes":        {pricing.Usage{Seconds: 60_000}, 6 * checks.Dollar},
		"a million characters":      {pricing.Usage{Characters: 1_000_000}, 16 * checks.Dollar},
		"all of a ping on nobody's": {pricing.Usage{Prompt: 15, Completion: 1}, 30_000_000},
	} {
		if got, known := book(global).Charge(tc.u, "nobody-knows", day()); got != tc.want || known {
			t.Errorf("%s: got %s, %v, want %s", name, got, known, tc.want)
		}
	}
	if got, _ := book(global).Charge(pricing.Usage{Prompt: 15, Completion: 1}, "mistral-ocr-latest", day()); got != 30_000_000 {
		t.Errorf("a ping on what is priced by pages: got %d, want the dearest", got)
	}
}

func TestAliasesResolveAsTheProviderSays(t *testing.T) {
	t.Parallel()
	b := book(global)
	b.Learn(day(), []pricing.Card{
		{ID: "mistral-small-latest", Name: "ministral-14b-2512"},
		{ID: "mistral-large-latest", Name: "mistral-large-4", Billing: "mistral-large-2512"},
		{ID: "mistral-medium-latest", Name: "mistral-medium-5"},
		{ID: "brand-new", Name: "mistral-embed", Billing: "nobody-knows"},
		{ID: "codestral-latest", Name: "codestral-2508", Billing: "labs-codestral"},
		{ID: "labs-leanstral-1-5", Name: "labs-leanstral-1-5-1"},
	})
	for model, want := range map[string]string{
		"mistral-small-latest": "ministral-14b-2512", "mistral-large-latest": "mistral-large-2512",
		"mistral-medium-latest": "mistral-medium-5", "brand-new": "nobody-knows", "ministral-3b-latest": "ministral-3b-latest",
	} {
		if got := b.Resolve(model, day()); got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}
	if cost, known := b.Cost(pricing.Usage{Prompt: 1}, "mistral-medium-latest", day()); known || cost != 0 {
		t.Errorf("an alias that moved to an unknown model costs %s, known %v", cost, known)
	}
	for _, model := range []string{"brand-new", "codestral-latest"} {
		if price, known := b.Lookup(model, day()); known {
			t.Errorf("%s is billed as what nobody knows, and costs %+v", model, price)
		}
	}
	if price, known := b.Lookup("labs-leanstral-1-5", day()); !known || !price.Free {
		t.Errorf("a model of the labs costs %+v, known %v", price, known)
	}
	discount := pricing.NewBook(pricing.Default().With([]pricing.Price{{Model: "mistral-embed", Input: 7}}), global)
	discount.Learn(day(), []pricing.Card{{ID: "brand-new", Name: "mistral-embed", Billing: "nobody-knows"}})
	if price, known := discount.Lookup("brand-new", day()); !known || price.Input != 7 {
		t.Errorf("an own price of the canonical name: %+v, %v", price, known)
	}
	data, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored := book(global)
	if err := restored.Restore(data); err != nil || restored.Resolve("mistral-small-latest", day()) != "ministral-14b-2512" {
		t.Errorf("restored: %v, %s", err, restored.Resolve("mistral-small-latest", day()))
	}
}

func TestTiersAndZonesAreExact(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		base, tier string
		want       checks.PicoUSD
		known      bool
	}{
		"standard":             {global, "standard", 2_850_000, true},
		"priority":             {global, "priority", 4_987_500, true},
		"batch":                {global, "batch", 1_425_000, true},
		"priority in Europe":   {eu, "priority", 5_486_250, true},
		"a tier of the future": {global, "turbo", 0, false},
	} {
		got, known := book(tc.base).Cost(pricing.Usage{Prompt: 15, Completion: 1, Tier: tc.tier}, "mistral-small-2603", day())
		if got != tc.want || known != tc.known {
			t.Errorf("%s: got %d, %v, want %d, %v", name, got, known, tc.want, tc.known)
		}
	}
}

func TestOwnPricesTakeThePlaceOfTheBuiltInOnes(t *testing.T) {
	t.Parallel()
	table := pricing.Default().With([]pricing.Price{
		{Model: "mistral-small-2603", Input: 7, Output: 8},
		{Model: "mistral-embed", Input: 9, From: day().AddDate(0, 1, 0)},
		{Model: "brand-new", Input: 1, Output: 2},
	})
	later := day().AddDate(0, 2, 0)
	for name, tc := range map[string]struct {
		model string
		at    time.Time
		want  checks.PicoUSD
	}{
		"at once":                          {"mistral-small-2603", day(), 7},
		"by an alias too":                  {"mistral-small-latest", day(), 7},
		"the built-in one until it begins": {"mistral-embed", day(), 100_000},
		"and then one's own":               {"mistral-embed", later, 9},
		"a model that is new":              {"brand-new", day(), 1},
	} {
		if got, ok := table.Lookup(tc.model, tc.at); !ok || got.Input != tc.want {
			t.Errorf("%s: got %d, %v, want %d", name, got.Input, ok, tc.want)
		}
	}
	if got, _ := pricing.Default().Lookup("mistral-small-2603", day()); got.Input != 150_000 {
		t.Errorf("the built-in table changed: %d", got.Input)
	}
}

// TestAnOwnPriceOfTheFutureFollowsTheListUntilThen: it must not keep an alias where it was.
func TestAnOwnPriceOfTheFutureFollowsTheListUntilThen(t *testing.T) {
	t.Parallel()
	from := day().AddDate(0, 3, 0)
	b := pricing.NewBook(pricing.Default().With([]pricing.Price{{Model: "mistral-small-latest", Input: 1, Output: 1, From: from}}), global)
	b.Learn(day(), []pricing.Card{{ID: "mistral-small-latest", Name: "mistral-medium-3-5"}})
	if got := b.Resolve("mistral-small-latest", day()); got != "mistral-medium-3-5" {
		t.Errorf("before it counts: got %s", got)
	}
	if got := b.Resolve("mistral-small-latest", from); got != "mistral-small-latest" {
		t.Errorf("when it counts: got %s", got)
	}
}

// TestABookThatFollowsListsTrustsNoOldOne: an alias may have moved since, and an id that a list leaves out is billed all the same.
func TestABookThatFollowsListsTrustsNoOldOne(t *testing.T) {
	t.Parallel()
	b := book(global)
	b.Follow()
	known := func(model string, at time.Time) bool {
		_, ok := b.Lookup(model, at)
		return ok
	}
	if known("mistral-small-latest", day()) || !known("mistral-small-2603", day()) {
		t.Error("before the first list an alias is known, or an id of the table is not")
	}
	b.Learn(day(), []pricing.Card{{ID: "mistral-small-latest", Name: "mistral-medium-3-5"}, {ID: "mistral-embed", Name: "mistral-embed"}})
	if got := b.Resolve("mistral-small-latest", day()); got != "mistral-medium-3-5" || !known("mistral-small-latest", day().Add(59*time.Minute)) {
		t.Errorf("after a list: %s", got)
	}
	if known("mistral-small-latest", day().Add(time.Hour)) || !known("mistral-embed", day().Add(time.Hour)) {
		t.Error("by a list that is too old an alias is known, or an id of the table is not")
	}
	b.Learn(day().Add(2*time.Hour), []pricing.Card{{ID: "mistral-embed", Name: "mistral-embed"}})
	if got := b.Resolve("mistral-small-latest", day().Add(2*time.Hour)); got != "mistral-medium-3-5" {
		t.Errorf("an id that the newest list leaves out stands for %s, want what it stood for", got)
	}
	cost, ok := b.Charge(pricing.Usage{Prompt: 1}, "mistral-small-latest", day().Add(9*time.Hour))
	if dearest, _ := b.Charge(pricing.Usage{Prompt: 1}, "nobody-knows", day()); ok || cost != dearest {
		t.Errorf("what nobody knows any more costs %s, %v, want the dearest %s", cost, ok, dearest)
	}
}
