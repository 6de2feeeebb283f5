package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// recentLeast is the shortest time that Recent tells checks apart by. It is lengthened until it covers what is asked for.
const recentLeast = time.Minute

func longer(reach time.Duration) time.Duration { return reach + reach/4 }

// Recalled is what Recent read.
type Recalled struct {
	Records int
	Since   time.Time // nothing is missing after; zero: nothing that was asked for is
	Bounded bool      // there is more than most, and the oldest was left out
}

// Recent calls fn with the reports of each check since its time, and under "" with the agent's own records, in the order in
// which they were stored; the newest only where there are more than most. It may give a little more than was asked for. What cannot be
// decoded is passed over.
func (s *Store) Recent(ctx context.Context, since map[string]time.Time, most int, fn func(checks.Record)) (Recalled, error) {
	if len(since) == 0 {
		return Recalled{}, nil
	}
	bands := bandsOf(time.Now(), since)
	memory := s.unsaved(since) // first: what goes to the disk in between is then found twice, never missed
	var out found
	gone := time.Time{}
	err := s.view(func(f *file) (err error) {
		out, err = s.recall(ctx, f, bands, most, fn)
		return err
	})
	for _, e := range memory {
		if len(out.at) == 0 || int64(e.Pos) > out.at[len(out.at)-1] {
			out.Records++
			fn(e.Record)
		}
	}
	if err == nil {
		gone, err = s.goneUntil(ctx, bands[len(bands)-1].from)
	}
	if err != nil {
		return out.Recalled, fmt.Errorf("reading what was measured before: %w", err)
	}
	if gone.After(out.Since) {
		out.Since = gone
	}
	return out.Recalled, nil
}

// recall reads what is on disk.
func (s *Store) recall(ctx context.Context, f *file, bands []band, most int, fn func(checks.Record)) (found, error) {
	if f == nil {
		return found{}, nil
	}
	out, err := f.find(ctx, bands, most)
	if err != nil {
		return out, err
	}
	err = s.replay(ctx, f.read, out.at, func(r checks.Record) {
		out.Records++
		fn(r)
	})
	return out, err
}

// unsaved is what is in memory only.
func (s *Store) unsaved(since map[string]time.Time) []delivery.Entry {
	var out []delivery.Entry
	for _, e := range s.ring() {
		if from, asked := since[e.check]; !asked || e.at < from.UnixMicro() || e.kind == checks.TypeAlert {
			continue
		}
		if record, err := decode(e); err == nil {
			out = append(out, delivery.Entry{Pos: e.pos, Record: record})
		}
	}
	return out
}

// band is a time with the checks that are asked for in it.
type band struct {
	from   time.Time
	checks []string
}

// bandsOf puts together what is asked for, the newest first: a few dozen bands, however many checks there are.
func bandsOf(now time.Time, since map[string]time.Time) []band {
	by := map[time.Duration][]string{}
	longest := recentLeast
	for name, from := range since {
		reach := recentLeast
		for reach < now.Sub(from) {
			reach = longer(reach)
		}
		by[reach] = append(by[reach], name)
		longest = max(longest, reach)
	}
	var bands []band
	for reach := recentLeast; reach <= longest; reach = longer(reach) {
		b := band{from: now.Add(-reach)}
		for other, names := range by {
			if other >= reach {
				b.checks = append(b.checks, names...)
			}
		}
		bands = append(bands, b)
	}
	return bands
}

// found is where the records are that were asked for, in order.
type found struct {
	Recalled

	at []int64
}

// find looks the records up in the index alone, the newest first: what is not asked for is never read.
func (f *file) find(ctx context.Context, bands []band, most int) (found, error) {
	var out found
	upTo := int64(1<<63 - 1)
	for _, b := range bands {
		names, err := json.Marshal(b.checks)
		if err != nil {
			return out, err
		}
		oldest := int64(0)
		err = eachRow(ctx, f.read, func(scan func(...any) error) error {
			var pos int64
			if err := scan(&pos, &oldest); err != nil {
				return err
			}
			out.at = append(out.at, pos)
			return nil
		}, `SELECT pos, at FROM records INDEXED BY records_at WHERE at >= ? AND at < ?`+
			` AND "check" IN (SELECT value FROM json_each(?)) ORDER BY at DESC LIMIT ?`,
			b.from.UnixMicro(), upTo, string(names), most-len(out.at)+1)
		if err != nil {
			return out, err
		}
		if len(out.at) > most {
			out.at, out.Bounded, out.Since = out.at[:most], true, fromMicros(oldest+1)
			break
		}
		upTo = b.from.UnixMicro()
	}
	slices.Sort(out.at)
	return out, nil
}

// replay reads the records at positions, and hands over those that are no alerts.
func (s *Store) replay(ctx context.Context, db *sql.DB, at []int64, fn func(checks.Record)) error {
	for some := range slices.Chunk(at, readLimit) {
		list, err := json.Marshal(some)
		if err != nil {
			return err
		}
		rows, err := rowsOf(ctx, db, "SELECT pos, id, crc, data FROM records WHERE type <> 'alert' AND pos IN (SELECT value FROM json_each(?))", string(list))
		if err != nil {
			return err
		}
		slices.SortFunc(rows, func(a, b entry) int { return cmp.Compare(a.pos, b.pos) })
		for _, e := range rows {
			record, err := decode(e)
			if err != nil {
				s.log.Warn("a record cannot be read and is passed over", "position", int64(e.pos), "error", err)
				continue
			}
			fn(record)
		}
	}
	return nil
}

// goneUntil is when the oldest record is from, where there were others between it and that time once; else zero.
func (s *Store) goneUntil(ctx context.Context, from time.Time) (time.Time, error) {
	s.mu.RLock()
	pos, at, voids := s.mem.next, time.Now().UnixMicro(), s.mem.voids
	if dirty := s.mem.tail.dirty(); len(dirty) > 0 {
		pos, at = dirty[0].pos, dirty[0].at
	}
	s.mu.RUnlock()
	err := s.view(func(f *file) error {
		if f == nil {
			return nil
		}
		err := f.read.QueryRowContext(ctx, "SELECT pos, at FROM records ORDER BY pos LIMIT 1").Scan(&pos, &at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || at <= from.UnixMicro() || lostBetween(voids, 0, pos) == 0 {
		return time.Time{}, err
	}
	return fromMicros(at), nil
}
