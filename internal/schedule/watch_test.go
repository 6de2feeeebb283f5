package schedule_test

import (
	"context"
	"testing"

	"github.com/windsock-monitor/windsock/internal/schedule"
)

func TestTheWatchOfTheClocksEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	words := schedule.WatchClocks(ctx)
	cancel()
	if words == nil {
		t.Skip("this kernel does not tell")
	}
	for range words { // until it is closed: the test's own deadline is the bound
	}
}
