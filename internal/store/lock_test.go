package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/store"
)

// TestFilesThatWereRemovedLockOthersOutAllTheSame: an emptied state directory is made anew, lock included, and a second
// agent is still refused.
func TestFilesThatWereRemovedLockOthersOutAllTheSame(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{"all files": "*", "the lock alone": "windsock.lock"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			held, err := store.Open(t.Context(), store.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = held.Close() }()
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(files) == 0 {
				t.Fatalf("no files to remove: %v", err)
			}
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			running := make(chan error, 1)
			ctx, stop := context.WithCancel(t.Context())
			go func() { running <- held.Run(ctx) }()
			defer func() {
				stop()
				if err := <-running; err != nil {
					t.Error(err)
				}
			}()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for range 4000 {
				if pid, err := os.ReadFile(filepath.Join(dir, "windsock.lock")); err == nil && len(pid) > 0 { // written once it is locked
					break
				}
				<-tick.C
			}
			second, err := store.Open(t.Context(), store.Options{Dir: dir})
			if _, locked := errors.AsType[*store.LockedError](err); !locked {
				if second != nil {
					_ = second.Close()
				}
				t.Fatalf("a second agent got %v, want it refused", err)
			}
		})
	}
}
