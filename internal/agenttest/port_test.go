package agenttest_test

import (
	"runtime"
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
