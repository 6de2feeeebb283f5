package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Backup is a copy of a database that was written and read again.
type Backup struct {
	Path    string        `json:"path"`
	Bytes   int64         `json:"bytes"`
	Records int64         `json:"records"`
	Schema  int           `json:"schema"`
	Newest  time.Time     `json:"newest,omitzero"`
	Took    time.Duration `json:"-"`
	// Troubles are damaged records, which are in the copy as they are in the store.
	Troubles []Trouble `json:"troubles,omitempty"`
}

// RoomError means that a file system has too little room for what was to be done. Nothing was changed.
type RoomError struct {
	Dir          string
	Needed, Free int64
}

func (e *RoomError) Error() string {
	return fmt.Sprintf("%q has %d MiB free, and %d MiB are needed", e.Dir, e.Free>>20, e.Needed>>20+1)
}

// spareRoom is what is left free on a disk whatever is written.
const spareRoom = 16 << 20

// WriteBackup copies the database of a state directory (or of a backup) into a new file of mode 0600, beside a running agent
// or beside none. The copy is of one moment, holds no free pages and needs no log; it has its name only when it was read
// back and is on the disk, so that nobody ever finds half of one. A file of that name is replaced only where replace is set.
// It is for a process of its own, as Inspect is.
func WriteBackup(ctx context.Context, from, to string, replace bool) (*Backup, error) {
	began := time.Now()
	file, _, err := databaseAt(from)
	if err != nil {
		return nil, err
	}
	if found, known := peekVersion(file), len(migrations()); found > known {
		return nil, &NewerError{Found: found, Known: known}
	}
	if err := mayBecome(file, to, replace); err != nil {
		return nil, err
	}
	part, err := partOf(to)
	if err != nil {
		return nil, err
	}
	defer dropPart(part) // it is gone already where all went well
	if err := copyStill(ctx, file, part); err != nil {
		return nil, err
	}
	b, err := verified(ctx, part)
	if err != nil {
		return nil, err
	}
	if err := settleFile(part, to, replace); err != nil {
		return nil, err
	}
	b.Path, b.Took = to, time.Since(began)
	return b, nil
}

// WriteWhole has a new file written, which gets its name when all of it is on the disk. It must not be the database of the
// store that is named, and it replaces another one only where replace is set.
func WriteWhole(of, to string, replace bool, write func(io.Writer) error) error {
	file, _, err := databaseAt(of)
	if err != nil {
		return err
	}
	if err := mayBecome(file, to, replace); err != nil {
		return err
	}
	f, err := makePart(to)
	if err != nil {
		return err
	}
	part := f.Name()
	defer func() { _ = os.Remove(part) }() // it is gone already where all went well
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %q: %w", to, err)
	}
	return settleFile(part, to, replace)
}

// mayBecome refuses a name that is taken.
func mayBecome(from, to string, replace bool) error {
	there, err := os.Lstat(to)
	if err != nil {
		return nil //nolint:nilerr // whatever is wrong with the folder is said when the file is made
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if own, err := os.Stat(from + suffix); err == nil && os.SameFile(own, there) {
			return fmt.Errorf("%q is the store itself", to)
		}
	}
	if !there.Mode().IsRegular() {
		return fmt.Errorf("%q is not a file", to)
	}
	if !replace {
		return fmt.Errorf("writing %q: %w", to, os.ErrExist)
	}
	return nil
}

// partOf is the name of a new file beside the one that is to be made.
func partOf(to string) (string, error) {
	f, err := makePart(to)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("making %q: %w", to, err)
	}
	return f.Name(), nil
}

// makePart makes a file beside the one that is to be made. It has its owner from the beginning: later its name may be a
// link that somebody else put there.
func makePart(to string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*.part")
	if err != nil {
		return nil, fmt.Errorf("making %q: %w", to, err)
	}
	if err := GiveAway(f); err != nil {
		return nil, errors.Join(fmt.Errorf("making %q: %w", to, err), f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// dropPart removes a file that did not get its name, and what SQLite kept beside it.
func dropPart(part string) {
	_ = os.Remove(part)
	_ = os.Remove(part + "-journal")
}

// copyStill copies a database into an empty file. Where an agent started while the files were taken for unchanging, it does
// so once more.
func copyStill(ctx context.Context, from, into string) error {
	for again := false; ; again = true {
		s, err := openStill(ctx, from)
		if err != nil {
			return err
		}
		used, err := usedBytes(ctx, s.db)
		if err == nil {
			err = roomFor(filepath.Dir(into), used)
		}
		if err == nil {
			err = politely(into, func() error { return vacuumInto(ctx, s.db, into) })
		}
		moved := s.moved()
		if err := errors.Join(err, s.close()); err != nil || !moved || again {
			return err
		}
		if err := asOwner(filepath.Dir(into), func() error { return os.Truncate(into, 0) }); err != nil {
			return fmt.Errorf("copying the database: %w", err)
		}
	}
}

func vacuumInto(ctx context.Context, db execer, into string) error {
	abs, err := filepath.Abs(into)
	if err == nil {
		err = asOwner(filepath.Dir(abs), func() error {
			_, err := db.ExecContext(ctx, "VACUUM INTO ?", abs)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	return nil
}

// verified reads a copy from one end to the other.
func verified(ctx context.Context, path string) (*Backup, error) {
	in, err := Inspect(ctx, path, false)
	if err != nil {
		return nil, fmt.Errorf("reading the copy: %w", err)
	}
	for _, t := range in.Troubles {
		if !strings.HasPrefix(t.Where, recordWhere) && t.Where != recordsWhere {
			return nil, fmt.Errorf("the copy is not whole: %s: %s", t.Where, t.What)
		}
	}
	return &Backup{Bytes: in.Sizes.Database, Records: in.Records, Schema: in.Schema, Newest: in.Newest, Troubles: in.Troubles}, nil
}

// settleFile forces a file to the disk and gives it its name, at once.
func settleFile(part, to string, replace bool) error {
	f, err := os.OpenFile(part, os.O_RDWR|unix.O_NOFOLLOW, 0) //nolint:gosec // named by us
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = rename(part, to, replace)
	}
	if err == nil {
		err = syncDir(filepath.Dir(to))
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", to, err)
	}
	return nil
}

// rename replaces nothing where it must not, even where the file came in between.
func rename(from, to string, replace bool) error {
	if replace {
		return os.Rename(from, to)
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system that does not know how
		if _, err := os.Lstat(to); err == nil {
			return os.ErrExist
		}
		return os.Rename(from, to)
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // named by the operator
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// roomFor fails with *RoomError where a file system cannot take so much more.
func roomFor(dir string, bytes int64) error {
	free, err := freeBytes(dir)
	if err != nil {
		return fmt.Errorf("measuring the room in %q: %w", dir, err)
	}
	if free < bytes+spareRoom {
		return &RoomError{Dir: dir, Needed: bytes + spareRoom, Free: free}
	}
	return nil
}

// freeBytes is what this user may still write.
func freeBytes(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}
