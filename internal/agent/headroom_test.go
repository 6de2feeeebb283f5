package agent_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// post sends a body to the simulator, as an operator or an application would, and returns the status.
func (h *host) post(path, body string) int {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "http://"+h.provider+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer the-application")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestTheLastRequestsAreTheApplications: of twenty requests a minute the monitor leaves one to the application, over a
// restart too, and the free list goes on.
func TestTheLastRequestsAreTheApplications(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change(`schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model`, `schedule: "@every 1s", timeout: 900ms, missed: skip, run_at_start: true, with: {model`)
	if got := h.post("/admin/faults", `{"route":"chat","quota":{"requests_per_minute":20}}`); got != http.StatusCreated {
		t.Fatalf("the simulator answers %d", got)
	}
	const ask = `{"model":"mistral-small-latest","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}`
	for range 16 { // the application's own
		if got := h.post("/v1/chat/completions", ask); got != http.StatusOK {
			t.Fatalf("the application was answered %d", got)
		}
	}
	running, _, stop := h.start()
	pausing := func() bool {
		c := check(running.Health(t.Context()), "chat")
		return c.Status == checks.Skipped && c.Cause == checks.CauseHeadroom && strings.Contains(c.Summary, "of 20 requests are left per minute")
	}
	h.until("paid checks pause", pausing)
	if got := h.post("/v1/chat/completions", ask); got != http.StatusOK {
		t.Errorf("the application's last request was answered %d", got)
	}
	health := running.Health(t.Context())
	said := false
	for _, p := range health.Problems {
		said = said || p.Part == "headroom of mistral"
	}
	if models := check(health, "models"); !said || models.Status != checks.OK {
		t.Errorf("the problems are %v, the free list is %s", health.Problems, models.Status)
	}
	stop()
	running, _, _ = h.start()
	h.until("a run after the restart", func() bool {
		return running.Health(t.Context()).Schedule.Done+running.Health(t.Context()).Schedule.Skipped > 2
	})
	if !pausing() {
		t.Errorf("after the restart: %+v", check(running.Health(t.Context()), "chat"))
	}
}

// left has the simulator answer for a model that so many of a hundred requests are left of the month.
func (h *host) left(model string, remaining int) {
	h.t.Helper()
	fault := fmt.Sprintf(`{"model":%q,"headers":{"X-Ratelimit-Limit-Req-Month":"100","X-Ratelimit-Remaining-Req-Month":"%d"}}`, model, remaining)
	if got := h.post("/admin/faults", fault); got != http.StatusCreated {
		h.t.Fatalf("the simulator answers %d", got)
	}
}

// billed is how often a model was called.
func (h *host) billed(model string) int64 {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.provider+"/admin/stats", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var stats simulator.Stats
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil {
		h.t.Fatal(err)
	}
	return stats.Billed[model].Calls
}

func paused(t *testing.T, running *agent.Agent, name string) bool {
	t.Helper()
	c := check(running.Health(t.Context()), name)
	return c.Status == checks.Skipped && c.Cause == checks.CauseHeadroom
}

// TestALimitOfOneModelPausesTheChecksOfThatModelOnly: rate limits may be per model.
func TestALimitOfOneModelPausesTheChecksOfThatModelOnly(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("exporters:", `  - {name: other, kind: chat, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model: ministral-3b-2512}}
exporters:`)
	h.left("mistral-small-latest", 1)
	h.left("ministral-3b-2512", 98)
	running, _, stop := h.start()
	h.until("the model with 1 % left pauses", func() bool { return paused(t, running, "chat") })
	low, high := h.billed("mistral-small-2603"), h.billed("ministral-3b-2512")
	h.until("the model with 98 % left goes on", func() bool { return h.billed("ministral-3b-2512") >= high+3 })
	if got := h.billed("mistral-small-2603"); got != low || !paused(t, running, "chat") {
		t.Errorf("the model with 1 %% left was called %d times more, paused: %v", got-low, paused(t, running, "chat"))
	}
	if paused(t, running, "other") {
		t.Error("the model with 98 % left was skipped")
	}
	stop()
	if view, err := agent.SeenModels(t.Context(), h.config(), h.getenv); err != nil || !has(view, "mistral-small-latest", 1) || !has(view, "ministral-3b-2512", 98) {
		t.Errorf("the limits that are remembered: %+v, %v", view, err)
	}
}

func has(view *agent.ModelsView, model string, remaining int64) bool {
	for _, l := range view.Limits {
		if l.Provider == "mistral" && l.Model == model && l.Window.Window == "month" && l.Remaining == remaining {
			return true
		}
	}
	return false
}

// TestAnotherBaseURLIsAnotherAccount: neither a reload nor a restart carries limits over to it.
func TestAnotherBaseURLIsAnotherAccount(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(h *host, to string) *agent.Agent{
		"reload": func(h *host, to string) *agent.Agent {
			running, reload, _ := h.start()
			h.until("paid checks pause", func() bool { return paused(h.t, running, "chat") })
			h.change(h.provider, to)
			reload <- os.Signal(syscall.SIGHUP)
			return running
		},
		"restart": func(h *host, to string) *agent.Agent {
			running, _, stop := h.start()
			h.until("paid checks pause", func() bool { return paused(h.t, running, "chat") })
			stop()
			h.change(h.provider, to)
			running, _, _ = h.start()
			return running
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, other := newHost(t), newHost(t)
			h.left("mistral-small-latest", 1)
			running := move(h, other.provider)
			h.until("the other provider is asked", func() bool {
				return other.billed("mistral-small-2603") > 0 && check(running.Health(t.Context()), "chat").Status == checks.OK
			})
		})
	}
}
