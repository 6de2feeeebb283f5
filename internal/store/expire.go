package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/internal/delivery"
)

const (
	tick        = 5 * time.Second
	tickOwing   = time.Second // while the disk fails or lacks something
	expireEvery = time.Minute
	expireBytes = 4 << 20 // or as soon as so much was written
	expireStep  = 250
	vacuumStep  = 256 // pages
	freePages   = 256 // kept for the records to come
)

// Run keeps the store in order until ctx ends or the store is closed: it tries a disk that failed, and drops what is too
// old or too much.
func (s *Store) Run(ctx context.Context) error {
	s.queueMu.Lock()
	if s.closed {
		s.queueMu.Unlock()
		return ErrClosed
	}
	s.running.Add(1)
	s.queueMu.Unlock()
	defer s.running.Done()
	timer := time.NewTimer(tickOwing)
	defer timer.Stop()
	var expired time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.stop:
			return nil
		case <-s.failing:
			timer.Reset(tickOwing)
			continue
		case <-timer.C:
		}
		now := time.Now()
		s.mend(ctx, now)
		if since := now.Sub(expired); since < 0 || since >= expireEvery || s.written.Load() >= expireBytes {
			expired = now
			s.written.Store(0)
			if err := s.Expire(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Warn("dropping old records", "error", err)
			}
		}
		timer.Reset(s.rest())
	}
}

// rest is how long nothing has to be done.
func (s *Store) rest() time.Duration {
	if !s.healthy() || s.ledger.owes() {
		return tickOwing
	}
	return tick
}

// mend tries the disk again where it failed or lost the database.
func (s *Store) mend(ctx context.Context, now time.Time) {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	s.watch()
	if s.moved != nil || !s.healthy() && s.due(now) || s.ledger.owes() {
		s.flush(context.WithoutCancel(ctx))
	}
}

// Expire drops the records that are too old at now, then the oldest ones until the database is small enough, and gives the
// pages back. It works in small steps, so that appends get in between.
func (s *Store) Expire(ctx context.Context, now time.Time) error {
	s.dropKept(now)
	tidy := s.ledger.tidy(now)
	cutoff := s.o.Steady.Limit(now, s.o.MaxAge).UnixMicro()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("dropping old records: %w", err)
		}
		if s.isClosed() {
			return ErrClosed
		}
		dropping, err := s.expireOnce(context.WithoutCancel(ctx), tidy, cutoff)
		if err != nil {
			return err
		}
		rolling, err := s.rollUp(context.WithoutCancel(ctx), tidy)
		if err != nil {
			return err
		}
		more = dropping || rolling
	}
	return nil
}

// expireOnce is one step; more reports whether there is another one to take.
func (s *Store) expireOnce(ctx context.Context, tidy tidied, cutoff int64) (more bool, err error) {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	if !s.readyFor(ctx, tidy) {
		return false, nil
	}
	e := expiry{now: tidy.now, cutoff: cutoff, maxBytes: s.o.MaxBytes, high: s.highest()}
	err = e.run(ctx, s.file.write)
	if err == nil {
		s.dropped(&e)
		return e.dropped == expireStep || e.tooBig || e.vacuumed, nil
	}
	return false, s.failed(ctx, tidy.now, err)
}

// readyFor brings the database up to date, and reports whether it can be tidied as memory was. The token is held.
func (s *Store) readyFor(ctx context.Context, tidy tidied) bool {
	works := func() bool { return s.file != nil && s.file.full && s.moved == nil && s.healthy() }
	if works() && s.ledger.owes() {
		s.flush(ctx)
	}
	return works() && s.ledger.followed(tidy)
}

// failed is what follows where a step of retention failed.
func (s *Store) failed(ctx context.Context, now time.Time, err error) error {
	if isCorrupt(err) {
		s.moved = err
		s.flush(ctx)
		return nil
	}
	s.degrade(now, err)
	return err
}

func (s *Store) highest() delivery.Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.next - 1
}

// dropped brings memory in line with what a step did.
func (s *Store) dropped(e *expiry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.mem.health
	h.Bytes = e.bytes
	h.Records -= int64(e.dropped)
	h.Expired += int64(e.dropped)
	if t := &s.mem.tail; e.dropped > 0 && len(t.entries) > 0 && e.newest >= t.entries[0].pos {
		t.forget()
	}
}

// expiry is one step of retention.
type expiry struct {
	now      time.Time
	cutoff   int64
	maxBytes int64
	high     delivery.Position

	bytes    int64
	dropped  int
	newest   delivery.Position // of those that were dropped
	tooBig   bool              // after the step
	vacuumed bool
}

func (e *expiry) run(ctx context.Context, db *sql.DB) error {
	var err error
	if e.bytes, err = usedBytes(ctx, db); err != nil {
		return err
	}
	query, arg := "SELECT pos FROM records WHERE at < ? ORDER BY at LIMIT 250", any(e.cutoff)
	if e.bytes > e.maxBytes {
		query, arg = "SELECT pos FROM records WHERE pos > ? ORDER BY pos LIMIT 250", any(-1)
	}
	if err := e.drop(ctx, db, query, arg); err != nil {
		return fmt.Errorf("dropping old records: %w", err)
	}
	if e.dropped > 0 {
		if e.bytes, err = usedBytes(ctx, db); err != nil {
			return err
		}
	}
	if err := dropEvents(ctx, db, e.now); err != nil {
		return err
	}
	e.tooBig = e.dropped > 0 && e.bytes > e.maxBytes
	return e.vacuum(ctx, db)
}

func (e *expiry) drop(ctx context.Context, db *sql.DB, which string, arg any) error {
	old, moment := e.now.Add(-ledgerAge).UnixMicro(), e.now.UnixMicro()
	var needed bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM records WHERE pos IN ("+which+")) OR EXISTS"+
		" (SELECT 1 FROM ledger WHERE at < ?2) OR EXISTS (SELECT 1 FROM ledger WHERE at > ?3) OR EXISTS"+
		" (SELECT 1 FROM ledger_hours WHERE until < ?2) OR EXISTS (SELECT 1 FROM ledger_hours WHERE until > ?3)",
		arg, old, moment).Scan(&needed)
	if err != nil || !needed { // a disk that sleeps is left asleep
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	err = eachRow(ctx, tx, func(scan func(...any) error) error {
		var pos delivery.Position
		err := scan(&pos)
		e.dropped++
		e.newest = max(e.newest, pos)
		return err
	}, "DELETE FROM records WHERE pos IN ("+which+") RETURNING pos", arg)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{"DELETE FROM ledger WHERE at < ?", []any{old}},
		{"DELETE FROM ledger_hours WHERE until < ?", []any{old}},
		{"UPDATE ledger SET at = ? WHERE at > ?", []any{moment, moment}},
		{"INSERT INTO ledger_hours (" + lumpColumns + `) SELECT ?1, "check", provider, model, run_by, sum(runs), sum(cost),` +
			" sum(reserved), sum(prompt), sum(cached), sum(completion), sum(unpriced) FROM ledger_hours WHERE until > ?1" +
			" GROUP BY 2, 3, 4, 5" + orAddLump, []any{moment}},
		{"DELETE FROM ledger_hours WHERE until > ?", []any{moment}},
		// With all records gone the file must still know which positions were given.
		{"INSERT OR REPLACE INTO meta (key, value) VALUES ('high', ?)", []any{strconv.FormatInt(int64(e.high), 10)}},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// vacuum gives free pages back to the file system, some at a time.
func (e *expiry) vacuum(ctx context.Context, db *sql.DB) error {
	var free int64
	if err := db.QueryRowContext(ctx, "SELECT freelist_count FROM pragma_freelist_count").Scan(&free); err != nil {
		return fmt.Errorf("counting free pages: %w", err)
	}
	if free <= freePages {
		return nil
	}
	n := min(free-freePages, vacuumStep)
	// The pragma frees one page for each row that is read.
	err := eachRow(ctx, db, func(func(...any) error) error { return nil }, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", n))
	if err != nil {
		return fmt.Errorf("giving pages back: %w", err)
	}
	e.vacuumed = true
	return nil
}
