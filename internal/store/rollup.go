package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const rollStep = 2000 // rows in one transaction

// rollUp merges some old rows of the ledger into the sums of their hours, in one transaction: no
// kill finds a row in both places, or in none. more reports whether there is more to do.
func (s *Store) rollUp(ctx context.Context, tidy tidied) (more bool, _ error) {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	if !s.readyFor(ctx, tidy) {
		return false, nil
	}
	var old bool
	err := s.file.write.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM ledger WHERE at < ?)", tidy.rollBefore).Scan(&old)
	if err != nil {
		return false, s.failed(ctx, tidy.now, err)
	}
	if !old || !s.ledger.settle(tidy.rollBefore) { // the latter: the next time
		return false, nil
	}
	more, err = rollOnce(ctx, s.file.write, tidy.rollBefore)
	if err != nil {
		return false, s.failed(ctx, tidy.now, fmt.Errorf("rolling up the ledger: %w", err))
	}
	return more, nil
}

// rollOnce is one transaction; it reports whether there is another one to make.
func rollOnce(ctx context.Context, db *sql.DB, before int64) (more bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }()
	var last int64
	err = tx.QueryRowContext(ctx, "SELECT at FROM ledger WHERE at < ? ORDER BY at LIMIT 1 OFFSET ?", before, rollStep).Scan(&last)
	switch {
	case err == nil:
		before, more = last+1, true
	case !errors.Is(err, sql.ErrNoRows):
		return false, err
	}
	for _, query := range []string{
		"INSERT INTO ledger_hours (" + lumpColumns + ") SELECT (at / 3600000000 + 1) * 3600000000 - 1, \"check\", provider, model, run_by," +
			" count(*), sum(coalesce(cost, reserved)), sum(iif(cost IS NULL, reserved, 0)), sum(prompt), sum(cached)," +
			" sum(completion), sum(priced = 0) FROM ledger WHERE at < ? GROUP BY 1, 2, 3, 4, 5" + orAddLump,
		"DELETE FROM ledger WHERE at < ?",
	} {
		if _, err := tx.ExecContext(ctx, query, before); err != nil {
			return false, err
		}
	}
	return more, tx.Commit()
}
