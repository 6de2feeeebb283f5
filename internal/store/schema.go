package store

import (
	"context"
	"database/sql"
	"fmt"
)

// spendingSchema is version 3: what the money went into.
const spendingSchema = `
ALTER TABLE ledger ADD COLUMN prompt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN completion INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN priced INTEGER NOT NULL DEFAULT 1;
UPDATE ledger SET reserved = min(reserved, 10000000000000000), cost = min(cost, 10000000000000000)
	WHERE reserved > 10000000000000000 OR cost > 10000000000000000; -- out of its senses: sums must not overflow
CREATE TABLE ledger_hours (
	until      INTEGER NOT NULL,
	"check"    TEXT NOT NULL,
	provider   TEXT NOT NULL,
	model      TEXT NOT NULL,
	run_by     TEXT NOT NULL,
	runs       INTEGER NOT NULL,
	cost       INTEGER NOT NULL,
	reserved   INTEGER NOT NULL,
	prompt     INTEGER NOT NULL,
	cached     INTEGER NOT NULL,
	completion INTEGER NOT NULL,
	unpriced   INTEGER NOT NULL,
	PRIMARY KEY (until, "check", provider, model, run_by)
) STRICT, WITHOUT ROWID;
CREATE VIEW spending AS
SELECT at / 3600000000 * 3600000000 AS hour, "check", provider, model, run_by, count(*) AS runs,
	sum(coalesce(cost, reserved)) AS cost, sum(iif(cost IS NULL, reserved, 0)) AS reserved, sum(prompt) AS prompt,
	sum(cached) AS cached, sum(completion) AS completion, sum(priced = 0) AS unpriced
FROM ledger GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT until / 3600000000 * 3600000000, "check", provider, model, run_by, runs, cost, reserved, prompt, cached,
	completion, unpriced
FROM ledger_hours;
`

// timelineSchema is version 4: what happened, for people. Nothing is decided by it.
const timelineSchema = `
CREATE TABLE events (
	id       TEXT PRIMARY KEY,
	at       INTEGER NOT NULL,
	incident TEXT NOT NULL,
	data     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX events_at ON events (at, incident);
`

// migrations brings a database from version i to i+1. Entries are never changed, only added.
func migrations() []string {
	return []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (
	pos          INTEGER PRIMARY KEY,
	id           TEXT NOT NULL UNIQUE,
	at           INTEGER NOT NULL,
	type         TEXT NOT NULL,
	"check"      TEXT NOT NULL,
	status       TEXT NOT NULL,
	final        INTEGER NOT NULL,
	scheduled_at INTEGER NOT NULL,
	crc          INTEGER NOT NULL,
	data         TEXT NOT NULL
) STRICT;
CREATE INDEX records_at ON records (at);
CREATE INDEX records_check ON records ("check", at) WHERE type = 'report';
CREATE TABLE voids (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE cursors (
	exporter TEXT PRIMARY KEY,
	pos      INTEGER NOT NULL,
	state    BLOB,
	sent     INTEGER NOT NULL,
	rejected TEXT NOT NULL,
	expired  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE states (key TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE checks (name TEXT PRIMARY KEY, last_run INTEGER NOT NULL, last_pos INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
	id       TEXT PRIMARY KEY,
	at       INTEGER NOT NULL,
	"check"  TEXT NOT NULL,
	provider TEXT NOT NULL,
	model    TEXT NOT NULL,
	run_by   TEXT NOT NULL,
	reserved INTEGER NOT NULL,
	cost     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_at ON ledger (at);
`, `
DROP INDEX records_at;
DROP INDEX records_check; -- it grew in as many places as there are checks, which cost more than all the rest of a record
CREATE INDEX records_at ON records (at, "check");
`, spendingSchema, timelineSchema}
}

// migrate keeps the old database and brings the schema up to date, each version in its own transaction.
func (f *file) migrate(ctx context.Context, path string) error {
	db := f.write
	steps := migrations()
	var app, version, tables int
	err := db.QueryRowContext(ctx, "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),"+
		" (SELECT count(*) FROM sqlite_schema)").Scan(&app, &version, &tables)
	switch {
	case err != nil:
		return fmt.Errorf("reading the schema version: %w", err)
	case app != applicationID && (app != 0 || version != 0 || tables != 0):
		return &corruptError{fmt.Sprintf("it is not ours: application id %#x, version %d", app, version)}
	case version > len(steps):
		return &NewerError{Found: version, Known: len(steps)}
	case version < 0:
		return &corruptError{fmt.Sprintf("schema version %d", version)}
	case version == len(steps):
		return nil
	}
	if f.from = version; version > 0 {
		f.kept, f.keptErr = keepSchema(ctx, db, path, version)
	}
	for i, step := range steps[version:] {
		if err := migrateOne(ctx, db, step, version+i+1); err != nil {
			return err
		}
	}
	// The new version must be in the database's header, where an older agent looks before it opens the file.
	if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("after migrating: %w", err)
	}
	return nil
}

func migrateOne(ctx context.Context, db *sql.DB, step string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrating to version %d: %w", version, err)
	}
	defer func() { _ = tx.Rollback() }()
	step += fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	if _, err := tx.ExecContext(ctx, step); err != nil {
		return fmt.Errorf("migrating to version %d: %w", version, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrating to version %d: %w", version, err)
	}
	return nil
}
