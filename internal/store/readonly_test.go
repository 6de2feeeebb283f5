package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

func TestAViewReadsBesideTheAgentAndAfterIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := store.OpenView(t.Context(), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a store: %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("the view made %v, %v", names, err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Memory("list").Save(t.Context(), []byte("what was seen")); err != nil {
		t.Fatal(err)
	}
	read := func(when string) {
		t.Helper()
		view, err := store.OpenView(t.Context(), dir)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		data, err := view.Memory(t.Context(), "list")
		if err != nil || string(data) != "what was seen" {
			t.Errorf("%s: %q, %v", when, data, err)
		}
		if data, err := view.State(t.Context(), "nobody"); err != nil || data != nil {
			t.Errorf("%s: %q, %v, want nothing", when, data, err)
		}
		if err := view.Close(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	read("beside")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	read("after")
	if err := os.WriteFile(filepath.Join(dir, "windsock.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenView(t.Context(), dir); err == nil {
		t.Error("a file that is no database was opened")
	}
}

func TestALedgerSaysHowFarItsMemoryGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if why := s.Ledger().Lacks(time.Now().Add(time.Second)); why != "" {
		t.Errorf("of what is to come: %s", why)
	}
	if why := s.Ledger().Lacks(time.Now().Add(-time.Hour)); !strings.HasPrefix(why, "the ledger begins at ") {
		t.Errorf("of the time before it: %q", why)
	}
}
