package incident_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/incident"
)

func (d *desk) close(id string, by incident.Closing) (incident.Outcome, bool, error) {
	d.t.Helper()
	out, found, err := d.Close(d.now, id, by)
	return d.took(out), found, err
}

// restarted is the desk of a process that comes after, with what this one had kept.
func (d *desk) restarted() *desk {
	after := newDesk(d.t, targets())
	after.now, after.state = d.now, d.state
	after.took(after.Restore(d.now, d.state))
	return after
}

func TestAnIncidentWithOpenAlertsIsClosedByForceAndWithAReasonOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		resolved bool
		by       incident.Closing
		want     bool
	}{
		"open alerts":                      {by: incident.Closing{By: "ada", Reason: "known"}},
		"open alerts, force, no reason":    {by: incident.Closing{By: "ada", Force: true}},
		"open alerts, force and a reason":  {by: incident.Closing{By: "ada", Force: true, Reason: "known"}, want: true},
		"all resolved":                     {resolved: true, want: true},
		"all resolved, with force as well": {resolved: true, by: incident.Closing{Force: true}, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, targets())
			d.step(0, fires("a"))
			if tt.resolved {
				d.step(time.Second, resolves("a"))
			}
			_, found, err := d.close(d.List()[0].ID, tt.by)
			var still *incident.StillOpenError
			if !found || (err == nil) != tt.want || err != nil && !errors.As(err, &still) {
				t.Fatalf("found %v, error %v, want closed %v", found, err, tt.want)
			}
			if left := len(d.List()); (left == 0) != tt.want {
				t.Errorf("%d are open, want closed %v", left, tt.want)
			}
			if after := d.restarted(); (len(after.List()) == 0) != tt.want {
				t.Errorf("after a restart %d are open, want closed %v", len(after.List()), tt.want)
			}
		})
	}
}

func TestTheTimelineSaysWhoClosedAndWhy(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("a"))
	d.now = d.now.Add(time.Minute)
	out, _, err := d.close(d.List()[0].ID, incident.Closing{By: "ada", Reason: "a test that we forgot", Force: true})
	if err != nil || len(out.Events) != 1 {
		t.Fatalf("%v, %+v", err, out.Events)
	}
	e := out.Events[0]
	const want = "incident closed by ada after 1m0s, P2, 1 alerts, 1 still open: a test that we forgot"
	if e.Kind != incident.EventClosed || e.Text != want || e.Subject != "ada" || e.Closed == nil || e.Closed.ClosedBy != "ada" || e.Closed.Reason == "" {
		t.Errorf("got %+v, want %q", e, want)
	}
}

func TestWhatIsClosedByHandStaysClosedUnlessSomethingNewFires(t *testing.T) {
	t.Parallel()
	again := alert("a", checks.AlertFiring, checks.AlertPending)
	tests := map[string]struct {
		then []*checks.Alert
		open int
	}{
		"nothing more":           {nil, 0},
		"it goes on":             {[]*checks.Alert{alert("a", checks.AlertNoData, checks.AlertFiring)}, 0},
		"it is resolved":         {[]*checks.Alert{resolves("a")}, 0},
		"it becomes less severe": {[]*checks.Alert{alert("a", checks.AlertFiring, checks.AlertFiring, severity(checks.P3))}, 0},
		"it becomes worse":       {[]*checks.Alert{alert("a", checks.AlertFiring, checks.AlertFiring, severity(checks.P1))}, 1},
		"it fires anew":          {[]*checks.Alert{resolves("a"), again}, 1},
		"another one fires":      {[]*checks.Alert{fires("b")}, 1},
	}
	for name, tt := range tests {
		for _, restart := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", after a restart"}[restart], func(t *testing.T) {
				t.Parallel()
				d := newDesk(t, targets())
				d.step(0, fires("a"))
				id := d.List()[0].ID
				if _, _, err := d.close(id, incident.Closing{Force: true, Reason: "known"}); err != nil {
					t.Fatal(err)
				}
				if restart {
					d = d.restarted()
				}
				for _, a := range tt.then {
					changed := *a
					d.step(time.Second, &changed)
					if tt.open == 0 && changed.Incident != id {
						t.Errorf("the alert is of %q, want still of %q", changed.Incident, id)
					}
				}
				if got := d.List(); len(got) != tt.open || tt.open == 1 && got[0].ID == id {
					t.Errorf("%d are open, want %d new: %+v", len(got), tt.open, got)
				}
			})
		}
	}
}

func TestWhatIsLeftOfAClosedIncidentIsForgotten(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*desk){
		"when it is resolved":                 func(d *desk) { d.step(0, resolves("a")) },
		"when the engine does not know of it": func(d *desk) { d.took(d.Reconcile(d.now, nil)) },
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, targets())
			d.step(0, fires("a"))
			if _, _, err := d.close(d.List()[0].ID, incident.Closing{Force: true, Reason: "known"}); err != nil {
				t.Fatal(err)
			}
			if len(d.state) != 1 {
				t.Fatalf("kept: %v, want what is left of one alert", d.state)
			}
			do(d)
			for key := range d.state {
				if strings.HasPrefix(key, "closed/") {
					t.Errorf("%s is still kept", key)
				}
			}
		})
	}
}

func TestClosingWhatIsNotOpenFindsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	if out, found, err := d.close("01ABC", incident.Closing{}); found || err != nil || len(out.Events) > 0 {
		t.Errorf("got %v, %v, %+v", found, err, out)
	}
}
