package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

func recent(t *testing.T, s *store.Store, since map[string]time.Time, most int) ([]string, store.Recalled) {
	t.Helper()
	var all []checks.Record
	got, err := s.Recent(t.Context(), since, most, func(r checks.Record) { all = append(all, r) })
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != len(all) {
		t.Errorf("it says %d records, and gave %d", got.Records, len(all))
	}
	return ids(all), got
}

func TestRecentGivesOfEachCheckWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	snapshot := func(at time.Time) checks.Record {
		return checks.Record{ID: ulid.Make().String(), At: at, Agent: &checks.Snapshot{}}
	}
	all := []checks.Record{
		report("long", ago(40*time.Hour)), report("long", ago(23*time.Hour)), report("short", ago(2*time.Hour)), snapshot(ago(2 * time.Hour)),
		report("long", ago(2*time.Hour)), report("short", ago(5*time.Minute)), report("none", ago(5*time.Minute)), snapshot(ago(4 * time.Minute)),
		{ID: ulid.Make().String(), At: ago(time.Minute), Alert: &checks.Alert{Rule: "down", At: ago(time.Minute)}},
		report("short", ago(30*time.Second)), report("long", ago(20*time.Second)), report("long", now.Add(time.Second)),
	}
	add(t, s, all...)
	since := map[string]time.Time{"long": ago(24 * time.Hour), "short": ago(10 * time.Minute), "": ago(10 * time.Minute)}
	want := ids([]checks.Record{all[1], all[4], all[5], all[7], all[9], all[10], all[11]})
	got, told := recent(t, s, since, 100)
	same(t, "records", got, want)
	if !told.Since.IsZero() || told.Bounded {
		t.Errorf("got %+v of a store that has all, want nothing missing", told)
	}

	got, told = recent(t, s, since, 5) // the alert among them, which is not given
	same(t, "the newest", got, want[3:])
	if !told.Bounded || told.Since.Before(all[5].At.Truncate(time.Microsecond)) || !told.Since.Before(all[7].At) {
		t.Errorf("got %+v, want whole from behind the newest that was left out, %s, on", told, all[5].At)
	}
	if got, told := recent(t, s, nil, 100); len(got) > 0 || !told.Since.IsZero() {
		t.Errorf("got %v, %+v where nothing is asked for", got, told)
	}
}

func TestRecentSaysWhatTheStoreHasDropped(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := open(t, store.Options{Dir: t.TempDir(), MaxAge: time.Hour})
	since := map[string]time.Time{"chat": now.Add(-24 * time.Hour)}
	if _, told := recent(t, s, since, 100); !told.Since.IsZero() {
		t.Errorf("got %+v of a store that never had anything, want nothing missing", told)
	}
	kept := aged(3, now.Add(-time.Minute))
	add(t, s, aged(5, now.Add(-2*time.Hour))...)
	add(t, s, kept...)
	if err := s.Expire(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	got, told := recent(t, s, since, 100)
	same(t, "records", got, ids(kept))
	if want := kept[0].At.Truncate(time.Microsecond); !told.Since.Equal(want) || told.Bounded {
		t.Errorf("got %+v, want whole since the oldest that is there, %s", told, want)
	}
	if _, told := recent(t, s, map[string]time.Time{"chat": now.Add(-30 * time.Second)}, 100); !told.Since.IsZero() {
		t.Errorf("got %+v where what was dropped is older than what is asked for, want nothing missing", told)
	}
	if err := s.Expire(t.Context(), now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, told := recent(t, s, since, 100); len(got) > 0 || told.Since.Before(now) {
		t.Errorf("got %v, %+v of a store that has dropped all, want all missing up to now", got, told)
	}
}

func TestRecentReadsWhatIsInMemoryOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, store.Options{Dir: filepath.Join(path, "state")})
	all := reports(3)
	add(t, s, all...)
	got, told := recent(t, s, map[string]time.Time{"chat": time.Now().Add(-time.Hour)}, 100)
	same(t, "records", got, ids(all))
	if !told.Since.IsZero() {
		t.Errorf("got %+v, want nothing missing", told)
	}
}
