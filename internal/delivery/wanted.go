package delivery

import (
	"context"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	readMost     = 500                   // records read at a time where most are passed over
	saveEvery    = time.Second           // between two commits of a cursor that only passed over records
	lingerWanted = 10 * time.Millisecond // what comes within this time goes out together, where people wait for it
)

// wanted passes over what the exporter does not want: what stands at the head moves the cursor, and what stands behind that
// is left out. It returns no more than a batch.
func (r *round) wanted(ctx context.Context, entries []Entry) []Entry {
	if r.wants == nil {
		return entries
	}
	var found []Entry
	for _, e := range entries {
		if r.wants(e.Record.Type()) && len(found) < r.limit {
			found = append(found, e)
		}
	}
	pos := entries[len(entries)-1].Pos
	if len(found) > 0 {
		pos = found[0].Pos - 1
	}
	if pos <= r.cursor.Pos {
		return found
	}
	r.unsaved = true
	r.cursor.Pos = pos
	r.w.note(func(s *Status) { s.Cursor = pos })
	if time.Since(r.savedAt) >= saveEvery {
		r.save(ctx)
	}
	return found
}

// save commits a cursor that has passed over records.
func (r *round) save(ctx context.Context) {
	if r.unsaved {
		r.commit(ctx, r.cursor.Pos, nil, Counts{})
	}
}

// old says which records are too old to be sent. Where alerts are wanted by themselves, only those are that tell of what is
// over: their end stands behind them, or was lost, and what was told of before is ended by Refresh.
func (r *round) old() func(Entry) bool {
	limit := r.w.o.Steady.Limit(time.Now(), r.w.o.MaxAge)
	var present map[string]time.Time // since when, by fingerprint
	known := false
	over := func(a *checks.Alert) bool {
		if present == nil {
			present, known = r.present()
		}
		since, open := present[a.Fingerprint]
		return known && (!open || since.After(a.At))
	}
	return func(e Entry) bool {
		switch {
		case r.w.o.MaxAge <= 0, e.Record.At.IsZero(), !e.Record.At.Before(limit):
			return false
		case r.wants == nil, e.Record.Alert == nil:
			return true
		}
		return e.Record.Alert.State.Open() && over(e.Record.Alert)
	}
}

// present are the alerts that are open now.
func (r *round) present() (since map[string]time.Time, known bool) {
	since = map[string]time.Time{}
	if r.w.o.Alerts == nil {
		return since, false
	}
	open, known := r.w.o.Alerts()
	for i := range open {
		if open[i].State.Open() {
			since[open[i].Fingerprint] = open[i].Since
		}
	}
	return since, known
}
