package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

func noon() time.Time { return time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC) }

func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func shut(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// ended waits for a Run.
func ended(t *testing.T, ran <-chan error) {
	t.Helper()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
}

func report(check string, at time.Time) checks.Record {
	return checks.OfReport(&checks.Report{
		ID: ulid.Make().String(), Check: check, Kind: "chat", Location: "lab", ScheduledAt: at, StartedAt: at,
		Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: checks.Result{
			Status: checks.OK, Summary: "answered",
			Measurements: []checks.Measurement{{Name: "probe.duration", Value: 0.25, Unit: "s"}},
		},
	})
}

func reports(n int) []checks.Record {
	now := time.Now()
	all := make([]checks.Record, n)
	for i := range all {
		all[i] = report("chat", now.Add(time.Duration(i)*time.Millisecond))
	}
	return all
}

func add(t *testing.T, s *store.Store, records ...checks.Record) {
	t.Helper()
	if err := s.Append(t.Context(), records...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func ids(records []checks.Record) []string {
	all := make([]string, 0, len(records))
	for _, r := range records {
		all = append(all, r.ID)
	}
	return all
}

// drain reads everything after a position the way an exporter does, and checks that the order holds.
func drain(t *testing.T, s *store.Store, after delivery.Position) (found []string, lost int64) {
	t.Helper()
	for {
		entries, missing, err := s.Read(t.Context(), after, 100)
		if err != nil {
			t.Fatalf("read after %d: %v", after, err)
		}
		if len(entries) == 0 {
			return found, lost
		}
		lost += missing
		for _, e := range entries {
			if e.Pos <= after {
				t.Fatalf("position %d came after %d", e.Pos, after)
			}
			after = e.Pos
			found = append(found, e.Record.ID)
		}
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRecordsComeBackInOrderAfterARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#%41&d")
	want := reports(2500)
	s := open(t, store.Options{Dir: dir})
	if s.Unclean() {
		t.Error("at the first start: Unclean is true, want false")
	}
	instance := s.Instance()
	add(t, s, want[:1200]...)
	add(t, s, want[1200:]...)
	got, lost := drain(t, s, 0)
	same(t, "before the restart", got, ids(want))
	shut(t, s)

	s = open(t, store.Options{Dir: dir})
	got, lost2 := drain(t, s, 0)
	same(t, "after the restart", got, ids(want))
	if lost+lost2 != 0 {
		t.Errorf("lost %d and %d, want 0", lost, lost2)
	}
	if s.Instance() != instance || s.Unclean() {
		t.Errorf("instance %q, unclean %v, want %q and a clean start", s.Instance(), s.Unclean(), instance)
	}
	entries, _, err := s.Read(t.Context(), 7, 1)
	if err != nil || len(entries) != 1 {
		t.Fatalf("read: %v, %v", entries, err)
	}
	same(t, "a record", entries[0].Record, roundTrip(t, want[7]))
	if h := s.Health(); !h.OK || h.Records != 2500 || h.Bytes == 0 || !h.LedgerWritable {
		t.Errorf("health %+v", h)
	}
	for name, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "windsock.db"): 0o600, filepath.Join(dir, "windsock.db-wal"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
}

func roundTrip(t *testing.T, r checks.Record) checks.Record {
	t.Helper()
	data, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back checks.Record
	if err := back.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestAppendsFromManyGoroutinesAreReadWithoutAGap(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	const writers, each = 16, 60
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				if err := s.Append(t.Context(), reports(1)...); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	// The reader follows live: a position that appears late would be missing at the end.
	seen, after := 0, delivery.Position(0)
	for seen < writers*each {
		changed := s.Changed()
		entries, lost, err := s.Read(t.Context(), after, 7)
		if err != nil || lost != 0 {
			t.Fatalf("read: lost %d, %v", lost, err)
		}
		if len(entries) == 0 {
			<-changed
			continue
		}
		seen += len(entries)
		after = entries[len(entries)-1].Pos
	}
	writing.Wait()
	if after != writers*each {
		t.Errorf("last position %d, want %d", after, writers*each)
	}
}

func TestADuplicateIDIsReportedAndTheOthersAreKept(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	r := reports(3)
	add(t, s, r[0])
	err := s.Append(t.Context(), r[1], r[0], r[2], checks.Record{ID: "empty"})
	if err == nil || !strings.Contains(err.Error(), r[0].ID) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("error %v, want one that names both bad records", err)
	}
	got, lost := drain(t, s, 0)
	same(t, "records", got, ids(r))
	if lost != 0 {
		t.Errorf("lost %d, want 0: a refused record takes no position", lost)
	}
}

func TestCursorsKeepPositionStateAndCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, reports(10)...)
	ctx := t.Context()
	fresh, err := s.Cursor(ctx, "late", false)
	if err != nil || fresh.Pos != 10 {
		t.Errorf("a new exporter at %d, %v; want 10", fresh.Pos, err)
	}
	replay, err := s.Cursor(ctx, "replay", true)
	if err != nil || replay.Pos != 0 {
		t.Errorf("a replaying exporter at %d, %v; want 0", replay.Pos, err)
	}
	for _, c := range []struct {
		cursor delivery.Cursor
		counts delivery.Counts
	}{
		{delivery.Cursor{Pos: 4, State: []byte("four")}, delivery.Counts{Sent: 3, Rejected: map[string]int64{"poison": 1}}},
		{delivery.Cursor{Pos: 6}, delivery.Counts{Sent: 1, Expired: map[string]int64{"max_age": 1}}},
	} {
		if err := s.Commit(ctx, "replay", c.cursor, c.counts); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir})
	got, err := s.Deliveries(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Delivery{
		{Exporter: "late", Cursor: delivery.Cursor{Pos: 10}},
		{Exporter: "replay", Cursor: delivery.Cursor{Pos: 6, State: []byte("four")}, Counts: delivery.Counts{
			Sent: 4, Rejected: map[string]int64{"poison": 1}, Expired: map[string]int64{"max_age": 1},
		}},
	}
	same(t, "deliveries", got, want)
	back, err := s.Cursor(ctx, "replay", true)
	same(t, "cursor", back, delivery.Cursor{Pos: 6, State: []byte("four")})
	if err != nil {
		t.Error(err)
	}
	n, oldest, err := s.Backlog(ctx, 6)
	if err != nil || n != 4 || oldest.IsZero() {
		t.Errorf("backlog %d since %v, %v; want 4", n, oldest, err)
	}
	if n, oldest, _ = s.Backlog(ctx, 10); n != 0 || !oldest.IsZero() {
		t.Errorf("backlog at the end: %d since %v", n, oldest)
	}
}

func TestMemoryStatesRunsAndHistorySurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := t.Context()
	s := open(t, store.Options{Dir: dir})
	if data, err := s.Memory("chat").Load(ctx); data != nil || err != nil {
		t.Errorf("memory at first: %q, %v", data, err)
	}
	a, b := report("chat", time.Now().Add(-2*time.Minute)), report("chat", time.Now().Add(-time.Minute))
	confirming := report("chat", time.Now())
	confirming.Report.Final = false
	manual := report("chat", time.Now().Add(time.Hour))
	manual.Report.Trigger, manual.Report.Final = checks.TriggerManual, false
	add(t, s, a, b, confirming, manual, report("other", time.Now()))
	for _, err := range []error{
		s.Memory("chat").Save(ctx, []byte("offset")), s.SaveState(ctx, "breaker/mistral", []byte("open")),
		s.SaveState(ctx, "gone", []byte("x")), s.SaveState(ctx, "gone", nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)

	s = open(t, store.Options{Dir: dir})
	for key, want := range map[string]string{"breaker/mistral": "open", "check/chat": "offset", "gone": ""} {
		if got, err := s.LoadState(ctx, key); string(got) != want || err != nil {
			t.Errorf("state %q: %q, %v; want %q", key, got, err, want)
		}
	}
	runs, err := s.LastRuns(ctx)
	if err != nil || !runs["chat"].Equal(b.Report.ScheduledAt.Truncate(time.Microsecond)) || len(runs) != 2 {
		t.Errorf("last runs %v, %v", runs, err)
	}
	last, err := s.LastRecords(ctx)
	if err != nil || len(last) != 2 || last[0].ID != b.ID || last[1].Report.Check != "other" {
		t.Errorf("last records %v, %v; want %s first", ids(last), err, b.ID)
	}
	samples, err := s.History("chat").Since(ctx, "probe.duration", b.At)
	if err != nil || len(samples) != 3 || samples[0].Value != 0.25 {
		t.Errorf("history %v, %v; want 3 samples", samples, err)
	}
}

func TestEachWalksTheWholeStore(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	want := reports(1300)
	add(t, s, want...)
	var got []string
	err := s.Each(t.Context(), 0, func(e delivery.Entry) error {
		got = append(got, e.Record.ID)
		if len(got) == 1 { // what is appended meanwhile is not part of the walk
			return s.Append(t.Context(), reports(1)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "records", got, ids(want))
	boom := errors.New("boom")
	if err := s.Each(t.Context(), 0, func(delivery.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v, want the function's own", err)
	}
}

func TestASecondAgentIsRefusedWithTheHoldersPID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Fatalf("error %v, want LockedError with pid %d", err, os.Getpid())
	}
	shut(t, s)
	open(t, store.Options{Dir: dir})
}

func TestAfterCloseNothingHangs(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	ran := make(chan error, 1)
	go func() { ran <- s.Run(t.Context()) }()
	add(t, s, reports(1)...)
	shut(t, s)
	if err := <-ran; err != nil && !errors.Is(err, store.ErrClosed) { // where Close came before it ran
		t.Errorf("run: %v", err)
	}
	if err := s.Append(t.Context(), reports(1)...); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append: %v, want ErrClosed", err)
	}
	if _, _, err := s.Read(t.Context(), 0, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read: %v, want ErrClosed", err)
	}
	if err := s.Expire(t.Context(), time.Now()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("expire: %v, want ErrClosed", err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("run: %v, want ErrClosed", err)
	}
	shut(t, s)
}

func TestWhatIsHandedOverIsKeptEvenWhereTheContextEnds(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := reports(1)
	if err := s.Append(ctx, want...); err != nil {
		t.Fatal(err)
	}
	got, _ := drain(t, s, 0)
	same(t, "records", got, ids(want))
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("from %d goroutines", writers), func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			b.SetParallelism(writers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Append(b.Context(), reports(1)...); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Append(b.Context(), reports(20_000)...); err != nil {
		b.Fatal(err)
	}
	for name, after := range map[string]delivery.Position{"the oldest": 0, "the newest": 19_500} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found, _, err := s.Read(b.Context(), after, 500); err != nil || len(found) != 500 {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

func TestAfterAKillTheLastRunsAreThoseOfTheLastRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for i := range 3 { // more often than the disk is told of runs
		add(t, s, report("a", noon.Add(time.Duration(i)*time.Minute)), report("b", noon.Add(time.Duration(-i)*time.Minute)))
	}
	byHand := report("a", noon.Add(time.Hour))
	byHand.Report.Trigger = checks.TriggerManual
	add(t, s, byHand)
	killed := open(t, store.Options{Dir: copyDir(t, dir), BootID: "one"})
	runs, err := killed.LastRuns(t.Context())
	if err != nil || len(runs) != 2 || !runs["a"].Equal(noon.Add(2*time.Minute)) || !runs["b"].Equal(noon) {
		t.Errorf("last runs %v, %v; want a at 12:02 and b at 12:00", runs, err)
	}
	last, err := killed.LastRecords(t.Context())
	if err != nil || len(last) != 2 || last[0].ID != byHand.ID || !last[1].At.Equal(noon.Add(-2*time.Minute)) {
		t.Errorf("last records %+v, %v; want the newest of each", last, err)
	}
}
