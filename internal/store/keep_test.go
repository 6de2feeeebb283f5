package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

func TestTheDatabaseOfAnOlderVersionIsKeptForAWayBack(t *testing.T) {
	t.Parallel()
	for version := 1; version < len(store.Migrations()); version++ {
		dir := t.TempDir()
		ofVersion(t, dir, version, time.Now())
		kept := filepath.Join(dir, fmt.Sprintf("windsock.db.schema-%d", version))
		var log bytes.Buffer
		s := open(t, store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		add(t, s, reports(3)...)
		if denial, ok := reserve(t, s, claim("new", 5, time.Now()), nil); !ok {
			t.Fatalf("%+v", denial)
		}
		if !strings.Contains(log.String(), "kept="+kept) {
			t.Errorf("the log does not say where it is: %s", log.String())
		}
		if err := s.Expire(t.Context(), time.Now().Add(6*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		got, err := store.Inspect(t.Context(), kept, true)
		if err != nil || got.Schema != version || len(got.Troubles) > 0 || got.Records != 0 {
			t.Errorf("what was kept of version %d: %+v (%v)", version, got, err)
		}
		if info, err := os.Stat(kept); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v (%v)", info, err)
		}
		back := copyDir(t, dir) // the way back, whose agent would not change the schema
		rename(t, filepath.Join(back, filepath.Base(kept)), filepath.Join(back, "windsock.db"))
		s = open(t, store.Options{Dir: back})
		if got := spent(t, s, time.Now().Add(-time.Hour), time.Now().Add(2*time.Hour)); got != 14+5 {
			t.Errorf("going back to version %d makes %d of what was spent, want 19", version, got)
		}
		shut(t, s)
		s = open(t, store.Options{Dir: dir}) // nothing to bring up to date: nothing is kept anew
		if err := s.Expire(t.Context(), time.Now().Add(8*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		only(t, dir, "windsock.db", "windsock.lock", "windsock.mark", "windsock.spare")
	}
}

func TestADatabaseThatCannotBeKeptIsBroughtUpToDateAllTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ofVersion(t, dir, 3, time.Now())
	mkdir(t, filepath.Join(dir, "windsock.db.schema-3"))
	var log bytes.Buffer
	s := open(t, store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if got := spent(t, s, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); got != 14 || !s.Health().OK {
		t.Errorf("spent %d, want 14; health %+v", got, s.Health())
	}
	if !strings.Contains(log.String(), "could not be kept") {
		t.Errorf("the log does not say that there is no way back: %s", log.String())
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, ".*")); len(parts) > 0 {
		t.Errorf("it left %v", parts)
	}
}

func TestOfDatabasesThatAreMovedAsideTheNewestAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".windsock.db.1234.part"), "of a process that was killed")
	var log bytes.Buffer
	for i := range 6 {
		write(t, filepath.Join(dir, "windsock.db"), fmt.Sprintf("no database %d", i))
		s := open(t, store.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		add(t, s, reports(1)...)
		if h := s.Health(); h.Corrupt != 1 || h.CorruptRemoved != int64(min(1, max(0, i-2))) {
			t.Errorf("after %d: %+v", i+1, h)
		}
		shut(t, s)
	}
	var kept []string
	for name, data := range contents(t, dir) {
		if strings.HasPrefix(name, "windsock.db.corrupt-") {
			kept = append(kept, string(data))
		}
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s is still there", name)
		}
	}
	if len(kept) != 3 || strings.Contains(strings.Join(kept, " "), "database 2") {
		t.Errorf("kept %q, want the newest three", kept)
	}
	if n := strings.Count(log.String(), "an older corrupt database was removed"); n != 3 {
		t.Errorf("%d removals are told, want 3:\n%s", n, log.String())
	}
}

// TestTheWholeDirectoryStaysBounded stores many times what the database may hold, of everything that a store keeps, with
// databases that break on the way.
func TestTheWholeDirectoryStaysBounded(t *testing.T) {
	t.Parallel()
	const most = 4 << 20
	dir := t.TempDir()
	largest, stored := int64(0), int64(0)
	look := func() {
		var sum int64
		for _, data := range contents(t, dir) {
			sum += int64(len(data))
		}
		largest = max(largest, sum)
	}
	for round := range 8 {
		s := open(t, store.Options{Dir: dir, MaxBytes: most})
		for step := range 12 {
			records := fat(600)
			for i := range records {
				data, err := records[i].MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				stored += int64(len(data))
			}
			add(t, s, records...)
			var events []incident.Event
			for range 50 {
				events = append(events, event(time.Now(), "", strings.Repeat("what happened ", 20)))
			}
			if err := s.AddEvents(t.Context(), events...); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				c := claim(fmt.Sprintf("%d-%d-%d", round, step, i), 1, time.Now())
				if _, _, err := s.Ledger().Reserve(t.Context(), c, nil); err != nil {
					t.Fatal(err)
				}
			}
			look()
			if err := s.Expire(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			look()
		}
		shut(t, s)
		write(t, filepath.Join(dir, "windsock.db"), string(flip(contents(t, dir)["windsock.db"])))
	}
	// The database and what comes between two expiries, its log, three copies that were moved aside, spare and mark.
	const bound = (most + 4<<20) + 8<<20 + 3*(most+2<<20) + 2<<20
	if largest > bound {
		t.Errorf("the directory grew to %d KiB, want at most %d", largest>>10, bound>>10)
	}
	t.Logf("%d MiB were stored, the directory had %d KiB at most, bound %d KiB", stored>>20, largest>>10, bound>>10)
}
