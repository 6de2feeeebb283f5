package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

// exported are the ids of what an export hands on.
func exported(t *testing.T, dir string, sel store.Selection) (got []string, done store.Exported) {
	t.Helper()
	done, err := store.Export(t.Context(), dir, sel, func(data []byte) error {
		var r checks.Record
		err := json.Unmarshal(data, &r)
		got = append(got, r.ID)
		return err
	})
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	return got, done
}

func TestAnExportHandsOnWhatWasAskedForInItsOrder(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var all []checks.Record
	for i := range 2000 { // times go up and down, positions only up
		r := report([]string{"chat", "list"}[i%2], noon.Add(time.Duration(i%7-i)*time.Second))
		if i%5 == 0 {
			r.Report.Status, r.Report.Cause = checks.Failed, checks.CauseTimeout
		}
		all = append(all, r)
	}
	all = append(all, transition("slow", 1))
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, all...)
	shut(t, s)
	tests := map[string]struct {
		sel  store.Selection
		want func(r checks.Record) bool
	}{
		"everything":       {store.Selection{}, func(checks.Record) bool { return true }},
		"one check":        {store.Selection{Checks: []string{"list"}}, func(r checks.Record) bool { return r.Report != nil && r.Report.Check == "list" }},
		"checks and state": {store.Selection{Checks: []string{"list", "chat"}, Statuses: []string{"failed"}}, func(r checks.Record) bool { return r.Report != nil && r.Report.Status == checks.Failed }},
		"a type":           {store.Selection{Types: []string{"alert"}}, func(r checks.Record) bool { return r.Alert != nil }},
		"since":            {store.Selection{Since: noon.Add(-time.Minute)}, func(r checks.Record) bool { return !r.At.Before(noon.Add(-time.Minute)) }},
		"a span": {store.Selection{Since: noon.Add(-time.Hour), Until: noon.Add(-time.Minute)}, func(r checks.Record) bool {
			return r.At.Before(noon.Add(-time.Minute)) && !r.At.Before(noon.Add(-time.Hour))
		}},
		"until": {store.Selection{Until: noon.Add(-time.Minute)}, func(r checks.Record) bool { return r.At.Before(noon.Add(-time.Minute)) }},
		"a time that was not": {
			store.Selection{Since: noon.Add(1000 * time.Hour)}, func(r checks.Record) bool { return r.At.After(noon.Add(1000 * time.Hour)) },
		},
		"a check that is not": {store.Selection{Checks: []string{"'; DROP TABLE records; --"}}, func(checks.Record) bool { return false }},
	}
	for name, test := range tests {
		var want []string
		for _, r := range all {
			if test.want(r) {
				want = append(want, r.ID)
			}
		}
		before := contents(t, dir)
		got, done := exported(t, dir, test.sel)
		same(t, name, got, want)
		if done.Records != int64(len(want)) || done.Damaged != 0 {
			t.Errorf("%s: %+v, want %d", name, done, len(want))
		}
		unchanged(t, dir, before)
	}
}

func TestAnExportLeavesOutWhatIsDamagedAndEndsWithItsReader(t *testing.T) {
	t.Parallel()
	closed, killed := filled(t, reports(20))
	dir := edit(t, closed, "UPDATE records SET data = replace(data, 'answered', 'lied') WHERE pos IN (3, 7)")
	got, done := exported(t, dir, store.Selection{})
	if len(got) != 18 || done.Damaged != 2 {
		t.Errorf("%d records, %+v; want 18 and 2 damaged", len(got), done)
	}
	if got, _ := exported(t, killed, store.Selection{}); len(got) != 20 {
		t.Errorf("of a store whose agent was killed %d records, want 20", len(got))
	}
	full := errors.New("no room")
	if _, err := store.Export(t.Context(), closed, store.Selection{}, func([]byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v, want the reader's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Export(ctx, closed, store.Selection{}, func([]byte) error { return nil }); err == nil {
		t.Error("an export that was given up says nothing")
	}
}

func TestAnExportBesideAnAgentThatWritesHoldsWhatWasThereOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	cmd, lines := spawn(t, "append", dir)
	taken := map[string]bool{}
	for range 6 {
		for range 30 {
			lines.Scan()
			var who int
			var id string
			if _, err := fmt.Sscanf(lines.Text(), "%d %s", &who, &id); err != nil {
				t.Fatal(err, lines.Text())
			}
			taken[id] = true
		}
		got, _ := exported(t, dir, store.Selection{})
		seen := map[string]int{}
		for _, id := range got {
			seen[id]++
		}
		for id := range taken {
			if seen[id] != 1 {
				t.Fatalf("record %s is there %d times, want once", id, seen[id])
			}
		}
	}
	kill(t, cmd, lines)
}

// TestWhatIsExportedIsAsTheSchemaOfARecordSays is about every type of record.
func TestWhatIsExportedIsAsTheSchemaOfARecordSays(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "record.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	full := fat(1)[0]
	full.Report.Labels, full.Report.Facts = map[string]string{"env": "prod"}, map[string]string{"request_id": "1"}
	full.Report.Status, full.Report.Cause, full.Report.Blame = checks.Failed, checks.CauseTimeout, checks.BlameProvider
	full.Report.Usage = &checks.Usage{Model: "m", PromptTokens: 1, CompletionTokens: 1, Cost: 5, PriceKnown: true, PriceDate: "2026-08-21"}
	alert := transition("slow", 1)
	alert.Alert.Fingerprint, alert.Alert.Severity, alert.Alert.Summary = "f", checks.P2, "slow"
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, full, report("a", now), alert, checks.Record{ID: "01M8GNGR19663XJGHC7B4G5ZAS", At: now, Agent: &checks.Snapshot{Version: "1", StartedAt: now, Measurements: []checks.Measurement{{Name: "a", Value: 1}}}})
	shut(t, s)
	n := 0
	_, err = store.Export(t.Context(), dir, store.Selection{}, func(data []byte) error {
		n++
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = schema.Validate(doc)
		}
		return err
	})
	if err != nil || n != 4 {
		t.Errorf("%d records: %v", n, err)
	}
}

// BenchmarkExport reads a million records from the disk; MB/s are of what it hands on.
func BenchmarkExport(b *testing.B) {
	dir := b.TempDir()
	s, err := store.Open(b.Context(), store.Options{Dir: dir, MaxBytes: 8 << 30})
	if err != nil {
		b.Fatal(err)
	}
	for range 1000 {
		if err := s.Append(b.Context(), fat(1000)...); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	for b.Loop() {
		var bytes int64
		var highest, before uint64
		n := 0
		sample := func() uint64 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before = sample()
		done, err := store.Export(b.Context(), dir, store.Selection{}, func(data []byte) error {
			if n++; n%50_000 == 0 {
				highest = max(highest, sample())
			}
			bytes += int64(len(data))
			_, err := io.Discard.Write(data)
			return err
		})
		if err != nil || done.Records != 1_000_000 {
			b.Fatal(done, err)
		}
		b.SetBytes(bytes)
		b.ReportMetric(float64(highest-min(highest, before))/(1<<20), "heap-MiB")
	}
}
