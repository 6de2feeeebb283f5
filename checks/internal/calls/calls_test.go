package calls_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

func measured(r checks.Result, name string) (values []float64) {
	for _, m := range r.Measurements {
		if m.Name == name {
			values = append(values, m.Value)
		}
	}
	return values
}

func TestAShareIsMeasuredOnlyWhereTheHeadersMakeSense(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit, remaining int64
		share            float64 // -1: none
	}{
		"a quarter":              {100, 25, 0.25},
		"nothing left":           {100, 0, 0},
		"no allowance":           {0, 0, -1},
		"limit not said":         {-1, 5, -1},
		"rest not said":          {100, -1, -1},
		"more left than allowed": {5, math.MaxInt64, -1},
	} {
		call := mistral.Call{Status: http.StatusOK, Limits: []mistral.RateLimit{{Resource: "requests", Window: "minute", Limit: tc.limit, Remaining: tc.remaining}}}
		got := measured(calls.Result(t.Context(), &call), "probe.llm.rate_limit.share")
		if tc.share < 0 && len(got) > 0 || tc.share >= 0 && (len(got) != 1 || got[0] != tc.share) {
			t.Errorf("%s: got %v, want %v", name, got, tc.share)
		}
	}
}

func TestTheQueryCostIsHeldAgainstTheUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		counted int64
		told    *mistral.Usage
		want    []float64 // the difference
		found   bool
	}{
		"as recorded in 2025":   {107, &mistral.Usage{PromptTokens: 11, CompletionTokens: 96}, []float64{0}, false},
		"a few marks more":      {24, &mistral.Usage{PromptTokens: 15, CompletionTokens: 1}, []float64{8}, false},
		"a tenth of a long one": {1100, &mistral.Usage{PromptTokens: 1000}, []float64{100}, false},
		"twice as much":         {32, &mistral.Usage{PromptTokens: 15, CompletionTokens: 1}, []float64{16}, true},
		"less than told":        {10, &mistral.Usage{PromptTokens: 900, CompletionTokens: 100}, []float64{-990}, true},
		"not counted":           {0, &mistral.Usage{PromptTokens: 15}, nil, false},
		"not told":              {107, nil, nil, false},
	} {
		r := checks.Pass("")
		calls.CheckQueryCost(&r, &mistral.Call{QueryCost: tc.counted}, tc.told)
		got := measured(r, "probe.llm.query_cost.difference")
		if len(got) != len(tc.want) || len(got) == 1 && got[0] != tc.want[0] || len(r.Evidence) > 0 != tc.found {
			t.Errorf("%s: difference %v, evidence %+v, want %v and found %v", name, got, r.Evidence, tc.want, tc.found)
		}
	}
}

func TestTypicalIsBetweenNothingAndTheWorst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, bill := range []calls.Bill{
		{Model: "mistral-small-latest", PromptBytes: 32, MaxTokens: 16},
		{Model: "mistral-small-latest", PromptBytes: 60_000, MaxTokens: 32_768},
		{Model: "mistral-embed", PromptBytes: 80},
		{Model: "nobody-knows", PromptBytes: 4, MaxTokens: 1},
	} {
		bill.Prices = pricing.NewBook(pricing.Default(), "")
		typical, _ := bill.Typical(now)
		if worst, _ := bill.Worst(now); typical <= 0 || typical > worst {
			t.Errorf("%s: typical %s, worst %s", bill.Model, typical, worst)
		}
	}
}

func TestAProviderOfAnotherSortIsRefused(t *testing.T) {
	t.Parallel()
	type speaker interface{ Speak() }
	if _, err := calls.Lent[speaker](checks.Env{Provider: 7}, "speak"); err == nil || err.Error() != "the provider is a int, which cannot speak" {
		t.Errorf("got %v", err)
	}
	if provider, err := calls.Lent[speaker](checks.Env{}, "speak"); provider != nil || err != nil {
		t.Errorf("nothing lent: %v, %v", provider, err)
	}
}

func TestAnIdOfAModelIsOneShortLine(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"mistral-small-latest": true, "ft:mistral-small:1234abcd:20260101:name": true, strings.Repeat("a", 100): true,
		"": false, " a": false, "a ": false, "a\nb": false, "a\x1bb": false, "a\xffb": false, strings.Repeat("a", 101): false,
	} {
		if got := calls.IsModel(id); got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}
