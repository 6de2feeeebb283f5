package launch_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
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
	p, _ := program(t, "")
	p.Log = nil
	cycle(t, p, 4) // what is made once is there
	goroutines, files, memory := runtime.NumGoroutine(), descriptors(t), resident(t)
	cycle(t, p, restarts())
	within(t, 5*time.Second, "ending the goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
	if got := descriptors(t); got > files {
		t.Errorf("got %d descriptors, want %d", got, files)
	}
	if got := resident(t); got > memory+8<<20 {
		t.Errorf("got %d MiB resident, want about %d", got>>20, memory>>20)
	}
	if left, _ := filepath.Glob(filepath.Join(p.Sockets, "*")); len(left) > 0 {
		t.Errorf("got %v left", left)
	}
}

// cycle ends every second one by force from outside.
func cycle(t *testing.T, p launch.Program, n int) {
	t.Helper()
	for i := range n {
		process, err := launch.Start(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = syscall.Kill(process.PID(), syscall.SIGKILL)
			<-process.Done()
		}
		process.Stop(5 * time.Second)
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

// The floor is a plugin without certificates, digest and shim.
func BenchmarkReady(b *testing.B) {
	for name, change := range map[string]func(*launch.Program){
		"floor":                  func(p *launch.Program) { p.MTLS = false; p.Unsandboxed = true },
		"mtls":                   func(p *launch.Program) { p.Unsandboxed = true },
		"mtls, shim and digest":  func(p *launch.Program) { p.SHA256 = sumOf(b, built) },
		"plain, shim and digest": func(p *launch.Program) { p.SHA256 = sumOf(b, built); p.MTLS = false },
	} {
		b.Run(name, func(b *testing.B) {
			p, _ := program(b, "")
			p.Log = nil
			change(&p)
			for b.Loop() {
				process, err := launch.Start(b.Context(), p)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				process.Stop(time.Second)
				b.StartTimer()
			}
		})
	}
}
