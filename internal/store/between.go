package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// pageBytes is how much Between gives at a time, beside the first record.
const pageBytes = 8 << 20

// Between is up to most reports and alerts, as their JSON, of a time from one moment up to and without another, that stand
// after a position, in the order in which they came; and the position to go on from. more is false where there are none
// behind. What is damaged is passed over.
func (s *Store) Between(ctx context.Context, from, to time.Time, after delivery.Position, most int) (data []json.RawMessage, next delivery.Position, more bool, err error) {
	var rows []entry
	ring := s.ring() // first: what goes to the disk in between is then found twice, never missed
	err = s.view(func(f *file) (err error) {
		if f != nil {
			rows, err = rowsOf(ctx, f.read, "SELECT pos, id, crc, data FROM records INDEXED BY records_at WHERE at >= ? AND at < ? AND pos > ? AND type <> 'agent' ORDER BY pos LIMIT ?",
				from.UnixMicro(), to.UnixMicro(), after, most+1)
		}
		return err
	})
	if err != nil {
		return nil, after, false, fmt.Errorf("reading the records of a time: %w", err)
	}
	memory := ring[:0]
	for _, e := range ring {
		if e.pos > after && e.at >= from.UnixMicro() && e.at < to.UnixMicro() && e.kind != checks.TypeAgent {
			memory = append(memory, e)
		}
	}
	rows = merge(rows, memory, most+1)
	if more = len(rows) > most; more {
		rows = rows[:most]
	}
	next = after
	bytes := 0
	for _, e := range rows {
		text := e.json()
		if bytes += len(text); bytes > pageBytes && len(data) > 0 {
			return data, next, true, nil
		}
		next = e.pos
		if text != nil {
			data = append(data, text)
		}
	}
	return data, next, more, nil
}

// json is the record as it is stored; nil where it is damaged.
func (e entry) json() json.RawMessage {
	if e.data != nil || e.record == nil {
		return e.data
	}
	data, err := json.Marshal(e.record)
	if err != nil {
		return nil
	}
	return data
}
