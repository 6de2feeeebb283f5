package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/status"
)

// handleReload reads the configuration again. A file that cannot be used changes nothing; the service manager is told
// that the reload is over either way, with the reason where it was refused.
func (a *Agent) handleReload(ctx, base context.Context) {
	if a.o.Notify != nil {
		a.o.Notify.Reloading()
	}
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
	if a.o.Notify != nil {
		a.o.Notify.Ready(told)
	}
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
	gen, err := a.build(ctx, cfg)
	if err != nil {
		return err
	}
	if err := a.scheduler.Swap(a.entries(ctx, cfg)); err != nil {
		gen.network.Close()
		return fmt.Errorf("changing the schedule: %w", err)
	}
	a.breakers.Configure(ctx, gen.breakers)
	a.pipeline.Swap(gen.plan)
	bounded, cancel := context.WithTimeout(base, cfg.Grace)
	defer cancel()
	old.endDelivery(bounded) // cursors have one reader: the new workers start where the old ones ended
	gen.inheritPages(old)
	a.mu.Lock()
	a.gen = gen
	a.mu.Unlock()
	a.startDelivery(base)
	old.network.Close()
	return nil
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
	if old.Listen != fresh.Listen {
		return fmt.Errorf("listen cannot change while the agent runs (it is %q): restart", old.Listen)
	}
	return nil
}

func (a *Agent) config() status.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reload
}
