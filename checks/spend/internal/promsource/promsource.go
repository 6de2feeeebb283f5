// Package promsource is a source of spend: the application's own counters of tokens or of dollars, as a Prometheus has
// scraped them. It asks by instant queries, and for complete hours and days only once. It cannot write, and what the server
// does not know it takes for unknown.
package promsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// Prices is what tokens cost. *pricing.Book is one.
type Prices interface {
	// Cost is 0, false where it is not known.
	Cost(u pricing.Usage, model string, at time.Time) (checks.PicoUSD, bool)
}

// Options is what a Source is lent. Prices is needed. Without Out every Read is a Problem, without a State it is kept in
// memory, and without a Zone days begin in UTC.
type Options struct {
	Out    outbound.Exchanger
	Prices Prices
	State  source.State
	Zone   *time.Location
}

// Source is a source.Source.
type Source struct {
	options Options
	server  promql.Server
	family  family
	asker   asker
	maxAge  time.Duration
	of      uint64
}

// New makes a Source of validated parameters. It connects to nobody.
func New(p Params, o Options) (*Source, error) {
	if o.Prices == nil {
		return nil, errors.New("counters of tokens need prices")
	}
	if o.State == nil {
		o.State = &source.Transient{}
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	f := p.family()
	return &Source{
		options: o, family: f, asker: newAsker(f, p.Matchers), maxAge: p.maxAge(), of: p.signature(o.Zone),
		server: promql.Server{URL: p.URL, Auth: p.Auth, Headers: p.Headers, TLS: p.TLS, Out: o.Out},
	}, nil
}

// reading is a source.Reading while it is made.
type reading struct {
	source.Reading

	now    time.Time // in the zone, in whole seconds
	memory *memory
	why    []string
}

func (r *reading) lacks(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.why, text) {
		r.why = append(r.why, text)
	}
}

// Read asks for the last hour, without which there is no Reading, and then, in half of the time that is left, for what else
// is not known yet.
func (s *Source) Read(ctx context.Context, now time.Time) (source.Reading, error) {
	r := &reading{now: time.Unix(now.Unix(), 0).In(s.options.Zone), memory: restore(s.options.State.Load(), s.of)}
	r.memory.forget(r.now)
	if trouble := s.hour(ctx, r); trouble != nil {
		return source.Reading{}, trouble
	}
	spare, cancel := half(ctx)
	defer cancel()
	today := s.today(spare, r)
	s.month(spare, r, today)
	s.hours(spare, r)
	r.memory.save(s.options.State)
	r.Confidence = source.Exact
	if s.family.priced() {
		r.Confidence = source.Estimated
	}
	if len(r.why) > 0 {
		r.Confidence, r.Why = source.Partial, strings.Join(r.why, "; ")
	}
	return r.Reading, nil
}

// half is the half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	const without = 30 * time.Second
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, without)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// hour asks for the last 60 minutes, and for how things are now.
func (s *Source) hour(ctx context.Context, r *reading) *source.Problem {
	at := r.now.Unix()
	got, trouble := s.ask(ctx, s.asker.now(r.now, window{at - 3600, at}), r.now, 1)
	if trouble != nil {
		return trouble
	}
	c := &got[0]
	if c.oldest.IsZero() {
		return ours(checks.CauseEmptyContent, "no series of "+strings.Join(s.family.metrics, " or ")+" at present, which is not nothing spent")
	}
	if age := r.now.Sub(c.oldest); age > s.maxAge {
		return ours(checks.CauseAssertion, fmt.Sprintf("the oldest sample is %s old, want at most %s", age.Round(time.Second), s.maxAge))
	}
	if ahead := c.oldest.Sub(r.now); ahead > time.Minute {
		return ours(checks.CauseAssertion, fmt.Sprintf("the oldest sample is %s in the future of this host's clock", ahead.Round(time.Second)))
	}
	if c.astray() {
		return source.Problemf(checks.CauseConfig, "no value of the label %s is among those of input, cached and output", s.family.direction)
	}
	r.AsOf = c.oldest
	if r.AsOf.After(r.now) { // by less than clocks may differ
		r.AsOf = r.now
	}
	if c.down > 0 {
		r.lacks("targets that do not answer: %d", c.down)
	}
	switch {
	case !c.Known:
		r.lacks("too few samples in the last hour")
	case !c.Whole:
		r.lacks("the server has no data of an hour ago")
	default:
		r.Hour = s.amount(r, c.bucket)
		if c.down > 0 && r.Hour != nil && r.Hour.Cost == 0 { // what those counted that do not answer, nobody knows
			r.Hour = nil
		}
	}
	return nil
}

// amount prices one window that ends now, and says what it lacks.
func (s *Source) amount(r *reading, b bucket) *source.Amount {
	var all sum
	all.add(b, s.options.Prices, r.now)
	return s.tell(r, &all, b.Late, b.Whole)
}

// tell is what windows cost, nil where nobody knows: a part of something that is nothing so far may be anything.
func (s *Source) tell(r *reading, all *sum, late int64, complete bool) *source.Amount {
	if late > 0 {
		r.lacks("series that the server found late: what they had counted before is left out")
	}
	if all.astray {
		r.lacks("tokens of a direction that is not among input, cached and output")
	}
	if all.excess {
		r.lacks("more cached tokens than input: are they not among the input?")
	}
	if len(all.unpriced) > 0 {
		r.lacks("models without a known price")
	}
	if part := late > 0 || all.astray || !complete; part && all.cost == 0 {
		return nil
	}
	return all.amount(s.family)
}

// today asks for what was counted since midnight; nil where nobody knows.
func (s *Source) today(ctx context.Context, r *reading) *bucket {
	day, _ := source.Windows(r.now, s.options.Zone)
	if !day.Before(r.now) {
		return nil // it is midnight
	}
	got, trouble := s.ask(ctx, s.asker.windows(r.now, []window{{day.Unix(), r.now.Unix()}}), r.now, 1)
	switch {
	case trouble != nil:
		r.Notes = append(r.Notes, "today: "+trouble.Text)
		r.lacks("today is not known")
		return nil
	case !got[0].Known:
		r.lacks("too few samples today")
		return nil
	case !got[0].Whole:
		r.lacks("the server had no data at midnight")
	}
	r.Today = s.amount(r, got[0].bucket)
	return &got[0].bucket
}

// month adds the complete days to today.
func (s *Source) month(ctx context.Context, r *reading, today *bucket) {
	all, wanted := r.memory.days(r.now)
	recent := s.fetch(ctx, r, wanted, daysAtOnce, func(w window, b *bucket) {
		if w.settled(r.now) {
			r.memory.Days[w.from] = b
		}
	})
	if today == nil {
		return
	}
	var total sum
	total.add(*today, s.options.Prices, r.now)
	late, empty, last := today.Late, 0, int64(0)
	for i, w := range all {
		b := r.memory.Days[w.from]
		if b == nil {
			b = recent[w.from]
		}
		if b == nil {
			r.lacks("%d days of the month are not known yet", len(all)-known(all, r.memory.Days, recent))
			return
		}
		switch {
		case !b.Whole:
			last = all[i].from
		case !b.Known:
			empty++
		}
		total.add(*b, s.options.Prices, time.Unix(w.from, 0))
		late += b.Late
	}
	if last > 0 {
		r.lacks("the server has no data of %s", time.Unix(last, 0).In(s.options.Zone).Format("2006-01-02 15:04 MST"))
	}
	if empty > 0 {
		r.lacks("%d days of the month without a series", empty)
	}
	r.Month = s.tell(r, &total, late, today.Whole && last == 0 && empty == 0)
}

func known(all []window, some ...map[int64]*bucket) int {
	n := 0
	for _, w := range all {
		if slices.ContainsFunc(some, func(m map[int64]*bucket) bool { return m[w.from] != nil }) {
			n++
		}
	}
	return n
}

// hours tells the complete hours that are known, after asking for those that are missing.
func (s *Source) hours(ctx context.Context, r *reading) {
	s.fetch(ctx, r, r.memory.wantedHours(r.now), hoursAtOnce, func(w window, b *bucket) {
		b.settle(s.options.Prices, time.Unix(w.from, 0))
		r.memory.Hours[w.from] = b
	})
	for at, b := range r.memory.Hours {
		b.settle(s.options.Prices, time.Unix(at, 0)) // prices that were not known may be by now
		if b.Known && b.Whole && b.Late == 0 && len(b.Models) == 0 {
			r.Hours = append(r.Hours, source.Bucket{Start: time.Unix(at, 0), Cost: b.Cost})
		}
	}
	slices.SortFunc(r.Hours, func(a, b source.Bucket) int { return a.Start.Compare(b.Start) })
}

// fetch asks for windows, some at once, until it has all or one question fails. What came is kept, and given back too.
func (s *Source) fetch(ctx context.Context, r *reading, wanted []window, atOnce int, keep func(window, *bucket)) map[int64]*bucket {
	out := map[int64]*bucket{}
	for some := range slices.Chunk(wanted, atOnce) {
		got, trouble := s.ask(ctx, s.asker.windows(r.now, some), r.now, len(some))
		if trouble != nil {
			r.Notes = append(r.Notes, "complete hours and days: "+trouble.Text)
			break
		}
		for i := range some {
			out[some[i].from] = &got[i].bucket
			keep(some[i], &got[i].bucket)
		}
	}
	return out
}
