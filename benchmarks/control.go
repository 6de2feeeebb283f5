package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// controlTaken is what a unit of the control's constant work cost since it was last asked: the same on a machine without
// neighbours, more where they take the caches or the processor's clock.
type controlTaken struct {
	Units         int
	P10, P50, P90 time.Duration // of CPU time
}

const controlEvery = 50 * time.Millisecond

// runControl does a unit of work every 50 ms until ctx ends: hashing, and a walk through memory that no cache holds.
func runControl(ctx context.Context, out io.Writer) error {
	var mu sync.Mutex
	var units []time.Duration
	mux := http.NewServeMux()
	mux.HandleFunc("/taken", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		s := units
		units = nil
		mu.Unlock()
		slices.Sort(s)
		_ = json.NewEncoder(w).Encode(controlTaken{Units: len(s), P10: quantile(s, 0.1), P50: quantile(s, 0.5), P90: quantile(s, 0.9)})
	})
	var h hello
	stop, err := servePages(ctx, mux, &h)
	if err != nil {
		return err
	}
	defer stop()
	if err := say(out, h); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	work := newUnit()
	ticker := time.NewTicker(controlEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := threadTime()
		work.do()
		took := threadTime() - before
		mu.Lock()
		units = append(units, took)
		mu.Unlock()
	}
}

// unit is the constant work.
type unit struct {
	text []byte
	next []int32 // a cycle through all places
	at   int32
	sum  [sha256.Size]byte
}

func newUnit() *unit {
	const places = 2 << 20 // 8 MiB
	u := &unit{text: make([]byte, 128<<10), next: make([]int32, places)}
	for i := range u.next { // an odd step visits every place
		u.next[i] = int32((i*1103515245 + 12345) % places)
	}
	return u
}

func (u *unit) do() {
	u.sum = sha256.Sum256(u.text)
	for range 4000 {
		u.at = u.next[u.at]
	}
}

func threadTime() time.Duration { return clockTime(unix.CLOCK_THREAD_CPUTIME_ID) }

func clockTime(clock int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
