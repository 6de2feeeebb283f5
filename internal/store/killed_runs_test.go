package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

// TestTheLastRunsOutliveTwoKills copies the files as a kill leaves them: what the first successor learned from the records
// must reach the second, though nothing of that check was stored in between.
func TestTheLastRunsOutliveTwoKills(t *testing.T) {
	t.Parallel()
	killed := func(dir string) string {
		t.Helper()
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(to, "windsock.lock")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return to
	}
	first, slot := t.TempDir(), time.Now().Add(-time.Minute)
	s := open(t, store.Options{Dir: first})
	add(t, s, report("other", slot))
	add(t, s, report("chat", slot))
	second := killed(first)
	s = open(t, store.Options{Dir: second})
	add(t, s, report("other", slot.Add(time.Second)))
	s = open(t, store.Options{Dir: killed(second)})
	runs, err := s.LastRuns(t.Context())
	if err != nil || !runs["chat"].Equal(slot.Truncate(time.Microsecond)) {
		t.Errorf("last runs %v, %v, want chat at %s", runs, err, slot)
	}
}
