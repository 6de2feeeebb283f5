package agent_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/store"
)

// A run remembers that an alias moved, and the agent is killed before the record of the run is kept: the next agent tells it,
// and once.
func TestAMoveIsToldWhereItsRunWasKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	run := func(times int) {
		running, _, stop := h.start()
		var last time.Time
		for range times {
			h.until("another list", func() bool {
				c := check(running.Health(t.Context()), "models")
				if c.Status == checks.Failed || !c.LastRun.After(last) {
					return false
				}
				last = c.LastRun
				return true
			})
		}
		stop()
	}
	moves := func(kept *store.Store) int {
		samples, err := kept.History("models").Since(t.Context(), "probe.llm.model.moves", time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return len(samples)
	}
	run(1)
	if got := h.post("/admin/faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"ministral-14b-2512"}}`); got != http.StatusCreated {
		t.Fatalf("the simulator answers %d", got)
	}

	kept := opened(t, filepath.Join(h.dir, "state"))
	book := pricing.NewBook(pricing.Default(), "")
	book.Learn(time.Now(), []pricing.Card{{ID: "mistral-small-latest", Name: "ministral-14b-2512"}})
	killed, err := models.New(models.Params{Expect: []string{"mistral-small-latest"}}, checks.Env{
		Provider: mistraltest.Client(t, "http://"+h.provider, checktest.Secret("k-0123456789")),
		Prices:   book, Memory: kept.Memory("models"), History: kept.History("models"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := killed.Run(t.Context()); err != nil || r.Status != checks.Degraded {
		t.Fatalf("got %+v, %v, want the move", r, err)
	}
	if got := moves(kept); got != 0 {
		t.Fatalf("%d moves are recorded before the kill, want none", got)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}

	run(4)
	kept = opened(t, filepath.Join(h.dir, "state"))
	defer func() { _ = kept.Close() }()
	if got := moves(kept); got != 1 {
		t.Errorf("%d moves are recorded, want 1", got)
	}
}
