package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// billingPages are the pages of the Enterprise admin API, which say what the account was billed. They are read only.
func billingPages() []string {
	return []string{"/v1/admin/usage", "/v1/admin/spend-limit", "/v1/admin/rate-limit"}
}

// spendLimit is what the account may spend in a month, in US dollars.
const spendLimit = 1000

// tariff is what a million tokens cost, in cents. It is the simulator's own, by the price page of 2026-08-21, and does not
// follow the time.
type tariff struct{ input, output int64 }

func tariffOf(model string) tariff {
	known := map[string]tariff{
		"mistral-small-2603": {15, 60}, "mistral-medium-latest": {150, 750}, "mistral-large-2512": {50, 150}, "ministral-3b-2512": {10, 10},
		"ministral-8b-2512": {15, 15}, "ministral-14b-2512": {20, 20}, "codestral-2508": {30, 90}, "mistral-embed-2312": {10, 0},
		"codestral-embed": {15, 0},
	}
	if t, ok := known[model]; ok {
		return t
	}
	return tariff{40, 200}
}

// decimal is n hundred-millionths as a JSON number: a cent for a million tokens is as much for each.
func decimal(n int64) json.Number {
	return json.Number(fmt.Sprintf("%d.%08d", n/1e8, n%1e8))
}

// authorizeBilling takes admin keys only. What a refused one is told was reported, not recorded.
func (x *exchange) authorizeBilling() *failure {
	key, of := x.call.key, x.s.opts.AdminKeys
	accepted := of[key] || (len(of) == 0 && strings.HasPrefix(key, "admin"))
	if accepted && !x.fault.KeyRevoked && !x.s.isRevoked(key) {
		return nil
	}
	return &failure{status: http.StatusUnauthorized, shape: "detail", message: "Invalid API Key"}
}

func (s *Server) isRevoked(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revoked[Fingerprint(key)]
}

func (x *exchange) billing() {
	switch strings.TrimSuffix(x.r.URL.Path, "/") {
	case "/v1/admin/usage":
		x.usagePage()
	case "/v1/admin/spend-limit":
		spent := decimal(x.s.spent())
		x.reply(map[string]any{"limits": map[string]any{
			"completion": map[string]any{
				"no_monthly_limit": false, "monthly_limit_reached": false, "usage": spent, "vibe_usage": 0, "total_usage": spent, "usage_limit": spendLimit,
			},
			"last_payment_failure": false, "last_payment_failure_protection": nil, "currency": "USD",
		}})
	case "/v1/admin/rate-limit":
		x.reply(x.rateLimits())
	}
}

// spent is what was billed so far, in hundred-millionths of a dollar.
func (s *Server) spent() int64 {
	var sum int64
	for model, b := range s.Stats().Billed {
		t := tariffOf(model)
		sum += b.PromptTokens*t.input + b.CompletionTokens*t.output
	}
	return sum
}

func (x *exchange) rateLimits() map[string]any {
	byModel := map[string]any{}
	for _, id := range x.plan.world.ids {
		if m, retired := x.plan.world.find(id); !retired && m.Name == id {
			byModel[id] = map[string]any{"tokens_per_minute": tokensPerMinute, "tokens_per_month": tokensPerMonth}
		}
	}
	perMinute := x.s.opts.RequestsPerMinute
	if perMinute <= 0 {
		perMinute = DefaultRequestsPerMinute
	}
	return map[string]any{"requests_per_second": max(perMinute/60, 1), "tokens_limits_by_model": byModel}
}

// usagePage is the usage of a month, this one where none is named. All that was billed was billed in this one.
func (x *exchange) usagePage() {
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	if q := x.r.URL.Query(); q.Has("month") || q.Has("year") {
		m, badMonth := strconv.Atoi(q.Get("month"))
		year, badYear := strconv.Atoi(q.Get("year"))
		if badMonth != nil || badYear != nil || m < 1 || m > 12 || year < 2023 || year > 9999 {
			x.fail(unprocessable("value_error", "month", "Input should be a month and a year", nil))
			return
		}
		month = time.Date(year, time.Month(m), 1, 0, 0, 0, 0, time.UTC)
	}
	models, prices := map[string]any{}, []any{}
	if month.Year() == now.Year() && month.Month() == now.Month() {
		models, prices = billedItems(x.s.Stats().Billed, now)
	}
	none := map[string]any{"models": map[string]any{}}
	x.reply(map[string]any{
		"completion": map[string]any{"models": models}, "ocr": none, "connectors": none, "audio": none, "audio_characters": none, "chat": none,
		"libraries_api": map[string]any{"pages": none, "tokens": none, "audio_seconds": none},
		"fine_tuning":   map[string]any{"training": map[string]any{}, "storage": map[string]any{}},
		"vibe_code":     map[string]any{"completion": none, "ocr": none, "connectors": none, "audio": none, "audio_characters": none},
		"vibe_usage":    0, "date": now.Format(time.RFC3339), "previous_month": month.AddDate(0, -1, 0).Format("2006-01"), "next_month": nil,
		"start_date": month.Format(time.RFC3339), "end_date": month.AddDate(0, 1, 0).Add(-time.Second).Format(time.RFC3339),
		"currency": "USD", "currency_symbol": "$", "prices": prices,
	})
}

func billedItems(billed map[string]Billed, now time.Time) (models map[string]any, prices []any) {
	models, prices = map[string]any{}, []any{}
	for model, b := range billed {
		groups := map[string]any{}
		t := tariffOf(model)
		for _, g := range []struct {
			name     string
			n, price int64
		}{{"input", b.PromptTokens, t.input}, {"output", b.CompletionTokens, t.output}} {
			if g.n == 0 {
				continue
			}
			of := func(more map[string]any) map[string]any {
				more["event_type"], more["billing_metric"], more["billing_group"] = "api_tokens", model, g.name
				more["api_zone"], more["service_tier"] = "global", "standard"
				return more
			}
			groups[g.name] = []any{of(map[string]any{"billing_display_name": model, "timestamp": now.Format("2006-01-02"), "value": g.n, "value_paid": g.n})}
			prices = append(prices, of(map[string]any{"price": decimal(g.price).String()}))
		}
		models[model] = groups
	}
	return models, prices
}
