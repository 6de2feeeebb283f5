package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// hollow is a state directory whose database is mostly free pages: the records of a week ago were dropped at once.
func hollow(t *testing.T) (dir string, kept []string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, aged(4000, time.Now().Add(-time.Hour))...)
	young := reports(50)
	add(t, s, young...)
	shut(t, s)
	dir = edit(t, dir, "DELETE FROM records WHERE pos <= 4000", "PRAGMA journal_mode = delete")
	return dir, ids(young)
}

func TestCompactingBesideTheRoadGivesAllFreePagesBack(t *testing.T) {
	t.Parallel()
	dir, young := hollow(t)
	s := open(t, store.Options{Dir: dir})
	var writing sync.WaitGroup
	stop := make(chan struct{})
	var taken []string
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			more := reports(3)
			if err := s.Append(context.Background(), more...); err != nil {
				t.Error(err)
			}
			taken = append(taken, ids(more)...)
		}
	})
	got, err := s.Compact(t.Context())
	close(stop)
	writing.Wait()
	if err != nil || !got.Online || got.Before.Free < 256<<10 || got.After.Free > got.Before.Free/4 || got.After.Database >= got.Before.Database {
		t.Errorf("%+v (%v)", got, err)
	}
	got, err = s.Compact(t.Context()) // with nothing in between
	if err != nil || got.After.Free != 0 || got.After.Log != 0 {
		t.Errorf("once more: %+v (%v)", got, err)
	}
	found, _ := drain(t, s, 0)
	same(t, "records", found, append(young, taken...))
	shut(t, s)
	if got, err := s.Compact(t.Context()); err == nil {
		t.Errorf("a store that is closed: %+v", got)
	}
	if seen := inspect(t, dir, true); len(seen.Troubles) > 0 {
		t.Errorf("afterwards: %+v", seen.Troubles)
	}
}

func TestCompactingDoesNotWaitForWhoReadsAnOlderState(t *testing.T) {
	t.Parallel()
	dir, _ := hollow(t)
	s := open(t, store.Options{Dir: dir})
	add(t, s, reports(10)...)
	reader, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "windsock.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	tx, err := reader.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM records").Scan(&n); err != nil {
		t.Fatal(err)
	}
	add(t, s, reports(10)...)
	began := time.Now()
	got, err := s.Compact(t.Context())
	if err != nil || got.After.Free != 0 {
		t.Errorf("beside a reader: %+v (%v)", got, err)
	}
	t.Logf("beside a reader it took %s", time.Since(began))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func TestCompactingADirectoryWritesItsDatabaseAnew(t *testing.T) {
	t.Parallel()
	dir, young := hollow(t)
	got, err := store.CompactDir(t.Context(), dir)
	if err != nil || got.Online || got.After.Database > got.Before.Database/2 {
		t.Errorf("%+v (%v)", got, err)
	}
	only(t, dir, "windsock.db", "windsock.lock", "windsock.mark", "windsock.spare")
	s := open(t, store.Options{Dir: dir})
	if h := s.Health(); h.Corrupt > 0 || !h.OK {
		t.Errorf("health %+v", h)
	}
	found, _ := drain(t, s, 4000)
	same(t, "records", found, young)
	more := reports(2)
	add(t, s, more...)
	if err := s.Commit(t.Context(), "a", delivery.Cursor{Pos: 4052}, delivery.Counts{}); err != nil {
		t.Error(err)
	}
	if _, err := s.Compact(t.Context()); err != nil { // pages can still be given back one by one
		t.Error(err)
	}
	shut(t, s)
	if seen := inspect(t, dir, true); len(seen.Troubles) > 0 || seen.Position != 4052 {
		t.Errorf("afterwards: %+v", seen)
	}
	_, killed := filled(t, reports(20))
	if _, err := store.CompactDir(t.Context(), killed); err != nil {
		t.Errorf("after a kill: %v", err)
	}
	if seen := inspect(t, killed, true); len(seen.Troubles) > 0 || seen.Records != 20 {
		t.Errorf("after a kill: %+v", seen)
	}
}

// TestADatabaseWhoseCompactionIsKilledIsWhole kills the process that writes it anew, anywhere.
func TestADatabaseWhoseCompactionIsKilledIsWhole(t *testing.T) {
	t.Parallel()
	dir, young := hollow(t)
	whole := contents(t, dir)
	done := 0
	for range 12 {
		for name, data := range whole {
			write(t, filepath.Join(dir, name), string(data))
		}
		cmd, lines := spawn(t, "compact", dir)
		lines.Scan()
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		if rest := kill(t, cmd, lines); slices.Contains(rest, "done") {
			done++
		}
		s := open(t, store.Options{Dir: dir})
		if h := s.Health(); !h.OK || h.Corrupt > 0 {
			t.Errorf("health %+v", h)
		}
		found, _ := drain(t, s, 4000)
		same(t, "records", found, young)
		shut(t, s)
		only(t, dir, "windsock.db", "windsock.lock", "windsock.mark", "windsock.spare")
	}
	t.Logf("%d of 12 were done before they were killed", done)
}

// compactUntilKilled says when it begins, and when it is done.
func compactUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	fmt.Fprintln(out, "begins")
	_, err := store.CompactDir(ctx, dir)
	fmt.Fprintln(out, "done")
	if err == nil {
		select {}
	}
	return err
}

func TestCompactingRefusesWhatItMustNotTouch(t *testing.T) {
	t.Parallel()
	closed, _ := filled(t, reports(2000))
	lone := filepath.Join(t.TempDir(), "copy.db")
	write(t, lone, string(contents(t, closed)["windsock.db"]))
	tests := map[string]string{
		"a newer version":    edit(t, closed, "PRAGMA user_version = 99"),
		"damaged":            changed(t, closed, "windsock.db", flip),
		"another program's":  edit(t, closed, "PRAGMA application_id = 77"),
		"the file of a copy": lone,
		"nothing":            t.TempDir(),
	}
	for name, dir := range tests {
		look := func() map[string][]byte {
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return contents(t, filepath.Dir(dir))
			}
			all := contents(t, dir)
			delete(all, "windsock.lock") // it was looked whether an agent runs
			return all
		}
		before := look()
		if _, err := store.CompactDir(t.Context(), dir); err == nil {
			t.Errorf("%s: no error", name)
		}
		if after := look(); !maps.EqualFunc(before, after, func(a, b []byte) bool { return len(a) == len(b) && bytes.Equal(a[100:], b[100:]) || len(a) < 100 }) {
			t.Errorf("%s: the directory changed", name)
		}
	}
	dir := t.TempDir()
	cmd, lines := spawn(t, "hold", dir)
	lines.Scan()
	_, err := store.CompactDir(t.Context(), dir)
	if locked, ok := errors.AsType[*store.LockedError](err); !ok || locked.PID != cmd.Process.Pid {
		t.Errorf("beside an agent: %v, want a LockedError", err)
	}
	kill(t, cmd, lines)
	runToEnd(t, "compact full", closed)
}

// compactOnAFullDisk has less room than the records take.
func compactOnAFullDisk(ctx context.Context, dir string, out io.Writer) error {
	if err := limitFiles(256 << 10); err != nil {
		return err
	}
	_, err := store.CompactDir(ctx, dir)
	expect(out, err != nil, "a database larger than a file may be was written")
	if err := limitFiles(ample); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(dir, ".*"))
	expect(out, err == nil && len(names) == 0, "it left %v (%v)", names, err)
	seen, err := store.Inspect(ctx, dir, true)
	expect(out, err == nil && len(seen.Troubles) == 0 && seen.Records == 2000, "afterwards %+v (%v)", seen, err)
	_, err = io.WriteString(out, "done\n")
	return err
}
