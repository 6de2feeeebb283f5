package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

const (
	countAfter  = "SELECT count(*) FROM records INDEXED BY records_at WHERE pos > ?" // the smallest index that has pos
	readLimit   = 500                                                                // records, where the caller sets no limit
	readAttempt = 3                                                                  // a database may be replaced between two of them
)

// view lends the database to a reader; f is nil where there is none.
func (s *Store) view(fn func(f *file) error) error {
	if s.isClosed() {
		return ErrClosed
	}
	s.fileMu.RLock()
	defer s.fileMu.RUnlock()
	return fn(s.file)
}

// Changed returns a channel that is closed at the next append after the call.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.changed
}

// Read returns up to limit records after a position, oldest first, without a gap between them, and how many records
// between after and the first one are lost: dropped by retention or from the ring, or gone with a corrupt database. Where
// there is no record to return there is nothing lost yet either: it is told with the next record.
func (s *Store) Read(ctx context.Context, after delivery.Position, limit int) ([]delivery.Entry, int64, error) {
	if limit <= 0 {
		limit = readLimit
	}
	voids := s.voids()
	for at := after; ; {
		raw, err := s.raw(ctx, at, limit)
		if err != nil || len(raw) == 0 {
			return nil, 0, err
		}
		if found, lost := s.unbroken(raw, voids, after); len(found) > 0 {
			return found, lost, nil
		}
		at = raw[len(raw)-1].pos // none of them can be decoded
	}
}

// unbroken decodes entries up to the first gap after a record, and counts what is lost between after and that record.
func (s *Store) unbroken(raw []entry, voids []void, after delivery.Position) (found []delivery.Entry, lost int64) {
	last := after
	for _, e := range raw {
		gap := lostBetween(voids, last, e.pos)
		if gap > 0 && len(found) > 0 {
			break
		}
		record, err := decode(e)
		if err != nil {
			s.log.Warn("a record cannot be read and is passed over", "position", int64(e.pos), "error", err)
			continue
		}
		if len(found) == 0 {
			lost = gap
		}
		found = append(found, delivery.Entry{Pos: e.pos, Record: record})
		last = e.pos
	}
	return found, lost
}

// Each calls fn for every record after a position that was there when it was called, oldest first.
func (s *Store) Each(ctx context.Context, after delivery.Position, fn func(delivery.Entry) error) error {
	s.mu.RLock()
	end := s.mem.next - 1
	s.mu.RUnlock()
	for after < end {
		found, _, err := s.Read(ctx, after, readLimit)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, e := range found {
			if e.Pos > end {
				return nil
			}
			if err := fn(e); err != nil {
				return err
			}
			after = e.Pos
		}
	}
	return nil
}

func decode(e entry) (checks.Record, error) {
	if e.record != nil {
		return *e.record, nil
	}
	var r checks.Record
	if err := r.UnmarshalJSON(e.data); err != nil { // json.Unmarshal would read it twice
		return r, fmt.Errorf("decoding the record at %d: %w", e.pos, err)
	}
	return r, nil
}

func (s *Store) voids() []void {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.voids
}

// raw returns up to limit entries after a position from the disk and from memory.
func (s *Store) raw(ctx context.Context, after delivery.Position, limit int) ([]entry, error) {
	var err error
	for range readAttempt {
		var f *file
		var disk, mem []entry
		err = s.view(func(now *file) error {
			f = now
			// Memory first: what goes from there to the disk in between is then found twice, never missed.
			var whole bool
			s.mu.RLock()
			mem, whole = s.mem.tail.after(after, limit)
			whole = whole || after >= s.mem.next-1
			s.mu.RUnlock()
			if whole || f == nil {
				return s.absent(f, whole)
			}
			var err error
			disk, err = readRows(ctx, f.read, after, limit)
			return err
		})
		switch {
		case err == nil:
			return merge(disk, mem, limit), nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("reading records: %w", ctx.Err())
		case !isCorrupt(err):
			return nil, fmt.Errorf("reading records: %w", err)
		}
		s.suspect(ctx, f, err)
	}
	return nil, fmt.Errorf("reading records: %w", err)
}

// absent says whether a reader may do without the database: where it is known to be there but cannot be read now, passing
// over it would lose what stands in it.
func (s *Store) absent(f *file, whole bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if f == nil && !whole && s.mem.health.Records > 0 {
		return fmt.Errorf("the database cannot be read now: %s", s.mem.health.Problem)
	}
	return nil
}

func readRows(ctx context.Context, db *sql.DB, after delivery.Position, limit int) ([]entry, error) {
	return rowsOf(ctx, db, "SELECT pos, id, crc, data FROM records WHERE pos > ? ORDER BY pos LIMIT ?", after, limit)
}

// rowsOf reads records whose position, id, checksum and data a query selects.
func rowsOf(ctx context.Context, db *sql.DB, query string, args ...any) ([]entry, error) {
	var found []entry
	err := eachRow(ctx, db, func(scan func(...any) error) error {
		var e entry
		var crc int64
		if err := scan(&e.pos, &e.id, &crc, &e.data); err != nil {
			return &corruptError{err.Error()}
		}
		if crc != int64(crc32.ChecksumIEEE(e.data)) {
			e.data = nil // decodes to an error, and is counted as lost
		}
		found = append(found, e)
		return nil
	}, query, args...)
	return found, err
}

// merge joins two ordered runs; what is in both is taken once.
func merge(disk, mem []entry, limit int) []entry {
	merged := make([]entry, 0, min(limit, len(disk)+len(mem)))
	for len(merged) < limit && len(disk)+len(mem) > 0 {
		switch {
		case len(mem) == 0 || len(disk) > 0 && disk[0].pos < mem[0].pos:
			merged, disk = append(merged, disk[0]), disk[1:]
		case len(disk) == 0 || mem[0].pos < disk[0].pos:
			merged, mem = append(merged, mem[0]), mem[1:]
		default:
			merged, mem, disk = append(merged, mem[0]), mem[1:], disk[1:]
		}
	}
	return merged
}

// Backlog is how many records stand after a position, and the time of the oldest of them.
func (s *Store) Backlog(ctx context.Context, after delivery.Position) (int64, time.Time, error) {
	var n, oldest int64
	err := s.view(func(f *file) error {
		s.mu.RLock()
		mem, whole := s.mem.tail.after(after, len(s.mem.tail.entries))
		whole = whole || after >= s.mem.next-1 || f == nil
		dirty := s.mem.tail.dirty()
		if !whole {
			mem = dirty
		}
		n = int64(len(mem))
		if n > 0 {
			oldest = mem[0].at
		}
		s.mu.RUnlock()
		if whole {
			return nil
		}
		return f.backlog(ctx, after, &n, &oldest)
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting the backlog: %w", err)
	}
	return n, fromMicros(oldest), nil
}

func (f *file) backlog(ctx context.Context, after delivery.Position, n, oldest *int64) error {
	var disk int64
	if err := f.read.QueryRowContext(ctx, countAfter, after).Scan(&disk); err != nil {
		return err
	}
	if disk == 0 {
		return nil
	}
	*n += disk
	err := f.read.QueryRowContext(ctx, "SELECT at FROM records WHERE pos > ? ORDER BY pos LIMIT 1", after).Scan(oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// History reads the measurements of one check.
func (s *Store) History(check string) checks.History { return history{s, check} }

type history struct {
	store *Store
	check string
}

// Since returns the check's measurements of that name from since on, oldest first.
func (h history) Since(ctx context.Context, measurement string, since time.Time) ([]checks.Sample, error) {
	from := since.UnixMicro()
	var found []checks.Sample
	err := h.store.view(func(f *file) error {
		ring := h.store.ring()
		if f != nil {
			err := eachRow(ctx, f.read, func(scan func(...any) error) error {
				var e entry
				err := scan(&e.at, &e.data)
				found = append(found, samples(e, measurement)...)
				return err
			}, `SELECT at, data FROM records WHERE type = 'report' AND "check" = ? AND at >= ? ORDER BY at, pos`, h.check, from)
			if err != nil {
				return err
			}
		}
		for _, e := range ring {
			if e.kind == checks.TypeReport && e.check == h.check && e.at >= from {
				found = append(found, samples(e, measurement)...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the history of %q: %w", h.check, err)
	}
	return found, nil
}

// ring is what is in memory only.
func (s *Store) ring() []entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.tail.dirty())
}

// samples are the values of one measurement in a report; none where it cannot be decoded.
func samples(e entry, measurement string) []checks.Sample {
	var body struct {
		Measurements []checks.Measurement `json:"measurements"`
	}
	_ = json.Unmarshal(e.data, &body)
	var found []checks.Sample
	for _, m := range body.Measurements {
		if m.Name == measurement {
			found = append(found, checks.Sample{At: fromMicros(e.at), Value: m.Value})
		}
	}
	return found
}
