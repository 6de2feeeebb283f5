package pipeline

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// overtime is how long after its deadline a run may still come back with a result of its own.
const overtime = 2 * time.Second

const (
	maxSummary      = 300 // bytes
	maxMeasurements = 200 // per run
)

// call makes the run: under its deadline, with panics caught. A run that ignores its deadline is abandoned, and its check
// does not run again before it has come back, so that what leaks is at most one goroutine per check. It also tells how
// long the process stood still meanwhile.
func (p *Pipeline) call(ctx context.Context, job *Job) (checks.Result, time.Duration) {
	if !p.enter(job.Name) {
		return checks.Skip(checks.CauseOverlap, "the run before has not come back"), 0
	}
	ctx, cancel := p.runContext(ctx, job.Timeout)
	defer cancel()
	done := make(chan checks.Result, 1)
	go func() {
		result := p.guarded(ctx, job)
		p.leave(job.Name) // before the result: the next slot may come at once
		done <- result
	}()
	patience := time.NewTimer(job.Timeout + overtime)
	defer patience.Stop()
	defer p.onStop(func() { patience.Reset(overtime) })()
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for pulse := (&pulse{last: time.Now()}); ; {
		select {
		case <-tick.C:
			pulse.beat(time.Now())
		case result := <-done:
			pulse.beat(time.Now())
			return p.unlessStopped(unlessStalled(result, pulse.stalled)), pulse.stalled
		case <-patience.C:
			if pulse.beat(time.Now()); pulse.excuses() {
				patience.Reset(overtime)
				continue
			}
			p.abandon(job.Name)
			return checks.Result{
				Status: checks.Error, Cause: checks.CauseInternal,
				Summary: fmt.Sprintf("the check ignored its deadline of %s and was abandoned", job.Timeout),
			}, 0
		}
	}
}

// runContext has the run's deadline and lives as long as the pipeline, not as long as the schedule: a shutdown lets runs
// in flight end.
func (p *Pipeline) runContext(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	forget := context.AfterFunc(p.stop, cancel)
	return run, func() {
		forget()
		cancel()
	}
}

// onStop calls hurry when the pipeline is cut; the function that comes back forgets it.
func (p *Pipeline) onStop(hurry func()) (forget func()) {
	stop := context.AfterFunc(p.stop, hurry)
	return func() { stop() }
}

func (p *Pipeline) unlessStopped(result checks.Result) checks.Result {
	if p.stop.Err() == nil || result.Status == checks.OK || result.Status == checks.Degraded {
		return result
	}
	stopped := checks.Undetermined(checks.CauseInternal, "the agent stopped during the run")
	stopped.Evidence, stopped.Usage = result.Evidence, result.Usage
	return stopped
}

func (p *Pipeline) enter(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside[name] {
		return false
	}
	p.inside[name] = true
	return true
}

func (p *Pipeline) busy(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inside[name]
}

func (p *Pipeline) leave(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inside, name)
	delete(p.abandoned, name)
}

// abandon marks a run that may have come back at this very moment.
func (p *Pipeline) abandon(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside[name] {
		p.abandoned[name] = true
	}
}

func (p *Pipeline) guarded(ctx context.Context, job *Job) (result checks.Result) {
	defer func() {
		if v := recover(); v != nil {
			p.o.Log.Error("a check panicked", "check", job.Name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			result = checks.Result{Status: checks.Error, Cause: checks.CauseInternal, Summary: "the check panicked; the log has the stack"}
		}
	}()
	result, err := job.Check.Run(ctx)
	if err != nil {
		cause := checks.CauseInternal
		if result.Cause == checks.CauseConfig {
			cause = checks.CauseConfig
		}
		return checks.Result{
			Status: checks.Error, Cause: cause, Summary: err.Error(), Evidence: result.Evidence,
			Phases: result.Phases, Usage: result.Usage, Facts: result.Facts,
		}
	}
	return result
}

// finish holds the rules that are the same for every check: our own faults are Error, slow is Degraded, one cause, clean
// text without secrets, finite numbers.
func (p *Pipeline) finish(job *Job, took time.Duration, r checks.Result) checks.Result {
	switch {
	case r.Status == checks.OK && job.DegradedAbove > 0 && took > job.DegradedAbove:
		r.Status, r.Cause = checks.Degraded, checks.CauseSlow
		r.Summary = fmt.Sprintf("took %s, objective %s", took.Round(time.Millisecond), job.DegradedAbove.Round(100*time.Microsecond))
	case r.Status == checks.OK:
		r.Cause, r.Blame = checks.CauseNone, checks.BlameNone
	case r.Status == checks.Failed && (r.Cause == checks.CauseConfig || r.Cause == checks.CauseInternal):
		r.Status = checks.Error
	}
	if r.Cause == checks.CauseNone && r.Status != checks.OK {
		r.Status, r.Cause = checks.Error, checks.CauseInternal
		r.Summary = "the check gave no cause: " + r.Summary
	}
	if r.Blame == checks.BlameNone {
		r.Blame = blame(job.Check, r.Cause)
	}
	r.Summary = line(r.Summary)
	kept := finite(r.Measurements)
	if n := len(r.Measurements) - len(kept); n > 0 {
		p.dropped.Add(int64(n))
		p.o.Log.Debug("measurements are left out: no numbers, no names, or too many", "check", job.Name, "dropped", n)
	}
	r.Measurements = kept
	return p.scrub(r)
}

// blame is whose fault a cause of a check is.
func blame(check checks.Check, cause checks.Cause) checks.Blame {
	owned, ok := check.(checks.Owned)
	if table := cause.Blame(); !ok || table != checks.BlameProvider {
		return table
	}
	return owned.Owner()
}

// line makes one line of bounded, valid text.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	for len(s) > maxSummary {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

func finite(in []checks.Measurement) []checks.Measurement {
	bad := func(m checks.Measurement) bool { return m.Name == "" || math.IsNaN(m.Value) || math.IsInf(m.Value, 0) }
	if len(in) <= maxMeasurements && !slices.ContainsFunc(in, bad) {
		return in
	}
	out := make([]checks.Measurement, 0, min(len(in), maxMeasurements))
	for _, m := range in {
		if len(out) == maxMeasurements {
			break
		}
		if !bad(m) {
			out = append(out, m)
		}
	}
	return out
}
