package agent_test

import (
	"net/http"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// TestARevokedKeyWithAndWithoutFailover: what the configuration says of the second key reaches the checks. Without failover
// a refused key is everybody's failure; with it the calls go on, and the check of the keys tells why.
func TestARevokedKeyWithAndWithoutFailover(t *testing.T) {
	t.Parallel()
	for failover, want := range map[string]checks.Status{"false": checks.Failed, "true": checks.OK} {
		t.Run("failover "+failover, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.env["FALLBACK"] = "k-fallback-4711"
			h.change("api_key: {env: KEY}", "api_key: {env: KEY}, fallback_api_key: {env: FALLBACK}, failover: "+failover)
			h.change("exporters:", `  - {name: keys, kind: credentials, schedule: "@every 1s", timeout: 900ms, run_at_start: true}
exporters:`)
			running, _, _ := h.start()
			all := func(chat, models, keys checks.Status) func() bool {
				return func() bool {
					health := running.Health(t.Context())
					return check(health, "chat").Status == chat && check(health, "models").Status == models && check(health, "keys").Status == keys
				}
			}
			h.until("all checks to be well", all(checks.OK, checks.OK, checks.OK))
			if got := h.post("/admin/keys", `{"revoke":"k-0123456789"}`); got != http.StatusNoContent {
				t.Fatalf("the simulator answers %d", got)
			}
			h.until("the revoked key to be seen", all(want, want, checks.Failed))
			h.until("the check of the keys to tell whose fault it is", func() bool {
				got := check(running.Health(t.Context()), "keys")
				return got.Summary == "the primary key is refused (401), the fallback key is accepted: the key is at fault, not the service"
			})
			if got := h.post("/admin/keys", `{"accept":"k-0123456789","revoke":"k-fallback-4711"}`); got != http.StatusNoContent {
				t.Fatalf("the simulator answers %d", got)
			}
			h.until("the dead second key to be seen", all(checks.OK, checks.OK, checks.Degraded))
		})
	}
}
