package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	databaseName  = "windsock.db"
	applicationID = 0x57534b31 // "WSK1"
	busyTimeout   = 5000       // ms: an operator's own sqlite3 shell may hold the file for a moment
	walLimit      = 8 << 20    // bytes that the write-ahead log keeps allocated
)

// file is an open database.
type file struct {
	write *sql.DB     // one connection
	read  *sql.DB     // the same as write where the database cannot be written
	stmts []*sql.Stmt // of write, by their number
	full  bool        // false: only a view, because the database cannot be written now
	info  os.FileInfo // of the file that was opened

	from    int    // the version of its schema before it was opened
	kept    string // where the database of that version was kept; "" where it needed no change
	keptErr error  // it was not
}

// The statements that every transaction may need, by their numbers.
const (
	insertRecord = iota
	putCursor
	putState
	putRun
	putClaim
	putMeta
	addLump
)

// A sum that is there already grows.
const (
	lumpColumns = `until, "check", provider, model, run_by, runs, cost, reserved, prompt, cached, completion, unpriced`
	orAddLump   = " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, cost = cost + excluded.cost," +
		" reserved = reserved + excluded.reserved, prompt = prompt + excluded.prompt, cached = cached + excluded.cached," +
		" completion = completion + excluded.completion, unpriced = unpriced + excluded.unpriced"
)

func statements() []string {
	return []string{
		insertRecord: `INSERT INTO records (pos, id, at, type, "check", status, final, scheduled_at, crc, data)` +
			` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT)) ON CONFLICT DO NOTHING`,
		putCursor: "INSERT OR REPLACE INTO cursors (exporter, pos, state, sent, rejected, expired) VALUES (?, ?, ?, ?, ?, ?)",
		putState:  "INSERT OR REPLACE INTO states (key, data) VALUES (?, ?)",
		putRun:    "INSERT OR REPLACE INTO checks (name, last_run, last_pos) VALUES (?, ?, ?)",
		putClaim: `INSERT OR REPLACE INTO ledger (id, at, "check", provider, model, run_by, reserved, cost, prompt, cached,` +
			` completion, estimated, priced) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		putMeta: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
		addLump: "INSERT INTO ledger_hours (" + lumpColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" + orAddLump,
	}
}

func (f *file) close() error {
	var errs []error
	for _, stmt := range f.stmts {
		errs = append(errs, stmt.Close())
	}
	if f.read != nil && f.read != f.write {
		errs = append(errs, f.read.Close())
	}
	if f.write != nil {
		errs = append(errs, f.write.Close()) // last: it empties the write-ahead log
	}
	return errors.Join(errs...)
}

// dsn names the database for the driver; path may hold any byte.
func dsn(path, query string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %q: %w", path, err)
	}
	return "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + query, nil
}

func connect(path, query string, conns int) (*sql.DB, error) {
	name, err := dsn(path, query)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// openFile opens the database for reading and writing, makes it where it is missing, and brings its schema up to date.
// check reads the whole file first.
func openFile(ctx context.Context, path string, check bool) (_ *file, err error) {
	size, err := secure(path)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(path); err != nil {
		return nil, err
	}
	f := &file{full: true}
	defer func() {
		if err != nil {
			_ = f.close()
		}
	}()
	query := fmt.Sprintf("_txlock=immediate&_busy_timeout=%d&_journal_mode=wal&_synchronous=normal&_pragma=journal_size_limit(%d)",
		busyTimeout, walLimit)
	if size == 0 { // this pragma writes, and is of use for a new file only
		query += "&_auto_vacuum=incremental"
	}
	if f.write, err = connect(path, query, 1); err != nil {
		return nil, err
	}
	if err := f.prepare(ctx, path, check); err != nil {
		return nil, err
	}
	query = fmt.Sprintf("_busy_timeout=%d&_query_only=true&_pragma=cache_size(-512)", busyTimeout)
	if f.read, err = connect(path, query, 2); err != nil {
		return nil, err
	}
	if f.info, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("looking at the database: %w", err)
	}
	return f, nil
}

// secure makes the file ours alone before SQLite opens it, and returns its size; its helpers get the same mode.
func secure(path string) (int64, error) {
	f, err := openOwn(path)
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm() != 0o600 {
		_ = f.Chmod(0o600) // an odd file system may know no modes
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	return info.Size(), nil
}

func (f *file) prepare(ctx context.Context, path string, check bool) error {
	if check {
		if err := quickCheck(ctx, f.write); err != nil {
			return err
		}
	}
	if err := f.migrate(ctx, path); err != nil {
		return fmt.Errorf("preparing %q: %w", path, err)
	}
	for _, query := range statements() {
		stmt, err := f.write.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("preparing %q: %w", path, err)
		}
		f.stmts = append(f.stmts, stmt)
	}
	return nil
}

func quickCheck(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("checking the database: %w", err)
	}
	if verdict != "ok" {
		return &corruptError{verdict}
	}
	return nil
}

// openView opens a database that cannot be written now, without making any file: with its log in private memory, or, where
// there is no log, as a file that nobody changes.
func openView(ctx context.Context, path string) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the database: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, fmt.Errorf("%q is no database", path)
	}
	queries := []string{"mode=rw&_busy_timeout=100&_pragma=locking_mode(exclusive)&_query_only=true"}
	if log, err := os.Stat(path + "-wal"); err != nil || !log.Mode().IsRegular() || log.Size() == 0 {
		queries = append(queries, "mode=ro&immutable=1")
	}
	var errs []error
	for _, query := range queries {
		db, err := connect(path, query, 1)
		if err != nil {
			return nil, err
		}
		var n int
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM meta").Scan(&n)
		if err == nil {
			return &file{write: db, read: db, info: info}, nil
		}
		errs = append(errs, err, db.Close())
	}
	return nil, fmt.Errorf("reading %q: %w", path, errors.Join(errs...))
}

// corruptError is a database that cannot be used and must not be overwritten.
type corruptError struct{ what string }

func (e *corruptError) Error() string { return "the database is corrupt: " + e.what }

// isCorrupt tells a broken file from a broken disk.
func isCorrupt(err error) bool {
	if _, known := errors.AsType[*corruptError](err); known {
		return true
	}
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return false
	}
	if failure.Code() == sqlite3.SQLITE_IOERR_SHORT_READ {
		return true
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return true
	case sqlite3.SQLITE_ERROR: // the schema says its version, but is not what that version has
		return slices.ContainsFunc([]string{"no such table", "no such column", "no such index", "no column named", "duplicate column name", "already exists", "unsupported file format"},
			func(what string) bool { return strings.Contains(err.Error(), what) })
	}
	return false
}
