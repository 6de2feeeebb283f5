package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

// TestFault04KilledInMidWriteTheAgentLosesNoRecord kills the agent at random moments while forty checks a second are
// written; whatever any exporter was given is in the store afterwards, and every slot is told once, those that were going
// on or overlapped included. In `make test-faults` two hundred times.
func TestFault04KilledInMidWriteTheAgentLosesNoRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var more strings.Builder
	for i := range 40 {
		fmt.Fprintf(&more, "  - {name: load-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, with: {}}\n", i)
	}
	w.apply(t, simulator.Fault{Route: "models", Latency: 10 * time.Second}) // divided by 100
	for i := range 10 {                                                     // each waits for its confirmation while the next slot comes
		overlap := []string{"skip", "queue"}[i%2]
		fmt.Fprintf(&more, "  - {name: again-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, confirm: 950ms, overlap: %s, with: {expect: [nobody]}}\n", i, overlap)
	}
	w.Write(strings.Replace(w.config("", "concurrency: {global: 64, per_host: 64}\n"), "exporters:\n", more.String()+"exporters:\n", 1))
	for i := range kills {
		lines := func() int64 {
			info, err := os.Stat(filepath.Join(w.Dir, "stdout"))
			if err != nil {
				return 0
			}
			return info.Size()
		}
		before := lines()
		p := w.Start()
		w.Until("records", func() bool { return lines() > before })
		life := []int{2000, 400, 400, 400}[i%4] // in milliseconds, at most
		pause(time.Duration(rand.IntN(life)) * time.Millisecond)
		p.End(syscall.SIGKILL)
	}
	p := w.Start()
	w.UntilReady()
	w.Until("outcomes of the slow checks", func() bool { return len(w.Of("again-0")) > 1 && len(w.Of("again-1")) > 1 })
	if h := w.Health(); !h.Store.OK || h.Store.CorruptMoved != "" || h.Store.RingDropped > 0 {
		t.Errorf("the store after %d kills: %+v", kills, h.Store)
	}
	p.Stop()
	stored, all := map[string]int{}, w.Stored()
	for _, r := range all {
		if stored[r.ID]++; stored[r.ID] > 1 {
			t.Errorf("record %s is stored twice", r.ID)
		}
	}
	tiled(t, all, "load-", time.Second)
	tiled(t, all, "again-", time.Second)
	told, lost := w.Reports(), 0
	for _, r := range told {
		if stored[r.ID] == 0 {
			lost++
		}
	}
	if lost > 0 || len(told) == 0 {
		t.Errorf("%d of %d records that were exported are not in the store", lost, len(told))
	}
	t.Logf("%d kills, %d records", kills, len(stored))
}

// TestFault05ADamagedStateFileNeverKeepsTheAgentFromStarting: it is moved aside, told, and the agent begins clean. One of
// a newer version is not touched.
func TestFault05ADamagedStateFileNeverKeepsTheAgentFromStarting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	w.Until("a few records", func() bool { return len(w.Of("chat")) > 1 })
	p.Stop()
	file := filepath.Join(w.State, "windsock.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		for _, suffix := range []string{"-wal", "-shm"} {
			_ = os.Remove(file + suffix)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, damaged := range map[string][]byte{
		"cut in the middle": whole[:len(whole)/2],
		"bytes flipped":     flipped(whole),
		"not a database":    []byte(strings.Repeat("this is no database\n", 500)),
	} {
		write(damaged)
		p := w.Start()
		w.UntilReady()
		if h := w.Health(); !h.Store.OK || h.Store.CorruptMoved == "" || w.Problem("store") == "" {
			t.Errorf("%s: store %+v, want it moved aside, told, and working", name, h.Store)
		}
		w.Next("chat")
		p.Stop()
	}
	future := append([]byte(nil), whole...)
	copy(future[60:64], []byte{0, 0, 0, 99}) // user_version, in SQLite's header
	write(future)
	if code := w.Start().Wait(); code != 1 {
		t.Errorf("a database of a newer version: exit code %d, want 1", code)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != string(future) {
		t.Errorf("the database of a newer version was touched (%v)", err)
	}
}

// flipped is data with bits turned over in every page but the first, and in the first behind its header.
func flipped(data []byte) []byte {
	out := append([]byte(nil), data...)
	for at := 110; at < len(out); at += 97 {
		out[at] ^= 0xff
	}
	return out
}
