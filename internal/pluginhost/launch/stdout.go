package launch

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

const (
	maxHandshake = 4 << 10 // bytes of the handshake's line
	maxNoise     = 16      // lines before it
	maxQuoted    = 200     // bytes of a line that an error quotes
)

// stdout reads the plugin's standard output. It hands one line, the handshake, to go-plugin, which would stop reading for
// ever at a line of 64 KiB and so block the plugin; what else is printed is counted and thrown away.
type stdout struct {
	pipe      *os.File
	judge     func(handshake) error // of the handshake
	log       *slog.Logger
	discarded atomic.Int64

	line chan string   // closed when there will be none
	done chan struct{} // closed at the end of the pipe

	mu    sync.Mutex
	noise []string // guarded by mu: what came instead of the handshake
	fault error    // guarded by mu: what is wrong with the handshake
	said  bool     // guarded by mu: a handshake was handed on
}

func newStdout(pipe *os.File, judge func(handshake) error, log *slog.Logger) *stdout {
	return &stdout{pipe: pipe, judge: judge, log: log, line: make(chan string, 1), done: make(chan struct{})}
}

// pump reads until the pipe ends.
func (s *stdout) pump() {
	defer close(s.done)
	r := bufio.NewReaderSize(s.pipe, maxHandshake)
	s.await(r)
	close(s.line)
	_, _ = io.Copy(counter{&s.discarded}, r)
}

// counter throws away and counts.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// await looks for the handshake among at most maxNoise lines.
func (s *stdout) await(r *bufio.Reader) {
	for range maxNoise + 1 {
		line, whole, err := readLine(r)
		if len(line) > 0 || err == nil {
			h, ok := parseHandshake(line)
			if ok && whole {
				s.hand(line, h)
				return
			}
			s.discarded.Add(int64(len(line)))
			s.hear(line)
		}
		if err != nil {
			return
		}
	}
}

func (s *stdout) hand(line string, h handshake) {
	err := s.judge(h)
	s.mu.Lock()
	s.fault, s.said = err, err == nil
	s.mu.Unlock()
	if err == nil {
		s.line <- line
	}
}

func (s *stdout) hear(line string) {
	line = clip(line, maxQuoted)
	s.mu.Lock()
	s.noise = append(s.noise, line)
	s.mu.Unlock()
	s.log.Warn("plugin printed something before its handshake", "line", line)
}

// heard is what came: lines that are no handshake, the fault of one, whether one was good.
func (s *stdout) heard() (noise []string, fault error, said bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noise, s.fault, s.said
}

// Read gives go-plugin the handshake, and then the end.
func (s *stdout) Read(p []byte) (int, error) {
	line, ok := <-s.line
	if !ok {
		return 0, io.EOF
	}
	if len(line)+1 > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, line+"\n"), nil
}

// Close does nothing: the pipe is closed by whoever reaps the plugin.
func (s *stdout) Close() error { return nil }

// readLine reads a line of at most the reader's buffer; the rest of a longer one is thrown away, and whole is false.
func readLine(r *bufio.Reader) (line string, whole bool, err error) {
	part, err := r.ReadSlice('\n')
	line, whole = string(part), true
	for errors.Is(err, bufio.ErrBufferFull) {
		whole = false
		_, err = r.ReadSlice('\n')
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	return line, whole, err
}
