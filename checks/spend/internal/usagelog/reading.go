package usagelog

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// reading makes the numbers of the state.
func (l *Log) reading(s *state, now time.Time) (source.Reading, error) {
	if s.Tally.Newest == 0 {
		return source.Reading{}, l.nothing(s)
	}
	asOf := time.Unix(min(max(s.Alive, s.Tally.Newest), now.Unix()), 0)
	if s.Behind > 0 {
		asOf = time.Unix(min(s.Tally.Newest, now.Unix()), 0)
	}
	day, month := source.Windows(now, l.options.Zone)
	r := source.Reading{AsOf: asOf, Notes: s.Flaws.notes(), Hours: hours(s, asOf)}
	told, hidden := false, int64(0)
	if s.knows(now.Add(-time.Hour), asOf) && s.Behind == 0 && now.Sub(asOf) <= l.params.MaxLag {
		r.Hour, _ = sum(s.Tally.Minutes, now.Add(-time.Hour-time.Minute).Add(time.Second))
	}
	if bad := s.Flaws.lately(); r.Hour != nil {
		switch good := max(r.Hour.Requests, 0); {
		case bad > good: // nobody knows what stood in them
			r.Hour, hidden = nil, bad
		case bad > good/mostFlawed:
			r.Alarms = append(r.Alarms, source.Alarm{
				Blame: checks.BlameApplication, Text: fmt.Sprintf("%d lines of the last hour could not be read, beside %d that could", bad, good),
			})
		}
	}
	if !asOf.Before(day) {
		r.Today, _ = sum(s.Tally.Days, day)
	}
	if !asOf.Before(month) {
		r.Month, told = sum(s.Tally.Days, month)
	}
	r.Confidence = source.Estimated
	if told {
		r.Confidence = source.Exact
	}
	why := l.why(s, now, &r)
	if hidden > 0 {
		why = append([]string{fmt.Sprintf("%d lines of the last hour could not be read, so it is not known", hidden)}, why...)
	}
	if len(why) > 0 {
		r.Confidence, r.Why = source.Partial, sentence(why)
	}
	return r, nil
}

// mostFlawed is one line that cannot be read among so many that can: more are told.
const mostFlawed = 100

// knows reports whether nothing is missing from a time on, up to another.
func (s *state) knows(from, until time.Time) bool {
	since, ok := s.since()
	return ok && !since.After(from) && until.After(from)
}

// nothing is a log in which no record was ever seen: nothing may have been spent, or they are not where they are looked for.
func (l *Log) nothing(s *state) *source.Problem {
	p := source.Problemf(checks.CauseConfig, "no usage record among %d lines of the log: nothing is known, which is not nothing spent", s.Lines)
	if s.Lines > 0 && len(l.params.Contains) > 0 {
		p.Text += fmt.Sprintf("; only lines with %q are looked into", l.params.Contains)
	}
	if notes := s.Flaws.notes(); len(notes) > 0 {
		p.Text += "; " + sentence(notes)
	}
	return p
}

// why is what the numbers lack.
func (l *Log) why(s *state, now time.Time, r *source.Reading) []string {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if s.Behind > 0 {
		add("%d MB behind", (s.Behind+999_999)/1_000_000)
	}
	if lag := now.Sub(r.AsOf); s.Behind == 0 && lag > l.params.MaxLag {
		add("nothing was written for %s", lag.Round(time.Second))
	}
	if since, ok := s.since(); ok && since.After(s.Tally.month) {
		add("seen since %s only", since.In(l.options.Zone).Format("2006-01-02 15:04 MST"))
	}
	if len(s.Flaws.Seen) > 0 {
		add("some of it could not be read")
	}
	if r.Month != nil && len(r.Month.Unpriced) > 0 {
		add("no price for %s", strings.Join(r.Month.Unpriced, ", "))
	}
	return why
}

// hours are the complete ones of which nothing is missing.
func hours(s *state, asOf time.Time) []source.Bucket {
	since, ok := s.since()
	if !ok {
		return nil
	}
	earliest := max(since.Unix(), s.Tally.now.Add(-hoursKept).Unix())
	_, offset := time.Unix(earliest, 0).In(s.Tally.zone).Zone()
	first := earliest + mod(-(earliest+int64(offset)), 3600)
	var all []source.Bucket
	for at := first; at+3600 <= asOf.Unix(); at += 3600 {
		h := s.Tally.Hours[at]
		switch {
		case h == nil: // the log was followed, and told of nothing
			all = append(all, source.Bucket{Start: time.Unix(at, 0)})
		case len(h.Unpriced) == 0:
			all = append(all, source.Bucket{Start: time.Unix(at, 0), Cost: h.Cost})
		}
	}
	return all
}
