package launch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine   = 16 << 10 // bytes of a line of the log; the rest of a longer one is thrown away
	ringSize  = 64 << 10
	tailLines = 20
	logRate   = 200 // lines a second
	logBurst  = 1000
)

// stderr reads the plugin's standard error: its log. Lines go on to go-plugin, which reads their level, as fast as gate
// lets them; the last of all lines are kept for the report of a crash.
type stderr struct {
	pipe  *os.File
	gate  *gate
	ring  ring
	scrub func(string) string

	out  *io.PipeReader // go-plugin's end
	in   *io.PipeWriter
	done chan struct{}
}

func newStderr(pipe *os.File, gate *gate, scrub func(string) string) *stderr {
	out, in := io.Pipe()
	return &stderr{pipe: pipe, gate: gate, scrub: scrub, out: out, in: in, done: make(chan struct{})}
}

// pump reads until the pipe ends.
func (s *stderr) pump() {
	defer close(s.done)
	defer func() { _ = s.in.Close() }()
	r := bufio.NewReaderSize(s.pipe, maxLine)
	for {
		line, whole, err := readLine(r)
		if line != "" {
			s.take(line, whole)
		}
		if err != nil {
			s.tellDropped(s.gate.rest())
			return
		}
	}
}

func (s *stderr) take(line string, whole bool) {
	s.ring.add(line)
	ok, dropped := s.gate.pass(time.Now())
	if !ok {
		return
	}
	s.tellDropped(dropped)
	if !whole {
		line += "…"
	}
	_, _ = io.WriteString(s.in, tame(s.scrub(line))+"\n") // an error: nobody listens any more, and the ring still does
}

// tame makes text of a line that go-plugin would read as a record of hclog's and not survive: it panics where the message,
// level or time of one is not a text (v1.8.0, log_entry.go).
func tame(line string) string {
	if !strings.HasPrefix(strings.TrimLeft(line, " \t\r"), "{") {
		return line
	}
	var record map[string]any
	if json.Unmarshal([]byte(line), &record) != nil {
		return line
	}
	for _, key := range []string{"@message", "@level", "@timestamp"} {
		if value, there := record[key]; there {
			if _, text := value.(string); !text {
				return "- " + line
			}
		}
	}
	return line
}

func (s *stderr) tellDropped(n int64) {
	if n > 0 {
		_, _ = fmt.Fprintf(s.in, "[WARN] %d lines dropped: a plugin may log %d a second\n", n, logRate)
	}
}

// gate is a token bucket for lines, shared by all that a plugin prints. Safe for concurrent use.
type gate struct {
	dropped atomic.Int64 // ever

	mu      sync.Mutex
	tokens  float64   // guarded by mu
	last    time.Time // guarded by mu
	pending int64     // guarded by mu: dropped and not told yet
}

func newGate() *gate { return &gate{tokens: logBurst} }

// pass reports whether a line may go on, and how many before it were dropped and not told of.
func (g *gate) pass(now time.Time) (ok bool, dropped int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.last.IsZero() {
		g.tokens = min(logBurst, g.tokens+now.Sub(g.last).Seconds()*logRate)
	}
	g.last = now
	if g.tokens < 1 {
		g.pending++
		g.dropped.Add(1)
		return false, 0
	}
	g.tokens--
	dropped, g.pending = g.pending, 0
	return true, dropped
}

// rest is how many were dropped and not told of.
func (g *gate) rest() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.pending
	g.pending = 0
	return n
}

// ring keeps the last bytes that were added, by lines.
type ring struct {
	mu   sync.Mutex
	data []byte // guarded by mu; grows to ringSize
	next int    // guarded by mu: where the oldest byte is, once it is full
}

func (r *ring) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(line)
	r.write("\n")
}

// write is called with mu held.
func (r *ring) write(text string) {
	if free := ringSize - len(r.data); free > 0 {
		n := min(free, len(text))
		r.data = append(r.data, text[:n]...)
		text = text[n:]
	}
	for text != "" {
		n := copy(r.data[r.next:], text)
		text = text[n:]
		r.next = (r.next + n) % ringSize
	}
}

// text is all lines that are kept, oldest first. Half a line is left out: a secret that is cut in two is not known again.
func (r *ring) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := string(r.data[r.next:]) + string(r.data[:r.next])
	if len(r.data) == ringSize {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// lines are the last lines of a text, each at most 512 bytes of printable text.
func lines(text string, most int) []string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(all) == 1 && all[0] == "" {
		return nil
	}
	all = all[max(0, len(all)-most):]
	out := make([]string, len(all))
	for i, line := range all {
		out[i] = clip(line, 512)
	}
	return out
}

// clip makes one printable line of at most so many bytes.
func clip(line string, most int) string {
	line = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "\ufffd"))
	if len(line) <= most {
		return line
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return line[:cut] + "…"
}
