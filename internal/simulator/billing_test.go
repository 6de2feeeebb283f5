package simulator_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

const adminKey = "billing-key-0123456789"

// page asks for one page of billing with a key in x-api-key.
func (r *running) page(t *testing.T, method, name, key string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+"/v1/admin/"+name, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body json.RawMessage
	err = json.NewDecoder(resp.Body).Decode(&body)
	return reply{resp.StatusCode, resp.Header, body, err}
}

func TestBillingTakesAdminKeysOnly(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{Keys: map[string]bool{testKey: true}, AdminKeys: map[string]bool{adminKey: true, "off": false}})
	for _, name := range []string{"usage", "spend-limit", "rate-limit"} {
		want(t, name, r.page(t, http.MethodGet, name, adminKey).status, 200)
		want(t, name+" by bearer", r.do(t, http.MethodGet, "/v1/admin/"+name, adminKey, "").status, 200)
		for _, key := range []string{"", testKey, "off", "admin"} {
			got := r.page(t, http.MethodGet, name, key)
			want(t, name+" with "+key, got.status, 401)
			want(t, "detail", at(t, got.body, "detail"), "Invalid API Key")
		}
		want(t, "POST "+name, r.page(t, http.MethodPost, name, adminKey).status, 405)
	}
	want(t, "an admin key for inference", r.do(t, http.MethodGet, "/v1/models", adminKey, "").status, 401)
	want(t, "a page of nobody", r.page(t, http.MethodGet, "invoices", adminKey).status, 404)
	r.Revoke(adminKey)
	want(t, "a revoked key", r.page(t, http.MethodGet, "usage", adminKey).status, 401)

	open := start(t, simulator.Options{})
	want(t, "any admin key", open.page(t, http.MethodGet, "usage", "admin-1").status, 200)
	want(t, "any other key", open.page(t, http.MethodGet, "usage", "other").status, 401)
}

func TestBillingSaysWhatWasBilled(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	small := r.chat(t, ping)
	large := r.chat(t, strings.Replace(ping, "small", "large", 1))
	input := at(t, small.body, "usage", "prompt_tokens").(float64)
	output := at(t, small.body, "usage", "completion_tokens").(float64)

	usage := r.page(t, http.MethodGet, "usage", "admin").body
	items := func(group string) any {
		return at(t, usage, "completion", "models", "mistral-small-2603", group, 0, "value_paid")
	}
	want(t, "input", items("input"), input)
	want(t, "output", items("output"), output)
	want(t, "currency", at(t, usage, "currency"), "USD")
	month := time.Now().UTC().Format("2006-01")
	if start := at(t, usage, "start_date").(string); !strings.HasPrefix(start, month) {
		t.Errorf("the month begins at %s", start)
	}

	price := func(in, out float64, body []byte) float64 {
		return (at(t, body, "usage", "prompt_tokens").(float64)*in + at(t, body, "usage", "completion_tokens").(float64)*out) / 1e6
	}
	spent := price(0.15, 0.6, small.body) + price(0.5, 1.5, large.body)
	limits := r.page(t, http.MethodGet, "spend-limit", "admin").body
	if got := at(t, limits, "limits", "completion", "usage").(float64); got < spent*0.999999 || got > spent*1.000001 {
		t.Errorf("spent: got %v, want %v", got, spent)
	}
	want(t, "limit", at(t, limits, "limits", "completion", "usage_limit"), 1000)
	rates := r.page(t, http.MethodGet, "rate-limit", "admin").body
	want(t, "rate", at(t, rates, "requests_per_second"), 1000)
	want(t, "tokens", at(t, rates, "tokens_limits_by_model", "mistral-small-2603", "tokens_per_minute"), 2_000_000)
}

func TestBillingOfAnotherMonth(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	r.chat(t, ping)
	old := r.page(t, http.MethodGet, "usage?month=1&year=2024", "admin").body
	want(t, "start", at(t, old, "start_date"), "2024-01-01T00:00:00Z")
	if models := at(t, old, "completion", "models").(map[string]any); len(models) != 0 {
		t.Errorf("got %v", models)
	}
	for _, query := range []string{"month=13&year=2026", "month=1", "month=x&year=2026", "month=0&year=2026"} {
		want(t, query, r.page(t, http.MethodGet, "usage?"+query, "admin").status, 422)
	}
}

func TestFaultsOfBilling(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	r.apply(t, simulator.Fault{Route: simulator.RouteBilling, Error: "internal"})
	want(t, "billing", r.page(t, http.MethodGet, "usage", "admin").status, 500)
	want(t, "models", r.models(t).status, 200)
	r.Clear()
	r.apply(t, simulator.Fault{KeyRevoked: true, Route: simulator.RouteBilling})
	want(t, "revoked", r.page(t, http.MethodGet, "usage", "admin").status, 401)
}

func TestTheQueryCostIsTheTokensOfTheCall(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	got := r.chat(t, ping)
	total := at(t, got.body, "usage", "total_tokens").(float64)
	cost, err := strconv.Atoi(got.header.Get("x-ratelimit-tokens-query-cost"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "query cost", float64(cost), total)
}
