package pipeline

import (
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	pulseEvery = 250 * time.Millisecond
	standstill = time.Second // a pulse that is later than this: the process did not run
)

// pulse finds out how long the process did not run while it should have: stopped, under a debugger, or on a host that had
// no time to give. Whoever waits for a run keeps it.
type pulse struct {
	last    time.Time
	stalled time.Duration
	excused time.Duration // the part of it for which a run was given more time
}

// beat is due every pulseEvery, and once at the end.
func (p *pulse) beat(now time.Time) {
	if gap := now.Sub(p.last); gap > standstill {
		p.stalled += gap - pulseEvery
	}
	p.last = now
}

// excuses reports whether the process stood still since it was asked last: then the run may not have had its time.
func (p *pulse) excuses() bool {
	more := p.stalled > p.excused
	p.excused = p.stalled
	return more
}

// unlessStalled takes back a verdict that rests on time which the agent spent standing still: nobody is to blame for a
// deadline that passed while nobody looked. An answer is an answer, whenever it was read.
func unlessStalled(r checks.Result, stalled time.Duration) checks.Result {
	if stalled == 0 {
		return r
	}
	what := fmt.Sprintf("the agent stood still for %s during the run", stalled.Round(time.Millisecond))
	step := checks.Step{Name: "standstill", OK: false, Detail: what}
	if !ofTime(r) {
		r.Evidence = append(r.Evidence, step)
		return r
	}
	undetermined := checks.Undetermined(checks.CauseInternal, what+": "+r.Summary)
	undetermined.Evidence, undetermined.Usage, undetermined.Facts = append(r.Evidence, step), r.Usage, r.Facts
	return undetermined
}

// ofTime reports whether a verdict may come from time that passed, a peer that lost its patience included.
func ofTime(r checks.Result) bool {
	switch r.Cause { //nolint:exhaustive // all others are what somebody said
	case checks.CauseDNS, checks.CauseConnect, checks.CauseProxy, checks.CauseTLS, checks.CauseTimeoutConnect, checks.CauseTimeout,
		checks.CauseSlow, checks.CauseStreamStalled, checks.CauseStreamTruncated:
		return r.Status == checks.Failed || r.Status == checks.Degraded
	}
	return false
}
