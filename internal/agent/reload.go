package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/status"
)

// handleReload reads the configuration again. A file that cannot be used changes nothing; the service manager is told
// that the reload is over either way, with the reason where it was refused.
func (a *Agent) handleReload(ctx, base context.Context) {
	a.tell(Reloading, "reading the configuration again")
	err := a.reloadOnce(ctx, base)
	a.mu.Lock()
	a.reload.ReloadedAt, a.reload.ReloadOK, a.reload.Error = time.Now(), err == nil, ""
	if err != nil {
		a.reload.Error = err.Error()
	} else {
		a.reload.LoadedAt = a.reload.ReloadedAt
	}
	count := len(a.gen.cfg.Checks)
	a.mu.Unlock()
	told := fmt.Sprintf("reloaded, %d checks", count)
	if err != nil {
		told = "reload refused, the old configuration runs on; the log has the reason"
		a.o.Log.Error("reload refused", "error", err)
	} else {
		a.o.Log.Info("reloaded", "checks", count)
	}
	a.note(base, incident.EventReload, "", told)
	a.tell(Ready, a.headline(base, time.Now()))
}

// reloadOnce builds everything new, swaps, then stops the old.
func (a *Agent) reloadOnce(ctx, base context.Context) error {
	if a.o.Reload == nil {
		return errors.New("there is no file to read again")
	}
	cfg, err := a.o.Reload()
	if err != nil {
		return err
	}
	a.mu.Lock()
	old := a.gen
	a.mu.Unlock()
	if err := a.unchangeable(old.cfg, cfg); err != nil {
		return err
	}
	if err := a.plugins.foresee(ctx, old.cfg, cfg); err != nil {
		a.plugins.settle(ctx, old.cfg)
		return err
	}
	gen, err := a.build(ctx, cfg)
	if err != nil {
		a.plugins.settle(ctx, old.cfg)
		return err
	}
	a.drills.end("the configuration was read again")
	a.warnOfPrices(cfg, gen)
	a.pipeline.Swap(union(gen.plan, old.plan)) // no slot finds its check gone, whichever schedule it is from
	if err := a.scheduler.Swap(a.entries(ctx, cfg)); err != nil {
		a.pipeline.Swap(old.plan)
		gen.close()
		a.plugins.settle(ctx, old.cfg)
		return fmt.Errorf("changing the schedule: %w", err)
	}
	a.breakers.Configure(ctx, gen.breakers)
	a.headrooms.Configure(ctx, headroomsOf(gen, gen.cfg.Providers))
	bounded, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	old.endDelivery(bounded) // cursors have one reader: the new workers start where the old ones ended
	gen.unclean = old.cut.Load()
	gen.inheritPages(old)
	a.mu.Lock()
	a.gen = gen
	maps.DeleteFunc(a.last, func(name string, _ *checks.Report) bool { return !a.has(name) })
	maps.DeleteFunc(a.since, func(name string, _ time.Time) bool { return !a.has(name) })
	a.mu.Unlock()
	a.drills.end("the configuration was read again") // one that began meanwhile
	a.startDelivery(base)
	a.heartbeat.Configure(gen.heartbeat())
	if err := a.alerts.Replace(context.WithoutCancel(ctx), gen.alerting()); err != nil {
		a.o.Log.Error("storing what the reload did to alerts", "error", err)
	}
	old.close()
	a.plugins.settle(ctx, cfg)
	return nil
}

// handOver is how long a reload waits for the old workers: their cursors keep what they do not deliver, and the watchdog
// is not fed meanwhile.
const handOver = 2 * time.Second

// union is the new plan with those jobs of the old one that it does not have: their last slots still get a record.
func union(fresh, old pipeline.Plan) pipeline.Plan {
	jobs := slices.Clone(fresh.Jobs)
	for _, job := range old.Jobs {
		if !slices.ContainsFunc(fresh.Jobs, func(j *pipeline.Job) bool { return j.Name == job.Name }) {
			jobs = append(jobs, job)
		}
	}
	fresh.Jobs = jobs
	return fresh
}

// inheritPages lets a page be served by the exporter of the generation before until its own is open.
func (gen *generation) inheritPages(old *generation) {
	for _, d := range gen.deliveries {
		for _, before := range old.deliveries {
			if before.name == d.name && before.kind == d.kind {
				d.set(before.get())
			}
		}
	}
}

// unchangeable refuses what only a restart can change.
func (a *Agent) unchangeable(old, fresh *config.Config) error {
	if old.StateDir != fresh.StateDir {
		return fmt.Errorf("state_dir cannot change while the agent runs (it is %q): restart", old.StateDir)
	}
	for part, same := range map[string]bool{
		"listen": old.Listen == fresh.Listen, "location": old.Location == fresh.Location,
		"store": reflect.DeepEqual(old.Store, fresh.Store), "log": reflect.DeepEqual(old.Log, fresh.Log),
		"concurrency": reflect.DeepEqual(old.Concurrency, fresh.Concurrency),
	} {
		if !same {
			return fmt.Errorf("%s cannot change while the agent runs: restart", part)
		}
	}
	return nil
}

func (a *Agent) config() status.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reload
}
