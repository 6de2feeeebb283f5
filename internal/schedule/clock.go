package schedule

import (
	"time"

	"github.com/windsock-monitor/windsock/internal/clock"
)

const (
	tick     = time.Second           // the longest sleep of the loop
	calm     = 5 * time.Second       // and where somebody else watches the clocks
	stepOver = 2 * time.Second       // a difference of the clocks that is a step, and how late a slot may be after one
	slewOver = 50 * time.Millisecond // a difference that is followed without a word
	rerun    = 3 * time.Hour         // how far back a clock may step without running a daily slot again
)

// reading is one look at the clocks.
type reading struct {
	wall      time.Time     // without its monotonic part
	elapsed   time.Duration // since the scheduler was made, time asleep included
	suspended time.Duration // the part of elapsed that the host was asleep
}

// clocks compares the wall clock with the steady one. The anchor is where the wall clock stood when nothing had elapsed:
// slots of a grid are anchor + elapsed, so their times do not tremble with every reading.
type clocks struct {
	wall      func() time.Time
	suspended func() time.Duration
	base      time.Time
	asleep    time.Duration // suspended when base was read
	anchor    time.Time
	last      reading
	steps     int64
}

func newClocks(wall func() time.Time, suspended func() time.Duration) *clocks {
	c := &clocks{wall: wall, suspended: suspended}
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.suspended == nil {
		c.suspended = clock.Suspended
	}
	c.base, c.asleep = time.Now(), c.suspended()
	c.last = c.read()
	c.anchor = c.last.wall
	return c
}

func (c *clocks) read() reading {
	asleep := c.suspended() - c.asleep
	return reading{wall: c.wall().Round(0).UTC(), elapsed: time.Since(c.base) + asleep, suspended: asleep}
}

// change is what happened to the clocks between two readings.
type change struct {
	step      time.Duration // of the wall clock against the steady one; zero below stepOver
	suspended time.Duration // zero below stepOver
}

// follow takes a reading, moves the anchor and says what changed.
func (c *clocks) follow() (reading, change) {
	now := c.read()
	var ch change
	if d := now.suspended - c.last.suspended; d > stepOver {
		ch.suspended = d
	}
	switch drift := now.wall.Sub(c.at(now.elapsed)); {
	case drift.Abs() > stepOver:
		ch.step = drift
		c.steps++
		c.anchor = c.anchor.Add(drift)
	case drift.Abs() > slewOver:
		c.anchor = c.anchor.Add(drift)
	}
	c.last = now
	return now, ch
}

// at is the wall time of a moment on the steady clock.
func (c *clocks) at(elapsed time.Duration) time.Time { return c.anchor.Add(elapsed) }
