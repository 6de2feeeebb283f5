package store_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

// inspect looks at a directory and holds that nothing in it changes.
func inspect(t *testing.T, dir string, full bool) *store.Inspection {
	t.Helper()
	before := contents(t, dir)
	got, err := store.Inspect(t.Context(), dir, full)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	unchanged(t, dir, before)
	return got
}

// unchanged holds that a directory is as it was, byte by byte.
func unchanged(t *testing.T, dir string, before map[string][]byte) {
	t.Helper()
	if after := contents(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("the directory %s changed", dir)
	}
}

// edit changes a closed database behind the agent's back.
func edit(t *testing.T, dir string, queries ...string) string {
	t.Helper()
	dir = copyDir(t, dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "windsock.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range queries {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAnInspectionOfAStoreThatIsWell(t *testing.T) {
	t.Parallel()
	records := reports(20)
	closed, killed := filled(t, records)
	noIndex := copyDir(t, killed)
	if err := os.Remove(filepath.Join(noIndex, "windsock.db-shm")); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"closed": closed, "killed": killed, "a log without its index": noIndex} {
		for _, full := range []bool{false, true} {
			got := inspect(t, dir, full)
			if len(got.Troubles) > 0 || got.Records != 20 || got.Position != 20 || !got.Oldest.Equal(records[0].At.Truncate(time.Microsecond)) ||
				!got.Newest.Equal(records[19].At.Truncate(time.Microsecond)) || got.Mark != store.MarkAgrees || got.Sizes.Total == 0 {
				t.Errorf("%s: %+v", name, got)
			}
			want := []store.Unread{{Exporter: "stdout", Position: 3, Records: 17, Oldest: records[3].At.UTC().Truncate(time.Microsecond)}}
			same(t, name+": exporters", got.Exporters, want)
		}
	}
}

func TestAnInspectionSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	closed, killed := filled(t, reports(200))
	tests := map[string]struct {
		dir         string
		full        bool
		where, says string
	}{
		"a record that was altered":     {edit(t, closed, "UPDATE records SET data = replace(data, 'answered', 'lied') WHERE pos = 7"), false, "record at position 7", "checksum"},
		"a cursor beyond all records":   {edit(t, closed, "UPDATE cursors SET pos = 5000"), false, "exporter stdout", "stands at 5000, and no position is above 200"},
		"a cursor that is no number":    {edit(t, closed, "UPDATE cursors SET expired = 'x'"), false, "exporters", "cannot be read"},
		"another program's database":    {edit(t, closed, "PRAGMA application_id = 77"), false, "database", "application id 0x4d"},
		"a table that is gone":          {edit(t, closed, "DROP TABLE cursors"), false, "exporters", "no such table"},
		"money that the mark forgot":    {edit(t, closed, "UPDATE ledger SET reserved = 900000000000"), false, "windsock.mark", "less than the ledger"},
		"a file cut in the middle":      {changed(t, closed, "windsock.db", func(data []byte) []byte { return data[:len(data)/2] }), false, "database", ""},
		"bits turned over":              {changed(t, closed, "windsock.db", flip), false, "database", ""},
		"no database":                   {changed(t, closed, "windsock.db", func([]byte) []byte { return bytes.Repeat([]byte("milk "), 1000) }), false, "database", "not a database"},
		"a mark of something else":      {changed(t, closed, "windsock.mark", func([]byte) []byte { return []byte("milk") }), false, "windsock.mark", "does not hold"},
		"an index that lacks a row":     {withoutIndexRow(t, closed), true, "database", "index"},
		"a record that is not ours":     {edit(t, closed, "UPDATE records SET data = '{}', crc = 2745614147 WHERE pos = 9"), true, "record at position 9", "record type"},
		"damage in the log of a killed": {changed(t, killed, "windsock.db", func(data []byte) []byte { return flip(append(data, make([]byte, 8192)...)) }), false, "database", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := inspect(t, test.dir, test.full)
			for _, trouble := range got.Troubles {
				if trouble.Where == test.where && strings.Contains(trouble.What, test.says) && trouble.Fix != "" {
					return
				}
			}
			t.Errorf("troubles %+v, want one of %q that says %q", got.Troubles, test.where, test.says)
		})
	}
}

// changed is a copy of a directory with one file changed.
func changed(t *testing.T, dir, name string, change func([]byte) []byte) string {
	t.Helper()
	dir = copyDir(t, dir)
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(change(data)))
	return dir
}

// flip turns bits over in every page behind the first.
func flip(data []byte) []byte {
	for at := 4096; at < len(data); at += 97 {
		data[at] ^= 0xff
	}
	return data
}

// withoutIndexRow is a copy whose index of times lacks what its table has.
func withoutIndexRow(t *testing.T, dir string) string {
	t.Helper()
	return edit(t, dir, "PRAGMA writable_schema = on", "UPDATE sqlite_schema SET sql = 'CREATE INDEX records_at ON records (at, status)' WHERE name = 'records_at'")
}

func TestAnInspectionOfWhatIsNotWrong(t *testing.T) {
	t.Parallel()
	closed, _ := filled(t, reports(20))
	noMark := copyDir(t, closed)
	if err := os.Remove(filepath.Join(noMark, "windsock.mark")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ dir, mark, note string }{
		"no mark":          {noMark, store.MarkMissing, "the last hour counts as spent"},
		"a newer mark":     {edit(t, closed, "DELETE FROM records WHERE pos > 5", "UPDATE meta SET value = '5' WHERE key = 'high'"), store.MarkAgrees, "15 positions"},
		"money of a mark":  {edit(t, closed, "DELETE FROM ledger"), store.MarkAhead, "counts as spent"},
		"an older version": {edit(t, closed, "PRAGMA user_version = 3"), store.MarkAgrees, "brings it to 4"},
	}
	for name, test := range tests {
		got := inspect(t, test.dir, false)
		if len(got.Troubles) > 0 || got.Mark != test.mark || !strings.Contains(strings.Join(got.Notes, "\n"), test.note) {
			t.Errorf("%s: mark %s, notes %q, troubles %+v", name, got.Mark, got.Notes, got.Troubles)
		}
	}
	lone := filepath.Join(t.TempDir(), "copy.db")
	write(t, lone, string(contents(t, closed)["windsock.db"]))
	got, err := store.Inspect(t.Context(), lone, true)
	if err != nil || len(got.Troubles) > 0 || got.Mark != store.MarkNone || got.Records != 20 {
		t.Errorf("a lone file: %v, %+v", err, got)
	}
}

func TestANewerDatabaseIsNamedAndNotTouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, Version: "9.1.0"})
	add(t, s, reports(3)...)
	shut(t, s)
	dir = changed(t, dir, "windsock.db", func(data []byte) []byte {
		binary.BigEndian.PutUint32(data[60:], 99)
		return data
	})
	before := contents(t, dir)
	got, err := store.Inspect(t.Context(), dir, true)
	newer, ok := errors.AsType[*store.NewerError](err)
	if !ok || newer.Found != 99 || newer.By != "9.1.0" || got == nil || got.WrittenBy != "9.1.0" {
		t.Errorf("error %v (%+v), want a NewerError that names 99 and 9.1.0", err, got)
	}
	unchanged(t, dir, before)
}

func TestWhatCannotBeInspected(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"no directory": filepath.Join(t.TempDir(), "no"), "an empty directory": t.TempDir()} {
		if _, err := store.Inspect(t.Context(), path, false); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want one that says that there is no such file", name, err)
		}
	}
}

// TestAnInspectionBesideAnAgentThatWrites looks again and again at a store that another process fills.
func TestAnInspectionBesideAnAgentThatWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "append", dir)
	for range 20 {
		lines.Scan()
	}
	last := int64(0)
	for range 30 {
		got, err := store.Inspect(t.Context(), dir, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Troubles) > 0 || got.Records < last {
			t.Fatalf("%d records after %d, troubles %+v", got.Records, last, got.Troubles)
		}
		last = got.Records
		for range 5 {
			lines.Scan()
		}
	}
	kill(t, cmd, lines)
	if got := inspect(t, dir, true); len(got.Troubles) > 0 || got.Records < last {
		t.Errorf("after the kill: %+v", got)
	}
}

// TestAPipeInThePlaceOfTheDatabase is refused: who reads it would wait for ever.
func TestAPipeInThePlaceOfTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "windsock.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Inspect(t.Context(), dir, false); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("got %v, want that it is not a file", err)
	}
}
