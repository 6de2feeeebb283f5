package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/clock"
	"github.com/windsock-monitor/windsock/internal/status"
)

// aliveFor is how long after its last tick the scheduler counts as alive: it sleeps five seconds at most.
const aliveFor = 10 * time.Second

// oldQueue is how long a record may wait for its exporter before that is a problem to tell.
const oldQueue = time.Minute

// overdueAfter is how many intervals without a result make a check overdue.
const overdueAfter = 3

// Alive implements status.Source: the scheduler has ticked.
func (a *Agent) Alive() bool { return time.Since(a.scheduler.Stats().LastTick) < aliveFor }

// Health implements status.Source.
func (a *Agent) Health(ctx context.Context) status.Health {
	now := time.Now()
	slots := a.scheduler.Stats()
	kept := a.store.Health()
	h := status.Health{
		Version: a.o.Version, Instance: a.store.Instance(), StartedAt: now.Round(0).Add(-now.Sub(a.started)), Now: now, Config: a.config(), Process: process(),
		Schedule: status.Schedule{
			LastTick: slots.LastTick, Scheduled: slots.Scheduled, Done: slots.Done, Skipped: sum(slots.Skipped),
			Missed: sum(slots.Missed), Running: slots.Running, ClockSteps: slots.ClockSteps, Clock: slots.Changed, ClockAt: slots.ChangedAt, Abandoned: a.pipeline.Abandoned(),
			Overdue: a.overdue(now),
		},
		Store: status.Store{
			OK: kept.OK, Problem: kept.Problem, WayOut: kept.WayOut, Records: kept.Records, Bytes: kept.Bytes, RingRecords: kept.RingRecords,
			RingDropped: kept.RingDropped, Expired: kept.Expired, CorruptMoved: kept.CorruptMoved,
		},
		Budget: a.budget(ctx, now), Breakers: a.breakers.Words(), Exporters: a.exporterStates(ctx, now),
		Checks: a.checkStates(now), Services: a.services(now), Heartbeat: a.heart(), Alerts: a.alertStates(), Plugins: a.plugins.states(),
	}
	if len(h.Plugins) > 0 {
		h.Sandbox = a.plugins.lacks()
	}
	a.mu.Lock()
	h.Location, h.Ready, h.Control = a.gen.cfg.Location, a.ready, a.socket
	a.mu.Unlock()
	h.Problems = a.problems(&h)
	h.Status = status.Healthy
	for _, p := range h.Problems {
		if p.Status == status.Unhealthy || h.Status == status.Healthy {
			h.Status = p.Status
		}
	}
	return h
}

// alertStates are the alerts that are open, the most severe first.
func (a *Agent) alertStates() []status.Alert {
	open, _ := a.alerts.Open()
	slices.SortStableFunc(open, func(x, y checks.Alert) int { return cmp.Compare(x.Severity, y.Severity) })
	var out []status.Alert
	for i := range open[:min(len(open), status.MostAlerts)] {
		o := &open[i]
		out = append(out, status.Alert{
			Rule: o.Rule, State: o.State, Severity: o.Severity, Since: o.Since, Summary: o.Summary, Muted: o.Muted,
			Incident: o.Incident, Commander: o.Commander,
		})
	}
	return out
}

func (a *Agent) problems(h *status.Health) []status.Problem {
	var out []status.Problem
	say := func(verdict status.Verdict, part, what, hint string) {
		out = append(out, status.Problem{Part: part, Status: verdict, What: what, Hint: hint})
	}
	if !a.Alive() {
		say(status.Unhealthy, "schedule", "the scheduler does not tick", "restart the agent and keep its log")
	}
	out = append(out, clockTrouble(h.Now)...)
	out = append(out, storeTrouble(&h.Store)...)
	if !h.Config.ReloadOK {
		say(status.Degraded, "config", "the last reload was refused, the configuration before it runs on", "windsock validate "+h.Config.Path)
	}
	if n := len(h.Schedule.Overdue); n > 0 {
		say(status.Degraded, "schedule", "checks without a result for three intervals: "+few(h.Schedule.Overdue), "")
	}
	if h.Schedule.Abandoned > 0 {
		say(status.Degraded, "schedule", "runs ignored their deadline and have not come back", "")
	}
	if a.server != nil && a.server.Problem() != "" {
		say(status.Degraded, "listener", a.server.Problem(), a.server.WayOut())
	}
	out = append(out, checkTrouble(h.Checks)...)
	if n := stoppedByBudget(h.Checks); n > 0 {
		say(status.Degraded, "budget", fmt.Sprintf("the budget keeps %d checks from running", n), "windsock status shows what is spent; raise `budget` or run them less often")
	}
	out = append(out, a.pauses(h.Now)...)
	for i := range h.Exporters {
		if what, hint := trouble(&h.Exporters[i]); what != "" {
			say(status.Degraded, "exporter "+h.Exporters[i].Name, what, hint)
		}
	}
	out = append(out, pluginTrouble(h.Plugins, a.plugins.faults())...)
	if h.Heartbeat != nil && h.Heartbeat.Problem != "" {
		say(status.Degraded, "heartbeat", h.Heartbeat.Problem, "whoever waits for it will believe that the agent is dead")
	}
	return out
}

// checkTrouble tells of the checks that could not run. The way out stands once: a key that is missing makes many of them errors.
func checkTrouble(all []status.Check) []status.Problem {
	var out []status.Problem
	hint := "windsock validate --online"
	for _, c := range all {
		if c.Status != checks.Error {
			continue
		}
		problem := status.Problem{Part: "check " + c.Name, Status: status.Degraded, What: c.Summary}
		if c.Cause == checks.CauseConfig {
			problem.Hint, hint = hint, ""
		}
		out = append(out, problem)
	}
	return out
}

// trouble is what is wrong with an exporter's delivery, "" where nothing is.
func trouble(e *status.Exporter) (what, hint string) {
	switch {
	case e.Problem != "":
		if e.WayOut != "" {
			return e.Problem, e.WayOut
		}
		return e.Problem, "records wait until they are older than max_age, or until the store is full"
	case e.Stuck:
		return "an attempt to send has outlived its deadline", ""
	case e.QueueAge > oldQueue.Seconds():
		return fmt.Sprintf("the oldest of %d records waits for %.0f s", e.Queue, e.QueueAge), ""
	}
	return "", ""
}

// clockTrouble is a clock that cannot be right.
func clockTrouble(now time.Time) []status.Problem {
	if !clock.Wrong(now) {
		return nil
	}
	what := "it says " + now.UTC().Format(time.RFC3339) + ", which cannot be: certificates cannot be checked, and records carry a wrong time"
	return []status.Problem{{Part: "clock", Status: status.Degraded, What: what, Hint: clockWayOut}}
}

// storeTrouble is what is wrong with the store.
func storeTrouble(kept *status.Store) []status.Problem {
	var out []status.Problem
	say := func(what, hint string) {
		out = append(out, status.Problem{Part: "store", Status: status.Degraded, What: what, Hint: hint})
	}
	if !kept.OK {
		say(kept.Problem, cmp.Or(kept.WayOut, "free space or mend the disk")+"; records wait in memory until then")
	}
	if kept.CorruptMoved != "" {
		say("the database was damaged or removed; what is left of it: "+kept.CorruptMoved, "docs/store.md says how to read it; a restart clears this")
	}
	if kept.RingDropped > 0 {
		say(fmt.Sprintf("%d records were lost because the memory that stands in for the disk was full", kept.RingDropped), "")
	}
	return out
}

func stoppedByBudget(all []status.Check) int {
	n := 0
	for i := range all {
		if all[i].Status == checks.Skipped && all[i].Cause == checks.CauseBudget {
			n++
		}
	}
	return n
}

// overdue lists the checks without a final result for three intervals: missing is never green.
func (a *Agent) overdue(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for i := range a.gen.cfg.Checks {
		check := &a.gen.cfg.Checks[i]
		if a.late(check.Name, overdueAfter*check.Schedule.Interval()+check.Timeout, now) {
			out = append(out, check.Name)
		}
	}
	return out
}

// late reports whether the check has had no result for longer than after, counted from the start of the agent where
// there is none at all: what the store remembers of a time long before is not green. The caller holds the lock.
func (a *Agent) late(check string, after time.Duration, now time.Time) bool {
	since := a.started
	if r := a.last[check]; r != nil {
		since = r.At()
	}
	return now.Sub(since) > after
}

func (a *Agent) checkStates(now time.Time) []status.Check {
	next := map[string]time.Time{}
	for _, entry := range a.scheduler.Stats().Entries {
		next[entry.Name] = entry.NextSlot
	}
	overdue := a.overdue(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]status.Check, 0, len(a.gen.cfg.Checks))
	for i := range a.gen.cfg.Checks {
		check := &a.gen.cfg.Checks[i]
		state := status.Check{
			Name: check.Name, Kind: check.Kind, Provider: check.Provider, NextRun: next[check.Name],
			Overdue: slices.Contains(overdue, check.Name),
		}
		if r := a.last[check.Name]; r != nil {
			state.Status, state.Cause, state.Blame, state.Summary = r.Status, r.Cause, r.Blame, r.Summary
			state.LastRun, state.Took = r.At(), r.Took.Seconds()
		}
		out = append(out, state)
	}
	return out
}

func (a *Agent) services(now time.Time) map[string]status.Service {
	overdue := a.overdue(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := map[string][]status.Observation{}
	for _, job := range a.gen.plan.Jobs {
		if job.Provider == "" {
			continue
		}
		_, paid := job.Check.(checks.Paid)
		seen[job.Provider] = append(seen[job.Provider], status.Observation{
			Report: a.last[job.Name], Paid: paid, Overdue: slices.Contains(overdue, job.Name),
		})
	}
	out := map[string]status.Service{}
	for i := range a.gen.cfg.Providers {
		name := a.gen.cfg.Providers[i].Name
		out[name] = status.Judge(name, seen[name])
	}
	return out
}

func (a *Agent) budget(ctx context.Context, now time.Time) []status.Budget {
	a.mu.Lock()
	limits := a.gen.plan.Limits
	a.mu.Unlock()
	out := make([]status.Budget, 0, len(limits))
	for _, limit := range limits {
		spent, err := a.store.Ledger().Spent(ctx, now.Add(-limit.Window), now)
		if err != nil {
			a.o.Log.Warn("reading the ledger", "error", err)
			continue
		}
		out = append(out, status.Budget{Window: limit.Name, LimitUSD: limit.Amount.USD(), SpentUSD: spent.USD()})
	}
	return out
}

func (a *Agent) exporterStates(ctx context.Context, now time.Time) []status.Exporter {
	states, err := a.deliveryStates(ctx, now)
	if err != nil {
		a.o.Log.Warn("reading the cursors", "error", err)
	}
	return states
}

// deliveryStates is where every exporter stands. Where the store says nothing their numbers are missing, and the error says so.
func (a *Agent) deliveryStates(ctx context.Context, now time.Time) ([]status.Exporter, error) {
	totals, err := a.store.Deliveries(ctx)
	a.mu.Lock()
	deliveries := slices.Clone(a.gen.deliveries)
	a.mu.Unlock()
	out := make([]status.Exporter, 0, len(deliveries))
	for _, d := range deliveries {
		live := d.worker.Status()
		state := status.Exporter{
			Name: d.name, Kind: d.kind, Held: live.Held, Problem: live.Reason, WayOut: live.WayOut, Stuck: live.Stuck, NextTry: live.NextTry, LastSentAt: live.LastSentAt,
		}
		for _, t := range totals {
			if t.Exporter != d.name {
				continue
			}
			state.Sent, state.Rejected, state.Expired = t.Counts.Sent, maps.Clone(t.Counts.Rejected), maps.Clone(t.Counts.Expired)
			n, oldest, failed := a.store.Backlog(ctx, t.Cursor.Pos)
			if failed == nil && n > 0 {
				state.Queue, state.QueueAge = n, max(now.Sub(oldest).Seconds(), 0)
			}
			err = cmp.Or(err, failed)
		}
		out = append(out, state)
	}
	return out, err
}

var _ status.Source = (*Agent)(nil)

// few is a list of names for a sentence, cut where it is long.
func few(names []string) string {
	const most = 5
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "…")
	}
	return strings.Join(names, ", ")
}
