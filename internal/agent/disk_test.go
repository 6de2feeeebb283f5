package agent_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/store"
)

// foresee is what the file says with these lines more.
func foresee(t *testing.T, h *host, more string) agent.DiskUse {
	t.Helper()
	before := h.text
	h.text += more
	cfg, err := h.load()
	h.text = before
	if err != nil {
		t.Fatal(err)
	}
	return agent.DiskOf(t.Context(), cfg, h.getenv)
}

func TestTheDiskThatAScheduleTakesIsForeseen(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	tests := map[string]struct {
		more, binds string
		days        float64
	}{
		"the size binds first":              {"", "max_size", 512.0 / 800},
		"the age does":                      {"store: {max_age: 1h}\n", "max_age", 1.0 / 24},
		"the age does, with room for a lot": {"store: {max_size: 1TiB, max_age: 30d}\n", "max_age", 30},
	}
	for name, test := range tests {
		got := foresee(t, h, test.more)
		if got.RecordsPerDay != 2*86400+1440 || got.Binds != test.binds || got.KeptDays < test.days/1.3 || got.KeptDays > test.days*1.3 || got.Measured || got.Free != 0 || got.NoRoom != "" {
			t.Errorf("%s: %+v, want %s after about %.2f days", name, got, test.binds, test.days)
		}
		if got.Most > got.MaxSize+16<<20 {
			t.Errorf("%s: %d bytes at most, above max_size", name, got.Most)
		}
	}
}

// TestTheDiskIsForeseenByWhatTheStoreHas compares with what the records of the store really take.
func TestTheDiskIsForeseenByWhatTheStoreHas(t *testing.T) {
	t.Parallel()
	for _, measurements := range []int{2, 10, 30, 60} {
		h := newHost(t)
		dir := filepath.Join(h.dir, "state")
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		empty := s.Health().Bytes
		var records []checks.Record
		for i := range 3000 {
			r := &checks.Report{ID: ulid.Make().String(), Check: []string{"models", "chat"}[i%2], Kind: "chat", ScheduledAt: time.Now(), StartedAt: time.Now(), Result: checks.Result{Status: checks.OK, Summary: "answered"}}
			for k := range measurements {
				r.Measurements = append(r.Measurements, checks.Measurement{Name: fmt.Sprintf("probe.llm.measurement_%d", k), Value: float64(i) / 7, Unit: "s"})
			}
			records = append(records, checks.OfReport(r))
		}
		if err := s.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		if err := s.Expire(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		took := float64(s.Health().Bytes-empty) / 3000
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		got := foresee(t, h, "")
		foreseen := float64(got.BytesPerDay) / float64(got.RecordsPerDay)
		if !got.Measured || got.Free <= 0 || got.Used < 3000*int64(took) || math.Abs(math.Log(foreseen/took)) > math.Log(1.45) {
			t.Errorf("%d measurements: a record took %.0f bytes, %.0f were foreseen (%+v)", measurements, took, foreseen, got)
		}
		t.Logf("%d measurements: a record took %.0f bytes, %.0f were foreseen", measurements, took, foreseen)
		if none := foresee(t, h, "store: {max_size: 100TiB, max_age: 2400000h}\n"); !strings.Contains(none.NoRoom, "MiB free") {
			t.Errorf("more than any disk has: %+v", none)
		}
	}
}

func TestAStoreThatCannotBeReadIsForeseenByAssumption(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("listen: 127.0.0.1:0", "listen: \"\"")
	cfg := h.config()
	cfg.StateDir = h.dir // a folder without a store
	var empty config.Config
	for _, c := range []*config.Config{cfg, &empty} {
		if got := agent.DiskOf(t.Context(), c, h.getenv); got.Measured || got.NoRoom != "" {
			t.Errorf("%+v", got)
		}
	}
}
