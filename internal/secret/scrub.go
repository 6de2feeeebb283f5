package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	minScrub  = 8   // shorter values are words that logs are full of
	maxValues = 256 // rotated values are kept as long as there is room
)

// Scrubber replaces values in text: the last resort behind checks.Secret, for what a library or a program prints. Values
// shorter than 8 bytes are not replaced, because that would garble every log. It is safe for concurrent use.
type Scrubber struct {
	mu       sync.RWMutex
	values   []string          // guarded by mu, oldest first
	patterns []string          // guarded by mu: every form of every value, longest first
	replacer *strings.Replacer // guarded by mu: of patterns
}

// NewScrubber makes a Scrubber that knows nothing yet.
func NewScrubber() *Scrubber { return &Scrubber{} }

// Add makes a value known, with the forms that encodings give it. The oldest of more than 256 is forgotten.
func (s *Scrubber) Add(value string) {
	if len(value) < minScrub {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.values, value); i >= 0 {
		s.values = append(slices.Delete(s.values, i, i+1), value)
		return
	}
	s.values = append(s.values, value)
	if len(s.values) > maxValues {
		s.values = slices.Delete(s.values, 0, 1)
	}
	s.patterns = s.patterns[:0:0]
	for _, v := range s.values {
		s.patterns = append(s.patterns, forms(v)...)
		s.patterns = append(s.patterns, linesOf(v)...)
	}
	slices.SortFunc(s.patterns, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	s.patterns = slices.Compact(s.patterns)
	pairs := make([]string, 0, 2*len(s.patterns))
	for _, p := range s.patterns {
		pairs = append(pairs, p, checks.Redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
}

// String returns the text with every known value replaced by [redacted].
func (s *Scrubber) String(text string) string {
	s.mu.RLock()
	replacer := s.replacer
	s.mu.RUnlock()
	if replacer == nil {
		return text
	}
	return replacer.Replace(text)
}

// Writer returns a writer that scrubs what goes through it to w, also where a value is cut in two by the calls of Write:
// an end of the text that could be the beginning of a value waits for the next call, or for Flush.
func (s *Scrubber) Writer(w io.Writer) *Writer { return &Writer{scrubber: s, to: w} }

// held returns how many bytes at the end of text could be the beginning of a known value.
func (s *Scrubber) held(text string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	longest := 0
	for _, p := range s.patterns {
		for n := min(len(p)-1, len(text)); n > longest; n-- {
			if strings.HasPrefix(p, text[len(text)-n:]) {
				longest = n
				break
			}
		}
	}
	return longest
}

// Writer scrubs a stream. It is safe for concurrent use; each Write goes on in one piece.
type Writer struct {
	scrubber *Scrubber
	to       io.Writer

	mu   sync.Mutex
	rest string // guarded by mu: not written yet
}

// Write scrubs p and writes it on.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.scrubber.String(w.rest + string(p))
	cut := len(text) - w.scrubber.held(text)
	w.rest = text[cut:]
	if cut == 0 {
		return len(p), nil
	}
	if _, err := io.WriteString(w.to, text[:cut]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back. Call it at the end of the stream.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.rest
	w.rest = ""
	if rest == "" {
		return nil
	}
	_, err := io.WriteString(w.to, rest)
	return err
}

// forms are the texts that a value has after the usual encodings.
func forms(value string) []string {
	raw := []byte(value)
	query := url.QueryEscape(value)
	quoted := strconv.Quote(value)
	out := []string{
		value,
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		query, url.PathEscape(value), lowerEscapes(query), lowerEscapes(url.PathEscape(value)),
		quoted[1 : len(quoted)-1],
	}
	if marshalled, err := json.Marshal(value); err == nil {
		out = append(out, string(marshalled[1:len(marshalled)-1]))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, enc.EncodeToString(raw))
		for shift := range 3 {
			out = append(out, base64Core(enc, raw, shift))
		}
	}
	return out
}

// linesOf are the lines of a value of several, a private key say: a program's output is looked at line by line. What begins
// and ends a PEM block is no secret.
func linesOf(value string) (out []string) {
	if !strings.Contains(strings.TrimSpace(value), "\n") {
		return nil
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minScrub && !strings.HasPrefix(line, "-----") {
			out = append(out, line)
		}
	}
	return out
}

// base64Core is the part of the value's base64 form that does not depend on what stands before and after it, where shift
// bytes of its first group belong to something else: "user:key" in a Basic header.
func base64Core(enc *base64.Encoding, raw []byte, shift int) string {
	text := enc.EncodeToString(append(make([]byte, shift), raw...))
	if (shift+len(raw))%3 != 0 {
		text = text[:len(text)-1]
	}
	return text[(shift*8+5)/6:]
}

// lowerEscapes writes %2F as %2f, which is the same to a server.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			b[i+1], b[i+2] = lower(b[i+1]), lower(b[i+2])
		}
	}
	return string(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c + 'a' - 'A'
	}
	return c
}
