package process

import (
	"fmt"
	"os"
	"time"
)

// stream is our end of one of the program's outputs.
type stream struct {
	bounds Bounds
	read   *os.File // nil where the output goes to /dev/null
	full   chan struct{}
	done   chan struct{}
	out    Output // complete when done is closed
}

// newStream makes a stream and the program's end of it.
func newStream(b Bounds) (*stream, *os.File, error) {
	s := &stream{bounds: b, full: make(chan struct{}), done: make(chan struct{})}
	if b.Keep == 0 && b.Most == 0 {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the program's output: %w", err)
		}
		return s, null, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("opening the program's output: %w", err)
	}
	s.read = read
	return s, write, nil
}

// drain reads until the last writer is gone, or until finish or abandon gives up on it. It keeps what is to be kept.
func (s *stream) drain() {
	defer close(s.done)
	if s.read == nil {
		return
	}
	piece := make([]byte, min(32<<10, max(s.bounds.Keep, 4<<10)))
	var total int64
	for {
		n, err := s.read.Read(piece)
		room := min(n, s.bounds.Keep-len(s.out.Text))
		s.out.Text = append(s.out.Text, piece[:room]...)
		s.out.Cut = s.out.Cut || room < n
		before := total
		total += int64(n)
		if most := s.bounds.Most; most > 0 && before <= most && total > most {
			close(s.full)
		}
		if err != nil {
			return
		}
	}
}

// finish waits for the rest, until by at the latest.
func (s *stream) finish(by time.Time) Output {
	if s.read != nil {
		_ = s.read.SetReadDeadline(by)
	}
	<-s.done
	s.abandon()
	return s.out
}

func (s *stream) abandon() {
	if s.read != nil {
		_ = s.read.Close()
	}
}
