package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	asideInfix  = ".corrupt-" // between the database's name and the time at which it was moved aside
	asideKept   = 3           // databases that were moved aside; the oldest are removed where there are more
	schemaInfix = ".schema-"  // between the database's name and the version that was kept
)

// keepSchema copies a database of an older version aside before it is brought up to date, so that there is a way back.
func keepSchema(ctx context.Context, db *sql.DB, path string, version int) (kept string, err error) {
	kept = fmt.Sprintf("%s%s%d", path, schemaInfix, version)
	used, err := usedBytes(ctx, db)
	if err != nil {
		return kept, err
	}
	if err := roomFor(filepath.Dir(path), used); err != nil {
		return kept, err
	}
	part, err := partOf(path)
	if err != nil {
		return kept, err
	}
	defer dropPart(part) // it is gone already where all went well
	if err := vacuumInto(ctx, db, part); err != nil {
		return kept, err
	}
	return kept, settleFile(part, kept, true)
}

// sayKept tells what became of the database of an older version.
func (s *Store) sayKept(f *file) {
	switch {
	case f.kept == "":
	case f.keptErr != nil:
		s.log.Warn("the database was brought to this version's schema, and the old one could not be kept: there is no way back to an older agent with it",
			"from", f.from, "to", len(migrations()), "error", f.keptErr)
	default:
		s.log.Info("the database was brought to this version's schema; the old one is kept for a way back until it is as old as the oldest record may be",
			"from", f.from, "to", len(migrations()), "kept", f.kept, "for", s.o.MaxAge)
	}
}

// dropKept removes the databases of older versions in which nothing is young enough to be kept any more, and what a
// process that was killed left half written.
func (s *Store) dropKept(now time.Time) {
	for _, path := range s.beside(databaseName + schemaInfix) {
		info, err := os.Lstat(path)
		if err != nil || now.Sub(info.ModTime()) < s.o.MaxAge {
			continue
		}
		if err := os.Remove(path); err != nil {
			s.log.Warn("removing the database of an older version", "path", path, "error", err)
			continue
		}
		s.log.Info("the database of an older version was removed: nothing in it is young enough to be kept", "path", path)
	}
}

// dropParts removes what a process that was killed left half written. The directory's lock is held.
func (s *Store) dropParts() {
	for _, path := range s.beside("." + databaseName + ".") {
		if strings.Contains(filepath.Base(path), ".part") { // or what SQLite kept beside it
			_ = os.Remove(path)
		}
	}
}

// dropAside removes the oldest databases that were moved aside, so that a disk that fails again and again does not fill.
func (s *Store) dropAside() {
	bases := asideOf(s.path)
	for len(bases) > asideKept {
		base := bases[0]
		bases = bases[1:]
		var errs []error
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(base + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if err := errors.Join(errs...); err != nil {
			s.log.Warn("removing an older corrupt database", "path", base, "error", err)
			continue
		}
		s.mu.Lock()
		s.mem.health.CorruptRemoved++
		removed := s.mem.health.CorruptRemoved
		s.mu.Unlock()
		s.log.Warn("an older corrupt database was removed: the newest are kept", "path", base, "kept", asideKept, "removed", removed)
	}
}

// asideOf are the databases that were moved aside, oldest first, without what belongs to them.
func asideOf(path string) []string {
	var bases []string
	for _, name := range named(filepath.Dir(path), filepath.Base(path)+asideInfix) {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "-wal"), "-shm")
		if !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	slices.SortFunc(bases, func(a, b string) int {
		atA, nA := asideOrder(a)
		atB, nB := asideOrder(b)
		return cmp.Or(cmp.Compare(atA, atB), cmp.Compare(nA, nB))
	})
	return bases
}

// asideOrder is when a database was moved aside, and the how manieth it was of that second.
func asideOrder(base string) (at string, n int) {
	at, number, found := strings.Cut(base[strings.LastIndex(base, asideInfix)+len(asideInfix):], "-")
	if n, err := strconv.Atoi(number); found && err == nil {
		return at, n
	}
	return at, 1
}

// beside are the files of the state directory whose names begin with prefix, by name.
func (s *Store) beside(prefix string) []string { return named(s.o.Dir, prefix) }

func named(dir, prefix string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && !entry.IsDir() {
			found = append(found, filepath.Join(dir, entry.Name()))
		}
	}
	return found
}
