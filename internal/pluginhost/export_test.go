package pluginhost

import (
	"context"
	"time"
)

// The names by which the tests of this package reach what is pure in it.
const (
	Absent    = absent
	Unfit     = unfit
	Crashed   = crashed
	Different = different
)

// Failure is a way not to be ready.
type Failure = failure

// Verdict is what becomes of a plugin that failed.
type Verdict struct {
	Quarantined, Never bool
	Wait               time.Duration
}

// Patience is a patience with the default times.
type Patience struct{ p patience }

// NewPatience makes one.
func NewPatience() *Patience {
	var t Times
	t.fill()
	return &Patience{patience{times: t}}
}

// Failed takes note of a failure.
func (p *Patience) Failed(how Failure, now time.Time, ready time.Duration) Verdict {
	v := p.p.failed(how, now, ready)
	return Verdict{v.quarantined, v.never, v.wait}
}

// Limiter is a limiter.
type Limiter struct{ l limiter }

// NewLimiter makes one.
func NewLimiter(most int) *Limiter {
	l := &Limiter{}
	l.l.set(most)
	return l
}

// Enter waits for a place.
func (l *Limiter) Enter(ctx context.Context) error { return l.l.enter(ctx) }

// Leave gives it back.
func (l *Limiter) Leave(overloaded bool) { l.l.leave(overloaded) }
