package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Footprint is what a database takes of the disk, in bytes.
type Footprint struct {
	Database int64 `json:"database"`
	Log      int64 `json:"log"`
	Free     int64 `json:"free"` // of the database: pages that hold nothing
}

// Compaction is what giving back free pages came to.
type Compaction struct {
	Before Footprint `json:"before"`
	After  Footprint `json:"after"`
	Online bool      `json:"online"` // the running agent did it
}

// Compact drops what is too old, gives all free pages back to the file system and empties the log, in small steps between
// which records are taken as ever. It does not defragment: CompactDir does.
func (s *Store) Compact(ctx context.Context) (Compaction, error) {
	c := Compaction{Online: true}
	if err := s.Expire(ctx, time.Now()); err != nil {
		return c, err
	}
	for step := 0; ; step++ {
		if err := ctx.Err(); err != nil {
			return c, fmt.Errorf("compacting: %w", err)
		}
		now, more, err := s.compactOnce(context.WithoutCancel(ctx))
		if step == 0 {
			c.Before = now
		}
		if err != nil || !more {
			c.After = now
			return c, err
		}
	}
}

// compactOnce is one step. The footprint is that of before it, and of after the last.
func (s *Store) compactOnce(ctx context.Context) (now Footprint, more bool, err error) {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	if s.isClosed() {
		return now, false, ErrClosed
	}
	if s.file == nil || !s.file.full || s.moved != nil || !s.healthy() {
		return now, false, fmt.Errorf("compacting: the store cannot write: %s", s.Health().Problem)
	}
	db := s.file.write
	if now, err = s.footprint(ctx, db); err != nil {
		return now, false, err
	}
	if now.Free > 0 {
		err = eachRow(ctx, db, func(func(...any) error) error { return nil }, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumStep))
		if err != nil {
			return now, false, s.failed(ctx, time.Now(), fmt.Errorf("giving pages back: %w", err))
		}
		if left, err := s.footprint(ctx, db); err != nil || left.Free < now.Free {
			return now, true, err
		}
	}
	if err := emptyLog(ctx, db); err != nil {
		return now, false, err
	}
	now, err = s.footprint(ctx, db)
	return now, false, err
}

// emptyLog does not wait for one who reads an older state: a backup that goes on, say.
func emptyLog(ctx context.Context, db *sql.DB) error {
	var busy, frames, done int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &done); err != nil {
		return fmt.Errorf("emptying the log: %w", err)
	}
	if busy != 0 || frames != done {
		return nil
	}
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &done); err != nil {
		return fmt.Errorf("emptying the log: %w", err)
	}
	return nil
}

func (s *Store) footprint(ctx context.Context, db querier) (Footprint, error) {
	return footprint(ctx, db, s.path)
}

func footprint(ctx context.Context, db querier, path string) (Footprint, error) {
	f := Footprint{Database: max(0, sizeOf(path)), Log: max(0, sizeOf(path+"-wal"))}
	err := db.QueryRowContext(ctx, "SELECT f.freelist_count * s.page_size FROM pragma_freelist_count f, pragma_page_size s").Scan(&f.Free)
	if err != nil {
		return f, fmt.Errorf("measuring the database: %w", err)
	}
	return f, nil
}

// CompactDir writes the database of a state directory anew, without free pages and in order, where no agent runs. It takes
// as much room again as the records do, looked for beforehand; until the new file is whole, read back and on the disk the old
// one stands. It fails with *LockedError beside an agent, and with *NewerError and *RoomError.
func CompactDir(ctx context.Context, dir string) (c Compaction, err error) {
	path, own, err := databaseAt(dir)
	if err != nil {
		return c, err
	}
	if own == "" {
		return c, fmt.Errorf("%q is not a state directory", dir)
	}
	if found, known := peekVersion(path), len(migrations()); found > known {
		return c, &NewerError{Found: found, Known: known}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return c, err
	}
	defer unlock(lock)
	db, err := connect(path, "_busy_timeout=2000", 1)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if c.Before, err = footprint(ctx, db, path); err != nil {
		return c, err
	}
	if err := takeAll(ctx, db); err != nil {
		return c, err
	}
	if err := anew(ctx, db, path); err != nil {
		return c, err
	}
	c.After = Footprint{Database: max(0, sizeOf(path)), Log: max(0, sizeOf(path+"-wal"))}
	return c, nil
}

// takeAll brings the log into the database and keeps every other program from it.
func takeAll(ctx context.Context, db *sql.DB) error {
	var app int
	if err := db.QueryRowContext(ctx, "SELECT application_id FROM pragma_application_id").Scan(&app); err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	if app != applicationID {
		return &corruptError{fmt.Sprintf("it is not ours: application id %#x", app)}
	}
	var mode string
	err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode) // only who is alone leaves the log behind
	if err == nil && !strings.EqualFold(mode, "delete") {
		err = errors.New("it stays in mode " + mode)
	}
	if err == nil {
		_, err = db.ExecContext(ctx, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")
	}
	if err != nil {
		return fmt.Errorf("having the database alone (does another program have it open?): %w", err)
	}
	return nil
}

// anew puts a copy into the place of the database that db has for itself.
func anew(ctx context.Context, db *sql.DB, path string) error {
	used, err := usedBytes(ctx, db)
	if err != nil {
		return err
	}
	if err := roomFor(filepath.Dir(path), used); err != nil {
		return err
	}
	part, err := partOf(path)
	if err != nil {
		return err
	}
	defer dropPart(part) // it is gone already where all went well
	if err := politely(part, func() error { return vacuumInto(ctx, db, part) }); err != nil {
		return err
	}
	if _, err := verified(ctx, part); err != nil {
		return err
	}
	return settleFile(part, path, true)
}
