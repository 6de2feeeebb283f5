//go:build drill

package drill_test

import (
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/drill"
)

// The configuration that ships, and is in the packages, passes every scenario that it has a check for, and says of the others
// what they need.
func TestTheShippedConfigurationIsGreen(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Options{Path: "../../schedules.yaml", Registry: registry()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := play(t, cfg, all...)
	var not []string
	for _, out := range r.Scenarios {
		if out.Verdict == drill.NotCovered {
			not = append(not, out.Scenario)
		}
	}
	if want := []string{"app-down", "cost-spike", "notifier-down"}; r.Passed != len(all)-len(want) || !slices.Equal(not, want) {
		t.Errorf("got %s", said(t, r))
	}
	t.Logf("%d scenarios in %.0f s", len(all), r.Took)
}

// A configuration with an application, its metrics, its spend and two notifiers passes all of them.
func TestAFullConfigurationIsGreen(t *testing.T) {
	t.Parallel()
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := play(t, load(t, full), all...)
	if r.Passed != len(all) {
		t.Errorf("got %s", said(t, r))
	}
	t.Logf("%d scenarios in %.0f s", len(all), r.Took)
}
