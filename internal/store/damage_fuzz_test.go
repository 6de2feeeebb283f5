package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

// FuzzDamage: whatever bytes stand anywhere in the database, its log or the mark, the store starts, or says that the file
// is from a newer version; and it takes and returns new records.
func FuzzDamage(f *testing.F) {
	f.Add(uint8(0), uint32(18), []byte{0xff})
	f.Add(uint8(0), uint32(47), []byte("0"))
	f.Add(uint8(0), uint32(63), []byte{0})
	f.Add(uint8(0), uint32(60), []byte{0, 0, 0, 2})
	f.Add(uint8(0), uint32(4096), []byte{13, 0, 0, 0xff, 0xff})
	f.Add(uint8(1), uint32(0), []byte{0x37, 0x7f, 0x06, 0x82, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add(uint8(1), uint32(24), []byte{0, 0, 0, 1})
	f.Add(uint8(2), uint32(0), []byte("windsock"))
	f.Add(uint8(2), uint32(8), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		if len(patch) > 4096 {
			return
		}
		_, dir := filled(t, reports(8))
		name := []string{"windsock.db", "windsock.db-wal", "windsock.mark"}[which%3]
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			t.Skip("no such file in this state")
		}
		copy(data[int(at)%len(data):], patch)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), store.Options{Dir: dir, BootID: "one"})
		if err != nil {
			if after, readErr := os.ReadFile(path); readErr != nil || string(after) != string(data) {
				t.Errorf("refused with %v, but the file was touched", err)
			}
			return
		}
		defer shut(t, s)
		fresh := reports(1)
		add(t, s, fresh...)
		if _, err := s.Ledger().Spent(t.Context(), time.Now().Add(-time.Hour), time.Now()); err != nil {
			t.Errorf("reading the ledger: %v", err)
		}
		stored, _ := drain(t, s, 0)
		if len(stored) == 0 || stored[len(stored)-1] != fresh[0].ID {
			t.Errorf("the new record is not the last of %d", len(stored))
		}
	})
}
