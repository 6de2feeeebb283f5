package agenttest_test

import (
	"net"
	"os/exec"
	"runtime"
	"sync"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agenttest"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 { // of 12,000: without the sign two would be the same nearly always
		port, err := agenttest.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %s was given twice", port)
		}
		seen[port] = true
		runtime.GC()
	}
}

// A process that is being started has every descriptor of ours until it executes its program: a port among them would stay
// taken.
func TestAPortIsFreeWhileProgramsStart(t *testing.T) {
	over := make(chan struct{})
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					_ = exec.CommandContext(t.Context(), "true").Run()
				}
			}
		})
	}
	defer starting.Wait()
	defer close(over)
	for range 400 {
		port, err := agenttest.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}
