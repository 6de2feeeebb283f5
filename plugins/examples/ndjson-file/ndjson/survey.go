package ndjson

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"
)

// survey finds out what the folder holds: it opens the newest file, takes away what a crash left of a line, and remembers
// the lines behind the state, which are not acknowledged yet. Without a state it remembers those of the newest file.
func (e *Exporter) survey() error {
	e.forget()
	parts, _, err := e.folder.list()
	if err != nil {
		return err
	}
	first, from := e.behind(parts)
	for i := first; i < len(parts); i++ {
		newest := i == len(parts)-1
		if newest && parts[i].plain {
			err = e.resume(parts[i], from)
		} else {
			err = e.readOld(parts[i], from)
		}
		if err != nil {
			return err
		}
		from = 0
	}
	if n := len(parts); n > 0 {
		e.next = max(e.next, parts[n-1].seq+1)
	}
	if err := e.folder.sync(); err != nil { // a name that a crash left undurable
		return e.folder.class("reading", err)
	}
	e.known = true
	e.tidy.start(e.next - 1)
	return nil
}

// behind is the place of the state: the index of its file among parts, and the offset.
func (e *Exporter) behind(parts []part) (first int, from int64) {
	for i, p := range parts {
		if p.name == e.state.File {
			return i, e.state.Offset
		}
	}
	if e.folder.form.MatchString(e.state.File) {
		for i, p := range parts {
			if p.seq > e.folder.seq(e.state.File) { // its file was deleted, being old
				return i, 0
			}
		}
	}
	return max(len(parts)-1, 0), 0
}

// resume opens the file that is written, and repairs its end. What stands in it is made durable before any of it is
// acknowledged.
func (e *Exporter) resume(p part, from int64) error {
	out, err := e.folder.open(p.name, os.O_RDWR)
	if err != nil {
		return e.folder.class("opening a file in", err)
	}
	e.out, e.current = out, p
	info, err := out.Stat()
	if err != nil {
		return e.folder.class("opening a file in", err)
	}
	trusted := from > 0 && startsLine(out, from, info.Size())
	if from > 0 && !trusted {
		e.log.Warn("file is not as it was left", "file", p.name, "size", info.Size(), "offset", from)
	}
	if !trusted {
		from = lookBack(out, info.Size())
	}
	strict := trusted || e.state.File != "" && p.seq > e.folder.seq(e.state.File)
	scan := scanner{in: bufio.NewReaderSize(io.NewSectionReader(out, from, info.Size()-from), 1<<16), at: from, strict: strict}
	if err := e.remember(p, &scan); err != nil {
		return err
	}
	e.good = scan.good
	if cut := info.Size() - e.good; cut > 0 {
		if err := out.Truncate(e.good); err != nil {
			return e.folder.class("repairing a file in", err)
		}
		e.log.Info("end of the file repaired", "file", p.name, "bytes", cut)
	}
	return e.folder.class("repairing a file in", out.Sync())
}

// lookBack is where to begin to read a file of which nothing is known: a line in its last part.
func lookBack(in io.ReaderAt, size int64) int64 {
	const most = 64 << 20
	if size <= most {
		return 0
	}
	from := size - most
	skipped, err := bufio.NewReader(io.NewSectionReader(in, from, most)).ReadBytes('\n')
	if err != nil {
		return 0
	}
	return from + int64(len(skipped))
}

// startsLine reports whether a line may begin at the offset.
func startsLine(in io.ReaderAt, offset, size int64) bool {
	before := make([]byte, 1)
	if offset > size {
		return false
	}
	n, err := in.ReadAt(before, offset-1)
	return n == 1 && (err == nil || errors.Is(err, io.EOF)) && before[0] == '\n'
}

// readOld remembers the lines of a file that gets no more.
func (e *Exporter) readOld(p part, from int64) error {
	name := p.name
	if !p.plain {
		name += zipped
	}
	file, err := e.folder.open(name, os.O_RDONLY)
	if errors.Is(err, syscall.ENOENT) && p.plain { // it has been compressed meanwhile
		p.plain = false
		return e.readOld(p, from)
	}
	if err != nil {
		return e.folder.class("reading a file in", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	var in io.Reader = file
	if !p.plain {
		if in, err = gzip.NewReader(file); err != nil {
			return e.unreadable(p, err)
		}
	}
	if _, err := io.CopyN(io.Discard, in, from); err != nil && !errors.Is(err, io.EOF) {
		return e.unreadable(p, err)
	}
	return e.remember(p, &scanner{in: bufio.NewReaderSize(in, 1<<16), at: from})
}

// unreadable says that an old file cannot be read. That is no reason to stop: at worst its last batch comes twice.
func (e *Exporter) unreadable(p part, err error) error {
	e.log.Warn("old file cannot be read", "file", p.name, "error", err)
	return nil
}

// remember reads lines to the end.
func (e *Exporter) remember(p part, s *scanner) error {
	for {
		id, ok, err := s.line()
		switch {
		case err != nil && e.out == nil:
			return e.unreadable(p, err)
		case err != nil:
			return e.folder.class("reading a file in", err)
		case !ok:
			return nil
		}
		e.seen.put(id, place{p.name, s.at})
	}
}

// scanner reads lines.
type scanner struct {
	in     *bufio.Reader
	at     int64 // end of the line that was read last
	good   int64 // end of the last whole line
	strict bool  // a line that is no record ends it: nothing behind it is acknowledged
}

// line is the id of the next whole line, "" where it has none, and false at the end or at what is no whole line.
func (s *scanner) line() (id string, ok bool, err error) {
	s.good = s.at
	text, err := s.in.ReadBytes('\n')
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", false, nil // what is left is no line
	}
	if err != nil {
		return "", false, err
	}
	var head struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), &head); err != nil && s.strict {
		return "", false, nil // it is a torn line
	}
	s.at += int64(len(text))
	return head.ID, true, nil
}
