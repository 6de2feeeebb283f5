// Package ndjson writes records as lines of JSON to files in a folder, each line once, and begins a new file when one is
// large or old. It acknowledges nothing that is not on the disk, and deletes nothing but whole files of its own name.
package ndjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const doc = `Writes every record as one line of JSON, in its one published form, to files in a folder.

A batch is acknowledged when its lines are on the disk. Each record stands there once: after a crash, and when a batch comes again, the lines that are there
already are recognised, and a line that was cut is taken away. Files are begun anew by size and by age; those that get no more lines can be compressed, and the
oldest deleted. A full disk is a retry, and the file ends with the last whole batch; a folder that is missing or may not be written to holds the
records. One exporter writes the files of one name: when another begins to, the former one is held.`

// Kind is the kind of exporter that this package is.
func Kind() exporters.Kind {
	return exporters.NewKind("file", doc, defaults(), func(p Params, env exporters.Env) (exporters.Exporter, error) { return New(p, env) })
}

// Exporter writes lines. Make one with New, and end it with Close. It is not safe for concurrent use.
type Exporter struct {
	params Params
	folder folder
	log    *slog.Logger
	mark   string        // of this exporter, in the file that is locked
	busy   chan struct{} // holds one while an attempt goes on, which may outlive its Export

	// What follows belongs to the attempt that goes on.
	had     bool       // the folder was ours
	known   bool       // what the folder holds is known
	state   state      // as committed, or as returned last
	out     *os.File   // the file that is written; nil where there is none
	current part       // what is known of it
	good    int64      // up to where it is whole, and on the disk
	next    int64      // number of the next file
	seen    *seen      // ids that stand in the files
	tidy    *housework // of files that get no more lines
}

// state is what is kept with the cursor: where the last line of the last batch ends.
type state struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	ID     string `json:"id"` // of that line, for people
}

// New builds the exporter. It touches no file.
func New(p Params, env exporters.Env) (*Exporter, error) {
	f, err := newFolder(p)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &Exporter{
		params: p, folder: f, log: log, busy: make(chan struct{}, 1), seen: newSeen(maxSeen), next: 1,
		mark: ulid.Make().String(), tidy: &housework{folder: f, params: p, log: log},
	}
	if len(env.State) > 0 && json.Unmarshal(env.State, &e.state) != nil {
		log.Warn("state not understood, looking through the newest file instead")
		e.state = state{}
	}
	return e, nil
}

// line is one record as it is written.
type line struct {
	id   string // "" for records that cannot be told apart
	text []byte // with its line feed
}

// Export writes the batch. An attempt that outlives the deadline, on a disk that hangs, goes on: the next one waits for it,
// and finds its lines.
func (e *Exporter) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if len(batch) == 0 {
		return exporters.Outcome{}, nil
	}
	if err := ctx.Err(); err != nil {
		return exporters.Outcome{}, exporters.Retry(fmt.Errorf("writing records: %w", err), 0)
	}
	lines, rejected := render(batch)
	if len(lines) == 0 {
		return exporters.Outcome{Rejected: rejected}, nil
	}
	waiting := exporters.Retry(errors.New("writing records: the disk has not answered in time"), 0)
	select {
	case e.busy <- struct{}{}:
	case <-ctx.Done():
		return exporters.Outcome{}, waiting
	}
	type answer struct {
		state []byte
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		defer func() { <-e.busy }()
		kept, err := e.attempt(ctx, lines)
		done <- answer{kept, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return exporters.Outcome{}, a.err
		}
		return exporters.Outcome{Rejected: rejected, State: a.state}, nil
	case <-ctx.Done():
		return exporters.Outcome{}, waiting
	}
}

func render(batch []checks.Record) (lines []line, rejected []exporters.Rejection) {
	for i := range batch {
		text, err := batch[i].MarshalJSON()
		if err != nil {
			rejected = append(rejected, exporters.Rejection{Index: i, Reason: "no JSON form"})
			continue
		}
		lines = append(lines, line{idOf(&batch[i]), append(text, '\n')})
	}
	return lines, rejected
}

// idOf is the id that stands in the line.
func idOf(rec *checks.Record) string {
	id := rec.ID
	if rec.Report != nil {
		id = rec.Report.ID
	}
	if !utf8.ValidString(id) || len(id) > maxID {
		return ""
	}
	return id
}

// attempt writes what of the lines is not there yet, and returns the state behind them.
func (e *Exporter) attempt(ctx context.Context, lines []line) ([]byte, error) {
	unlock, err := e.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !e.known || !e.untouched() {
		if err := e.survey(); err != nil { //nolint:contextcheck // an attempt that began goes on beyond its deadline
			e.forget()
			return nil, err
		}
	}
	fresh := e.unknown(lines)
	if len(fresh) > 0 {
		if err := e.add(fresh); err != nil { //nolint:contextcheck // likewise
			e.forget()
			return nil, err
		}
	}
	return e.stateBehind(lines[len(lines)-1])
}

// lock waits until nobody else writes, and sees that nobody else has taken the folder.
func (e *Exporter) lock(ctx context.Context) (unlock func(), err error) {
	file, err := e.folder.open("."+e.folder.name+".lock", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, e.folder.class("locking", err)
	}
	unlock = func() { _ = file.Close() }
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		taken, err := e.folder.claim(file, e.mark, e.had)
		switch {
		case err == nil:
			e.known = e.known && !taken
			e.had = true
			return unlock, nil
		case errors.Is(err, errTaken):
			unlock()
			return nil, exporters.Hold(fmt.Errorf("writing to %s: %w", e.folder.path, err))
		case !errors.Is(err, syscall.EWOULDBLOCK):
			unlock()
			return nil, e.folder.class("locking", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			unlock()
			return nil, exporters.Retry(fmt.Errorf("writing to %s: another process is writing there", e.folder.path), 0)
		}
	}
}

// untouched reports whether the file is as it was left: there, and neither longer nor shorter.
func (e *Exporter) untouched() bool {
	if e.out == nil {
		return true
	}
	mine, err := e.out.Stat()
	if err != nil || mine.Size() != e.good {
		return false
	}
	there, err := os.Lstat(e.folder.file(e.current.name))
	return err == nil && os.SameFile(mine, there)
}

// unknown are the lines that stand in no file yet.
func (e *Exporter) unknown(lines []line) []line {
	var fresh []line
	here := map[string]bool{}
	for _, l := range lines {
		if _, ok := e.seen.at(l.id); ok || l.id != "" && here[l.id] {
			continue
		}
		here[l.id] = true
		fresh = append(fresh, l)
	}
	return fresh
}

// add appends lines, in a new file where it is time for one, and waits until they are on the disk.
func (e *Exporter) add(lines []line) error {
	size := 0
	for _, l := range lines {
		size += len(l.text)
	}
	if err := e.turn(int64(size), time.Now()); err != nil {
		return err
	}
	text := make([]byte, 0, size)
	for _, l := range lines {
		text = append(text, l.text...)
	}
	_, err := e.out.WriteAt(text, e.good)
	if err == nil {
		err = e.out.Sync()
	}
	if err != nil {
		if cutErr := e.out.Truncate(e.good); cutErr != nil {
			e.log.Warn("lines that are not acknowledged stay in the file until the next attempt", "file", e.current.name, "error", cutErr)
		}
		return e.folder.class("writing to", err)
	}
	for _, l := range lines {
		e.good += int64(len(l.text))
		e.seen.put(l.id, place{e.current.name, e.good})
	}
	return nil
}

// turn sees that there is a file to write to that has room and is not too old.
func (e *Exporter) turn(size int64, now time.Time) error {
	if e.out != nil {
		old := e.params.MaxAge > 0 && now.Sub(e.folder.begun(e.current.name)) >= e.params.MaxAge
		if e.good == 0 || e.good+size <= e.params.MaxSize && !old {
			return nil
		}
		if err := e.out.Close(); err != nil {
			return e.folder.class("closing a file in", err)
		}
		e.out = nil
	}
	name := e.folder.fresh(e.next, now)
	out, err := e.folder.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return e.folder.class("beginning a file in", err)
	}
	e.out, e.current, e.good = out, part{seq: e.next, name: name, plain: true}, 0
	e.next++
	if err := e.folder.sync(); err != nil {
		return e.folder.class("beginning a file in", err)
	}
	e.tidy.start(e.current.seq)
	return nil
}

// forget gives up what is known of the folder: the next attempt looks again.
func (e *Exporter) forget() {
	e.known = false
	if e.out != nil {
		_ = e.out.Close()
		e.out = nil
	}
}

// stateBehind is the state behind the last of the lines. Whatever stands later in the files is not acknowledged yet.
func (e *Exporter) stateBehind(last line) ([]byte, error) {
	e.state = state{e.current.name, e.good, last.id}
	if at, ok := e.seen.at(last.id); ok {
		e.state = state{at.file, at.end, last.id}
	}
	text, err := json.Marshal(e.state)
	if err != nil {
		return nil, exporters.Retry(fmt.Errorf("keeping the state: %w", err), 0)
	}
	return text, nil
}

// Close waits for an attempt that goes on, and ends the work on old files.
func (e *Exporter) Close() error {
	e.tidy.stop()
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case e.busy <- struct{}{}:
	case <-timer.C:
		return errors.New("closing: the disk has not answered")
	}
	defer func() { <-e.busy }()
	e.forget()
	return nil
}
