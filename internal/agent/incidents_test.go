package agent_test

import (
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
)

func TestTheSpendOfAnHourIsToldOncePerStep(t *testing.T) {
	t.Parallel()
	got := agent.SpendSteps(3, 3, 4.99, 5, 6, 25, 19, 20, 0, 0.5, 1, 3_000_000)
	want := []float64{0, 0, 0, 5, 0, 20, 0, 20, 0, 0, 1, 500_000}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
