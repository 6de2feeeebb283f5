package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

const nobody = 65534

// ofAnotherUser is a state directory of another user, where root comes by.
func ofAnotherUser(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

func owners(t *testing.T, dir string) map[string]uint32 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[entry.Name()] = info.Sys().(*syscall.Stat_t).Uid
	}
	return got
}

func TestWhatRootLeavesIsTheDirectoryOwners(t *testing.T) {
	t.Parallel()
	dir := ofAnotherUser(t)
	s := open(t, store.Options{Dir: dir})
	add(t, s, report("a", time.Now()))
	held := owners(t, dir)
	for _, name := range []string{"windsock.db", "windsock.db-wal", "windsock.db-shm", "windsock.mark", "windsock.spare", "windsock.lock"} {
		if uid, there := held[name]; !there || uid != nobody {
			t.Errorf("%s while it is open: there %t, owner %d, want %d", name, there, uid, nobody)
		}
	}
	shut(t, s)
	write(t, filepath.Join(dir, "windsock.db"), "no database")
	s = open(t, store.Options{Dir: dir})
	add(t, s, report("a", time.Now()))
	if h := s.Health(); h.Corrupt != 1 {
		t.Errorf("health %+v, want a database that was moved aside", h)
	}
	shut(t, s)
	for name, uid := range owners(t, dir) {
		if uid != nobody {
			t.Errorf("%s has owner %d, want %d", name, uid, nobody)
		}
	}
}

func TestWhatRootLeftBeforeBecomesTheDirectoryOwners(t *testing.T) {
	t.Parallel()
	dir := ofAnotherUser(t)
	for _, name := range []string{"windsock.mark", "windsock.lock", "windsock.spare"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, open(t, store.Options{Dir: dir}))
	for name, uid := range owners(t, dir) {
		if uid != nobody {
			t.Errorf("%s has owner %d, want %d", name, uid, nobody)
		}
	}
}

func TestRootFollowsNoLinkOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir, elsewhere := ofAnotherUser(t), filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(elsewhere, filepath.Join(dir, "windsock.mark")), os.Link(elsewhere, filepath.Join(dir, "windsock.lock"))); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	info, err := os.Stat(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the file elsewhere was given to %d", uid)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "windsock.mark")); len(text) > 100 {
		t.Error("root wrote through a link of another user")
	}
}

// TestRootFollowsNoLinkOfTheOwners: whoever owns the directory puts a link to a file of root's into the place of a copy that
// root is making, at the last moment at which it is looked at by its name.
func TestRootFollowsNoLinkOfTheOwners(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(dir string) error{
		"compact": func(dir string) error { _, err := store.CompactDir(t.Context(), dir); return err },
		"backup": func(dir string) error {
			_, err := store.WriteBackup(t.Context(), dir, filepath.Join(dir, "copy.db"), false)
			return err
		},
		"export": func(dir string) error {
			return store.WriteWhole(dir, filepath.Join(dir, "records"), false, func(w io.Writer) error {
				_, err := w.Write([]byte("records"))
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := ofAnotherUser(t)
			s := open(t, store.Options{Dir: dir})
			add(t, s, report("a", time.Now()))
			shut(t, s)
			roots := filepath.Join(t.TempDir(), "roots")
			write(t, roots, "")
			absent := filepath.Join(t.TempDir(), "absent")
			for _, target := range []string{roots, absent} {
				stop := exchange(t, dir, target)
				for range 20 {
					_ = work(dir)
					_ = os.Remove(filepath.Join(dir, "copy.db"))
					_ = os.Remove(filepath.Join(dir, "records"))
				}
				stop()
			}
			info, err := os.Stat(roots)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 || info.Size() != 0 {
				t.Errorf("root's file has owner %d and %d bytes", uid, info.Size())
			}
			if _, err := os.Lstat(absent); err == nil {
				t.Error("root made a file elsewhere")
			}
		})
	}
}

// exchange puts links in the place of everything that is being made in a directory, until it is stopped.
func exchange(t *testing.T, dir, target string) (stop func()) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			parts, _ := filepath.Glob(filepath.Join(dir, ".*.part"))
			for _, part := range parts {
				link := filepath.Join(dir, "link")
				_ = os.Symlink(target, link)
				_ = os.Rename(link, part)
			}
		}
	}()
	return func() { close(end); <-ended }
}
