package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The bounds of a try, by the clock on the wall.
const (
	look        = 25 * time.Millisecond
	lookAtPages = 250 * time.Millisecond
	toTell      = 4 * time.Second // from an alert to the last of its routes: delivery does not run faster
	slack       = 3 * time.Second // beyond what is compressed
	warmUp      = 3 * time.Minute // natural, for every check to run once
	late        = 2 * time.Second // natural: a machine that keeps a timer waiting for longer is too slow for the speed
)

// played is how a try came out.
type played struct {
	alerts  []Told
	missing []string
	others  []string
	before  []string // checks that were not well
	slow    bool     // this machine may be the reason
	certain bool     // it is not, whatever it does
}

// silent reports whether something that was wanted did not fire at all.
func (p *played) silent() bool {
	return slices.ContainsFunc(p.alerts, func(t Told) bool { return !t.Fired })
}

// play waits for a good day, breaks it, waits for what must follow, mends it, and waits for the end.
func (st *stage) play(ctx context.Context, want *plan) (*played, error) {
	lag := newLag()
	defer lag.stop()
	began := time.Now()
	sick, err := st.healthyDay(ctx)
	if err != nil {
		return nil, err
	}
	out := &played{missing: firing(want, st.seen.open(), sick), before: sick}
	if len(out.missing) > 0 {
		out.slow = true // nobody can tell
		return out, nil
	}
	t0 := time.Now()
	if err := st.begin(want.sc); err != nil {
		return nil, fmt.Errorf("making the fault: %w", err)
	}
	acts, err := st.detect(ctx, want, t0)
	if err != nil {
		return nil, err
	}
	st.problems = map[string]string{}
	for _, e := range st.agent.Health(ctx).Exporters {
		st.problems[e.Name] = e.Problem
		if e.Problem == "" && len(e.Rejected) > 0 {
			st.problems[e.Name] = "it gave up what it was to tell: --verbose shows why"
		}
	}
	t1 := time.Now()
	if err := st.finish(want.sc); err != nil {
		return nil, fmt.Errorf("ending the fault: %w", err)
	}
	if err := st.recover(ctx, want, acts); err != nil {
		return nil, err
	}
	for _, a := range acts {
		told, missing := a.judge(st, t0, t1)
		out.alerts = append(out.alerts, told)
		out.missing = append(out.missing, missing...)
		out.certain = out.certain || a.certain
	}
	out.others = slices.DeleteFunc(st.seen.fired(t0), want.wanted)
	out.slow = lag.worst() > st.compressed(late) || slowBefore(st.seen, began, t0)
	return out, nil
}

// firing are the rules that are wanted and fire already, as far as anybody knows because of what was sick.
func firing(want *plan, open, sick []string) []string {
	var all []string
	for i := range want.wants {
		if slices.Contains(open, want.wants[i].Rule) {
			all = append(all, fmt.Sprintf("%s was firing before the fault began: %s", want.wants[i].Rule, strings.Join(sick, ", ")))
		}
	}
	return all
}

// slowBefore reports whether checks of a good day were slow, which only this machine can have made them.
func slowBefore(o *observer, began, until time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.reports {
		if r.At().After(began) && r.At().Before(until) && (r.Cause == checks.CauseSlow || r.Cause == checks.CauseTimeout) {
			return true
		}
	}
	return false
}

// until looks until it is so, until a time, or until ctx ends.
func (st *stage) until(ctx context.Context, deadline time.Time, so func() bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	pages := time.Time{}
	for {
		if time.Since(pages) >= lookAtPages {
			for _, s := range st.sinks {
				s.scrape(ctx)
			}
			pages = time.Now()
		}
		if so() || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// healthyDay waits until every check was well once. It returns those that never were.
func (st *stage) healthyDay(ctx context.Context) (sick []string, err error) {
	began := time.Now()
	names := make([]string, 0, len(st.setting.cfg.Checks))
	for i := range st.setting.cfg.Checks {
		names = append(names, st.setting.cfg.Checks[i].Name)
	}
	err = st.until(ctx, began.Add(st.compressed(warmUp)+slack), func() bool {
		sick = sick[:0]
		last := st.seen.last(began.Add(-time.Minute))
		for _, name := range names {
			if r := last[name]; r == nil || r.Status != checks.OK && r.Status != checks.Degraded {
				sick = append(sick, describe(name, r))
			}
		}
		return len(sick) == 0
	})
	return sick, err
}

func describe(name string, r *checks.Report) string {
	if r == nil {
		return name + " has not run"
	}
	return name + " is " + r.Status.String() + ": " + r.Summary
}

// detect waits until everything that is wanted has fired and was told, or is late.
func (st *stage) detect(ctx context.Context, want *plan, t0 time.Time) ([]*act, error) {
	var acts []*act
	var within time.Duration
	for i := range want.wants {
		acts = append(acts, &act{
			want: &want.wants[i], dead: func(name string) bool { return st.setting.dead(want.sc, name) },
			lost: func(name string) bool { return st.setting.lost(want.sc, name) },
		})
		within = max(within, want.wants[i].Within)
	}
	deadline := t0.Add(st.compressed(within) + slack)
	err := st.until(ctx, deadline.Add(toTell), func() bool {
		all := time.Since(t0) >= st.compressed(want.sc.Hold)
		for _, a := range acts {
			if !a.look(st, t0) && time.Now().After(deadline) { // nothing is told any more of what did not fire
				continue
			}
			all = all && a.done(st)
		}
		return all
	})
	return acts, err
}

// recover waits until everything that fired is over and was told to be, or is late.
func (st *stage) recover(ctx context.Context, want *plan, acts []*act) error {
	return st.until(ctx, time.Now().Add(st.compressed(want.sc.ResolveWithin)+slack), func() bool {
		for _, a := range acts {
			if !a.over(st) {
				return false
			}
		}
		return true
	})
}
