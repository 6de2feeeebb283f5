package mistral

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine bounds one line of a stream. Mistral's are a few hundred bytes.
const maxLine = 256 << 10

// eventReader reads the data of server-sent events: `data:` with or without a space, several lines joined with a line
// feed, comments and other fields passed over, LF or CRLF, a byte order mark at the start. An event that the end of the
// stream cuts off before its empty line still counts. The body's own bound is the bound of the whole.
type eventReader struct {
	lines   *bufio.Reader
	started bool
	ended   error
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{lines: bufio.NewReaderSize(r, 16<<10)}
}

// next returns the data of the next event, which is valid until the call after it. bufio.ErrTooLong means a line beyond
// its bound; all other errors are the reader's.
func (e *eventReader) next() ([]byte, error) {
	if e.ended != nil {
		return nil, e.ended
	}
	var data []byte
	for seen := false; ; {
		line, err := e.line()
		switch {
		case err != nil:
			e.ended = err
			if seen && errors.Is(err, io.EOF) {
				return data, nil
			}
			return nil, err
		case len(line) == 0 && seen:
			return data, nil
		}
		value, ok := dataOf(line)
		if !ok {
			continue
		}
		if seen {
			data = append(data, '\n')
		}
		if data, seen = append(data, value...), true; len(data) > maxLine {
			e.ended = bufio.ErrTooLong
			return nil, e.ended
		}
	}
}

// dataOf is what a line adds to its event's data, where it is a data field.
func dataOf(line []byte) ([]byte, bool) {
	value, ok := bytes.CutPrefix(line, []byte("data"))
	if !ok || (len(value) > 0 && value[0] != ':') {
		return nil, false
	}
	return bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" ")), true
}

// line reads one line without its end. A last line without one counts.
func (e *eventReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := e.lines.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, bufio.ErrTooLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return nil, err
		}
		break
	}
	if !e.started {
		e.started = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
}
