// Package delivery carries records from the store to the exporters: one goroutine, one cursor and one batch in flight per
// exporter. It never drops a record without counting it, and a dead backend delays nobody else.
package delivery

import (
	"context"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Position is a place in the store's order of records; 0 is before the first.
type Position int64

// Entry is a record in its place.
type Entry struct {
	Pos    Position
	Record checks.Record
}

// Cursor is how far an exporter has come.
type Cursor struct {
	Pos   Position
	State []byte
}

// Counts is what became of records since the last Commit of one exporter. They are added up durably.
type Counts struct {
	Sent     int64
	Rejected map[string]int64 // by reason: a bounded word, "rejected", "poison"
	Expired  map[string]int64 // by reason: "max_age", "store_full"
}

// Queue is what delivery needs of the store. All methods are safe for concurrent use.
type Queue interface {
	// Cursor returns the exporter's cursor. A new exporter is placed at the end, or at the start where replay is true.
	Cursor(ctx context.Context, exporter string, replay bool) (Cursor, error)
	// Read returns up to limit records after pos, oldest first, and how many records between pos and the first one
	// returned were dropped by the store's retention before they could be read (expired{store_full}).
	Read(ctx context.Context, after Position, limit int) (entries []Entry, lost int64, err error)
	// Commit moves the exporter's cursor, its state (nil keeps it) and its counts in one transaction.
	Commit(ctx context.Context, exporter string, cursor Cursor, counts Counts) error
	// Changed returns a channel that is closed at the next append after the call.
	Changed() <-chan struct{}
	// Backlog is how many records stand after pos, and the time of the oldest of them.
	Backlog(ctx context.Context, after Position) (n int64, oldest time.Time, err error)
}
