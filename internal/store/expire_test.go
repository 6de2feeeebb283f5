package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

func aged(n int, at time.Time) []checks.Record {
	all := make([]checks.Record, n)
	for i := range all {
		all[i] = report("chat", at)
	}
	return all
}

func TestRecordsExpireByAgeAndAreToldAsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	s := open(t, store.Options{Dir: dir, MaxAge: 24 * time.Hour})
	if _, err := s.Cursor(t.Context(), "slow", true); err != nil {
		t.Fatal(err)
	}
	young := aged(10, now)
	add(t, s, aged(600, now.Add(-25*time.Hour))...)
	add(t, s, young[:5]...)
	add(t, s, aged(1, now.Add(-30*time.Hour))...) // told late: as old as its time says
	add(t, s, young[5:]...)
	if err := s.Expire(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	entries, lost, err := s.Read(t.Context(), 0, 100)
	if err != nil || lost != 600 || len(entries) != 5 {
		t.Errorf("%d records, lost %d, %v; want 5 up to the gap and 600 lost", len(entries), lost, err)
	}
	got, lost := drain(t, s, 0)
	same(t, "records", got, ids(young))
	if h := s.Health(); lost != 601 || h.Expired != 601 || h.Records != 10 {
		t.Errorf("lost %d, health %+v; want 601 expired, 10 kept", lost, h)
	}
	if n, _, err := s.Backlog(t.Context(), 0); n != 10 || err != nil {
		t.Errorf("backlog %d, %v; want 10", n, err)
	}
	replay, err := s.Cursor(t.Context(), "new", true)
	if err != nil || replay.Pos != 600 {
		t.Errorf("a replaying exporter at %d, %v; want 600, before the oldest record", replay.Pos, err)
	}

	if err := s.Expire(t.Context(), now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "windsock.mark")); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir, MaxAge: 24 * time.Hour})
	fresh := aged(1, now)
	add(t, s, fresh...)
	entries, lost, err = s.Read(t.Context(), 611, 1)
	if err != nil || lost != 0 || len(entries) != 1 || entries[0].Pos != 612 {
		t.Errorf("%+v, lost %d, %v; want position 612: positions are never given twice", entries, lost, err)
	}
	if runs, err := s.LastRuns(t.Context()); err != nil || len(runs) != 1 {
		t.Errorf("last runs %v, %v; want them kept beyond the records", runs, err)
	}
}

func TestSizeWinsOverAge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const limit = 1 << 20
	s := open(t, store.Options{Dir: dir, MaxBytes: limit})
	var newest string
	for range 40 {
		batch := aged(100, time.Now())
		for i := range batch {
			batch[i].Report.Summary = strings.Repeat("x", 800)
		}
		add(t, s, batch...)
		newest = batch[99].ID
	}
	if s.Health().Expired != 0 {
		t.Error("records expired before their time")
	}
	// Appends go on while the retention works.
	ctx, stop := context.WithCancel(t.Context())
	var appending sync.WaitGroup
	var extra int64
	appending.Go(func() {
		for ctx.Err() == nil && extra < 200 {
			if err := s.Append(ctx, aged(1, time.Now())...); err != nil {
				t.Error(err)
			}
			extra++
		}
	})
	if err := s.Expire(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	stop()
	appending.Wait()
	if err := s.Expire(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	h := s.Health()
	if h.Bytes > limit || h.Expired == 0 || h.Records+h.Expired != 4000+extra {
		t.Errorf("health %+v with %d appended; want at most %d bytes", h, 4000+extra, limit)
	}
	got, lost := drain(t, s, 0)
	if lost != h.Expired {
		t.Errorf("lost %d, want %d", lost, h.Expired)
	}
	if !strings.Contains(strings.Join(got, " "), newest) {
		t.Error("the newest record is gone")
	}
	shut(t, s)
	info, err := os.Stat(filepath.Join(dir, "windsock.db"))
	if err != nil || info.Size() > limit+(2<<20) {
		t.Errorf("the file has %d bytes, %v: its pages were not given back", info.Size(), err)
	}
}

func TestPositionsContinueAfterTheDatabaseWasDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	add(t, s, reports(7)...)
	reserve(t, s, claim("a", 5, time.Now()), nil)
	instance := s.Instance()
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "windsock.db")); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	add(t, s, reports(1)...)
	entries, lost, err := s.Read(t.Context(), 3, 5)
	if err != nil || len(entries) != 1 || entries[0].Pos != 8 || lost != 4 {
		t.Errorf("%+v, lost %d, %v; want position 8 and 4 lost", entries, lost, err)
	}
	if s.Instance() != instance {
		t.Errorf("instance %q, want %q", s.Instance(), instance)
	}
	if got := spent(t, s, time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour)); got != 5 {
		t.Errorf("spent %d, want 5", got)
	}
	if _, err := s.Cursor(t.Context(), "x", false); err != nil {
		t.Error(err)
	}
}
