package clock

import "time"

// Steady is the wall clock as it was when the process began, whoever sets it since. What was stamped before the wall clock
// was set forward is not older for that.
type Steady struct {
	base time.Time // of the wall clock, without the monotonic reading
	from time.Duration
	up   Uptime
}

// NewSteady reads both clocks.
func NewSteady() *Steady {
	now := time.Now()
	up := NewUptime()
	return &Steady{base: now.Round(0), from: up.At(now), up: up}
}

// Limit is the time before which what was stamped is older than age by both clocks, at a moment that time.Now returned. A nil
// Steady knows the wall clock only.
func (s *Steady) Limit(now time.Time, age time.Duration) time.Time {
	wall := now.Round(0)
	if s == nil || s.from == 0 {
		return wall.Add(-age)
	}
	return earlier(wall, s.base.Add(s.up.At(now)-s.from)).Add(-age)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
