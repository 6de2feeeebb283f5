package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/windsock-monitor/windsock/internal/delivery"
)

// Selection says which records are meant; what is empty or zero says nothing.
type Selection struct {
	Since, Until    time.Time // of Record.At: from, and up to and without
	Checks          []string
	Statuses, Types []string
}

const (
	exportStep = 500                     // records, read in one look at the database
	exportSpan = delivery.Position(20e3) // positions, likewise
)

// Exported is what an export came across.
type Exported struct {
	Records int64
	Damaged int64 // not handed on
}

// Export hands the records of a selection to each, as their JSON, in the order in which they came, beside a running agent
// or beside none; those that come while it works are not among them. Memory does not grow with their number, and nothing
// keeps the agent from its log for longer than one step of reading takes, however slow each is. It is for a process of its
// own, as Inspect is, and changes nothing.
func Export(ctx context.Context, path string, sel Selection, each func(data []byte) error) (done Exported, err error) {
	file, _, err := databaseAt(path)
	if err != nil {
		return done, err
	}
	if found, known := peekVersion(file), len(migrations()); found > known {
		return done, &NewerError{Found: found, Known: known}
	}
	e := exporting{Selection: sel, path: file}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.open(ctx); err != nil {
		return done, err
	}
	first, last, err := e.bounds(ctx)
	for at := first - 1; err == nil && at < last; {
		var rows []exportRow
		if rows, at, err = e.step(ctx, at, last); err == nil {
			err = done.handOn(rows, each)
		}
	}
	if err != nil {
		return done, fmt.Errorf("exporting: %w", err)
	}
	return done, nil
}

// handOn passes over what is damaged.
func (done *Exported) handOn(rows []exportRow, each func([]byte) error) error {
	for _, row := range rows {
		if row.crc != int64(crc32.ChecksumIEEE(row.data)) {
			done.Damaged++
			continue
		}
		done.Records++
		if err := each(row.data); err != nil {
			return err
		}
	}
	return nil
}

type exportRow struct {
	data []byte
	crc  int64
}

// exporting is an export that goes on.
type exporting struct {
	Selection
	path  string
	still *still
}

func (e *exporting) open(ctx context.Context) (err error) {
	e.still, err = openStill(ctx, e.path)
	return err
}

func (e *exporting) close() error {
	if e.still == nil {
		return nil
	}
	err := e.still.close()
	e.still = nil
	return err
}

// step reads what stands after a position, and says how far it came. Where an agent started since the files were taken for
// unchanging, they are opened again, and it reads once more.
func (e *exporting) step(ctx context.Context, after, last delivery.Position) (rows []exportRow, at delivery.Position, err error) {
	for range 2 {
		rows, at, err = e.look(ctx, e.still.db, after, min(last, after+exportSpan))
		if !e.still.moved() {
			return rows, at, err
		}
		if err = errors.Join(e.close(), e.open(ctx)); err != nil {
			return nil, after, err
		}
	}
	return e.look(ctx, e.still.db, after, min(last, after+exportSpan))
}

// bounds are the first and the last position that a selection can hold.
func (e *exporting) bounds(ctx context.Context) (first, last delivery.Position, err error) {
	var from, to sql.NullInt64
	query, args := "SELECT min(pos), max(pos) FROM records", []any(nil)
	if !e.Since.IsZero() || !e.Until.IsZero() {
		where, times := e.times()
		query, args = "SELECT min(pos), max(pos) FROM records INDEXED BY records_at WHERE "+where, times
	}
	if err := e.still.db.QueryRowContext(ctx, query, args...).Scan(&from, &to); err != nil {
		return 0, 0, err
	}
	if !from.Valid {
		return 1, 0, nil
	}
	return delivery.Position(from.Int64), delivery.Position(to.Int64), nil
}

func (sel Selection) times() (where string, args []any) {
	until := int64(1<<63 - 1)
	if !sel.Until.IsZero() {
		until = sel.Until.UnixMicro()
	}
	since := int64(-1 << 63)
	if !sel.Since.IsZero() {
		since = sel.Since.UnixMicro()
	}
	return "at >= ?1 AND at < ?2", []any{since, until}
}

// look reads some records after a position up to another one, and returns how far it came.
func (sel Selection) look(ctx context.Context, db querier, after, upTo delivery.Position) (rows []exportRow, at delivery.Position, err error) {
	where, args := sel.times()
	for _, words := range [][]string{sel.Checks, sel.Statuses, sel.Types} {
		text, err := json.Marshal(words) // "null" where all are meant
		if err != nil {
			return nil, after, fmt.Errorf("asking for %q: %w", words, err)
		}
		args = append(args, string(text))
	}
	args = append(args, after, upTo, exportStep)
	err = eachRow(ctx, db, func(scan func(...any) error) error {
		var row exportRow
		err := scan(&at, &row.crc, &row.data)
		rows = append(rows, row)
		return err
	}, "SELECT pos, crc, data FROM records WHERE "+where+` AND (?3 = 'null' OR "check" IN (SELECT value FROM json_each(?3)))`+
		" AND (?4 = 'null' OR status IN (SELECT value FROM json_each(?4))) AND (?5 = 'null' OR type IN (SELECT value FROM json_each(?5)))"+
		" AND pos > ?6 AND pos <= ?7 ORDER BY pos LIMIT ?8", args...)
	if len(rows) < exportStep {
		at = upTo
	}
	return rows, at, err
}
