package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	absurd     = 1 << 52 // no position comes so far
)

// due reports whether the disk may be tried now.
func (s *Store) due(now time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	wait := s.mem.retryAt.Sub(now)
	return s.mem.health.Problem == "" || wait <= 0 || wait > lastRetry // the clock may have stepped back
}

// degrade remembers that the disk fails, and says so once.
func (s *Store) degrade(now time.Time, err error) {
	way := ""
	if s.o.WayOut != nil && s.healthy() { // it looks at the disk, which may take a while
		way = s.o.WayOut(s.o.Dir, err)
	}
	s.mu.Lock()
	m := &s.mem
	first := m.health.Problem == ""
	if first {
		m.health.Since, m.wait = now, firstRetry
	} else {
		m.wait = min(2*m.wait, lastRetry)
	}
	if first {
		m.health.WayOut = way
	}
	m.health.Problem, m.retryAt = err.Error(), now.Add(m.wait)
	m.dirty.meta = true // the next try must write something
	s.mu.Unlock()
	if first {
		select {
		case s.failing <- struct{}{}:
		default:
		}
		s.log.Error("the store cannot write; records are kept in memory until it can", "dir", s.o.Dir, "error", err, "hint", way,
			"ring_records", s.o.Ring, "ring_bytes", s.o.RingBytes)
	}
}

// recovered says once that the disk works again.
func (s *Store) recovered(now time.Time) {
	s.mu.Lock()
	h := &s.mem.health
	was, since := h.Problem, h.Since
	h.Problem, h.WayOut, h.Since = "", "", time.Time{}
	dropped := h.RingDropped
	s.mu.Unlock()
	if was != "" {
		s.log.Info("the store writes again; the records in memory are on disk", "dir", s.o.Dir, "problem", was,
			"after", now.Sub(since), "dropped", dropped)
	}
}

// reopen makes sure that the database is open for writing. The token is held.
func (s *Store) reopen(ctx context.Context) error {
	if s.moved == nil && s.file != nil && s.file.full {
		return nil
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.moved != nil {
		return s.replace(ctx, s.moved)
	}
	s.dropFile()
	err := s.takeDir()
	if err == nil {
		err = s.openFull(ctx)
	}
	if err == nil || refused(err) && s.known == nil {
		return err
	}
	s.openView(ctx)
	return err
}

// takeDir makes and locks the directory, and refuses a newer database before anything is written.
func (s *Store) takeDir() error {
	if found := peekVersion(s.path); found > len(migrations()) {
		return &NewerError{Found: found, Known: len(migrations())}
	}
	if s.holdsLock() {
		return nil
	}
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	lock, err := lockDir(s.o.Dir)
	if err != nil {
		return err
	}
	if s.lock != nil { // of a file that somebody removed
		unlock(s.lock)
	}
	s.lock = lock
	s.dropParts()
	return nil
}

// holdsLock reports whether the lock that is held is the one that others see: a file that was removed locks nobody out.
func (s *Store) holdsLock() bool {
	if s.lock == nil {
		return false
	}
	held, err := s.lock.Stat()
	if err != nil {
		return false
	}
	seen, err := os.Stat(filepath.Join(s.o.Dir, lockName))
	return err == nil && os.SameFile(held, seen)
}

// openFull opens the database, or moves a corrupt one aside and makes a new one.
func (s *Store) openFull(ctx context.Context) error {
	f, err := openFile(ctx, s.path, !s.clean)
	if err == nil {
		err = s.learn(ctx, f.write)
		if err == nil {
			s.file, s.blind = f, false
			s.sayKept(f)
			return nil
		}
		_ = f.close()
	}
	if !isCorrupt(err) {
		return err
	}
	return s.replace(ctx, err)
}

// learn takes over what a database holds, once.
func (s *Store) learn(ctx context.Context, db *sql.DB) error {
	if s.known != nil {
		return nil
	}
	l, err := load(ctx, db)
	if err != nil {
		return err
	}
	s.known = l
	s.adopt(l)
	s.ledger.adopt(l)
	if s.blind {
		s.assumeAfterBlindness(l)
	}
	return nil
}

// replace moves a corrupt database aside and fills a new one from memory. It is renamed before it is closed, because
// closing the last connection would remove a log of the same name.
func (s *Store) replace(ctx context.Context, cause error) error {
	s.moved = cause
	if !s.holdsLock() {
		if err := s.takeDir(); err != nil {
			return err
		}
	}
	moved, err := moveAside(s.path, time.Now())
	if err != nil {
		return err
	}
	s.dropFile()
	s.moved = nil
	s.log.Error("the database cannot be used and was moved aside; a new one is made", "error", cause, "moved", moved)
	s.dropAside()
	if s.known == nil {
		s.salvage(ctx, moved)
	}
	s.rescueEvents(ctx, moved)
	s.mu.Lock()
	s.mem.health.CorruptMoved = moved
	s.mem.health.Corrupt++
	s.mem.health.Records, s.mem.health.Bytes = 0, 0
	s.mem.dirtyAll()
	s.mem.tail.dirtyAll()
	s.mu.Unlock()
	s.ledger.dirtyAll()
	f, err := openFile(ctx, s.path, false)
	if err != nil {
		return err
	}
	s.file, s.blind = f, false
	return nil
}

// salvage reads what can be read of a database that was moved aside: cursors, states and the ledger rarely sit on the page
// that broke. The file is opened so that nothing is written to it.
func (s *Store) salvage(ctx context.Context, moved string) {
	s.known = &loaded{salvaged: true}
	if moved == "" {
		return
	}
	db, err := connect(moved, "mode=ro&immutable=1", 1)
	if err != nil {
		return
	}
	defer func() { _ = db.Close() }()
	l, err := load(ctx, db)
	l.salvaged = true
	limit := s.last // a broken number must not put a cursor beyond all records
	if limit == 0 {
		limit = absurd
	}
	for i, row := range l.cursors {
		l.cursors[i].pos = max(0, min(row.pos, max(limit, l.high)))
		l.high = max(l.high, l.cursors[i].pos)
	}
	s.known = l
	s.adopt(l)
	entries := len(l.spends)
	s.ledger.adopt(l)
	s.log.Warn("read what could be read of the corrupt database", "cursors", len(l.cursors), "states", len(l.states),
		"ledger_entries", entries, "lost", l.records, "error", err)
}

// openView lets readers see a database that cannot be written. Without one the store is blind, unless it knows that there
// is no database.
func (s *Store) openView(ctx context.Context) {
	f, err := openView(ctx, s.path)
	if err == nil && s.known == nil {
		err = s.learn(ctx, f.read)
		if err != nil {
			_ = f.close()
		}
	}
	if err == nil {
		s.file = f
		return
	}
	if s.known == nil {
		s.blind = mayExist(s.path)
	}
}

// mayExist reports whether there may be a file at path: false only where its directory says that there is none.
func mayExist(path string) bool {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.ReadDir(filepath.Dir(path))
		return err != nil
	}
	return err != nil || info.Size() > 0
}

// closeFile closes the database when no reader uses it.
func (s *Store) closeFile() {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.dropFile()
}

func (s *Store) dropFile() {
	if s.file == nil {
		return
	}
	if err := s.file.close(); err != nil {
		s.log.Debug("closing the database", "error", err)
	}
	s.file = nil
}

// suspect moves the database aside after a reader found it corrupt.
func (s *Store) suspect(ctx context.Context, seen *file, cause error) {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	if s.file == seen && seen != nil && seen.full && !s.isClosed() {
		s.moved = cause
		s.flush(context.WithoutCancel(ctx))
	}
}

// watch notices that the database was removed or replaced under our feet.
func (s *Store) watch() {
	if s.file == nil || !s.file.full || s.moved != nil {
		return
	}
	if s.lock != nil && !s.holdsLock() { // somebody removed the lock's file: take the one that others would take
		if lock, err := lockDir(s.o.Dir); err == nil {
			unlock(s.lock)
			s.lock = lock
		}
	}
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, s.file.info) {
		s.moved = &corruptError{"its file was removed or replaced"}
	}
}

// moveAside renames the database and its helpers to a name that is not in use, and later than those that are. "" where
// there was nothing to move.
func moveAside(path string, now time.Time) (string, error) {
	target := path + asideInfix + now.UTC().Format("20060102T150405Z")
	if all := asideOf(path); len(all) > 0 {
		if last := all[len(all)-1]; strings.HasPrefix(last, target) {
			_, n := asideOrder(last)
			target = fmt.Sprintf("%s-%d", target, n+1)
		}
	}
	moved := ""
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+suffix, target+suffix)
		switch {
		case err == nil:
			moved = target
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("moving a corrupt database aside: %w", err)
		}
	}
	return moved, nil
}
