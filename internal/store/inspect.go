package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
)

// Trouble is something that is wrong with a store.
type Trouble struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Fix   string `json:"fix"`
}

// Unread is how far one exporter has come.
type Unread struct {
	Exporter string            `json:"exporter"`
	Position delivery.Position `json:"position"`
	Records  int64             `json:"unread"`
	Oldest   time.Time         `json:"oldest_unread,omitzero"`
}

// Sizes are bytes of the file system.
type Sizes struct {
	Database int64 `json:"database"`
	Free     int64 `json:"free"` // of the database: pages that hold nothing
	Log      int64 `json:"log"`
	Aside    int64 `json:"moved_aside"`
	Kept     int64 `json:"kept_schemas"`
	Total    int64 `json:"total"` // of all that is in the directory
}

// Inspection is what somebody who only reads can say of a store.
type Inspection struct {
	Path      string            `json:"path"`
	Schema    int               `json:"schema"`
	Known     int               `json:"known_schema"`
	WrittenBy string            `json:"written_by,omitempty"` // the version of the agent; "" where nobody knows
	Full      bool              `json:"full"`
	Sizes     Sizes             `json:"bytes"`
	Records   int64             `json:"records"`
	Oldest    time.Time         `json:"oldest,omitzero"`
	Newest    time.Time         `json:"newest,omitzero"`
	Position  delivery.Position `json:"position"` // the newest that the database knows of
	Exporters []Unread          `json:"exporters,omitempty"`
	Mark      string            `json:"mark"` // agrees, ahead, behind, missing, broken, none (of a backup)
	Troubles  []Trouble         `json:"troubles,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
}

// What mark is.
const (
	MarkAgrees  = "agrees"
	MarkAhead   = "ahead"
	MarkBehind  = "behind"
	MarkMissing = "missing"
	MarkBroken  = "broken"
	MarkNone    = "none"
)

const (
	troublesTold = 20 // of one part
	recordsWhere = "records"
	recordWhere  = "record at position "
	restoreFix   = "keep a copy of the directory and start the agent: it moves the database aside and takes over what can be read; or restore a backup (docs/operations/backup.md)"
	recordFix    = "nothing: the agent passes over it and counts it as lost; more of them mean a disk that fails, look at dmesg and SMART"
)

// Inspect reads a state directory, or the file of a backup, beside a running agent or beside none. It changes nothing.
// full reads every index and decodes every record. It is for a process of its own: in the agent's, closing
// the file would drop SQLite's locks. The error is a *NewerError, or says why nothing can be said;
// damage is no error but Troubles.
func Inspect(ctx context.Context, path string, full bool) (*Inspection, error) {
	file, dir, err := databaseAt(path)
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		in := &inspector{Inspection: Inspection{Path: file, Known: len(migrations()), Full: full, Mark: MarkNone}, dir: dir}
		moved, err := in.inspect(ctx)
		if moved && !again && ctx.Err() == nil { // an agent has started meanwhile: what was read may be half of its work
			continue
		}
		if _, newer := errors.AsType[*NewerError](err); err != nil && !newer {
			return nil, err
		}
		return &in.Inspection, err
	}
}

type inspector struct {
	Inspection
	dir  string // "" for a lone file
	page page   // of the mark
	db   querier
}

func (in *inspector) inspect(ctx context.Context) (moved bool, err error) {
	in.Schema = peekVersion(in.Path)
	in.measure()
	s, err := openStill(ctx, in.Path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.moved(), fmt.Errorf("reading the store: %w", err)
	}
	defer func() { _ = conn.Close() }()
	in.db = conn
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil { // one moment for all that follows
		return s.moved(), fmt.Errorf("reading the store: %w", err)
	}
	err = in.read(ctx)
	return s.moved(), err
}

// read runs every part. What cannot be read because it is broken is a trouble; the others are read all the same.
func (in *inspector) read(ctx context.Context) error {
	if err := in.written(ctx); in.Schema > in.Known {
		_ = err // of a database of the future nobody knows what it must hold
		return &NewerError{Found: in.Schema, Known: in.Known, By: in.WrittenBy}
	}
	for i, part := range []struct {
		where string
		read  func(context.Context) error
	}{
		{"database", in.integrity},
		{"database", in.identity},
		{"database", in.written},
		{"database", in.space},
		{recordsWhere, in.records},
		{"exporters", in.cursors},
		{"windsock.mark", in.mark},
	} {
		err := part.read(ctx)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("reading the store: %w", ctx.Err())
		case isCorrupt(understood(ctx, err)):
			in.trouble(part.where, "cannot be read: "+err.Error(), restoreFix)
			if i == 0 { // no page of it
				return nil
			}
		default:
			return fmt.Errorf("reading the %s of the store: %w", part.where, err)
		}
	}
	return nil
}

func (in *inspector) trouble(where, what, fix string) {
	t := Trouble{where, what, fix}
	if !slices.Contains(in.Troubles, t) {
		in.Troubles = append(in.Troubles, t)
	}
}

func (in *inspector) note(format string, args ...any) {
	in.Notes = append(in.Notes, fmt.Sprintf(format, args...))
}

// one reads a single row.
func (in *inspector) one(ctx context.Context, into []any, query string, args ...any) error {
	found := false
	err := eachRow(ctx, in.db, func(scan func(...any) error) error {
		found = true
		return scan(into...)
	}, query, args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

func (in *inspector) integrity(ctx context.Context) error {
	pragma := "quick_check"
	if in.Full {
		pragma = "integrity_check"
	}
	return eachRow(ctx, in.db, func(scan func(...any) error) error {
		var verdict string
		err := scan(&verdict)
		if err == nil && verdict != "ok" {
			in.trouble("database", strings.ReplaceAll(verdict, "\n", " "), restoreFix)
		}
		return err
	}, fmt.Sprintf("PRAGMA %s(%d)", pragma, troublesTold))
}

func (in *inspector) identity(ctx context.Context) error {
	var app int
	err := in.one(ctx, []any{&app, &in.Schema}, "SELECT a.application_id, v.user_version FROM pragma_application_id a, pragma_user_version v")
	switch {
	case err != nil:
		return err
	case app != applicationID:
		in.trouble("database", fmt.Sprintf("it is not ours: application id %#x", app), "give the path of windsock's own database; the agent moves this one aside when it starts")
	case in.Schema < in.Known:
		in.note("schema version %d: the agent brings it to %d when it starts, and keeps the old one", in.Schema, in.Known)
	}
	return nil
}

// written reads who wrote the database last.
func (in *inspector) written(ctx context.Context) error {
	err := in.one(ctx, []any{&in.WrittenBy}, "SELECT value FROM meta WHERE key = ?", metaVersion)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // by a version that did not say so
	}
	return err
}

func (in *inspector) space(ctx context.Context) error {
	return in.one(ctx, []any{&in.Sizes.Free}, "SELECT f.freelist_count * s.page_size FROM pragma_freelist_count f, pragma_page_size s")
}

// measure looks at the files.
func (in *inspector) measure() {
	in.Sizes.Database, in.Sizes.Log = max(0, sizeOf(in.Path)), max(0, sizeOf(in.Path+"-wal"))
	in.Sizes.Total = in.Sizes.Database + in.Sizes.Log
	if in.Sizes.Log > 8*walLimit {
		in.note("the log has %d MiB: a program that reads an old state keeps the agent from emptying it (lsof %s tells which)", in.Sizes.Log>>20, in.Path)
	}
	if in.dir == "" {
		return
	}
	in.Sizes.Total = 0
	entries, _ := os.ReadDir(in.dir)
	for _, entry := range entries {
		size := max(0, sizeOf(filepath.Join(in.dir, entry.Name())))
		if entry.IsDir() {
			continue
		}
		in.Sizes.Total += size
		switch {
		case strings.HasPrefix(entry.Name(), databaseName+asideInfix):
			in.Sizes.Aside += size
		case strings.HasPrefix(entry.Name(), databaseName+schemaInfix):
			in.Sizes.Kept += size
		}
	}
}

func (in *inspector) records(ctx context.Context) error {
	var oldest, newest int64
	var pos delivery.Position
	var at, crc int64
	var raw sql.RawBytes
	broken := 0
	err := eachRow(ctx, in.db, func(scan func(...any) error) error {
		if err := scan(&pos, &at, &crc, &raw); err != nil {
			return err
		}
		in.Records++
		in.Position, newest = max(in.Position, pos), max(newest, at)
		if oldest == 0 || at < oldest {
			oldest = at
		}
		if what := in.flaw(raw, crc); what != "" {
			if broken++; broken <= troublesTold {
				in.trouble(recordWhere+strconv.FormatInt(int64(pos), 10), what, recordFix)
			}
		}
		return nil
	}, "SELECT pos, at, crc, data FROM records ORDER BY pos")
	if broken > troublesTold {
		in.trouble(recordsWhere, fmt.Sprintf("%d are damaged in all", broken), recordFix)
	}
	in.Oldest, in.Newest = fromMicros(oldest), fromMicros(newest)
	return err
}

// flaw is what is wrong with a record, "" where nothing is.
func (in *inspector) flaw(data []byte, crc int64) string {
	if crc != int64(crc32.ChecksumIEEE(data)) {
		return "its checksum does not fit"
	}
	var r checks.Record
	if in.Full {
		if err := r.UnmarshalJSON(data); err != nil {
			return err.Error()
		}
	}
	return ""
}

// cursors looks whether each exporter stands where records can be.
func (in *inspector) cursors(ctx context.Context) error {
	l := &loaded{unread: map[string]int64{}}
	db := in.db
	if err := errors.Join(l.loadMeta(ctx, db), l.loadVoids(ctx, db)); err != nil {
		return err
	}
	in.Position = max(in.Position, l.high)
	if in.dir != "" {
		m := mark{path: filepath.Join(in.dir, markName)}
		in.page, _ = m.load()
	}
	highest := max(in.Position, in.page.Position)
	if err := l.loadCursors(ctx, db); err != nil {
		return err
	}
	for _, row := range l.cursors {
		u := Unread{Exporter: row.exporter, Position: row.pos, Records: l.unread[row.exporter]}
		if row.pos < 0 || row.pos > highest {
			in.trouble("exporter "+row.exporter, fmt.Sprintf("its cursor stands at %d, and no position is above %d", row.pos, highest),
				"restore a backup; or stop the agent and give the exporter another name, which begins anew")
		}
		var at int64
		if u.Records > 0 {
			if err := in.one(ctx, []any{&at}, "SELECT at FROM records WHERE pos > ? ORDER BY pos LIMIT 1", row.pos); err != nil {
				return err
			}
			u.Oldest = fromMicros(at)
		}
		in.Exporters = append(in.Exporters, u)
	}
	slices.SortFunc(in.Exporters, func(a, b Unread) int { return cmp.Compare(a.Exporter, b.Exporter) })
	return nil
}
