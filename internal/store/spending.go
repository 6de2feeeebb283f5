package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	hourLong = int64(time.Hour / time.Microsecond)
	// mostCells is how many sums are kept in memory, about 7 MB. Beyond it old hours lose the names of their checks; the
	// database keeps them.
	mostCells  = 100_000
	namedHours = 49             // hours that keep them always
	mostTokens = int64(1) << 40 // of one run; more is out of its senses
)

// who is what money went into.
type who struct {
	check, provider, model string
	trigger                checks.Trigger
}

// used is what it went for.
type used struct {
	runs                       int64
	cost, reserved             checks.PicoUSD // reserved is the part of cost that was not booked
	prompt, cached, completion int64
	unpriced                   int64
}

func (u used) plus(v used) used {
	return used{
		u.runs + v.runs, u.cost + v.cost, u.reserved + v.reserved,
		u.prompt + v.prompt, u.cached + v.cached, u.completion + v.completion, u.unpriced + v.unpriced,
	}
}

func (u used) minus(v used) used {
	return u.plus(used{-v.runs, -v.cost, -v.reserved, -v.prompt, -v.cached, -v.completion, -v.unpriced})
}

// cell is the sum of one hour and one who.
type cell struct {
	who  int32 // place in the names
	used used
}

// spending is what the money went into, by hour of the epoch. It tells; what counts against budgets are the entries.
type spending struct {
	names []who
	known map[who]int32
	hours map[int64][]cell // sorted by who
	cells int
}

func newSpending() spending {
	return spending{known: map[who]int32{}, hours: map[int64][]cell{}}
}

// add adds to a sum.
func (s *spending) add(hour int64, w who, u used) {
	id, known := s.known[w]
	if !known {
		id = int32(len(s.names))
		s.names = append(s.names, w)
		s.known[w] = id
	}
	cells := s.hours[hour]
	i, found := slices.BinarySearchFunc(cells, id, func(c cell, id int32) int { return cmp.Compare(c.who, id) })
	if found {
		cells[i].used = cells[i].used.plus(u)
		return
	}
	s.hours[hour] = slices.Insert(cells, i, cell{id, u})
	s.cells++
}

// forget drops the hours before one, and shortens those that need not be so exact where there is too much.
func (s *spending) forget(before, now int64) {
	hours := slices.Sorted(maps.Keys(s.hours))
	for _, hour := range hours {
		if hour < before {
			s.cells -= len(s.hours[hour])
			delete(s.hours, hour)
		} else if s.cells > mostCells && hour <= now-namedHours {
			s.shorten(hour)
		}
	}
}

// shorten takes the names of checks out of an hour.
func (s *spending) shorten(hour int64) {
	cells := s.hours[hour]
	s.cells -= len(cells)
	delete(s.hours, hour)
	for _, c := range cells {
		w := s.names[c.who]
		w.check = ""
		s.add(hour, w, c.used)
	}
}

// move brings an hour's sums to another hour.
func (s *spending) move(from, to int64) {
	cells := s.hours[from]
	s.cells -= len(cells)
	delete(s.hours, from)
	for _, c := range cells {
		s.add(to, s.names[c.who], c.used)
	}
}

// shift moves all hours.
func (s *spending) shift(by int64) {
	hours := make(map[int64][]cell, len(s.hours))
	for hour, cells := range s.hours {
		hours[hour+by] = cells
	}
	s.hours = hours
}

// Spending implements checks.SpendingLedger. Where there are more than 100,000 sums, the hours that are older than two days
// tell no check any more, all else as before.
func (l *Ledger) Spending(_ context.Context, since, until time.Time) ([]checks.Spending, error) {
	out, counts := l.copySpending(firstHour(since), firstHour(until))
	for rest := out; len(counts) > 0; counts = counts[1:] {
		slices.SortFunc(rest[:counts[0]], bySpender)
		rest = rest[counts[0]:]
	}
	return out, nil
}

// copySpending copies the sums of the hours from one to before another, and says how many each hour has.
func (l *Ledger) copySpending(from, to int64) (out []checks.Spending, counts []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.spending
	hours := make([]int64, 0, len(s.hours))
	total := 0
	for hour, cells := range s.hours {
		if hour >= from && hour < to {
			hours = append(hours, hour)
			total += len(cells)
		}
	}
	slices.Sort(hours)
	out = make([]checks.Spending, 0, total)
	for _, hour := range hours {
		before, begin := len(out), time.UnixMicro(hour*hourLong).UTC()
		for _, c := range s.hours[hour] {
			if u := c.used; u != (used{}) { // else a reservation that was taken back, or booked under another name
				w := s.names[c.who]
				out = append(out, checks.Spending{
					Hour: begin, Check: w.check, Provider: w.provider, Model: w.model, Trigger: w.trigger, Runs: u.runs,
					Cost: u.cost, Reserved: u.reserved, PromptTokens: u.prompt, CachedTokens: u.cached,
					CompletionTokens: u.completion, Unpriced: u.unpriced,
				})
			}
		}
		counts = append(counts, len(out)-before)
	}
	return out, counts
}

func bySpender(a, b checks.Spending) int {
	return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Provider, b.Provider),
		strings.Compare(a.Model, b.Model), strings.Compare(string(a.Trigger), string(b.Trigger)))
}

// firstHour is the first hour that does not begin before t.
func firstHour(t time.Time) int64 { return hourOf(t.Add(time.Hour - time.Nanosecond).UnixMicro()) }

// Lacks implements checks.LedgerMemory: nothing is known from before the state directory was made, and the hour before a
// restart of the host, or a damage, may be missing.
func (l *Ledger) Lacks(since time.Time) string {
	if id, err := ulid.Parse(l.store.Instance()); err == nil && since.Before(id.Timestamp()) {
		return "the ledger begins at " + id.Timestamp().UTC().Format(time.RFC3339)
	}
	if at := l.assumed(); at != 0 && since.Before(fromMicros(at)) {
		return "the ledger may lack the hour before " + fromMicros(at).UTC().Format(time.RFC3339)
	}
	return ""
}
