package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// View reads a state directory that may be another process's. It takes no lock, writes no record and migrates nothing;
// SQLite makes the files of its log anew (-wal, -shm) where the directory can be
// written and nobody else has them open. What the agent took in the last seconds may still be in its memory only.
type View struct{ db *sql.DB }

// OpenView opens the database in dir for reading. The error wraps fs.ErrNotExist where there is none.
func OpenView(ctx context.Context, dir string) (*View, error) {
	path := filepath.Join(dir, databaseName)
	if _, err := readHead(path, 0); err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	var errs []error
	for _, query := range []string{
		"mode=ro&_query_only=true&_busy_timeout=2000", // beside an agent, whose log is shared
		"mode=ro&immutable=1",                         // where nobody runs, and the log cannot be made
	} {
		db, err := connect(path, query, 1)
		if err != nil {
			return nil, err
		}
		var n int
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM meta").Scan(&n)
		if err == nil {
			return &View{db}, nil
		}
		errs = append(errs, err, db.Close())
	}
	return nil, fmt.Errorf("reading the store %q: %w", path, errors.Join(errs...))
}

// State is a state as it was saved last; nil where there is none.
func (v *View) State(ctx context.Context, key string) ([]byte, error) {
	var data []byte
	err := v.db.QueryRowContext(ctx, "SELECT data FROM states WHERE key = ?", key).Scan(&data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the state %q: %w", key, err)
	}
	return data, nil
}

// States are the states whose keys begin with prefix, by what follows it.
func (v *View) States(ctx context.Context, prefix string) (map[string][]byte, error) {
	found := map[string][]byte{}
	err := eachRow(ctx, v.db, func(scan func(...any) error) error {
		var key string
		var data []byte
		err := scan(&key, &data)
		found[strings.TrimPrefix(key, prefix)] = data
		return err
	}, "SELECT key, data FROM states WHERE substr(key, 1, length(?1)) = ?1", prefix)
	if err != nil {
		return nil, fmt.Errorf("reading the states %q: %w", prefix, err)
	}
	return found, nil
}

// Memory is what a check remembers; nil where that is nothing.
func (v *View) Memory(ctx context.Context, check string) ([]byte, error) {
	return v.State(ctx, memoryKey(check))
}

// Close ends the view.
func (v *View) Close() error {
	if err := v.db.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
