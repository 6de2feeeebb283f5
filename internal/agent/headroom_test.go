package agent_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
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
	paused := func() bool {
		c := check(running.Health(t.Context()), "chat")
		return c.Status == checks.Skipped && c.Cause == checks.CauseHeadroom && strings.Contains(c.Summary, "of 20 requests are left per minute")
	}
	h.until("paid checks pause", paused)
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
	if !paused() {
		t.Errorf("after the restart: %+v", check(running.Health(t.Context()), "chat"))
	}
}
