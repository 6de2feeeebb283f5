package incident

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The hours between which a business day is one, for reminders and for the end of the time to respond.
const (
	dayBegins = 9
	dayEnds   = 17
)

// respondBy is when an incident of that severity is to be answered that began at from: after the configured time, else
// after the checklist's. P4 is answered on the next business day, Monday to Friday, by five o'clock.
func (o *Options) respondBy(from time.Time, s checks.Severity) time.Time {
	if in := o.RespondIn[s]; in > 0 {
		return from.Add(in)
	}
	switch s {
	case checks.P1:
		return from.Add(15 * time.Minute)
	case checks.P2:
		return from.Add(time.Hour)
	case checks.P3:
		return from.Add(4 * time.Hour)
	case checks.P4:
	}
	return o.nextBusinessDay(from)
}

func (o *Options) nextBusinessDay(from time.Time) time.Time {
	local := from.In(o.Timezone)
	for days := 1; ; days++ {
		end := time.Date(local.Year(), local.Month(), local.Day()+days, dayEnds, 0, 0, 0, o.Timezone)
		if weekday := end.Weekday(); weekday != time.Saturday && weekday != time.Sunday {
			return end.UTC()
		}
	}
}

// remindAt is two thirds of the way to by. Where that is the end of a business day it is not before that day begins.
func (o *Options) remindAt(from, by time.Time, s checks.Severity) time.Time {
	at := from.Add(by.Sub(from) * 2 / 3)
	if rank(s) < rank(checks.P4) || o.RespondIn[s] > 0 {
		return at
	}
	local := by.In(o.Timezone)
	morning := time.Date(local.Year(), local.Month(), local.Day(), dayBegins, 0, 0, 0, o.Timezone)
	if at.Before(morning) {
		return morning.UTC()
	}
	return at
}
