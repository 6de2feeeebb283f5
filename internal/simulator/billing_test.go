package simulator_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

const adminKey = "admin-of-the-tests"

func TestThePagesOfBillingTakeAdminKeysOnly(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{Keys: map[string]bool{testKey: true}, AdminKeys: map[string]bool{adminKey: true}})
	for _, page := range []string{"usage", "spend-limit", "rate-limit"} {
		path := "/v1/admin/" + page
		want(t, page, r.do(t, http.MethodGet, path, adminKey, "").status, http.StatusOK)
		want(t, page+" with an inference key", r.do(t, http.MethodGet, path, testKey, "").status, http.StatusUnauthorized)
		want(t, page+" without a key", r.do(t, http.MethodGet, path, "", "").status, http.StatusUnauthorized)
		want(t, page+" by POST", r.do(t, http.MethodPost, path, adminKey, "{}").status, http.StatusMethodNotAllowed)
	}
	want(t, "chat with an admin key", r.do(t, http.MethodPost, "/v1/chat/completions", adminKey, ping).status, http.StatusUnauthorized)
}

func TestTheBillIsWhatWasBilled(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	usage := func(query string) []byte { return r.do(t, http.MethodGet, "/v1/admin/usage"+query, adminKey, "").body }
	limits := func() []byte { return r.do(t, http.MethodGet, "/v1/admin/spend-limit", adminKey, "").body }
	want(t, "spent at first", at(t, limits(), "limits", "completion", "usage"), 0)

	answer := r.chat(t, ping).body
	prompt, _ := at(t, answer, "usage", "prompt_tokens").(float64)
	completion, _ := at(t, answer, "usage", "completion_tokens").(float64)
	page := usage("")
	want(t, "currency", at(t, page, "currency"), "USD")
	want(t, "input", at(t, page, "completion", "models", "mistral-small-2603", "input", 0, "value_paid"), prompt)
	want(t, "output", at(t, page, "completion", "models", "mistral-small-2603", "output", 0, "value_paid"), completion)
	spent, _ := at(t, limits(), "limits", "completion", "usage").(float64)
	want(t, "spent", fmt.Sprintf("%.8f", spent), fmt.Sprintf("%.8f", (prompt*15+completion*60)/1e8))

	models, _ := at(t, usage("?month=1&year=2024"), "completion", "models").(map[string]any)
	want(t, "models of another month", len(models), 0)
	want(t, "no month", r.do(t, http.MethodGet, "/v1/admin/usage?month=13&year=2024", adminKey, "").status, http.StatusUnprocessableEntity)
}

func TestTheQueryCostIsTheTokensOfTheCall(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	got := r.chat(t, ping)
	total, _ := at(t, got.body, "usage", "total_tokens").(float64)
	want(t, "query cost", got.header.Get("x-ratelimit-tokens-query-cost"), fmt.Sprintf("%.0f", total))
}
