package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

var _ delivery.Queue = (*Store)(nil)

// Delivery is how far one exporter has come, and what became of its records in total.
type Delivery struct {
	Exporter string
	Cursor   delivery.Cursor
	Counts   delivery.Counts
}

// Cursor returns the exporter's cursor. A new exporter is placed at the end, or at the start where replay is true.
func (s *Store) Cursor(ctx context.Context, exporter string, replay bool) (delivery.Cursor, error) {
	s.mu.Lock()
	row, known := s.mem.cursors[exporter]
	end := s.mem.next - 1
	s.mu.Unlock()
	if known {
		return delivery.Cursor{Pos: row.pos, State: bytes.Clone(row.state)}, nil
	}
	if replay {
		start, err := s.raw(ctx, 0, 1)
		if err != nil {
			return delivery.Cursor{}, fmt.Errorf("placing the cursor of %q: %w", exporter, err)
		}
		if len(start) > 0 {
			end = start[0].pos - 1
		}
	}
	s.mu.Lock()
	if row, known = s.mem.cursors[exporter]; !known {
		row = cursorRow{exporter: exporter, pos: end}
		s.mem.cursors[exporter] = row
		s.mem.dirty.cursors[exporter] = struct{}{}
	}
	s.mu.Unlock()
	_, err := s.persist(ctx)
	return delivery.Cursor{Pos: row.pos, State: bytes.Clone(row.state)}, err
}

// Commit moves the exporter's cursor, its state (nil keeps it) and its counts in one transaction. While the disk fails
// they move in memory, and are written later.
func (s *Store) Commit(ctx context.Context, exporter string, cursor delivery.Cursor, counts delivery.Counts) error {
	s.mu.Lock()
	row := s.mem.cursors[exporter]
	row.exporter, row.pos = exporter, cursor.Pos
	if cursor.State != nil {
		s.mem.urgent = s.mem.urgent || len(cursor.State) <= spareState && !bytes.Equal(row.state, cursor.State)
		row.state = bytes.Clone(cursor.State)
	}
	row.counts.Sent += counts.Sent
	row.counts.Rejected = addCounts(row.counts.Rejected, counts.Rejected)
	row.counts.Expired = addCounts(row.counts.Expired, counts.Expired)
	s.mem.cursors[exporter] = row
	s.mem.dirty.cursors[exporter] = struct{}{}
	s.mu.Unlock()
	if _, err := s.persist(ctx); err != nil {
		return fmt.Errorf("committing for %q: %w", exporter, err)
	}
	s.letGo()
	return nil
}

// letGo lets go of the decoded form of the records that every exporter has passed.
func (s *Store) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	passed := s.mem.next
	for _, row := range s.mem.cursors {
		passed = min(passed, row.pos)
	}
	s.mem.tail.release(passed)
}

// Deliveries tells of every exporter that ever had a cursor, by name.
func (s *Store) Deliveries(context.Context) ([]Delivery, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Delivery, 0, len(s.mem.cursors))
	for name, row := range s.mem.cursors {
		counts := row.counts
		counts.Rejected, counts.Expired = maps.Clone(counts.Rejected), maps.Clone(counts.Expired)
		all = append(all, Delivery{name, delivery.Cursor{Pos: row.pos, State: bytes.Clone(row.state)}, counts})
	}
	slices.SortFunc(all, func(a, b Delivery) int { return cmp.Compare(a.Exporter, b.Exporter) })
	return all, nil
}

// LoadState returns the bytes kept under key, nil where there are none.
func (s *Store) LoadState(_ context.Context, key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return bytes.Clone(s.mem.states[key]), nil
}

// States returns what is kept under the keys that begin with prefix, by what follows it.
func (s *Store) States(prefix string) map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := map[string][]byte{}
	for key, data := range s.mem.states {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			found[name] = bytes.Clone(data)
		}
	}
	return found
}

// SaveState keeps bytes under key; nil removes them. While the disk fails they are kept in memory, and written later.
func (s *Store) SaveState(ctx context.Context, key string, data []byte) error {
	s.mu.Lock()
	s.mem.setState(stateRow{key, bytes.Clone(data)})
	s.mem.dirty.states[key] = struct{}{}
	s.mu.Unlock()
	if _, err := s.persist(ctx); err != nil {
		return fmt.Errorf("saving %q: %w", key, err)
	}
	return nil
}

// Memory is the durable memory of one check.
func (s *Store) Memory(check string) checks.Memory { return checkMemory{s, memoryKey(check)} }

func memoryKey(check string) string { return "check/" + check }

type checkMemory struct {
	store *Store
	key   string
}

// Load returns what was saved last, nil where nothing was.
func (m checkMemory) Load(ctx context.Context) ([]byte, error) { return m.store.LoadState(ctx, m.key) }

// Save keeps data.
func (m checkMemory) Save(ctx context.Context, data []byte) error {
	return m.store.SaveState(ctx, m.key, data)
}

// LastRuns returns the newest slot of each check that has an outcome, over restarts. Runs by hand, of the gate and of drills
// are not slots, and a failure that waits for its confirmation is no outcome: who dies in between has missed the slot.
func (s *Store) LastRuns(context.Context) (map[string]time.Time, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	runs := make(map[string]time.Time, len(s.mem.runs))
	for check, row := range s.mem.runs {
		if row.lastRun != 0 {
			runs[check] = fromMicros(row.lastRun)
		}
	}
	return runs, nil
}

// LastRecords returns the last final report of each check, where retention kept it, by name.
func (s *Store) LastRecords(ctx context.Context) ([]checks.Record, error) {
	s.mu.RLock()
	rows := slices.SortedFunc(maps.Values(s.mem.runs), func(a, b runRow) int { return cmp.Compare(a.check, b.check) })
	s.mu.RUnlock()
	var records []checks.Record
	for _, row := range rows {
		e := entry{pos: row.lastPos, data: row.last}
		if row.last == nil {
			found, err := s.raw(ctx, row.lastPos-1, 1)
			if err != nil {
				return records, fmt.Errorf("reading the last record of %q: %w", row.check, err)
			}
			if row.lastPos == 0 || len(found) == 0 || found[0].pos != row.lastPos {
				continue
			}
			e = found[0]
		}
		if record, err := decode(e); err == nil { // else it is damaged, as the log says when it is read
			records = append(records, record)
		}
	}
	return records, nil
}
