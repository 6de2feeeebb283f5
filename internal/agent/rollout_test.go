package agent_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
)

// A gate has the running agent make its runs, and asks what was before: the runs of its checks up to the newest mark that is
// not of a gate.
func TestTheRunningAgentServesAGate(t *testing.T) {
	h := newHost(t)
	running, _, _ := h.start()
	h.until("the control socket", func() bool { return running.Health(t.Context()).Control != "" })
	client := agent.NewClient(filepath.Join(h.dir, "state", "control.sock"))
	name := running.Health(t.Context()).Checks[0].Name
	run := func(why checks.Trigger) (report *checks.Report) {
		t.Helper()
		h.until("a run", func() bool {
			var err error
			report, err = client.RunAs(t.Context(), name, why)
			if refused, ok := errors.AsType[*agent.RefusedError](err); ok && (refused.Status == http.StatusConflict || refused.Status == http.StatusServiceUnavailable) {
				return false // it runs by its schedule, or the agent is not ready yet
			}
			if err != nil {
				t.Fatal(err)
			}
			return true
		})
		return report
	}
	for _, why := range []checks.Trigger{checks.TriggerManual, checks.TriggerGate, checks.TriggerDrill} {
		if got := run(why); got.Trigger != why {
			t.Errorf("got the trigger %s, want %s", got.Trigger, why)
		}
	}
	if _, err := client.RunAs(t.Context(), name, checks.TriggerSchedule); err == nil {
		t.Error("a run that pretends to be of the schedule was made")
	} else if refused, ok := errors.AsType[*agent.RefusedError](err); !ok || refused.Status != http.StatusBadRequest {
		t.Errorf("got %v, want 400", err)
	}
	mark := func(text string) {
		t.Helper()
		if err := client.Call(t.Context(), http.MethodPost, "/v1/marks", agent.MarkRequest{Text: text}, nil); err != nil {
			t.Fatal(err)
		}
	}
	mark("v2 canary")
	mark("gate started")
	mark("Cause: the key was rotated too early")
	mark("mitigated: the old key is back")
	last := run(checks.TriggerGate)
	got, err := client.Before(t.Context(), agent.RolloutQuestion{Checks: []string{name}, Window: time.Hour, But: "gate"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Mark == nil || got.Mark.Text != "v2 canary" || len(got.Runs) < 3 {
		t.Fatalf("got the mark %+v and %d runs, want the canary's and at least 3", got.Mark, len(got.Runs))
	}
	for _, r := range got.Runs {
		if r.Report.Check != name || r.ID == last.ID || !r.At.Before(got.Mark.At) {
			t.Errorf("the run %s of %s at %s is not one of %s before %s", r.ID, r.Report.Check, r.At, name, got.Mark.At)
		}
	}
	if got, err = client.Before(t.Context(), agent.RolloutQuestion{Checks: []string{name}, Window: time.Hour, Ends: time.Now()}); err != nil || got.Mark != nil || got.Runs[len(got.Runs)-1].ID != last.ID {
		t.Errorf("got %v, the mark %v and %d runs, want all up to now", err, got.Mark, len(got.Runs))
	}
	if err := client.Call(t.Context(), http.MethodGet, "/v1/rollout?window=soon", nil, nil); err == nil {
		t.Error("a window that is none was taken")
	}
}
