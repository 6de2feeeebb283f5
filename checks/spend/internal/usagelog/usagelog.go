// Package usagelog is a source of spend: the application's own usage records, which it writes as JSON lines. It follows the
// log over its rotation and reads no byte twice. It opens regular files only, writes none, and passes nothing of what it
// reads on but names of models, tokens and costs.
package usagelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// Options is what a Log is lent. Prices is needed; without a State it is kept in memory, and without a Zone days begin in
// UTC.
type Options struct {
	Prices Prices
	State  source.State
	Zone   *time.Location
}

// Log is a source.Source.
type Log struct {
	params  Params
	options Options
	extract *extract
	of      uint64
}

// New makes a Log of validated parameters. It opens nothing.
func New(p Params, o Options) (*Log, error) {
	if o.Prices == nil {
		return nil, errors.New("a usage log needs prices")
	}
	if o.State == nil {
		o.State = &source.Transient{}
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	p = p.whole()
	x, err := newExtract(p, o.Zone)
	if err != nil {
		return nil, err
	}
	return &Log{params: p, options: o, extract: x, of: signature(p, o.Zone)}, nil
}

// Read reads what was written since the reading before, as much as there is time for: a fifth of it, at most two seconds,
// is left for others.
func (l *Log) Read(ctx context.Context, now time.Time) (source.Reading, error) {
	if err := ctx.Err(); err != nil {
		return source.Reading{}, &source.Problem{Cause: checks.CauseInternal, Text: "the run was over before the log was read", Err: err}
	}
	s := restore(l.options.State.Load(), l.of)
	s.Tally.begin(now, l.options.Prices, l.options.Zone)
	s.Flaws.begin(s.Tally.month, now)
	work, cancel := spare(ctx)
	defer cancel()
	trouble := l.follow(work, s, now)
	data, err := json.Marshal(s)
	if err != nil {
		return source.Reading{}, &source.Problem{Cause: checks.CauseInternal, Text: "what was read cannot be kept", Err: err}
	}
	l.options.State.Save(data)
	if trouble != nil {
		return source.Reading{}, trouble
	}
	return l.reading(s, now)
}

func spare(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/5, 2*time.Second)))
}

// trouble is why a file cannot be read. The errors of the system are told by their kind: their text holds the path.
func (l *Log) trouble(err error) *source.Problem {
	p := source.Problemf(checks.CauseConfig, "the log %q cannot be read", filepath.Base(l.params.Path))
	p.Err = err
	var system *fs.PathError
	switch {
	case missing(err):
		p.Text = fmt.Sprintf("the log %q is not there yet", filepath.Base(l.params.Path))
	case errors.Is(err, errNotRegular):
		p.Text += ": " + errNotRegular.Error()
	case errors.As(err, &system):
		p.Text += ": " + system.Err.Error()
	}
	return p
}

// follow reads on, in all files that are or were the log.
func (l *Log) follow(ctx context.Context, s *state, now time.Time) *source.Problem {
	if s.Began == 0 {
		s.Began = now.Unix()
	}
	log, err := open(l.params.Path, true)
	if err != nil && (!missing(err) || s.log() == nil) {
		return l.trouble(err)
	}
	r := &reader{extract: l.extract, tally: &s.Tally, flaws: &s.Flaws}
	defer func() { s.Lines += r.lines }()
	if log == nil { // it was moved away, and is not there again yet
		l.drainOld(ctx, s, r, now, s.Files)
		return nil
	}
	defer log.close()
	if s.log() == nil {
		l.first(s, log, now)
	} else {
		l.turn(s, log, now)
	}
	l.drainOld(ctx, s, r, now, s.Files[:len(s.Files)-1])
	done, err := r.drain(ctx, log, s.log(), false)
	if err != nil {
		return l.trouble(err)
	}
	s.log().look(log)
	s.Alive = max(s.Alive, min(log.info.ModTime().Unix(), now.Unix()))
	if !done {
		s.Behind += max(log.info.Size()-s.log().Offset, 1)
	}
	return nil
}

// first is the first look at the log. One that was not there when it was first looked for is new, and nothing of it is
// missing.
func (l *Log) first(s *state, log *opened, now time.Time) {
	p := placeOf(log)
	s.Files = []*place{p}
	switch {
	case s.Began < now.Unix():
		s.Whole = s.Began
	case l.params.Start == StartEnd:
		s.gap(now)
		p.Offset = log.info.Size()
		p.Skipping = !log.endsLine()
	case log.info.Size() == 0:
		s.gap(now)
	}
}

// turn finds out whether the log is the file that it was, and what became of that where it is not.
func (l *Log) turn(s *state, log *opened, now time.Time) {
	was := s.log()
	same := log.is(was)
	switch intact := log.begins(was); {
	case same && intact:
		return
	case same:
		l.cut(s, log, now)
	default:
		l.renamed(s, log)
	}
	s.Files = append(s.Files, placeOf(log))
	if extra := len(s.Files) - mostFiles; extra > 0 {
		s.Files = s.Files[extra:]
		s.gap(now)
	}
}

// cut is a log that was truncated, or deleted and made anew in the same place. Where a copy was made before, what was not
// read of the log is read there.
func (l *Log) cut(s *state, log *opened, now time.Time) {
	was := s.log()
	if was.Printed >= enough {
		if copied := find(l.params.Path, func(o *opened) bool { return !o.is(was) && o.begins(was) }); copied != nil {
			was.Dev, was.Ino, was.Name = copied.dev, copied.ino, filepath.Base(copied.path)
			copied.close()
			return
		}
	}
	s.Files = s.Files[:len(s.Files)-1]
	l.lost(s, was, log.info.ModTime(), now)
}

// lost is that the rest of a file cannot be found. A file in which nothing was, or that was read to its end and then left
// alone, has no rest.
func (l *Log) lost(s *state, was *place, changed, now time.Time) {
	if was.Offset >= was.Size && (was.Old || was.Size == 0) {
		return
	}
	s.Flaws.add(flawLost, was.Name, was.Offset)
	if changed.Before(now) {
		now = changed
	}
	s.gap(now)
}

// renamed is another file in the log's place. The one before is among its siblings, and so are those that were the log
// while nobody looked.
func (l *Log) renamed(s *state, log *opened) {
	was := s.log()
	after := time.Unix(s.Alive, 0)
	if old := l.locate(was); old != nil {
		was.Dev, was.Ino, was.Name = old.dev, old.ino, filepath.Base(old.path)
		after = old.info.ModTime()
		old.close()
	}
	known := func(o *opened) bool {
		if o.dev == log.dev && o.ino == log.ino {
			return true
		}
		for _, p := range s.Files {
			if o.is(p) || (p.Printed >= enough && o.begins(p)) {
				return true
			}
		}
		return false
	}
	for _, o := range between(l.params.Path, after, known) {
		s.Files = append(s.Files, placeOf(o))
		o.close()
	}
}

// locate opens the file that a place was in, wherever it is by now: a file of the same number that begins alike, or else a
// copy. It is nil where there is none.
func (l *Log) locate(p *place) *opened {
	if o := find(l.params.Path, func(o *opened) bool { return o.is(p) && o.begins(p) }); o != nil {
		return o
	}
	if p.Printed < enough {
		return nil
	}
	return find(l.params.Path, func(o *opened) bool { return o.begins(p) })
}

// drainOld reads on in files that were the log, and forgets those that nobody writes any more.
func (l *Log) drainOld(ctx context.Context, s *state, r *reader, now time.Time, old []*place) {
	var kept []*place
	for _, p := range old {
		o := l.locate(p)
		if o == nil {
			l.lost(s, p, now, now)
			continue
		}
		quiet := now.Sub(o.info.ModTime()) > grace
		done, err := r.drain(ctx, o, p, quiet)
		p.look(o)
		p.Old = done && err == nil
		s.Alive = max(s.Alive, min(o.info.ModTime().Unix(), now.Unix()))
		if !done || err != nil {
			s.Behind += max(o.info.Size()-p.Offset, 1)
		}
		o.close()
		if !done || !quiet || err != nil {
			kept = append(kept, p)
		}
	}
	s.Files = append(kept, s.Files[len(old):]...)
}

// endsLine reports whether nothing stands behind the last newline.
func (o *opened) endsLine() bool {
	var last [1]byte
	n, err := o.ReadAt(last[:], o.info.Size()-1)
	return o.info.Size() == 0 || (n == 1 && err == nil && last[0] == '\n')
}

// sentence joins what is to be said.
func sentence(parts []string) string { return strings.Join(parts, "; ") }
