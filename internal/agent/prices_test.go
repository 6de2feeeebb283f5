package agent_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
)

// TestAnAliasIsFollowedWithoutAModelsCheck: what a call costs follows the provider's list, which the agent makes where no
// check does.
func TestAnAliasIsFollowedWithoutAModelsCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the agent makes the list": `  - {name: chat2, kind: chat, schedule: "@every 1h", timeout: 900ms, with: {model: mistral-small-latest}}`,
		"another check makes it":   `  - {name: keys, kind: credentials, schedule: "@every 1h", timeout: 900ms, run_at_start: true}`,
		"there is a second key":    `  - {name: keys, kind: credentials, schedule: "@every 1s", timeout: 900ms, run_at_start: true}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change(`  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {expect: [mistral-small-latest]}}`, change)
			if name == "there is a second key" { // of an account that may use one model only
				other := elsewhere(t, `{"object":"list","data":[{"id":"mistral-embed","name":"mistral-embed","capabilities":{},"type":"base"}]}`, h.provider)
				h.change(`"http://`+h.provider+`", api_key: {env: KEY}`, `"`+other+`", api_key: {env: KEY}, fallback_api_key: {env: SECOND}`)
				h.env["SECOND"] = "second-0123456789"
			}
			if got := h.post("/admin/faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"mistral-large-2512"}}`); got != http.StatusCreated {
				t.Fatalf("the simulator answers %d", got)
			}
			running, _, stop := h.start()
			h.until("a second result of the chat", func() bool { return running.Health(t.Context()).Schedule.Done > 2 })
			stop()
			cfg, err := h.load()
			if err != nil {
				t.Fatal(err)
			}
			prices, warnings := agent.PricesOf(t.Context(), cfg, h.registry(), h.getenv)
			if len(prices) != 1 || prices[0].As != "mistral-large-2512" || prices[0].Input == nil || *prices[0].Input != 0.5 || len(warnings) != 0 {
				t.Errorf("priced as %+v, warnings %v", prices, warnings)
			}
		})
	}
}

// TestARunByHandIsPricedByAFreshList: it has no agent around it that followed the aliases.
func TestARunByHandIsPricedByAFreshList(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.post("/admin/faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"mistral-large-2512"}}`)
	cfg, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	once, err := agent.New(t.Context(), h.options(cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = once.Close() }()
	err = once.Once(t.Context(), []string{"chat"}, func(r *checks.Report) {
		want := checks.PicoUSD(500_000*r.Usage.PromptTokens + 1_500_000*r.Usage.CompletionTokens)
		if r.Usage == nil || r.Usage.Cost != want {
			t.Errorf("booked %+v, want %s", r.Usage, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// elsewhere is the simulator, but for the models list of the second key.
func elsewhere(t *testing.T, list, simulator string) string {
	t.Helper()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: simulator}) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" && strings.Contains(r.Header.Get("Authorization"), "second-") {
			_, _ = io.WriteString(w, list)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestWhatTheApplicationSpendsIsPricedByAFreshList: also where no check calls a model.
func TestWhatTheApplicationSpendsIsPricedByAFreshList(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	log := filepath.Join(h.dir, "usage.jsonl")
	record := func(ago time.Duration) string {
		return fmt.Sprintf(`{"ts":%d,"model":"mistral-small-latest","usage":{"prompt_tokens":1000000,"completion_tokens":0}}`+"\n", time.Now().Add(-ago).Unix())
	}
	if err := os.WriteFile(log, []byte(record(2*time.Hour)+record(0)), 0o600); err != nil {
		t.Fatal(err)
	}
	h.change(`  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {expect: [mistral-small-latest]}}
  - {name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model: mistral-small-latest}}`,
		`  - {name: spend, kind: spend, schedule: "@every 1s", timeout: 900ms, with: {above_per_hour: 0.4, sources: [{usage_log: {path: `+log+`}}]}}`)
	h.post("/admin/faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"mistral-large-2512"}}`)
	running, _, _ := h.start()
	h.until("the million tokens cost half a dollar", func() bool {
		c := check(running.Health(t.Context()), "spend")
		return c.Status == checks.Degraded && strings.Contains(c.Summary, "$0.50 in the last hour")
	})
}

// TestOnlyModelsThatAreCalledPause: what is left of another's limit is told, and keeps nothing from running.
func TestOnlyModelsThatAreCalledPause(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.post("/admin/faults", `{"route":"chat","quota":{"requests_per_minute":2}}`)
	running, reload, _ := h.start()
	paused := func() bool {
		for _, p := range running.Health(t.Context()).Problems {
			if p.Part == "headroom of mistral" {
				return true
			}
		}
		return false
	}
	h.until("paid checks pause", paused)
	h.change("kind: chat, schedule: \"@every 1s\", timeout: 900ms, run_at_start: true, with: {model: mistral-small-latest}", "kind: embeddings, schedule: \"@every 1s\", timeout: 900ms, with: {model: mistral-embed}")
	reload <- syscall.SIGHUP
	h.until("no check that is left pauses", func() bool { return check(running.Health(t.Context()), "chat").Kind == "embeddings" && !paused() })
}

// TestWhereNoListAnswersAliasesCountAsTheDearest: and the list is not asked for without end.
func TestWhereNoListAnswersAliasesCountAsTheDearest(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.post("/admin/faults", `{"route":"models","error":"internal"}`)
	h.post("/admin/faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"mistral-large-2512"}}`)
	once, err := agent.New(t.Context(), h.options(h.config()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = once.Close() }()
	err = once.Once(t.Context(), []string{"chat", "chat", "chat"}, func(r *checks.Report) {
		if u := r.Usage; r.Status != checks.OK || u == nil || u.PriceKnown || u.Cost < checks.PicoUSD(1_500_000*u.PromptTokens+7_500_000*u.CompletionTokens) {
			t.Errorf("%s %s, booked %+v", r.Status, r.Summary, u)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Requests map[string]map[string]int `json:"requests"`
	}
	h.stats(&stats)
	if got := stats.Requests["models"]["500"]; got != 1 {
		t.Errorf("the list was asked for %d times, want once", got)
	}
}

// TestAFallbackKeyTeachesNoPrices: its account may be allowed less.
func TestAFallbackKeyTeachesNoPrices(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := elsewhere(t, `{"object":"list","data":[{"id":"mistral-small-latest","name":"ministral-3b-2512","capabilities":{"completion_chat":true},"type":"base"}]}`, h.provider)
	h.change(`"http://`+h.provider+`", api_key: {env: KEY}`, `"`+other+`", api_key: {env: KEY}, fallback_api_key: {env: SECOND}, failover: true`)
	h.env["SECOND"] = "second-0123456789"
	once, err := agent.New(t.Context(), h.options(h.config()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = once.Close() }()
	runs := func(want string) {
		t.Helper()
		if err := once.Once(t.Context(), []string{"models", "chat"}, func(r *checks.Report) {
			if r.Check == "chat" && (r.Usage == nil || r.Facts["key_used"] != want || r.Usage.Cost != checks.PicoUSD(150_000*r.Usage.PromptTokens+600_000*r.Usage.CompletionTokens)) {
				t.Errorf("%s %s by %q, booked %+v", r.Status, r.Summary, r.Facts["key_used"], r.Usage)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	runs("")
	h.post("/admin/keys", `{"revoke":"k-0123456789"}`)
	runs("fallback")
}
