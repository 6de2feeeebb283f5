package store

import (
	"maps"
	"time"

	"github.com/windsock-monitor/windsock/internal/clock"
)

const (
	minuteLong = int64(time.Minute / time.Microsecond)
	stepOver   = int64(2 * time.Second / time.Microsecond) // a difference of the clocks that is a step
)

// steps knows by how much the wall clock was set. Between two readings of the wall clock as much time passes as on the
// clock that counts from the host's boot, sleep included, unless somebody set the wall clock: then it says that the host
// was booted at another time. All is in microseconds.
type steps struct {
	clock    func() (wall time.Time, sinceBoot time.Duration) // the latter 0: nobody knows
	bootedAt int64                                            // by the wall clock, up to what the entries have followed; 0: not known
	sum      int64                                            // of all that the entries were moved by, ever
	onDisk   int64                                            // the part of it that the database has
	resumed  int64                                            // what sum was when the process before ended, where the mark's page tells
	marked   bool                                             // it does
}

func newSteps(read func() (time.Time, time.Duration)) steps {
	if read == nil {
		up := clock.NewUptime()
		read = func() (time.Time, time.Duration) {
			now := time.Now()
			return now, up.At(now)
		}
	}
	return steps{clock: read}
}

// read is the wall clock, and when the host was booted by it.
func (s *steps) read() (wall time.Time, booted int64) {
	wall, up := s.clock()
	if up > 0 {
		booted = wall.UnixMicro() - up.Microseconds()
	}
	return wall, booted
}

// due is what the entries are to be moved by, in whole minutes, so that what is known to the second or the minute stays
// together: forward by a little more than the clock was set, never by less.
func (s *steps) due(booted int64) int64 {
	if booted == 0 || s.bootedAt == 0 {
		return 0
	}
	switch by := booted - s.bootedAt; {
	case by > stepOver:
		return (by + minuteLong - 1) / minuteLong * minuteLong
	case by < 0:
		return by / minuteLong * minuteLong
	}
	return 0
}

// now is the wall clock.
func (l *Ledger) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.look()
}

// look reads the wall clock. Where it was set since the last look, the entries move with it: what was spent ten minutes ago
// was spent ten minutes ago, whatever the clock says.
func (l *Ledger) look() time.Time {
	wall, booted := l.steps.read()
	if l.steps.bootedAt == 0 {
		l.steps.bootedAt = booted
	}
	if by := l.steps.due(booted); by != 0 {
		l.shift(by)
		l.steps.bootedAt += by
		l.store.log.Warn("the wall clock was set; the spend ledger moves with it",
			"by", time.Duration(by)*time.Microsecond, "now", wall.UTC())
	}
	return wall
}

// shift moves all entries in time. The sums of what the money went into know hours only and move by whole ones.
func (l *Ledger) shift(by int64) {
	whole := wholeHours(l.steps.sum+by) - wholeHours(l.steps.sum)
	l.steps.sum += by
	for _, part := range []*line{&l.booked, &l.reserved} {
		for i := range part.spends {
			part.spends[i].at += by
		}
	}
	for _, rows := range []map[string]claimRow{l.open, l.dirty} {
		for id, row := range rows {
			row.at += by
			row.hour += whole
			rows[id] = row
		}
	}
	for i := range l.lumps {
		l.lumps[i].until += by
	}
	if l.assumedAt != 0 {
		l.assumedAt += by
	}
	l.spending.shift(whole)
	l.recount()
}

// wholeHours is the nearest number of hours.
func wholeHours(span int64) int64 {
	half := hourLong / 2
	if span < 0 {
		half = -half
	}
	return (span + half) / hourLong
}

// recount adds the totals of hours and days up again.
func (l *Ledger) recount() {
	clear(l.hours)
	clear(l.days)
	l.hoursFrom, l.daysFrom = 0, 0
	for _, part := range []*line{&l.booked, &l.reserved} {
		for _, s := range part.spends {
			l.count(s.at, s.amount)
		}
	}
}

// resume takes over what the mark's page says of the clock. A clock that was set back while no process looked moves nothing:
// the boot may be another one with the same name. What lies in the future then is brought to the present, as ever.
func (l *Ledger) resume(p page, marked, sameBoot bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps.sum, l.steps.onDisk, l.steps.resumed, l.steps.marked = p.Shifted, p.Shifted, p.Shifted, marked
	if _, booted := l.steps.read(); sameBoot && booted >= p.BootedAt {
		l.steps.bootedAt = p.BootedAt
	}
}

// align says what the entries of a database are to be moved by where it is read for the first time.
func (s *steps) align(known int64, knows bool) int64 {
	if !s.marked { // nobody but the database knows
		behind := s.sum
		s.sum, s.onDisk = s.sum+known, known
		s.resumed, s.marked = known, true
		return behind
	}
	if !knows { // of an older version, or damaged
		known = s.resumed
	}
	s.onDisk = known
	return s.sum - known
}

// totals are the hours and days that the mark's page tells.
func (l *Ledger) totals(p *page) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim()
	p.Hours, p.Days = maps.Clone(l.hours), maps.Clone(l.days)
	p.AssumedAt, p.BootedAt, p.Shifted = l.assumedAt, l.steps.bootedAt, l.steps.sum
}
