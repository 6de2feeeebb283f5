package schedule

import (
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// calendar is a cron expression in a zone. It asks the parser's Next only about civil time (clock readings without a zone,
// held as UTC) and maps those to instants itself, because the library skips daily jobs in the hour that daylight saving
// leaves out and runs them twice in the one that is repeated.
type calendar struct {
	civil    cron.SpecSchedule // Location is UTC
	loc      *time.Location
	frequent bool // fires hourly or several times in an hour: a repeated hour is fired both times
}

func newCalendar(b cron.SpecSchedule, loc *time.Location) *calendar {
	b.Location = time.UTC
	c := &calendar{civil: b, loc: loc}
	c.frequent = count(b.Hour) == 24 || count(b.Minute)*count(b.Second) > 1
	return c
}

// starBit is set by the parser in a field that holds a star.
const starBit = 1 << 63

func count(field uint64) int { return bits.OnesCount64(field &^ starBit) }

// upTo counts the values of a field below n, and at n where it is included.
func upTo(field uint64, n int) int { return bits.OnesCount64(field & (1<<n - 1)) }

func has(field uint64, n int) bool { return field&(1<<n) != 0 }

// period is a stretch of time with one offset from UTC. Bounds are zero where it is open.
type period struct {
	start, end time.Time
	offset     int // seconds east of UTC
}

// periodAt is the period that holds t. A period that is cut in two does no harm, one that does not hold t would: the
// standard library (go1.26) lets the last day of a leap year beyond the zone's table stand outside of its own bounds.
func (c *calendar) periodAt(t time.Time) period {
	t = t.In(c.loc)
	start, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = time.Date(t.Year()+1, time.January, 1, 12, 0, 0, 0, time.UTC)
	}
	if start.After(t) {
		start = t
	}
	_, offset := t.Zone()
	return period{start, end, offset}
}

// reading is what a clock of the period shows at t.
func (p period) reading(t time.Time) time.Time {
	return t.UTC().Add(time.Duration(p.offset) * time.Second)
}

// instant is when a clock of the period shows the reading.
func (p period) instant(reading time.Time) time.Time {
	return reading.Add(-time.Duration(p.offset) * time.Second)
}

// readingAfter is where the walk through p begins: at from, or behind the repeated hour where that was fired before.
func (c *calendar) readingAfter(p period, from time.Time) time.Time {
	reading := p.reading(from)
	if c.frequent || p.start.IsZero() {
		return reading
	}
	before := c.periodAt(p.start.Add(-1))
	if seen := before.reading(p.start).Add(-time.Second); before.offset > p.offset && reading.Before(seen) {
		return seen
	}
	return reading
}

// horizon is how far a slot can be away: from 29 February 2096 to that of 2104.
const horizon = 9

// next is the first slot strictly after the given time, zero where there is none within nine years.
func (c *calendar) next(after time.Time) time.Time {
	limit := after.AddDate(horizon, 0, 0)
	p, from := c.periodAt(after), after
	for {
		if reading := c.nextReading(c.readingAfter(p, from)); !reading.IsZero() {
			if slot := p.instant(reading); p.end.IsZero() || slot.Before(p.end) {
				return slot.In(c.loc)
			}
		}
		if p.end.IsZero() || p.end.After(limit) {
			return time.Time{}
		}
		following := c.periodAt(p.end)
		if c.fallsInto(p, following) {
			return p.end.In(c.loc)
		}
		p, from = following, p.end.Add(-1)
	}
}

// fallsInto reports whether a slot falls into the gap between two periods.
func (c *calendar) fallsInto(before, after period) bool {
	if after.offset <= before.offset {
		return false
	}
	opens, closes := before.reading(before.end), after.reading(before.end)
	reading := c.nextReading(opens.Add(-time.Second))
	return !reading.IsZero() && reading.Before(closes)
}

// nextReading is the next reading that matches. The library gives up after five years, which a leap day can exceed.
func (c *calendar) nextReading(after time.Time) time.Time {
	if next := c.civil.Next(after); !next.IsZero() {
		return next
	}
	return c.civil.Next(time.Date(after.Year()+5, time.January, 1, 0, 0, -1, 0, time.UTC))
}

// count is how many slots lie in (after, until].
func (c *calendar) count(after, until time.Time) int {
	n := 0
	p, from := c.periodAt(after), after
	for {
		last := p.end.IsZero() || p.end.After(until)
		to := until
		if !last {
			to = p.end.Add(-1)
		}
		n += c.countReadings(c.readingAfter(p, from), p.reading(to))
		if last {
			return n
		}
		following := c.periodAt(p.end)
		if c.fallsInto(p, following) && !c.matches(following.reading(p.end)) {
			n++
		}
		p, from = following, p.end.Add(-1)
	}
}

func (c *calendar) matches(reading time.Time) bool {
	hour, minute, second := reading.Clock()
	return c.matchesDay(reading) && has(c.civil.Hour, hour) && has(c.civil.Minute, minute) && has(c.civil.Second, second)
}

// matchesDay is cron's rule: either day where both are restricted, else both.
func (c *calendar) matchesDay(day time.Time) bool {
	if !has(c.civil.Month, int(day.Month())) {
		return false
	}
	ofMonth, ofWeek := has(c.civil.Dom, day.Day()), has(c.civil.Dow, int(day.Weekday()))
	if c.civil.Dom&starBit != 0 || c.civil.Dow&starBit != 0 {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}

// countReadings is how many readings match in (after, until].
func (c *calendar) countReadings(after, until time.Time) int {
	if !until.After(after) {
		return 0
	}
	perDay := count(c.civil.Hour) * count(c.civil.Minute) * count(c.civil.Second)
	n := 0
	if c.matchesDay(until) {
		n += c.countUntil(until)
	}
	if c.matchesDay(after) {
		n -= c.countUntil(after)
	}
	last := until.Truncate(24 * time.Hour)
	for day := after.Truncate(24 * time.Hour); day.Before(last); day = day.Add(24 * time.Hour) {
		if c.matchesDay(day) {
			n += perDay
		}
	}
	return n
}

// countUntil is how many times of day match up to and including that of the reading.
func (c *calendar) countUntil(reading time.Time) int {
	hour, minute, second := reading.Clock()
	minutes, seconds := count(c.civil.Minute), count(c.civil.Second)
	n := upTo(c.civil.Hour, hour) * minutes * seconds
	if !has(c.civil.Hour, hour) {
		return n
	}
	n += upTo(c.civil.Minute, minute) * seconds
	if has(c.civil.Minute, minute) {
		n += upTo(c.civil.Second, second+1)
	}
	return n
}

// shortest is the shortest distance of two matching readings, zero where nothing ever matches. Distances within a day come
// from the time fields, those across midnight from the distance of days that match.
func (c *calendar) shortest() time.Duration {
	days := c.shortestDays()
	if days == 0 {
		return 0
	}
	const day = 24 * 60 * 60
	times := c.timesOfDay()
	best := (days-1)*day + day - times[len(times)-1] + times[0]
	for i, t := range times[1:] {
		best = min(best, t-times[i])
	}
	return time.Duration(best) * time.Second
}

// timesOfDay lists the matching times in seconds since midnight.
func (c *calendar) timesOfDay() []int {
	var times []int
	for hour := range 24 {
		for minute := range 60 {
			if !has(c.civil.Hour, hour) || !has(c.civil.Minute, minute) {
				continue
			}
			for second := range 60 {
				if has(c.civil.Second, second) {
					times = append(times, (hour*60+minute)*60+second)
				}
			}
		}
	}
	return times
}

// shortestDays is the shortest distance of two days that match, zero where none does. Sixteen years from 2088 hold every
// kind of year, the eight without a leap day among them.
func (c *calendar) shortestDays() int {
	const span = 16*366 + 1
	best, last := 0, -1
	for n := range span {
		if !c.matchesDay(time.Date(2088, time.January, 1+n, 0, 0, 0, 0, time.UTC)) {
			continue
		}
		if last >= 0 && (best == 0 || n-last < best) {
			best = n - last
		}
		if best == 1 {
			break
		}
		last = n
	}
	return best
}

// mulMod is a*b mod m for m > 0 and b > 0, in [0, m), without overflow.
func mulMod(a, b, m int64) int64 {
	negative := a < 0
	if negative {
		a = -a
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	rest := int64(bits.Rem64(high, low, uint64(m)))
	if negative && rest != 0 {
		return m - rest
	}
	return rest
}
