package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// limitFiles makes every write beyond that offset of any file fail, which is what a full disk looks like from here.
func limitFiles(bytes uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(bytes, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

const (
	room   = 4096 // the mark's page fits, a log or a database does not
	noRoom = 0
	ample  = 1 << 62
)

func read(ctx context.Context, s *store.Store, after delivery.Position) (ids []string, lost int64, err error) {
	for {
		entries, missing, err := s.Read(ctx, after, 64)
		if err != nil || len(entries) == 0 {
			return ids, lost, err
		}
		lost += missing
		for _, e := range entries {
			ids = append(ids, e.Record.ID)
			after = e.Pos
		}
	}
}

// expect is a test's assertion in a child.
func expect(out io.Writer, ok bool, format string, args ...any) {
	if !ok {
		fmt.Fprintf(out, "error "+format+"\n", args...)
	}
}

func untilHealthy(ctx context.Context, s *store.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !s.Health().OK {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("not healthy again: %+v", s.Health())
		}
	}
	return nil
}

func fullWhileRunning(ctx context.Context, dir string, out io.Writer) error {
	var log bytes.Buffer
	o := store.Options{Dir: dir, Ring: 100, BootID: "one", Log: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	before, during, after := reports(50), reports(80), reports(10)
	if _, err := s.Cursor(ctx, "stdout", false); err != nil {
		return err
	}
	if err := s.Append(ctx, before...); err != nil {
		return err
	}
	if err := limitFiles(room); err != nil {
		return err
	}
	for batch := range slices.Chunk(during, 7) {
		if err := s.Append(ctx, batch...); err != nil {
			return fmt.Errorf("appending on a full disk: %w", err)
		}
	}
	expect(out, s.Append(ctx, during[3]) != nil, "a duplicate in the ring was taken")
	h := s.Health()
	expect(out, !h.OK && h.Problem != "" && !h.Since.IsZero() && h.RingRecords == 80 && h.LedgerWritable, "health on a full disk: %+v", h)
	got, lost, err := read(ctx, s, 0)
	expect(out, err == nil && lost == 0 && slices.Equal(got, ids(slices.Concat(before, during))), "reading on a full disk: %d records, lost %d, %v", len(got), lost, err)
	n, _, err := s.Backlog(ctx, 10)
	expect(out, n == 120 && err == nil, "backlog %d, %v", n, err)
	err = s.Commit(ctx, "stdout", delivery.Cursor{Pos: 60, State: []byte("60")}, delivery.Counts{Sent: 60})
	expect(out, err == nil, "commit: %v", err)
	expect(out, s.SaveState(ctx, "breaker", []byte("open")) == nil, "state")
	_, ok, err := s.Ledger().Reserve(ctx, claim("a", 10, time.Now()), []store.Limit{{time.Hour, "per_hour", 15}})
	expect(out, ok && err == nil, "reserve on a full disk: %v, %v", ok, err)
	denial, ok, err := s.Ledger().Reserve(ctx, claim("b", 10, time.Now()), []store.Limit{{time.Hour, "per_hour", 15}})
	expect(out, !ok && err == nil && denial.Spent == 10, "reserve beyond the budget: %v, %v, %+v", ok, err, denial)

	if err := limitFiles(ample); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(running) }()
	err = untilHealthy(ctx, s)
	expect(out, err == nil, "%v", err)
	expect(out, s.Append(ctx, after...) == nil, "append after recovery")
	expect(out, s.Health().RingRecords == 0 && s.Health().Records == 140, "health after recovery: %+v", s.Health())
	stop()
	if err := <-ran; err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	said := log.String()
	expect(out, strings.Count(said, "level=ERROR") == 1 && strings.Count(said, "writes again") == 1, "log:\n%s", said)
	return recheck(ctx, o, slices.Concat(before, during, after), out)
}

// recheck opens the directory again after the disk recovered: everything is there.
func recheck(ctx context.Context, o store.Options, want []checks.Record, out io.Writer) error {
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	got, lost, err := read(ctx, s, 0)
	expect(out, err == nil && lost == 0 && slices.Equal(got, ids(want)), "after the restart: %d records of %d, lost %d, %v", len(got), len(want), lost, err)
	cursor, err := s.Cursor(ctx, "stdout", false)
	expect(out, err == nil && cursor.Pos == 60 && string(cursor.State) == "60", "cursor %+v, %v", cursor, err)
	state, err := s.LoadState(ctx, "breaker")
	expect(out, err == nil && string(state) == "open", "state %q, %v", state, err)
	spent, err := s.Ledger().Spent(ctx, time.Now().Add(-time.Hour), time.Now().Add(time.Minute))
	expect(out, err == nil && spent == 10, "spent %d, %v", spent, err)
	_, ok, err := s.Ledger().Reserve(ctx, claim("c", 5, time.Now()), []store.Limit{{time.Hour, "per_hour", 15}})
	expect(out, ok && err == nil, "recorded after all, nothing is assumed: %v, %v", ok, err)
	fmt.Fprintln(out, "done")
	return s.Close()
}

func TestAFullDiskIsSurvivedWhileRunning(t *testing.T) {
	t.Parallel()
	runToEnd(t, "full", t.TempDir())
}

func fullWithoutMark(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir, BootID: "one", Ring: 30})
	if err != nil {
		return err
	}
	if err := limitFiles(noRoom); err != nil {
		return err
	}
	denial, ok, err := s.Ledger().Reserve(ctx, claim("a", 10, time.Now()), nil)
	expect(out, !ok && err == nil && denial.Reason == "the spend ledger cannot be written", "reserve: %v, %v, %+v", ok, err, denial)
	expect(out, !s.Health().LedgerWritable, "the ledger is said to be writable")
	spent, _ := s.Ledger().Spent(ctx, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	expect(out, spent == 0, "a denied claim counts: %d", spent)
	want := reports(50)
	for _, r := range want {
		expect(out, s.Append(ctx, r) == nil, "append")
	}
	got, lost, err := read(ctx, s, 0)
	expect(out, err == nil && lost == 20 && slices.Equal(got, ids(want[20:])), "the ring: %d records, lost %d, %v; want the last 30", len(got), lost, err)
	expect(out, s.Health().RingDropped == 20, "health %+v", s.Health())
	expect(out, s.Close() != nil, "closing lost 30 records and said nothing")
	fmt.Fprintln(out, "done")
	return nil
}

func TestWhereNothingCanBeWrittenMoneyIsRefusedAndTheRingIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runToEnd(t, "no mark", dir)
}

func fullAtStart(ctx context.Context, dir string, out io.Writer) error {
	if err := limitFiles(room); err != nil {
		return err
	}
	o := store.Options{Dir: dir, BootID: "one"}
	s, err := store.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("opening on a full disk: %w", err)
	}
	expect(out, !s.Health().OK, "health %+v", s.Health())
	cursor, err := s.Cursor(ctx, "stdout", false)
	expect(out, err == nil && cursor.Pos == 5, "cursor %+v, %v; want the stored one", cursor, err)
	old, lost, err := read(ctx, s, cursor.Pos)
	expect(out, err == nil && lost == 0 && len(old) > 0, "what was not delivered: %d, lost %d, %v", len(old), lost, err)
	fresh := reports(20)
	expect(out, s.Append(ctx, fresh...) == nil, "append")
	want := slices.Concat(old, ids(fresh))
	got, lost, err := read(ctx, s, cursor.Pos)
	expect(out, err == nil && lost == 0 && slices.Equal(got, want), "with the ring: %d of %d, lost %d, %v", len(got), len(want), lost, err)
	spent, err := s.Ledger().Spent(ctx, time.Now().Add(-time.Hour), time.Now())
	expect(out, err == nil && spent == 7, "spent %d, %v", spent, err)
	if err := limitFiles(ample); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(running) }()
	err = untilHealthy(ctx, s)
	expect(out, err == nil, "%v", err)
	stop()
	if err := <-ran; err != nil {
		return err
	}
	got, lost, err = read(ctx, s, cursor.Pos)
	expect(out, err == nil && lost == 0 && slices.Equal(got, want), "after recovery: %d of %d, lost %d, %v", len(got), len(want), lost, err)
	spent, err = s.Ledger().Spent(ctx, time.Now().Add(-time.Hour), time.Now())
	expect(out, err == nil && spent == 7, "spent after recovery %d, %v: the ledger was read twice", spent, err)
	fmt.Fprintln(out, "done")
	return s.Close()
}

func TestAStartOnAFullDiskReadsWhatIsThereAndRecovers(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]bool{"after a good end": false, "after a kill": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, store.Options{Dir: dir, BootID: "one"})
			if _, ok, err := s.Ledger().Reserve(t.Context(), claim("old", 7, time.Now().Add(-time.Minute)), nil); !ok || err != nil {
				t.Fatal(ok, err)
			}
			add(t, s, reports(40)...)
			if err := s.Commit(t.Context(), "stdout", delivery.Cursor{Pos: 5}, delivery.Counts{Sent: 5}); err != nil {
				t.Fatal(err)
			}
			if killed {
				dir = copyDir(t, dir)
			}
			shut(t, s)
			runToEnd(t, "full at start", dir)
		})
	}
}

// copyDir is what a kill leaves: the files as they are.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	target := t.TempDir()
	for name, data := range contents(t, dir) {
		if err := os.WriteFile(filepath.Join(target, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, entry := range names {
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = data
	}
	return all
}

func TestADirectoryThatCannotBeUsedStartsInMemory(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		paid  bool // may money be spent
	}{
		"its parent is a file": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Dir(dir), "")
		}, false},
		"a directory stands where the database belongs": {func(t *testing.T, dir string) {
			t.Helper()
			mkdir(t, filepath.Join(dir, "windsock.db", "x"))
		}, true},
		"the lock cannot be opened": {func(t *testing.T, dir string) {
			t.Helper()
			mkdir(t, dir)
			if err := os.Symlink("windsock.lock", filepath.Join(dir, "windsock.lock")); err != nil {
				t.Fatal(err)
			}
		}, true},
		"a directory stands where the log belongs": {func(t *testing.T, dir string) {
			t.Helper()
			mkdir(t, filepath.Join(dir, "windsock.db-wal", "x"))
		}, true},
		"directories stand where database and mark belong": {func(t *testing.T, dir string) {
			t.Helper()
			mkdir(t, filepath.Join(dir, "windsock.db", "x"))
			mkdir(t, filepath.Join(dir, "windsock.mark", "x"))
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "parent", "state")
			test.spoil(t, dir)
			s, err := store.Open(t.Context(), store.Options{Dir: dir})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			if _, err := s.Cursor(t.Context(), "stdout", true); err != nil {
				t.Fatal(err)
			}
			want := reports(5)
			add(t, s, want...)
			cursor, err := s.Cursor(t.Context(), "stdout", true)
			if err != nil {
				t.Fatal(err)
			}
			got, lost := drain(t, s, cursor.Pos)
			same(t, "records", got, ids(want))
			if lost != 0 {
				t.Errorf("lost %d, want 0", lost)
			}
			if h := s.Health(); h.OK || h.Problem == "" || h.RingRecords != 5 {
				t.Errorf("health %+v", h)
			}
			if _, ok, err := s.Ledger().Reserve(t.Context(), claim("a", 1, time.Time{}), nil); ok != test.paid || err != nil {
				t.Errorf("reserved %v, %v; want %v", ok, err, test.paid)
			}
			if err := s.Close(); err == nil {
				t.Error("close said nothing about 5 lost records")
			}
		})
	}
}

func TestADatabaseThatCannotBeReadAtFirstIsJoinedLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := t.Context()
	db := filepath.Join(dir, "windsock.db")
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	old := reports(20)
	add(t, s, old...)
	if err := s.Commit(ctx, "stdout", delivery.Cursor{Pos: 12}, delivery.Counts{Sent: 12}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	rename(t, db, db+".away")
	mkdir(t, db)
	write(t, filepath.Join(db, "x"), "x")

	s = open(t, store.Options{Dir: dir, BootID: "one"})
	cursor, err := s.Cursor(ctx, "stdout", false)
	if err != nil {
		t.Fatal(err)
	}
	fresh := reports(3)
	add(t, s, fresh...)
	got, lost := drain(t, s, cursor.Pos)
	same(t, "while blind", got, ids(fresh))
	if err := os.RemoveAll(db); err != nil {
		t.Fatal(err)
	}
	rename(t, db+".away", db)
	shut(t, s) // closing tries the disk again

	s = open(t, store.Options{Dir: dir, BootID: "one"})
	got, lost2 := drain(t, s, 0)
	same(t, "joined", got, append(ids(old), ids(fresh)...))
	if lost+lost2 != 0 {
		t.Errorf("lost %d and %d: positions that were never given are no loss", lost, lost2)
	}
	all, err := s.Deliveries(ctx)
	if err != nil || len(all) != 1 || all[0].Counts.Sent != 12 || all[0].Counts.Expired["store_unreadable"] != 8 {
		t.Errorf("deliveries %+v, %v; want the 8 records that were passed over to be counted", all, err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
