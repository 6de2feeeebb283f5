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

// Read sums the hours. An hour without a row cost nothing: the ledger has every run.
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
	r.Today, r.Month = sum(rows, day, 0), sum(rows, month, 0)
	r.Hour = sum(rows, thisHour.Add(-time.Hour), 1-now.Sub(thisHour).Hours())
	return r, nil
}

// sum is what the hours from since on cost. A share that is not 0 is how much of the first hour counts.
func sum(rows []checks.Spending, since time.Time, share float64) *source.Amount {
	type key struct {
		model     string
		direction source.Direction
	}
	out, tokens, unpriced := &source.Amount{}, map[key]int64{}, map[string]bool{}
	for _, row := range rows {
		if row.Hour.Before(since) {
			continue
		}
		part := 1.0
		if share > 0 && row.Hour.Equal(since) {
			part = share
		}
		of := func(n int64) int64 {
			if part == 1 {
				return n
			}
			return int64(float64(n) * part)
		}
		out.Cost += checks.PicoUSD(of(int64(row.Cost)))
		out.Requests += of(row.Runs)
		tokens[key{row.Model, source.Input}] += of(row.PromptTokens)
		tokens[key{row.Model, source.Cached}] += of(row.CachedTokens)
		tokens[key{row.Model, source.Output}] += of(row.CompletionTokens)
		if row.Unpriced > 0 {
			unpriced[row.Model] = true
		}
	}
	for k, n := range tokens {
		out.Tokens = append(out.Tokens, source.Tokens{Model: k.model, Direction: k.direction, N: n})
	}
	out.Unpriced = slices.Sorted(maps.Keys(unpriced))
	return out
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
