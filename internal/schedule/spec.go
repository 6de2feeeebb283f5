// Package schedule says when: it turns `schedule:` and `timezone:` into slots and starts each slot's run, with an overlap
// guard, concurrency caps and a count for every slot that could not run. It does not know what a run does.
package schedule

import (
	"fmt"
	"math"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on what the host has installed

	"github.com/robfig/cron/v3"
)

// Intervals that a user may write. Compressed specs may be shorter, down to minCompressed.
const (
	minEvery      = time.Second
	maxEvery      = 366 * 24 * time.Hour
	minCompressed = 10 * time.Millisecond
)

// Spec is one schedule: a fixed interval or a cron expression in its time zone. It is immutable, safe for concurrent use,
// and two specs mean the same slots where their String is the same. The zero Spec never fires; make one with Parse.
type Spec struct {
	every    time.Duration // > 0 for @every
	cal      *calendar     // otherwise the cron expression
	interval time.Duration
	text     string
}

// ParseError is a schedule or time zone that cannot be used.
type ParseError struct {
	Expr     string // the text that was read: the expression, or the zone where Timezone is set
	Column   int    // 1-based byte within Expr; 1 where the whole is meant
	Msg      string // what was found and what was wanted
	Timezone bool   // the fault is in `timezone:`
}

func (e *ParseError) Error() string {
	if e.Timezone {
		return fmt.Sprintf("timezone %q: %s", e.Expr, e.Msg)
	}
	return fmt.Sprintf("schedule %q, column %d: %s", e.Expr, e.Column, e.Msg)
}

// Parse reads `schedule:` and `timezone:`; "" is UTC. An expression is "@every DURATION" of at least a second, a cron
// expression of five fields or of six with seconds first, or @hourly, @daily, @midnight, @weekly, @monthly, @yearly,
// @annually. As in cron, a day matches either the day of the month or that of the week where both are restricted. Refused are prefixes such as
// TZ=, steps that reach beyond their range, and expressions that never fire. Every error is a *ParseError.
func Parse(expr, timezone string) (Spec, error) {
	loc, err := zone(timezone)
	if err != nil {
		return Spec{}, err
	}
	trimmed := strings.TrimSpace(expr)
	head, _, _ := strings.Cut(trimmed, " ")
	switch {
	case trimmed == "":
		return Spec{}, &ParseError{Expr: expr, Column: 1, Msg: `nothing found, want "@every 60s" or a cron expression such as "*/5 * * * *"`}
	case strings.Contains(head, "="):
		return Spec{}, &ParseError{
			Expr: expr, Column: column(expr),
			Msg: fmt.Sprintf("found the prefix %q; want the zone in its own key, `timezone:`", head),
		}
	case strings.HasPrefix(trimmed, "@every"):
		return parseEvery(expr, trimmed)
	case strings.HasPrefix(trimmed, "@"):
		fields, ok := descriptors()[trimmed]
		if !ok {
			return Spec{}, &ParseError{
				Expr: expr, Column: column(expr),
				Msg: fmt.Sprintf("found %q, want @every DURATION, @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually", trimmed),
			}
		}
		return parseCron(fields, fields, loc)
	}
	return parseCron(expr, strings.Join(strings.Fields(expr), " "), loc)
}

// descriptors are written out, so that "@hourly" and "0 * * * *" are the same spec.
func descriptors() map[string]string {
	return map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
	}
}

func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") {
		return nil, &ParseError{Expr: name, Column: 1, Msg: "not a known zone, want UTC or an IANA name such as Europe/Paris", Timezone: true}
	}
	return loc, nil
}

func parseEvery(expr, trimmed string) (Spec, error) {
	text := strings.TrimSpace(strings.TrimPrefix(trimmed, "@every"))
	col := column(expr)
	if text == "" || trimmed[len("@every")] != ' ' {
		return Spec{}, &ParseError{Expr: expr, Column: col, Msg: fmt.Sprintf(`found %q, want "@every" and a duration, such as "@every 60s"`, trimmed)}
	}
	col += strings.LastIndex(trimmed, text)
	d, err := time.ParseDuration(text)
	if err != nil {
		return Spec{}, &ParseError{Expr: expr, Column: col, Msg: fmt.Sprintf("found the duration %q, want a number with a unit, such as 30s, 5m or 1h30m", text)}
	}
	if d < minEvery || d > maxEvery {
		return Spec{}, &ParseError{Expr: expr, Column: col, Msg: fmt.Sprintf("found the interval %s, want 1s to 8784h (a year)", d)}
	}
	return ofInterval(d), nil
}

func ofInterval(d time.Duration) Spec {
	return Spec{every: d, interval: d, text: "@every " + d.String()}
}

// parseCron reads canonical, which is expr with single spaces; errors point into expr.
func parseCron(expr, canonical string, loc *time.Location) (Spec, error) {
	if err := guard(expr); err != nil {
		return Spec{}, err
	}
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	parsed, err := parser.Parse(canonical)
	if err != nil {
		return Spec{}, &ParseError{Expr: expr, Column: 1, Msg: err.Error()}
	}
	bits, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Spec{}, &ParseError{Expr: expr, Column: 1, Msg: "not a cron expression of five or six fields"}
	}
	cal := newCalendar(*bits, loc)
	interval := cal.shortest()
	if interval == 0 {
		return Spec{}, &ParseError{Expr: expr, Column: column(expr), Msg: "never fires: no month has that day; want a date that exists"}
	}
	text := canonical
	if loc != time.UTC && loc.String() != "UTC" {
		text += " " + loc.String()
	}
	return Spec{cal: cal, interval: interval, text: text}, nil
}

// column is the 1-based place of the first byte that is not blank.
func column(expr string) int {
	return len(expr) - len(strings.TrimLeft(expr, " \t\r\n\v\f")) + 1
}

// Next is the first slot strictly after the given time, in the spec's own zone; the zero time where there is none. For
// @every the slots are the multiples of the interval since 1970 in UTC; the scheduler moves them by its spread.
//
// A cron slot that falls into the hour that daylight saving leaves out takes place once, at the end of the gap. In an hour
// that is repeated, specs that fire hourly or several times in an hour fire both times, all others the first time only.
func (s Spec) Next(after time.Time) time.Time {
	switch {
	case s.every > 0:
		return nextOnGrid(after, s.every, 0)
	case s.cal != nil:
		return s.cal.next(after)
	}
	return time.Time{}
}

// Count is how many slots there are after the first time, up to and including the second: as many as Next would walk.
func (s Spec) Count(after, until time.Time) int {
	switch {
	case !until.After(after):
		return 0
	case s.every > 0:
		return countOnGrid(after, until, s.every, 0)
	case s.cal != nil:
		return s.cal.count(after, until)
	}
	return 0
}

// Advance is the last of a number of slots that begin with from, itself a slot.
func (s Spec) Advance(from time.Time, slots int) time.Time {
	if s.every > 0 {
		return from.Add(time.Duration(slots-1) * s.every)
	}
	for ; slots > 1; slots-- {
		next := s.Next(from)
		if next.IsZero() {
			break
		}
		from = next
	}
	return from
}

// Interval is the shortest time between two slots, daylight saving aside; zero for the zero Spec.
func (s Spec) Interval() time.Duration { return s.interval }

// IsEvery reports whether the spec is a fixed interval: a monotonic grid that no clock step moves.
func (s Spec) IsEvery() bool { return s.every > 0 }

// IsZero reports whether s is the zero Spec.
func (s Spec) IsZero() bool { return s.text == "" }

// String is the canonical text: "@every 1m0s", or the cron fields with the zone behind them where it is not UTC.
func (s Spec) String() string { return s.text }

// Compress divides time by n, for the demo and for drills: an interval becomes n times shorter, a cron expression becomes
// an interval of an n-th of its shortest distance. Specs below 10 ms are not made; n of 1 and below and NaN change nothing.
func (s Spec) Compress(n float64) Spec {
	if math.IsNaN(n) || n <= 1 || s.interval == 0 {
		return s
	}
	return ofInterval(max(minCompressed, time.Duration(math.Round(float64(s.interval)/n))))
}

// frequent reports whether the spec fires hourly or several times in an hour, so that a repeated hour is no repetition.
func (s Spec) frequent() bool { return s.every > 0 || s.cal != nil && s.cal.frequent }

// nextOnGrid is the first time strictly after the given one that stands offset behind a multiple of d since 1970.
func nextOnGrid(after time.Time, d, offset time.Duration) time.Time {
	return after.Add(d - sinceGrid(after, d, offset))
}

// countOnGrid is how many points of the grid lie in (after, until].
func countOnGrid(after, until time.Time, d, offset time.Duration) int {
	first := nextOnGrid(after, d, offset)
	if first.After(until) {
		return 0
	}
	return int(until.Sub(first)/d) + 1
}

// sinceGrid is how far t stands behind the last point of the grid, in [0, d). Seconds and nanoseconds are reduced
// separately, because UnixNano overflows outside of 1678 to 2262.
func sinceGrid(t time.Time, d, offset time.Duration) time.Duration {
	seconds := mulMod(t.Unix(), int64(time.Second), int64(d))
	rest := (seconds + int64(t.Nanosecond())%int64(d) - int64(offset)%int64(d)) % int64(d)
	if rest < 0 {
		rest += int64(d)
	}
	return time.Duration(rest)
}
