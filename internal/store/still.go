package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// still is a database that is read without changing a byte of it or of its directory, whether an agent runs on it, was
// killed on it, or is gone.
type still struct {
	db    *sql.DB
	path  string // of the database
	alone bool   // read as a file that nobody changes; an agent that starts meanwhile does
	was   [3]int64
	copy  string // a directory of our own that is to be removed
}

// databaseAt is the database of a state directory, or path itself where it is a file: a backup. dir is "" for that.
func databaseAt(path string) (file, dir string, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("reading the store: %w", err)
	case !info.IsDir():
		return path, "", nil
	}
	file = filepath.Join(path, databaseName)
	if _, err := readHead(file, 0); err != nil {
		return "", "", fmt.Errorf("reading the store: %w", err)
	}
	return file, path, nil
}

// openStill finds the way to read a database as it stands now, its log included. SQLite keeps the log's index in shared
// memory (-shm): where that is there it is read, and rebuilt in private memory where nobody has the database open.
// An error is not about what is in the file: a broken one opens.
func openStill(ctx context.Context, path string) (*still, error) {
	s := &still{path: path}
	wal, shm := sizeOf(path+"-wal"), sizeOf(path+"-shm")
	queries := []string{"mode=ro&readonly_shm=1&_busy_timeout=2000", "mode=ro&readonly_shm=1&_busy_timeout=2000"}
	switch {
	case shm > 0: // beside an agent that is just writing the first way may fail, and the second makes no file
		queries = append(queries, "mode=ro&_busy_timeout=2000")
	case wal <= 0:
		s.alone, s.was, queries = true, sizesOf(path), []string{"mode=ro&immutable=1"}
	default:
		if err := s.copyLog(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
		queries = []string{"mode=rw"}
	}
	var errs []error
	for _, query := range queries {
		db, err := connect(s.path, query, 1)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		var n int
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
		if err == nil || isCorrupt(err) {
			s.db = db
			return s, nil
		}
		errs = append(errs, err, db.Close())
	}
	return nil, errors.Join(fmt.Errorf("reading the store %q: %w", path, errors.Join(errs...)), s.close())
}

// copyLog puts a database whose log has no index into a directory of our own: SQLite would make the index beside it.
func (s *still) copyLog(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "windsock-store-")
	if err != nil {
		return fmt.Errorf("copying the database, whose log has no index: %w", err)
	}
	s.copy = dir
	target := filepath.Join(dir, databaseName)
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(ctx, s.path+suffix, target+suffix); err != nil {
			return fmt.Errorf("copying the database, whose log has no index: %w", err)
		}
	}
	s.path = target
	return nil
}

// moved reports whether somebody changed the files that were taken for unchanging.
func (s *still) moved() bool { return s.alone && s.was != sizesOf(s.path) }

func (s *still) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.copy != "" {
		errs = append(errs, os.RemoveAll(s.copy))
	}
	return errors.Join(errs...)
}

// sizesOf is what changes as soon as an agent opens the database.
func sizesOf(path string) [3]int64 {
	sizes := [3]int64{-1, sizeOf(path + "-wal"), sizeOf(path + "-shm")}
	if info, err := os.Stat(path); err == nil {
		sizes[0] = info.ModTime().UnixNano()
	}
	return sizes
}

// sizeOf is -1 where there is no file.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// copyFile makes a new file of mode 0600. It ends early with ctx.
func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from) //nolint:gosec // the operator's own file
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // named by us
	if err != nil {
		return err
	}
	_, err = io.Copy(out, whileOpen{ctx, in})
	return errors.Join(err, out.Close())
}

// whileOpen reads until ctx ends.
type whileOpen struct {
	ctx context.Context //nolint:containedctx // of the one copy
	io.Reader
}

func (r whileOpen) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
