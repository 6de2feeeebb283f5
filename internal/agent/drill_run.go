package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mirage"
)

// errShown ends a drill that has shown all it can.
var errShown = errors.New("all was seen")

// run goes through the phases. It returns when what the drill opened is resolved and, as far as there is time, told.
func (d *drill) run(ctx context.Context) {
	bounded, cancel := context.WithDeadlineCause(ctx, d.plan.until, errors.New("its time is over"))
	runs, halt := context.WithCancel(bounded)
	var working sync.WaitGroup
	working.Go(func() { d.tick(runs) })
	why := d.phases(bounded, func(check string) { working.Go(func() { d.repeat(runs, check) }) })
	halt()
	d.rig.pipeline.Cut()
	working.Wait()
	cancel()
	d.conclude(ctx, why)
}

// phases is why the drill ended before all was shown, nil where it was.
func (d *drill) phases(ctx context.Context, start func(check string)) error {
	if err := d.baseline(ctx); err != nil {
		return err
	}
	state := d.state()
	for i := range state.Checks {
		start(state.Checks[i].Name)
	}
	if err := d.rig.world.Break(d.rig.faults); err != nil {
		return fmt.Errorf("the fault cannot be made: %w", err)
	}
	broke := time.Now()
	d.enter(DrillBroken)
	limit := time.Duration(float64(d.plan.until.Sub(broke)) * drillShare)
	broken, cancel := context.WithTimeoutCause(ctx, limit, errShown)
	err := d.await(broken, d.paged)
	cancel()
	if err != nil && !errors.Is(err, errShown) {
		return err
	}
	if err := d.rig.world.Break(nil); err != nil {
		return err
	}
	d.enter(DrillMended)
	return d.await(ctx, d.quiet)
}

// enter begins a phase.
func (d *drill) enter(phase DrillPhase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().Round(0).UTC()
	switch d.now.Phase = phase; phase {
	case DrillBroken:
		d.now.BrokeAt = now
	case DrillMended:
		d.now.MendedAt = now
	case DrillBaseline, DrillOver:
	}
	d.a.o.Log.Info("drill", "scenario", d.plan.scenario, "phase", string(phase))
}

// baseline runs each check while all is well. One that does not go well here would show nothing, and is left out.
func (d *drill) baseline(ctx context.Context) error {
	state := d.state()
	var running sync.WaitGroup
	for i := range state.Checks {
		running.Go(func() { d.once(ctx, state.Checks[i].Name) })
	}
	running.Wait()
	for range drillOnce - 1 {
		for _, c := range d.state().Checks {
			if !fine(c.Status) && ctx.Err() == nil {
				d.once(ctx, c.Name)
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now.Checks = slices.DeleteFunc(d.now.Checks, func(c DrillCheck) bool {
		if !fine(c.Status) {
			d.now.LeftOut = append(d.now.LeftOut, fmt.Sprintf("%s: it does not go well before the fault either (%s)", c.Name, strings.TrimSpace(c.Status.String()+" "+string(c.Cause))))
		}
		return !fine(c.Status)
	})
	if len(d.now.Checks) == 0 {
		return errors.New("no check is left that could see the fault")
	}
	return nil
}

func fine(s checks.Status) bool { return s == checks.OK || s == checks.Degraded }

// repeat runs a check again and again until ctx ends.
func (d *drill) repeat(ctx context.Context, check string) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		d.once(ctx, check)
		pause.Reset(d.plan.every)
	}
}

func (d *drill) once(ctx context.Context, check string) {
	if _, err := d.rig.pipeline.Once(ctx, check, checks.TriggerDrill); err != nil {
		d.a.o.Log.Warn("a run of the drill", "check", check, "error", err)
	}
}

// tick lets time move the drill's alerts, and tells them where its breakers stand.
func (d *drill) tick(ctx context.Context) {
	ticker := time.NewTicker(drillTick)
	defer ticker.Stop()
	var before []exporters.Point
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		points := d.rig.breakerPoints()
		var err error
		if slices.EqualFunc(points, before, func(a, b exporters.Point) bool { return a.Value == b.Value }) {
			err = d.keep.Tick(context.WithoutCancel(ctx))
		} else {
			before = points
			err = d.keep.Observe(context.WithoutCancel(ctx), points)
		}
		if err != nil {
			d.a.o.Log.Error("storing alerts of a drill", "error", err)
		}
	}
}

// await waits until what is wanted is there. Its error is why it ended before.
func (d *drill) await(ctx context.Context, there func() bool) error {
	look := time.NewTicker(drillTick)
	defer look.Stop()
	for {
		if there() {
			return nil
		}
		if lease := d.plan.lease; lease > 0 && d.silence() > lease {
			return fmt.Errorf("nobody has asked for it for %s", lease)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.news:
		case <-look.C:
		}
	}
}

// silence is for how long nobody has asked.
func (d *drill) silence() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.asked)
}

// paged reports whether every alert that was expected fires as severe as it should, and was told on every route that wants it.
func (d *drill) paged() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, want := range d.plan.expect {
		if slices.Contains(d.now.Missing, want.Rule) || !d.sees(&want) {
			continue
		}
		if !slices.ContainsFunc(d.now.Alerts, func(a DrillAlert) bool { return a.pages(&want) }) {
			return false
		}
	}
	return true
}

// sees reports whether a check of the drill sees what is expected. The caller holds the lock.
func (d *drill) sees(want *DrillExpectation) bool {
	return len(want.Seen) == 0 || slices.ContainsFunc(d.now.Checks, func(c DrillCheck) bool { return slices.Contains(want.Seen, c.Kind) })
}

func (a *DrillAlert) pages(want *DrillExpectation) bool {
	if a.Rule != want.Rule || (len(want.Severity) > 0 && !slices.Contains(want.Severity, a.Severity)) {
		return false
	}
	return a.Muted != "" || !slices.ContainsFunc(a.Routes, func(r DrillRoute) bool { return r.Wants && r.ToldAt.IsZero() && r.Why == "" })
}

// quiet reports whether every alert is over that ends with the fault.
func (d *drill) quiet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(d.now.Alerts, func(a DrillAlert) bool { return a.State.Open() && !d.plan.lasts(a.Rule) })
}

// ended reports whether every route was told of the end of what it was told.
func (d *drill) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.now.Alerts {
		for _, r := range d.now.Alerts[i].Routes {
			if r.TellsEnds && r.Why == "" && !r.ToldAt.IsZero() && r.ResolvedAt.IsZero() {
				return false
			}
		}
	}
	return true
}

// conclude resolves what is left, and gives the routes a moment to say so.
func (d *drill) conclude(ctx context.Context, why error) {
	text := "drill " + d.plan.scenario + " ended"
	d.mu.Lock()
	d.now.Phase = DrillOver // what resolves from now on does so by the drill
	if d.now.MendedAt.IsZero() && !d.now.BrokeAt.IsZero() {
		d.now.MendedAt = time.Now().Round(0).UTC()
	}
	if why != nil {
		d.now.Why = why.Error()
		text += ": " + d.now.Why
	}
	d.mu.Unlock()
	if err := d.keep.End(context.WithoutCancel(ctx), text); err != nil {
		d.a.o.Log.Error("storing the end of a drill", "error", err)
	}
	d.rig.close()
	bounded, cancel := context.WithTimeout(ctx, drillEnds)
	defer cancel()
	d.plan.lease = 0
	_ = d.await(bounded, d.ended)
	d.mu.Lock()
	d.blame()
	d.now.EndedAt = time.Now().Round(0).UTC()
	d.mu.Unlock()
	d.a.o.Log.Info("drill ended", "scenario", d.plan.scenario, "what", text)
}

// blame says why routes did not tell what they should. The caller holds the lock.
func (d *drill) blame() {
	for i := range d.now.Alerts {
		for k := range d.now.Alerts[i].Routes {
			if r := &d.now.Alerts[i].Routes[k]; r.Wants && r.ToldAt.IsZero() && r.Why == "" && d.now.Alerts[i].Muted == "" {
				r.Why = "it was not taken while the drill went on"
				if reason := d.rig.reason(r.Exporter); reason != "" {
					r.Why += ": " + reason
				}
			}
		}
	}
}

// Append implements pipeline.Store: what a run of the drill saw is judged, and not stored. It used nothing.
func (d *drill) Append(ctx context.Context, record checks.Record) error {
	report := *record.Report
	report.Usage = nil
	report.Facts = map[string]string{checks.LabelDrill: d.plan.scenario}
	maps.Copy(report.Facts, record.Report.Facts)
	d.mu.Lock()
	for i := range d.now.Checks {
		if c := &d.now.Checks[i]; c.Name == report.Check {
			c.Runs, c.Status, c.Cause = c.Runs+1, report.Status, report.Cause
		}
	}
	d.mu.Unlock()
	d.a.o.Log.Debug("run of a drill", "drill", d.plan.scenario, "check", report.Check, "run_id", report.ID, "status", report.Status.String(), "cause", string(report.Cause))
	return d.keep.See(ctx, &report)
}

// usedModel makes the faults of the models that the checks use: all of them retire, one of them stands for another.
func usedModel(models []string, how string) ([]mirage.Fault, error) {
	var all []mirage.Fault
	for _, model := range models {
		fault, ok := modelFault(model, how)
		switch {
		case !ok:
			continue
		case how == modelMoved:
			return []mirage.Fault{fault}, nil
		}
		all = append(all, fault)
	}
	if len(all) == 0 {
		return nil, askedWrongly("of the models that the checks use (%s) none can be %s in a drill", strings.Join(models, ", "), how)
	}
	return all, nil
}
