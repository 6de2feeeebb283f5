package usagelog

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

const (
	maxLine = 1 << 20   // bytes
	chunk   = 256 << 10 // bytes that are read at a time
)

// reader takes lines out of files. It is made for one Read.
type reader struct {
	extract *extract
	tally   *tally
	flaws   *flaws
	buf     []byte
	lines   int64 // that were looked at
	turn    *expect.Turn
}

// drain reads the lines of o from p on, until there are no more or ctx ends, and says whether it came to the end of the
// file. What stands behind the last newline is read when it has one, or when last is true: nobody will write any more.
func (r *reader) drain(ctx context.Context, o *opened, p *place, last bool) (bool, error) {
	if r.buf == nil {
		r.buf = make([]byte, maxLine+chunk)
	}
	held := 0 // bytes of buf, which are those from p.Offset on
	hole := false
	for ctx.Err() == nil {
		n, err := o.ReadAt(r.buf[held:held+chunk], p.Offset+int64(held))
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err //nolint:wrapcheck // the caller says what it was about
		}
		if n == 0 {
			r.rest(ctx, o, p, held, last)
			return true, nil
		}
		held += n
		used, err := r.block(ctx, o.path, p, r.buf[:held])
		if err != nil {
			return false, nil //nolint:nilerr // it is the context's: what was not read is read next time
		}
		p.Offset += int64(used)
		copy(r.buf, r.buf[used:held])
		held -= used
		if held == 0 {
			hole = false
		}
		held, hole = r.shed(o.path, p, held, hole)
	}
	return false, nil
}

// rest is what a file has behind its last newline.
func (r *reader) rest(ctx context.Context, o *opened, p *place, held int, last bool) {
	if !last || held == 0 {
		return
	}
	if r.begin(ctx) != nil {
		return
	}
	defer r.end()
	if p.Skipping || r.line(o.path, p.Offset, r.buf[:held], true) { //nolint:contextcheck // the turn has it
		p.Offset += int64(held)
	}
}

// shed lets go of the beginning of a line that is too long, or is none: a hole that a truncation or a crash left.
func (r *reader) shed(name string, p *place, held int, hole bool) (int, bool) {
	zeros := 0
	if held > 0 && !p.Skipping && r.buf[0] == 0 {
		zeros = held - len(bytes.TrimLeft(r.buf[:held], "\x00"))
	}
	switch {
	case zeros > 0 && zeros == held:
		if !hole {
			r.flaws.add(flawHole, name, p.Offset)
		}
		p.Offset += int64(held)
		return 0, true
	case p.Skipping || held >= maxLine:
		if !p.Skipping {
			r.flaws.add(flawLong, name, p.Offset)
			r.lines++
		}
		p.Skipping = true
		p.Offset += int64(held)
		return 0, false
	}
	return held, hole
}

// block reads the whole lines of data and says how many bytes they are. The error is ctx's, and then nothing was read.
func (r *reader) block(ctx context.Context, name string, p *place, data []byte) (int, error) {
	if err := r.begin(ctx); err != nil {
		return 0, err
	}
	defer r.end()
	dirty := bytes.IndexByte(data, 0) >= 0
	at := 0
	for {
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			return at, nil
		}
		if !p.Skipping && !r.line(name, p.Offset+int64(at), data[at:at+n], dirty) { //nolint:contextcheck // the turn has it
			return at, nil
		}
		p.Skipping = false
		at += n + 1
	}
}

// begin and end are around lines that jq may have to look at.
func (r *reader) begin(ctx context.Context) error {
	if !r.extract.jq {
		return nil
	}
	turn, err := expect.Begin(ctx)
	if err != nil {
		return err //nolint:wrapcheck // it is the context's
	}
	r.turn = turn
	return nil
}

func (r *reader) end() {
	if r.turn != nil {
		r.turn.End()
		r.turn = nil
	}
}

// line counts one line. dirty is whether there may be NUL bytes in it, which no text has: where another encoding is written,
// the markers would not be found. It is false where the time was over before the line was judged.
func (r *reader) line(name string, at int64, line []byte, dirty bool) bool {
	if dirty {
		whole := len(line)
		if line = bytes.TrimLeft(line, "\x00"); len(line) < whole {
			r.flaws.add(flawHole, name, at)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			r.flaws.add(flawBroken, name, at)
			r.lines++
			return true
		}
	}
	if at == 0 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if !r.extract.wanted(line) {
		r.lines++
		return true
	}
	record, is, f := r.extract.record(r.turn, line)
	if f == flawLate {
		return false
	}
	r.lines++
	if is {
		f = r.tally.add(&record)
	}
	if f != flawNone {
		r.flaws.add(f, name, at)
	}
	return true
}
