package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/incident"
)

// The bounds of the timeline.
const (
	eventsAge    = 90 * 24 * time.Hour // events older than this are dropped
	eventsKept   = 50_000              // and the oldest, where there are more
	eventsMemory = 10_000              // in memory, while the disk fails; the oldest are lost where there are more
	eventsRead   = 5_000               // at a time, the newest
)

// eventRow is an event on its way to the disk.
type eventRow struct {
	id       string
	at       int64
	incident string
	data     []byte
}

func encodeEvents(events []incident.Event) (rows []eventRow, errs []error) {
	for i := range events {
		e := &events[i]
		data, err := json.Marshal(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("encoding event %q: %w", e.ID, err))
			continue
		}
		rows = append(rows, eventRow{e.ID, e.At.UnixMicro(), e.Incident, data})
	}
	return rows, errs
}

// addEvents has the next write take events with it.
func (m *memory) addEvents(rows []eventRow) {
	m.dirty.events = append(m.dirty.events, rows...)
	if more := len(m.dirty.events) - eventsMemory; more > 0 {
		m.dirty.events = slices.Delete(m.dirty.events, 0, more)
	}
}

// AddEvents keeps events of the timeline, as Append keeps records. An event that is kept already stays as it was.
func (s *Store) AddEvents(ctx context.Context, events ...incident.Event) error {
	return s.BeginWith(0, Along{Events: events})(ctx)
}

// Events is the timeline from one moment up to and without another (zero: without end), of one incident or, with "", of
// all and none; in the order of time. Where there are more than 5,000 it is the newest of them.
func (s *Store) Events(ctx context.Context, from, to time.Time, of string) ([]incident.Event, error) {
	ask := timeline{from.UnixMicro(), to.UnixMicro(), of}
	if to.IsZero() {
		ask.to = 1<<63 - 1
	}
	var found []eventRow
	err := s.view(func(f *file) error {
		s.mu.RLock()
		for _, row := range s.mem.dirty.events {
			if ask.wants(row) {
				found = append(found, row)
			}
		}
		s.mu.RUnlock()
		if f == nil {
			return nil
		}
		stored, err := ask.read(ctx, f.read)
		found = append(found, stored...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the timeline: %w", err)
	}
	return decodeEvents(found), nil
}

// Events is as Store's.
func (v *View) Events(ctx context.Context, from, to time.Time, of string) ([]incident.Event, error) {
	ask := timeline{from.UnixMicro(), to.UnixMicro(), of}
	if to.IsZero() {
		ask.to = 1<<63 - 1
	}
	found, err := ask.read(ctx, v.db)
	if err != nil {
		return nil, fmt.Errorf("reading the timeline: %w", err)
	}
	return decodeEvents(found), nil
}

// timeline is what somebody asks for.
type timeline struct {
	from, to int64
	incident string
}

func (t timeline) wants(row eventRow) bool {
	return row.at >= t.from && row.at < t.to && (t.incident == "" || t.incident == row.incident)
}

// read finds nothing in a database of an older version.
func (t timeline) read(ctx context.Context, db *sql.DB) ([]eventRow, error) {
	if version, err := versionOf(ctx, db); err != nil || version < eventsSince {
		return nil, err
	}
	query := "SELECT id, at, incident, data FROM events WHERE at >= ? AND at < ?"
	args := []any{t.from, t.to}
	if t.incident != "" {
		query += " AND incident = ?"
		args = append(args, t.incident)
	}
	var found []eventRow
	err := eachRow(ctx, db, func(scan func(...any) error) error {
		var row eventRow
		err := scan(&row.id, &row.at, &row.incident, &row.data)
		found = append(found, row)
		return err
	}, query+fmt.Sprintf(" ORDER BY at DESC, id DESC LIMIT %d", eventsRead), args...)
	return found, err
}

// decodeEvents brings rows into the order of time, each once. What cannot be read is left out.
func decodeEvents(rows []eventRow) []incident.Event {
	slices.SortFunc(rows, func(a, b eventRow) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	rows = slices.CompactFunc(rows, func(a, b eventRow) bool { return a.id == b.id })
	rows = rows[max(0, len(rows)-eventsRead):]
	events := make([]incident.Event, 0, len(rows))
	for _, row := range rows {
		var e incident.Event
		if json.Unmarshal(row.data, &e) == nil && e.ID == row.id {
			events = append(events, e)
		}
	}
	return events
}

// rescueEvents reads what it can of the timeline in a database that was moved aside: memory does not have it.
func (s *Store) rescueEvents(ctx context.Context, moved string) {
	if moved == "" {
		return
	}
	db, err := connect(moved, "mode=ro&immutable=1", 1)
	if err != nil {
		return
	}
	defer func() { _ = db.Close() }()
	rows, err := timeline{0, 1<<63 - 1, ""}.read(ctx, db)
	s.log.Warn("read what could be read of the timeline", "events", len(rows), "error", err)
	slices.Reverse(rows)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem.dirty.events = append(rows, s.mem.dirty.events...)
}

// dropEvents drops what is too old or too much, where there is any.
func dropEvents(ctx context.Context, db *sql.DB, now time.Time) error {
	var cutoff, surplus int64
	err := db.QueryRowContext(ctx, "SELECT coalesce((SELECT at FROM events ORDER BY at DESC LIMIT 1 OFFSET ?), 0),"+
		" EXISTS (SELECT 1 FROM events WHERE at < ?)", eventsKept, now.Add(-eventsAge).UnixMicro()).Scan(&surplus, &cutoff)
	if err != nil {
		return fmt.Errorf("measuring the timeline: %w", err)
	}
	if surplus == 0 && cutoff == 0 {
		return nil
	}
	if _, err := db.ExecContext(ctx, "DELETE FROM events WHERE at < ? OR at <= ?", now.Add(-eventsAge).UnixMicro(), surplus); err != nil {
		return fmt.Errorf("dropping old events: %w", err)
	}
	return nil
}
