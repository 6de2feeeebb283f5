package agent_test

import (
	"net/http"
	"testing"

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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change(`  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {expect: [mistral-small-latest]}}`, change)
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
