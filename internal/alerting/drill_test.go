package alerting_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

func (d *desk) drill() (*alerting.Drill, *[]checks.Alert) {
	d.t.Helper()
	told := new([]checks.Alert)
	setup := d.setup()
	drill, err := d.keeper.BeginDrill(d.t.Context(), alerting.DrillSetup{
		Scenario: "5xx", Engine: setup.Engine, Targets: setup.Targets, Told: func(a checks.Alert) { *told = append(*told, a) },
	}, "drill 5xx began")
	if err != nil {
		d.t.Fatal(err)
	}
	return drill, told
}

func (d *desk) drilled(drill *alerting.Drill, status checks.Status) {
	d.t.Helper()
	time.Sleep(time.Second)
	err := drill.See(d.t.Context(), &checks.Report{
		ID: "r", Check: "chat", Kind: "chat", Provider: "mistral", StartedAt: time.Now(), Trigger: checks.TriggerDrill, Final: true, Attempt: 1,
		Result: checks.Result{Status: status, Cause: map[checks.Status]checks.Cause{checks.Failed: checks.CauseServer}[status], Summary: "it says so"},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// alerts are the alert records of the store, "rule state drill".
func (d *desk) alerts() []string {
	d.t.Helper()
	var all []string
	err := d.store.Each(d.t.Context(), 0, func(e delivery.Entry) error {
		if a := e.Record.Alert; a != nil {
			all = append(all, strings.TrimSpace(a.Rule+" "+string(a.State)+" "+a.Drill()))
		}
		if e.Record.Report != nil && e.Record.Report.Trigger == checks.TriggerDrill {
			d.t.Error("a run of a drill was stored")
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

func (d *desk) events() string {
	d.t.Helper()
	events, err := d.store.Events(d.t.Context(), time.Time{}, time.Time{}, "")
	if err != nil {
		d.t.Fatal(err)
	}
	var lines []string
	for _, e := range events {
		lines = append(lines, string(e.Kind)+": "+e.Text)
	}
	return strings.Join(lines, "\n")
}

func TestADrillTouchesNothingReal(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		defer d.end()
		drill, told := d.drill()
		d.drilled(drill, checks.Failed)
		if open, _ := d.keeper.Open(); len(open) != 0 {
			t.Errorf("got %v open, want none: nothing real fires", open)
		}
		all, _ := d.keeper.Told()
		if len(all) != 1 || all[0].Drill() != "5xx" || !strings.HasPrefix(all[0].Summary, "DRILL ") || all[0].Incident == "" {
			t.Fatalf("got %+v, want one alert that says it is a drill", all)
		}
		if incidents := d.keeper.DrillIncidents(); len(incidents) != 1 || !strings.HasPrefix(incidents[0].Title, "DRILL ") {
			t.Errorf("got the incidents %+v, want one whose title says DRILL", incidents)
		}
		d.run(checks.Failed) // a real failure meanwhile
		open, _ := d.keeper.Open()
		if len(open) != 1 || open[0].Drill() != "" || open[0].Incident == all[0].Incident || open[0].Fingerprint == all[0].Fingerprint {
			t.Errorf("got %+v, want the real alert with an incident of its own", open)
		}
		d.drilled(drill, checks.OK)
		if got := len(*told); got != 2 {
			t.Errorf("%d transitions were told, want 2", got)
		}
		if err := drill.End(t.Context(), "drill 5xx ended"); err != nil {
			t.Fatal(err)
		}
		want := []string{"down firing 5xx", "down firing", "down resolved 5xx"}
		if got := d.alerts(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := d.events(); !strings.Contains(got, "mark: drill 5xx began") || !strings.Contains(got, "mark: drill 5xx ended") || !strings.Contains(got, "opened: incident opened, P2: DRILL ") {
			t.Errorf("the timeline is\n%s", got)
		}
		if open, _ := d.keeper.Open(); len(open) != 1 {
			t.Errorf("got %v open after the drill, want the real one", open)
		}
	})
}

func TestWhatADrillOpenedEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(d *desk, drill *alerting.Drill){
		"when it ends in the middle": func(d *desk, drill *alerting.Drill) {
			if err := drill.End(d.t.Context(), "drill 5xx ended: somebody stopped it"); err != nil {
				d.t.Fatal(err)
			}
		},
		"when the process is gone": func(d *desk, _ *alerting.Drill) {
			d.end()
			d.begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				d.begin()
				defer func() { d.end() }()
				drill, _ := d.drill()
				if _, err := d.keeper.BeginDrill(t.Context(), alerting.DrillSetup{}, ""); !errors.Is(err, alerting.ErrDrill) {
					t.Errorf("a second drill: got %v, want ErrDrill", err)
				}
				d.drilled(drill, checks.Failed)
				end(d, drill)
				if got, want := d.alerts(), []string{"down firing 5xx", "down resolved 5xx"}; !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if all, _ := d.keeper.Told(); len(all) != 0 {
					t.Errorf("got %v open, want none", all)
				}
				if got := d.events(); !strings.Contains(got, "closed: incident closed after") || !strings.Contains(got, "mark: drill 5xx ended") {
					t.Errorf("the timeline is\n%s", got)
				}
				d.drilled(drill, checks.Failed) // late: it is over
				if all, _ := d.keeper.Told(); len(all) != 0 {
					t.Errorf("got %v open after a late run, want none", all)
				}
				again, _ := d.drill()
				if err := again.End(t.Context(), "drill 5xx ended"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestASilenceMutesADrill(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		defer d.end()
		_, err := d.keeper.Silence(t.Context(), alerting.Silence{Match: map[string][]string{"rule": {"down"}}, Reason: "deploy", Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		drill, told := d.drill()
		d.drilled(drill, checks.Failed)
		if len(*told) != 1 || !strings.HasPrefix((*told)[0].Muted, "silence/") {
			t.Errorf("got %+v, want one alert that is muted by the silence", *told)
		}
		if got := d.keeper.DrillIncidents(); len(got) > 0 {
			t.Errorf("got the incidents %v, want none", got)
		}
		if err := drill.End(t.Context(), "over"); err != nil {
			t.Error(err)
		}
	})
}

// A drill whose beginning cannot be stored is none, and stands in no other's way.
func TestADrillThatCannotBeStoredIsNone(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		d.begin()
		d.end()
		for range 2 {
			setup := d.setup()
			_, err := d.keeper.BeginDrill(t.Context(), alerting.DrillSetup{
				Scenario: "5xx", Engine: setup.Engine, Targets: setup.Targets, Told: func(checks.Alert) {},
			}, "drill 5xx began")
			if err == nil || errors.Is(err, alerting.ErrDrill) {
				t.Errorf("got %v, want the store's error", err)
			}
		}
	})
}
