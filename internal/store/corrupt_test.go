package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

// filled makes two state directories with the same records, a cursor at 3 and 7 spent: one closed well, one as a kill
// leaves it, most of it in the log.
func filled(t *testing.T, records []checks.Record) (closed, killed string) {
	t.Helper()
	closed = t.TempDir()
	s := open(t, store.Options{Dir: closed, BootID: "one"})
	add(t, s, records...)
	if _, ok, err := s.Ledger().Reserve(t.Context(), claim("paid", 7, time.Now()), nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := s.Commit(t.Context(), "stdout", delivery.Cursor{Pos: 3, State: []byte("three")}, delivery.Counts{Sent: 3}); err != nil {
		t.Fatal(err)
	}
	killed = copyDir(t, closed)
	shut(t, s)
	return closed, killed
}

// survives opens a damaged directory and holds the store to what it owes: it starts, takes and returns new records, keeps
// count of what is gone, gives no altered record, keeps what was spent, and keeps the damaged file where it gave it up.
func survives(t *testing.T, dir string, old []checks.Record) store.Health {
	t.Helper()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	fresh := reports(3)
	add(t, s, fresh...)
	known := map[string]checks.Record{}
	for _, r := range append(append([]checks.Record{}, old...), fresh...) {
		known[r.ID] = roundTrip(t, r)
	}
	after, seen, lost := delivery.Position(0), []string{}, int64(0)
	for {
		entries, missing, err := s.Read(t.Context(), after, 50)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(entries) == 0 {
			break
		}
		lost += missing
		for _, e := range entries {
			same(t, "a record", e.Record, known[e.Record.ID])
			seen = append(seen, e.Record.ID)
			after = e.Pos
		}
	}
	if len(seen) < 3 || seen[len(seen)-1] != fresh[2].ID {
		t.Fatalf("the new records are not the last of %d", len(seen))
	}
	if got, want := int64(len(seen))+lost, int64(len(known)); got < want {
		t.Errorf("%d read and %d lost, want all of %d told", len(seen), lost, want)
	}
	spent, err := s.Ledger().Spent(t.Context(), time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour))
	if err != nil || spent < 7 {
		t.Errorf("spent %d, %v; want the 7 of before", spent, err)
	}
	h := s.Health()
	if !h.OK {
		t.Errorf("health %+v", h)
	}
	if h.CorruptMoved != "" {
		if _, err := os.Stat(h.CorruptMoved); err != nil {
			t.Errorf("the file that was moved aside: %v", err)
		}
	}
	shut(t, s)
	return h
}

func TestDamagedFilesNeverKeepTheStoreFromStarting(t *testing.T) {
	t.Parallel()
	old := reports(60)
	closed, killed := filled(t, old)
	damage := map[string]func(data []byte, at int) []byte{
		"a byte flipped": func(data []byte, at int) []byte { data[at] ^= 0x55; return data },
		"truncated":      func(data []byte, at int) []byte { return data[:at] },
		"zeroed on":      func(data []byte, at int) []byte { clear(data[at:min(len(data), at+4096)]); return data },
	}
	moved := 0
	for where, dir := range map[string]string{"closed": closed, "killed": killed} {
		for name, data := range contents(t, dir) {
			if name == "windsock.lock" || len(data) == 0 {
				continue
			}
			for what, spoil := range damage {
				for i := range 10 {
					at := i * i * (len(data) - 1) / 81 // dense at the headers
					target := copyDir(t, dir)
					write(t, filepath.Join(target, name), string(spoil(bytes.Clone(data), at)))
					if where == "closed" && name == "windsock.db" { // a crash follows a good end seldom; then the mark says so
						if err := os.Remove(filepath.Join(target, "windsock.mark")); err != nil {
							t.Fatal(err)
						}
					}
					t.Logf("%s, %s, %s at %d", where, name, what, at)
					if where == "closed" && name == "windsock.db" {
						survivesWithoutMark(t, target)
						continue
					}
					if h := survives(t, target, old); h.CorruptMoved != "" {
						moved++
					}
				}
			}
		}
	}
	if moved == 0 {
		t.Error("no file was moved aside")
	}
}

func survivesWithoutMark(t *testing.T, dir string) {
	t.Helper()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	fresh := reports(3)
	add(t, s, fresh...)
	got, _ := drain(t, s, 0)
	if len(got) < 3 || got[len(got)-1] != fresh[2].ID {
		t.Errorf("the new records are not the last of %d", len(got))
	}
	if !s.Health().OK {
		t.Errorf("health %+v", s.Health())
	}
	shut(t, s)
}

func TestACorruptDatabaseIsMovedAsideAndItsMemoryCarriesOn(t *testing.T) {
	t.Parallel()
	old := reports(400)
	dir, killed := filled(t, old)
	write(t, filepath.Join(dir, "windsock.mark"), string(contents(t, killed)["windsock.mark"])) // it does not say "clean"
	db := filepath.Join(dir, "windsock.db")
	data := contents(t, dir)["windsock.db"]
	for at := 20 * 4096; at < len(data)-8*4096; at += 4096 { // somewhere among the records
		copy(data[at:], bytes.Repeat([]byte{0xee}, 64))
	}
	write(t, db, string(data))
	var log bytes.Buffer
	s := open(t, store.Options{Dir: dir, BootID: "one", Log: slog.New(slog.NewTextHandler(&log, nil))})
	h := s.Health()
	if !strings.HasPrefix(h.CorruptMoved, db+".corrupt-") || !h.OK {
		t.Fatalf("health %+v", h)
	}
	if moved, err := os.ReadFile(h.CorruptMoved); err != nil || !bytes.Equal(moved, data) {
		t.Errorf("the moved file is not what it was: %v", err)
	}
	if !strings.Contains(log.String(), "moved aside") {
		t.Errorf("log %s", log.String())
	}
	cursor, err := s.Cursor(t.Context(), "stdout", false)
	same(t, "cursor", cursor, delivery.Cursor{Pos: 3, State: []byte("three")})
	if err != nil {
		t.Error(err)
	}
	fresh := reports(2)
	add(t, s, fresh...)
	got, lost := drain(t, s, cursor.Pos)
	same(t, "records", got, ids(fresh))
	if lost != 397 {
		t.Errorf("lost %d, want 397", lost)
	}
	if spent, _ := s.Ledger().Spent(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Second)); spent != 7 {
		t.Errorf("spent %d, want 7", spent)
	}
}

func TestCorruptionMetWhileRunningLosesNothingThatMemoryHas(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(t *testing.T, db string){
		"overwritten": func(t *testing.T, db string) {
			t.Helper()
			f, err := os.OpenFile(db, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			// In place, and without closing: closing a descriptor would drop the locks that this process holds on it.
			t.Cleanup(func() { _ = f.Close() })
			size, _ := f.Seek(0, 2)
			for at := int64(0); at < size; at += 512 {
				if _, err := f.WriteAt(bytes.Repeat([]byte{0xee}, 512), at); err != nil {
					t.Fatal(err)
				}
			}
		},
		"removed": func(t *testing.T, db string) {
			t.Helper()
			if err := os.Remove(db); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, store.Options{Dir: dir, BootID: "one"})
			old := reports(2000)
			add(t, s, old[:1500]...)
			if err := s.Commit(t.Context(), "stdout", delivery.Cursor{Pos: 10, State: []byte("ten")}, delivery.Counts{Sent: 10}); err != nil {
				t.Fatal(err)
			}
			shut(t, s) // the log is empty now: what is spoiled is what is read
			s = open(t, store.Options{Dir: dir, BootID: "one"})
			running := make(chan error, 1)
			go func() { running <- s.Run(t.Context()) }()
			add(t, s, old[1500:]...) // these are in memory as well
			if err := s.SaveState(t.Context(), "breaker", []byte("open")); err != nil {
				t.Fatal(err)
			}
			spoil(t, filepath.Join(dir, "windsock.db"))
			want := ids(old)[1500:]
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for range 4000 {
				if s.Health().CorruptMoved != "" || movedAside(t, dir) > 0 {
					break
				}
				<-ticker.C
				r := reports(1)
				add(t, s, r...)
				want = append(want, r[0].ID)
				if _, _, err := s.Read(t.Context(), 0, 1); err != nil {
					t.Fatalf("read: %v", err)
				}
			}
			got, lost := drain(t, s, 10)
			same(t, "what memory had", got, want)
			if lost != 1490 {
				t.Errorf("lost %d, want 1490", lost)
			}
			shut(t, s)
			ended(t, running)
			s = open(t, store.Options{Dir: dir, BootID: "one"})
			cursor, _ := s.Cursor(t.Context(), "stdout", false)
			same(t, "cursor", cursor, delivery.Cursor{Pos: 10, State: []byte("ten")})
			if state, _ := s.LoadState(t.Context(), "breaker"); string(state) != "open" {
				t.Errorf("state %q", state)
			}
			after, _ := drain(t, s, 10)
			same(t, "after a restart", after, got)
		})
	}
}

func movedAside(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "windsock.db.corrupt-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestADatabaseOfANewerVersionIsNotTouched(t *testing.T) {
	t.Parallel()
	closed, killed := filled(t, reports(20))
	tests := map[string]func(t *testing.T) string{
		"in the header": func(t *testing.T) string {
			t.Helper()
			dir := copyDir(t, closed)
			data := contents(t, dir)["windsock.db"]
			binary.BigEndian.PutUint32(data[60:], 99)
			write(t, filepath.Join(dir, "windsock.db"), string(data))
			return dir
		},
		"in the log only": func(t *testing.T) string {
			t.Helper()
			dir := copyDir(t, killed)
			data := contents(t, dir)["windsock.db-wal"]
			// A frame of page 1 that commits, in the generation of the log.
			frame := make([]byte, 24+4096)
			binary.BigEndian.PutUint32(frame, 1)
			binary.BigEndian.PutUint32(frame[4:], 20)
			copy(frame[8:16], data[16:24])
			binary.BigEndian.PutUint32(frame[24+60:], 99)
			data = append(data, frame...)
			write(t, filepath.Join(dir, "windsock.db-wal"), string(data))
			return dir
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := prepare(t)
			before := contents(t, dir)
			_, err := store.Open(t.Context(), store.Options{Dir: dir})
			var newer *store.NewerError
			if !errors.As(err, &newer) || newer.Found != 99 || newer.Known < 1 {
				t.Fatalf("error %v, want NewerError", err)
			}
			if after := contents(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
				t.Error("the directory changed")
			}
		})
	}
}

func TestAForeignDatabaseIsMovedAside(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no database at all": "remember the milk\n",
		"another program's":  foreign(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "windsock.db"), text)
			s := open(t, store.Options{Dir: dir})
			moved := s.Health().CorruptMoved
			if data, err := os.ReadFile(moved); err != nil || string(data) != text {
				t.Errorf("moved to %q: %v, or changed", moved, err)
			}
			add(t, s, reports(1)...)
		})
	}
}

// foreign is a database with an application id that is not ours.
func foreign(t *testing.T) string {
	t.Helper()
	closed, _ := filled(t, nil)
	data := contents(t, closed)["windsock.db"]
	binary.BigEndian.PutUint32(data[68:], 0x12345678)
	return string(data)
}
