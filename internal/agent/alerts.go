package agent

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/pipeline"
)

func (a *Agent) newKeeper(gen *generation) *alerting.Keeper {
	return alerting.New(gen.alerting(), alerting.Options{
		Store: a.store, Log: a.o.Log.With("part", "alerts"), Book: a.pace.book, Live: a.breakerPoints,
		Noted: a.pace.noted,
	})
}

// alerting is what the configuration says of alerts.
func (gen *generation) alerting() alerting.Setup {
	setup := alerting.Setup{
		Engine: gen.engine, Rules: gen.cfg.Alerts.Rules, Windows: gen.cfg.Maintenance,
		Incidents: incident.Options{
			CloseAfter: gen.cfg.Incidents.CloseAfter, Timezone: gen.cfg.Incidents.Timezone, RespondIn: gen.cfg.Incidents.RespondIn,
		},
	}
	for _, job := range gen.plan.Jobs {
		setup.Targets = append(setup.Targets, incident.Target{Name: job.Name, Kind: job.Kind, Provider: job.Provider})
	}
	return setup
}

// breakerPoints is where the breakers stand: a rule that watches them does not wait for the minute's snapshot.
func (a *Agent) breakerPoints() []exporters.Point {
	a.mu.Lock()
	location := a.gen.cfg.Location
	a.mu.Unlock()
	record := checks.Record{At: time.Now(), Agent: &checks.Snapshot{Location: location}}
	for provider, state := range a.breakers.States() {
		record.Agent.Measurements = append(record.Agent.Measurements, breakerState(provider, float64(state)))
	}
	points := exporters.Points(record)
	kept := points[:0]
	for _, p := range points {
		if p.Name == metricBreaker {
			kept = append(kept, p)
		}
	}
	return kept
}

const metricBreaker = "windsock.breaker.state"

func breakerState(provider string, state float64) checks.Measurement {
	return checks.Measurement{Name: metricBreaker, Value: state, Attrs: map[string]string{"provider": provider}}
}

// targets are what rules know of the configured checks.
func targets(cfg *config.Config, jobs []*pipeline.Job) []alerts.Check {
	built := make(map[string]checks.Check, len(jobs))
	for _, job := range jobs {
		built[job.Name] = job.Check
	}
	all := make([]alerts.Check, 0, len(cfg.Checks))
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		all = append(all, alertCheck(cfg, c, built[c.Name]))
	}
	return all
}

// dueOf says when a check's n-th slot after a time has passed, and its run must be over.
func dueOf(c *config.Check) func(last time.Time, n int) time.Time {
	spec, run := c.Schedule, c.Timeout
	if c.Confirm > 0 {
		run += c.Confirm + c.Timeout
	}
	return func(last time.Time, n int) time.Time {
		if spec.IsEvery() { // the grid of the schedule is moved by the check's spread
			return last.Add(time.Duration(n)*spec.Interval() + run)
		}
		next := spec.Next(last)
		if next.IsZero() {
			return last.AddDate(100, 0, 0)
		}
		return spec.Advance(next, n).Add(run)
	}
}
