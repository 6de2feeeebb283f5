package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// backUp copies the store into the file beside its directory.
func backUp(ctx context.Context, dir string, out io.Writer) error {
	b, err := store.WriteBackup(ctx, dir, dir+".copy", true)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d records in %s\ndone\n", b.Records, b.Took)
	return nil
}

// backUpSlowly is the same on a disk with less room than it takes.
func backUpSlowly(ctx context.Context, dir string, out io.Writer) error {
	if err := limitFiles(256 << 10); err != nil {
		return err
	}
	_, err := store.WriteBackup(ctx, dir, dir+".copy", false)
	expect(out, err != nil, "a backup larger than a file may be was written")
	fmt.Fprintln(out, "done")
	return nil
}

// only is what a folder has to hold, and nothing else.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for name := range contents(t, dir) {
		got = append(got, name)
	}
	slices.Sort(got)
	same(t, "files", got, want)
}

func TestABackupIsWholeAndOfItsOwn(t *testing.T) {
	t.Parallel()
	closed, killed := filled(t, reports(200))
	for name, dir := range map[string]string{"closed": closed, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			to := filepath.Join(folder, "copy.db")
			before := contents(t, dir)
			b, err := store.WriteBackup(t.Context(), dir, to, false)
			if err != nil {
				t.Fatal(err)
			}
			unchanged(t, dir, before)
			only(t, folder, "copy.db")
			info, err := os.Stat(to)
			if err != nil || info.Mode() != 0o600 || info.Size() != b.Bytes || b.Records != 200 || b.Path != to || b.Schema != 4 {
				t.Errorf("%+v (%v, %v)", b, info.Mode(), err)
			}
			got, err := store.Inspect(t.Context(), to, true)
			if err != nil || len(got.Troubles) > 0 || got.Exporters[0].Position != 3 {
				t.Errorf("the copy: %v, %+v", err, got)
			}
			if _, err := store.WriteBackup(t.Context(), dir, to, false); !errors.Is(err, os.ErrExist) {
				t.Errorf("a second one: %v, want a refusal", err)
			}
			if _, err := store.WriteBackup(t.Context(), to, to+"2", false); err != nil {
				t.Errorf("a copy of a copy: %v", err)
			}
			if _, err := store.WriteBackup(t.Context(), dir, to, true); err != nil {
				t.Errorf("in place of the first: %v", err)
			}
		})
	}
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	closed, _ := filled(t, reports(2000))
	cut := changed(t, closed, "windsock.db", func(data []byte) []byte { return data[:len(data)/2] })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	to := filepath.Join(folder, "copy.db")
	for name, test := range map[string]struct {
		ctx  context.Context
		from string
	}{
		"a store that is damaged": {t.Context(), cut},
		"somebody who gave up":    {ended, closed},
		"no store":                {t.Context(), t.TempDir()},
	} {
		if _, err := store.WriteBackup(test.ctx, test.from, to, false); err == nil {
			t.Errorf("%s: no error", name)
		}
		only(t, folder)
	}
	for name, target := range map[string]string{
		"no folder": filepath.Join(folder, "no", "copy.db"), "a folder": t.TempDir(), "the store itself": filepath.Join(closed, "windsock.db"),
	} {
		if _, err := store.WriteBackup(t.Context(), closed, target, true); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	dir := filepath.Join(folder, "state")
	if err := os.Rename(closed, dir); err != nil {
		t.Fatal(err)
	}
	runToEnd(t, "slow backup", dir)
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("a disk that is full leaves %v (%v)", entries, err)
	}
}

// TestABackupInTheMiddleOfItsWorkIsGivenUpCleanly ends one that has begun.
func TestABackupInTheMiddleOfItsWorkIsGivenUpCleanly(t *testing.T) {
	t.Parallel()
	closed, _ := filled(t, reports(20_000))
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := store.WriteBackup(ctx, closed, filepath.Join(folder, "copy.db"), false)
		failed <- err
	}()
	for begun := false; !begun; {
		parts, _ := filepath.Glob(filepath.Join(folder, ".copy.db.*.part"))
		begun = len(parts) > 0
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	only(t, folder)
}

func TestABackupBesideAnAgentThatWritesHoldsAllThatWasTakenBefore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	cmd, lines := spawn(t, "append", dir)
	taken := map[string]bool{}
	for range 6 {
		for range 20 {
			lines.Scan()
			taken[strings.Fields(lines.Text())[1]] = true
		}
		copied := filepath.Join(t.TempDir(), "copy.db")
		if _, err := store.WriteBackup(t.Context(), dir, copied, false); err != nil {
			t.Fatal(err)
		}
		at := t.TempDir()
		rename(t, copied, filepath.Join(at, "windsock.db"))
		s := open(t, store.Options{Dir: at})
		found, _ := drain(t, s, 0)
		have := map[string]bool{}
		for _, id := range found {
			have[id] = true
		}
		for id := range taken {
			if !have[id] {
				t.Fatalf("record %s was taken before the backup and is not in it (%d are)", id, len(found))
			}
		}
		shut(t, s)
	}
	kill(t, cmd, lines)
}

// restore puts a backup into a state directory as docs/operations/backup.md says.
func restore(t *testing.T, dir, copied string) {
	t.Helper()
	aside := t.TempDir()
	for _, name := range []string{"windsock.db", "windsock.db-wal", "windsock.db-shm"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "windsock.db"), string(data))
}

// TestARestoredBackupRefillsNoBudgetAndSendsTwiceRatherThanNever spends and sends after the backup was made, and then goes
// back to it.
func TestARestoredBackupRefillsNoBudgetAndSendsTwiceRatherThanNever(t *testing.T) {
	t.Parallel()
	limits := []store.Limit{{time.Hour, "per_hour", 100}, {24 * time.Hour, "per_day", 100}, {30 * 24 * time.Hour, "per_month", 100}}
	dir := t.TempDir()
	copied := filepath.Join(t.TempDir(), "copy.db")
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	first := reports(10)
	add(t, s, first...)
	spend := func(id string, amount checks.PicoUSD) (store.Denial, bool) {
		denial, ok, err := s.Ledger().Reserve(t.Context(), claim(id, amount, time.Now()), limits)
		if err != nil {
			t.Fatal(err)
		}
		return denial, ok
	}
	if denial, ok := spend("a", 40); !ok {
		t.Fatalf("%+v", denial)
	}
	cursor := func(pos delivery.Position) {
		if err := s.Commit(t.Context(), "stdout", delivery.Cursor{Pos: pos}, delivery.Counts{Sent: 1}); err != nil {
			t.Fatal(err)
		}
	}
	cursor(8)
	shut(t, s)
	if _, err := store.WriteBackup(t.Context(), dir, copied, false); err != nil {
		t.Fatal(err)
	}

	s = open(t, store.Options{Dir: dir, BootID: "one"})
	add(t, s, reports(5)...)
	cursor(15)
	if denial, ok := spend("b", 50); !ok {
		t.Fatalf("%+v", denial)
	}
	shut(t, s)

	restore(t, dir, copied)
	if got := inspect(t, dir, false); got.Mark != store.MarkAhead || len(got.Troubles) > 0 || len(got.Notes) < 2 {
		t.Errorf("the restored store before the start: %+v", got)
	}
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := spend("c", 11); ok || denial.Spent != 90 {
		t.Errorf("after the restore 11 more of 100 were allowed, spent %d, want 90", denial.Spent)
	}
	if denial, ok := spend("d", 10); !ok {
		t.Errorf("what is left of the budget is refused: %+v", denial)
	}
	at, err := s.Cursor(t.Context(), "stdout", false)
	if err != nil || at.Pos != 8 {
		t.Errorf("cursor %d (%v), want 8", at.Pos, err)
	}
	later := reports(1)
	add(t, s, later...)
	found, lost := drain(t, s, at.Pos)
	same(t, "what is sent", found, append(ids(first)[8:], ids(later)...))
	if lost != 5 {
		t.Errorf("%d records count as lost, want the 5 that only the newer database had", lost)
	}
	shut(t, s)
	if got := inspect(t, dir, true); got.Mark != store.MarkAgrees || len(got.Troubles) > 0 {
		t.Errorf("the store afterwards: %+v", got)
	}

	// On another host there is no mark.
	dir = t.TempDir()
	restore(t, dir, copied)
	s = open(t, store.Options{Dir: dir, BootID: "two"})
	if denial, ok := spend("e", 1); ok || !strings.Contains(denial.Reason, "counts as spent") {
		t.Errorf("on another host the last hour does not count as spent: %v %+v", ok, denial)
	}
}

// TestADiskWithTooLittleRoomIsSaidBeforeAnythingIsWritten mounts nothing: it asks for more than any disk has.
func TestADiskWithTooLittleRoomIsSaidBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	err := store.RoomFor(t.TempDir(), 1<<60)
	room, ok := errors.AsType[*store.RoomError](err)
	if !ok || room.Free <= 0 || !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("error %v, want one that says what is free", err)
	}
	if err := store.RoomFor(t.TempDir(), 1); err != nil {
		t.Error(err)
	}
}

// BenchmarkBackup copies a store of 400 MiB while another process goes on storing 100 runs a second: how long it takes, and
// what the writer feels of it.
func BenchmarkBackup(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "state")
	s, err := store.Open(b.Context(), store.Options{Dir: dir, MaxBytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for s.Health().Bytes < 400<<20 && s.Health().Records < 600_000 {
		if err := s.Append(b.Context(), fat(1000)...); err != nil {
			b.Fatal(err)
		}
	}
	steady := func(until func() bool) []time.Duration {
		var took []time.Duration
		for !until() {
			began := time.Now()
			if err := s.Append(b.Context(), fat(1)...); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
			time.Sleep(max(0, 10*time.Millisecond-time.Since(began)))
		}
		slices.Sort(took)
		return took
	}
	began := time.Now()
	alone := steady(func() bool { return time.Since(began) > 5*time.Second })
	for b.Loop() {
		cmd, lines := spawn(b, "backup", dir)
		over := make(chan struct{})
		go func() {
			defer close(over)
			for lines.Scan() {
				b.Log(lines.Text())
			}
			_ = cmd.Wait()
		}()
		beside := steady(func() bool {
			select {
			case <-over:
				return true
			default:
				return false
			}
		})
		for name, took := range map[string][]time.Duration{"alone": alone, "beside": beside} {
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"-p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), name+"-p99-µs")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), name+"-max-µs")
		}
	}
	b.SetBytes(fileSize(dir + ".copy"))
}

// fat are records as large as those of a chat.
func fat(n int) []checks.Record {
	all := reports(n)
	for i := range all {
		r := all[i].Report
		for k := range 12 {
			r.Measurements = append(r.Measurements, checks.Measurement{Name: fmt.Sprintf("probe.llm.measurement_%d", k), Value: float64(k) / 7, Unit: "s"})
		}
	}
	return all
}

func fileSize(path string) int64 {
	var st syscall.Stat_t
	_ = syscall.Stat(path, &st)
	return st.Size
}
