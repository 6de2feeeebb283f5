package agent_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
)

// TestASnapshotTooLargeLeavesOutWhatThereIsManyOf: what rules of the agent itself need is there, and what is left out is counted.
func TestASnapshotTooLargeLeavesOutWhatThereIsManyOf(t *testing.T) {
	t.Parallel()
	var all []checks.Measurement
	for i := range 300 {
		model := map[string]string{"model": fmt.Sprint("m", i), "resource": "requests"}
		all = append(all, checks.Measurement{Name: "windsock.headroom.share", Value: 1, Attrs: model})
	}
	all = append(all, checks.Measurement{Name: "windsock.store.degraded", Value: 1})
	for i := range 300 {
		all = append(all, checks.Measurement{Name: "windsock.alert.state", Value: 2, Attrs: map[string]string{"rule": fmt.Sprint("r", i), "severity": "P1"}})
	}
	all = append(all, checks.Measurement{Name: "windsock.heartbeat.failed", Value: 1})
	kept, over := agent.CutMeasurements(slices.Clone(all))
	if over != len(all)-exporters.MaxPoints {
		t.Errorf("%d of %d are left out, want %d", over, len(all), len(all)-exporters.MaxPoints)
	}
	points := exporters.Points(checks.Record{At: time.Now(), Agent: &checks.Snapshot{Measurements: kept}})
	for _, name := range []string{"windsock.store.degraded", "windsock.heartbeat.failed"} {
		if !slices.ContainsFunc(points, func(p exporters.Point) bool { return p.Name == name }) {
			t.Errorf("%s is not among the %d points", name, len(points))
		}
	}
	if _, over := agent.CutMeasurements(all[:10]); over != 0 {
		t.Errorf("%d of ten are left out", over)
	}
}
