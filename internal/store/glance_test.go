package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/store"
)

// TestAGlanceTellsWithoutTouching: who holds the directory, how large it is, what lies about; and afterwards all is as it was.
func TestAGlanceTellsWithoutTouching(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if g, err := store.GlanceAt(filepath.Join(dir, "nowhere"), "/proc"); err != nil || g.Found || g.Holder != 0 {
		t.Fatalf("of nothing: got %+v, %v", g, err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	proc := t.TempDir() // as it is while the store is open: the glance itself comes when it is not
	if err := os.WriteFile(filepath.Join(proc, "locks"), locks, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"windsock.db.corrupt-20260101T000000Z", "windsock.db.corrupt-20260101T000000Z-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, dir)
	g, err := store.GlanceAt(dir, proc)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Found || g.Version != g.Known || g.Known < 3 || g.Bytes < 10000 || len(g.Aside) != 1 || g.Holder != os.Getpid() {
		t.Errorf("got %+v, want this process %d to hold it", g, os.Getpid())
	}
	if free, err := store.GlanceAt(dir, "/proc"); err != nil || free.Holder != 0 {
		t.Errorf("of a closed store: got %+v, %v", free, err)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("got %q after it, want %q", after, before)
	}
	if err := os.Remove(filepath.Join(dir, "windsock.db")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, entry.Name(), info.Size(), info.ModTime())
	}
	return out.String()
}
