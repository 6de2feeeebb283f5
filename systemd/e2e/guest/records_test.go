//go:build e2e

package guest_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// more waits until records arrive at the sink that have not been there.
func (w *world) more() {
	w.t.Helper()
	before := w.sink.Events()
	w.until("records at the sink", func() bool { return w.sink.Events() > before+1 })
}

// printed are the ids of the records that the stdout exporter has written to the journal.
func (w *world) printed() map[string]bool {
	w.t.Helper()
	w.run("journalctl", "--sync")
	ids := map[string]bool{}
	for line := range strings.Lines(w.run("journalctl", "-q", "-o", "cat", "-u", unit, "-a")) {
		var r checks.Record
		if strings.HasPrefix(line, `{"type":`) && json.Unmarshal([]byte(line), &r) == nil && r.ID != "" {
			ids[r.ID] = true
		}
	}
	return ids
}

// stored are the records in the store of the agent, which must have ended. It works on a copy.
func (w *world) stored() []checks.Record { w.t.Helper(); return w.storedIn(stateDir) }

func (w *world) storedIn(dir string) []checks.Record {
	w.t.Helper()
	copied := filepath.Join(w.t.TempDir(), "state")
	w.run("cp", "-a", dir, copied)
	s, err := store.Open(w.t.Context(), store.Options{Dir: copied, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if kept := s.Health(); !kept.OK {
		w.t.Fatalf("the store: %s", kept.Problem)
	}
	var out []checks.Record
	if err := s.Each(w.t.Context(), 0, func(e delivery.Entry) error { out = append(out, e.Record); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// delivered wants every record of the store to have reached the sink, and each to be in the store once.
func (w *world) delivered(records []checks.Record) {
	w.t.Helper()
	got, lost, times := w.sink.IDs(), 0, map[string]int{}
	for _, r := range records {
		if times[r.ID]++; got[r.ID] == 0 {
			lost++
		}
	}
	if lost > 0 || len(records) == 0 {
		w.t.Errorf("%d of %d records of the store never reached the sink", lost, len(records))
	}
	if len(times) != len(records) {
		w.t.Errorf("%d records of the store have %d ids", len(records), len(times))
	}
	var strange []string
	for id := range got {
		if times[id] == 0 {
			strange = append(strange, id)
		}
	}
	if len(strange) > 0 {
		w.t.Errorf("%d records reached the sink and are not in the store, %s among them", len(strange), strange[0])
	}
}

// kept wants every one of the ids to be in the store.
func (w *world) kept(ids map[string]bool, records []checks.Record) {
	w.t.Helper()
	in := map[string]bool{}
	for _, r := range records {
		in[r.ID] = true
	}
	var lost []string
	for id := range ids {
		if !in[id] {
			lost = append(lost, id)
		}
	}
	if len(lost) > 0 {
		w.t.Errorf("%d records were printed and are not in the store, %s among them", len(lost), lost[0])
	}
}

// drained waits until the collector's exporter has nothing left to deliver but what is just being made.
func (w *world) drained() {
	w.t.Helper()
	w.until("the exporter to have caught up", func() bool {
		for _, e := range w.health().Exporters {
			if e.Name == "collector" {
				return e.Queue < 5 && e.Problem == ""
			}
		}
		return false
	})
}

// of are the reports of one check that are final and stand for a slot, in order.
func of(records []checks.Record, check string) []*checks.Report {
	var out []*checks.Report
	for _, r := range records {
		if r.Report != nil && r.Report.Check == check && r.Report.Final {
			out = append(out, r.Report)
		}
	}
	return out
}

// tiled wants the records of a check that runs each second to stand for every slot from its first to its last, once,
// whatever became of the process in between, and returns how many of them were missed.
func (w *world) tiled(records []checks.Record, check string) (missed int) {
	w.t.Helper()
	told := map[int]int{}
	var first time.Time
	for _, r := range of(records, check) {
		if r.Slots == 0 {
			continue
		}
		if first.IsZero() {
			first = r.ScheduledAt
		}
		slot := int(math.Round(r.ScheduledAt.Sub(first).Seconds()))
		for i := range r.Slots {
			told[slot+i]++
		}
		if r.Cause == checks.CauseMissed {
			missed += r.Slots
		}
	}
	if len(told) == 0 {
		w.t.Fatalf("no record of %s", check)
	}
	numbers := slices.Sorted(maps.Keys(told))
	for slot := numbers[0]; slot <= numbers[len(numbers)-1]; slot++ {
		if told[slot] != 1 {
			w.t.Errorf("%s: slot %d after %s is told %d times, want once", check, slot, first, told[slot])
		}
	}
	w.t.Logf("%s: %d slots, each told once, %d of them missed", check, len(numbers), missed)
	return missed
}
