package spend

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// ledger is what the agent's own runs cost.
type ledger struct {
	book checks.SpendingLedger // nil: there is none
	zone *time.Location
}

func newLedger(_ Source, l lent) (source.Source, error) {
	book, _ := l.Ledger.(checks.SpendingLedger)
	return &ledger{book: book, zone: l.zone}, nil
}

// kept is how far back a ledger knows hours.
const kept = 34 * 24 * time.Hour

// Read sums the hours. An hour without a row cost nothing where the ledger knows it whole; where it may lack something and has
// nothing, nobody knows.
func (l *ledger) Read(ctx context.Context, now time.Time) (source.Reading, error) {
	if l.book == nil {
		return source.Reading{}, source.Problemf(checks.CauseInternal, "the agent has no ledger that tells what was spent")
	}
	thisHour := now.UTC().Truncate(time.Hour)
	rows, err := l.book.Spending(ctx, thisHour.Add(-kept), thisHour.Add(time.Hour))
	if err != nil {
		p := source.Problemf(checks.CauseInternal, "the ledger cannot be read")
		p.Err = err
		return source.Reading{}, p
	}
	day, month := source.Windows(now, l.zone)
	r := source.Reading{AsOf: now, Confidence: source.Estimated, Hours: hours(rows, thisHour)}
	for _, window := range []struct {
		into  **source.Amount
		since time.Time
	}{{&r.Month, month}, {&r.Today, day}, {&r.Hour, now.Add(-time.Hour)}} {
		amount := sum(rows, window.since, now)
		if why := l.lacks(window.since); why != "" {
			r.Confidence, r.Why = source.Partial, why
			if amount.Cost == 0 {
				continue
			}
		}
		*window.into = amount
	}
	return r, nil
}

// lacks says why the ledger may not know all since a time; "" where it does.
func (l *ledger) lacks(since time.Time) string {
	if tells, ok := l.book.(checks.LedgerMemory); ok {
		return tells.Lacks(since)
	}
	return ""
}

// sum is what the hours cost since a time. Of the hour that it lies in counts the part behind it.
func sum(rows []checks.Spending, since, now time.Time) *source.Amount {
	type key struct {
		model     string
		direction source.Direction
	}
	out, tokens, unpriced, nameless := &source.Amount{}, map[key]int64{}, map[string]bool{}, false
	for _, row := range rows {
		part := share(row.Hour, since, now)
		if part == 0 {
			continue
		}
		of := func(n int64) int64 {
			if part == 1 {
				return n
			}
			return int64(float64(n) * part)
		}
		out.Cost = out.Cost.Plus(checks.PicoUSD(of(int64(row.Cost))))
		if row.Check == "" && row.Model == "" { // money of which only the sum is left: nobody knows what it went into
			nameless = true
			continue
		}
		out.Requests += of(row.Runs)
		tokens[key{row.Model, source.Input}] += of(row.PromptTokens)
		tokens[key{row.Model, source.Cached}] += of(row.CachedTokens)
		tokens[key{row.Model, source.Output}] += of(row.CompletionTokens)
		if row.Unpriced > 0 {
			unpriced[row.Model] = true
		}
	}
	out.Unpriced = slices.Sorted(maps.Keys(unpriced))
	if nameless {
		out.Requests = -1
		return out
	}
	for k, n := range tokens {
		out.Tokens = append(out.Tokens, source.Tokens{Model: k.model, Direction: k.direction, N: n})
	}
	return out
}

// share is the part of an hour, as far as it has come, that lies behind a time.
func share(hour, since, now time.Time) float64 {
	end := hour.Add(time.Hour)
	if end.After(now) {
		end = now
	}
	switch {
	case !hour.Before(since):
		return 1
	case !end.After(since):
		return 0
	}
	return end.Sub(since).Hours() / end.Sub(hour).Hours()
}

// hours are the complete hours since the first row.
func hours(rows []checks.Spending, until time.Time) []source.Bucket {
	if len(rows) == 0 {
		return nil
	}
	cost := map[int64]checks.PicoUSD{}
	first := rows[0].Hour
	for _, row := range rows {
		cost[row.Hour.Unix()] += row.Cost
	}
	var out []source.Bucket
	for at := first; at.Before(until); at = at.Add(time.Hour) {
		out = append(out, source.Bucket{Start: at, Cost: cost[at.Unix()]})
	}
	return out
}
