package pluginhost_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

// restarts is how often TestRestartsLeakNothing starts the plugin; WINDSOCK_RESTARTS asks for more.
func restarts() int {
	if n, err := strconv.Atoi(os.Getenv("WINDSOCK_RESTARTS")); err == nil { //nolint:forbidigo // a switch of the test
		return n
	}
	return 30
}

// It is not parallel: what others hold would be counted.
func TestRestartsLeakNothing(t *testing.T) {
	times := quick()
	times.CrashWindow = time.Nanosecond
	h := host(t, times, entry(t, ""))
	c := h.Check("bad", "probe", with("a", ""))
	cycle := func(n int) {
		for i := range n {
			runs(t, c, 10*time.Second)
			before := h.await(t, "becoming ready", is(pluginhost.Ready)).PID
			if i%2 == 0 {
				kill(before, syscall.SIGKILL)
			} else if err := h.Restart(t.Context(), "bad"); err != nil {
				t.Fatal(err)
			}
			h.await(t, "starting again", func(s pluginhost.State) bool { return s.State == pluginhost.Ready && s.PID != before })
		}
	}
	cycle(4) // what is made once is there
	goroutines, files, memory := runtime.NumGoroutine(), descriptors(t), resident(t)
	cycle(restarts())
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines, want %d", runtime.NumGoroutine(), goroutines)
		}
	}
	if got := descriptors(t); got > files {
		t.Errorf("got %d descriptors, want %d", got, files)
	}
	if got := resident(t); got > memory+8<<20 {
		t.Errorf("got %d MiB resident, want about %d", got>>20, memory>>20)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// resident is the memory that is held after a collection.
func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	runtime.GC()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
