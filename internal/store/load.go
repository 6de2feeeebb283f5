package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"

	"modernc.org/sqlite"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

const metaVersion = "version" // of the agent that wrote the database last

// loaded is what a file holds beside the records.
type loaded struct {
	instance   string
	bootID     string
	assumedAt  int64
	high       delivery.Position // the newest position that the file knows of
	records    int64
	bytes      int64
	voids      []void
	cursors    []cursorRow
	unread     map[string]int64 // records past each cursor
	states     []stateRow
	runs       []runRow
	runsTo     delivery.Position   // the newest record that the file's runs know of; -1 where that is all of them
	late       map[string]struct{} // the checks whose runs come from newer records: the file is to be told of them
	spends     []spend
	spending   spending
	shifted    int64 // what its entries were moved by
	knowsShift bool
	spared     int64 // of the last episode of the spare file that is in it
	salvaged   bool  // from a database that was moved aside
}

// load reads a file. Where it fails the rest is read all the same: after a corruption every row counts.
func load(ctx context.Context, db *sql.DB) (*loaded, error) {
	l := &loaded{unread: map[string]int64{}, runsTo: -1, spending: newSpending()}
	var errs []error
	for _, part := range []func(context.Context, querier) error{
		l.loadMeta, l.loadRecords, l.loadVoids, l.loadCursors, l.loadStates, l.loadRuns, l.loadLateRuns, l.loadLedger, l.loadSpending,
	} {
		if err := part(ctx, db); err != nil {
			errs = append(errs, understood(ctx, err))
		}
	}
	return l, errors.Join(errs...)
}

// understood makes values of the wrong type what they are: a corruption.
func understood(ctx context.Context, err error) error {
	var failure *sqlite.Error
	if ctx.Err() != nil || errors.As(err, &failure) {
		return err
	}
	return &corruptError{err.Error()}
}

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// execer is what changes something.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// eachRow runs a query and calls row for every line of the answer.
func eachRow(ctx context.Context, db querier, row func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	return nil
}

func (l *loaded) loadMeta(ctx context.Context, db querier) error {
	return eachRow(ctx, db, func(scan func(...any) error) error {
		var key, value string
		err := scan(&key, &value)
		switch key {
		case "instance":
			l.instance = value
		case "boot_id":
			l.bootID = value
		case "assumed_at":
			l.assumedAt, _ = strconv.ParseInt(value, 10, 64)
		case "shifted":
			shifted, err := strconv.ParseInt(value, 10, 64)
			l.shifted, l.knowsShift = shifted, err == nil
		case "spare":
			l.spared, _ = strconv.ParseInt(value, 10, 64)
		case "runs":
			to, _ := strconv.ParseInt(value, 10, 64)
			l.runsTo = delivery.Position(to)
		case "high":
			high, _ := strconv.ParseInt(value, 10, 64)
			l.high = max(l.high, delivery.Position(high))
		}
		return err
	}, "SELECT key, value FROM meta")
}

func (l *loaded) loadRecords(ctx context.Context, db querier) error {
	var high delivery.Position
	err := db.QueryRowContext(ctx, "SELECT count(*), (SELECT coalesce(max(pos), 0) FROM records) FROM records").Scan(&l.records, &high)
	if err != nil {
		return fmt.Errorf("counting records: %w", err)
	}
	l.high = max(l.high, high)
	l.bytes, err = usedBytes(ctx, db)
	return err
}

// usedBytes is the size of the pages that hold something.
func usedBytes(ctx context.Context, db querier) (int64, error) {
	var n int64
	err := db.QueryRowContext(ctx, "SELECT (p.page_count - f.freelist_count) * s.page_size"+
		" FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s").Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("measuring the database: %w", err)
	}
	return n, nil
}

func (l *loaded) loadVoids(ctx context.Context, db querier) error {
	return eachRow(ctx, db, func(scan func(...any) error) error {
		var v void
		err := scan(&v.first, &v.last)
		l.voids = append(l.voids, v)
		l.high = max(l.high, v.last)
		return err
	}, "SELECT first, last FROM voids")
}

func (l *loaded) loadCursors(ctx context.Context, db querier) error {
	err := eachRow(ctx, db, func(scan func(...any) error) error {
		var row cursorRow
		var rejected, expired string
		if err := scan(&row.exporter, &row.pos, &row.state, &row.counts.Sent, &rejected, &expired); err != nil {
			return err
		}
		err := errors.Join(json.Unmarshal([]byte(rejected), &row.counts.Rejected), json.Unmarshal([]byte(expired), &row.counts.Expired))
		l.cursors = append(l.cursors, row)
		return err
	}, "SELECT exporter, pos, state, sent, rejected, expired FROM cursors")
	if err != nil {
		return err
	}
	for _, row := range l.cursors {
		var n int64
		if err := db.QueryRowContext(ctx, countAfter, row.pos).Scan(&n); err != nil {
			return fmt.Errorf("counting unread records: %w", err)
		}
		l.unread[row.exporter] = n
	}
	return nil
}

func (l *loaded) loadStates(ctx context.Context, db querier) error {
	return eachRow(ctx, db, func(scan func(...any) error) error {
		var row stateRow
		err := scan(&row.key, &row.data)
		l.states = append(l.states, row)
		return err
	}, "SELECT key, data FROM states")
}

func (l *loaded) loadRuns(ctx context.Context, db querier) error {
	return eachRow(ctx, db, func(scan func(...any) error) error {
		var row runRow
		var data sql.NullString
		var crc sql.NullInt64
		err := scan(&row.check, &row.lastRun, &row.lastPos, &data, &crc)
		if data.Valid && crc.Int64 == int64(crc32.ChecksumIEEE([]byte(data.String))) {
			row.last = []byte(data.String)
		}
		l.runs = append(l.runs, row)
		return err
	}, "SELECT name, last_run, last_pos, data, crc FROM checks LEFT JOIN records ON pos = last_pos")
}

// readBack is a row of records as an entry.
func readBack(data []byte, crc int64) (entry, bool) {
	var record checks.Record
	if crc != int64(crc32.ChecksumIEEE(data)) || record.UnmarshalJSON(data) != nil {
		return entry{}, false
	}
	e, err := encode(record)
	return e, err == nil
}

// loadLateRuns brings the runs up to date with the records that were stored after the disk was last told of them.
func (l *loaded) loadLateRuns(ctx context.Context, db querier) error {
	if l.runsTo < 0 {
		return nil
	}
	late := memory{runs: map[string]runRow{}, dirty: newDirty()}
	for _, row := range l.runs {
		late.runs[row.check] = row
	}
	err := eachRow(ctx, db, func(scan func(...any) error) error {
		var pos delivery.Position
		var crc int64
		var data []byte
		if err := scan(&pos, &crc, &data); err != nil {
			return err
		}
		if e, ok := readBack(data, crc); ok { // else it is counted as lost by whoever reads it
			e.pos = pos
			late.note(e)
		}
		return nil
	}, "SELECT pos, crc, data FROM records WHERE pos > ? AND type = 'report' ORDER BY pos", l.runsTo)
	l.runs, l.late = slices.Collect(maps.Values(late.runs)), late.dirty.runs
	return err
}

func (l *loaded) loadLedger(ctx context.Context, db querier) error {
	entry := func(scan func(...any) error) error {
		var s spend
		err := scan(&s.at, &s.amount)
		l.spends = append(l.spends, s)
		return err
	}
	if err := eachRow(ctx, db, entry, "SELECT at, coalesce(cost, reserved) FROM ledger"); err != nil {
		return err
	}
	if current, err := knowsSpending(ctx, db); err != nil || !current {
		return err
	}
	return eachRow(ctx, db, entry, "SELECT until, sum(cost) FROM ledger_hours GROUP BY until")
}

// The versions since which a database knows something. One of an older version is read as it is while it cannot be written.
const (
	spendingSince = 3
	eventsSince   = 4
)

func versionOf(ctx context.Context, db querier) (int, error) {
	var version int
	if err := db.QueryRowContext(ctx, "SELECT user_version FROM pragma_user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	return version, nil
}

func knowsSpending(ctx context.Context, db querier) (bool, error) {
	version, err := versionOf(ctx, db)
	return version >= spendingSince, err
}

func (l *loaded) loadSpending(ctx context.Context, db querier) error {
	query := "SELECT hour, \"check\", provider, model, run_by, runs, cost, reserved, prompt, cached, completion, unpriced FROM spending"
	if current, err := knowsSpending(ctx, db); err != nil {
		return err
	} else if !current {
		query = `SELECT at, "check", provider, model, run_by, 1, coalesce(cost, reserved), iif(cost IS NULL, reserved, 0), 0, 0, 0, 0 FROM ledger`
	}
	return eachRow(ctx, db, func(scan func(...any) error) error {
		var at int64
		var w who
		var u used
		err := scan(&at, &w.check, &w.provider, &w.model, &w.trigger, &u.runs, &u.cost, &u.reserved, &u.prompt, &u.cached,
			&u.completion, &u.unpriced)
		l.spending.add(hourOf(at), w, u)
		return err
	}, query)
}
