package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const nonblock = unix.O_NONBLOCK

// The bounds of a log.
const (
	readLog  = 32 << 20 // bytes that are looked at: the end of a file
	keepLog  = 1 << 20  // bytes that are kept: half from the beginning of the time, half from its end
	longLine = 4 << 10  // bytes of a line
	undated  = 1000     // lines that are kept, the last, where none has a time
)

// Span is the time of which lines are wanted.
type Span struct{ From, To time.Time }

// LogFile reads the lines of a file that are of a time. note says what is not in the text, "" where that is nothing.
func LogFile(path string, span Span) (text, note string, err error) {
	file, size, err := openPlain(path)
	if err != nil {
		return "", "", fmt.Errorf("reading the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if size > readLog {
		if _, err := file.Seek(size-readLog, io.SeekStart); err != nil {
			return "", "", fmt.Errorf("reading the log: %w", err)
		}
		note = fmt.Sprintf("only the last %d MiB of the file were looked at", readLog>>20)
	}
	data, err := io.ReadAll(io.LimitReader(file, readLog))
	if err != nil {
		return "", "", fmt.Errorf("reading the log: %w", err)
	}
	if size > readLog { // the end of a line says nothing of what it is the end of
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	text, cut := Excerpt(string(data), span)
	return text, joined(note, cut), nil
}

// Journal reads what a unit wrote to the journal in a time.
func (p Programs) Journal(ctx context.Context, unit string, span Span) (text, note string, err error) {
	if !regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+$`).MatchString(unit) || strings.HasPrefix(unit, "-") {
		return "", "", fmt.Errorf("%q is no name of a unit: %w", unit, errors.ErrUnsupported)
	}
	at := func(t time.Time) string { return "@" + strconv.FormatInt(t.Unix(), 10) }
	out, err := p.Run(ctx, "journalctl", "--unit="+unit, "--since="+at(span.From), "--until="+at(span.To.Add(time.Second)),
		"--output=short-iso", "--no-pager", "--quiet", "--lines=20000")
	if err != nil {
		return "", "", err
	}
	if len(strings.TrimSpace(string(out))) == 0 {
		return "", "", fmt.Errorf("the journal has nothing of %s from that time, or nothing that this user may read", unit)
	}
	text, note = bounded(strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"))
	return text, note, nil
}

// Excerpt is the lines of a log that are of a time. A line without a time of its own goes with the one before.
func Excerpt(log string, span Span) (text, note string) {
	var kept, all []string
	dated, wanted := false, false
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		all = append(all, line)
		if at, ok := timeOf(line); ok {
			dated = true
			wanted = !at.Before(span.From.Truncate(time.Second)) && at.Before(span.To.Add(time.Second))
		}
		if wanted {
			kept = append(kept, line)
		}
	}
	if !dated && len(all) > 0 {
		note = fmt.Sprintf("no line has a time: these are the last %d at most", undated)
		kept = all[max(0, len(all)-undated):]
	}
	text, cut := bounded(kept)
	return text, joined(note, cut)
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// bounded is the lines with what is beyond the bounds left out.
func bounded(lines []string) (text, note string) {
	head, tail := 0, len(lines)
	for size := 0; head < tail && size < keepLog/2; head++ {
		size += min(len(lines[head]), longLine) + 1
	}
	for size := 0; tail > head && size < keepLog/2; tail-- {
		size += min(len(lines[tail-1]), longLine) + 1
	}
	var out strings.Builder
	put := func(some []string) {
		for _, line := range some {
			out.WriteString(shortened(line))
			out.WriteByte('\n')
		}
	}
	put(lines[:head])
	if tail > head {
		note = fmt.Sprintf("%d lines in the middle are left out", tail-head)
		fmt.Fprintf(&out, "[%s]\n", note)
	}
	put(lines[tail:])
	return strings.ToValidUTF8(out.String(), "\uFFFD"), note
}

// shortened is a line of longLine bytes at most. It ends where a word does: half a key would be one that nobody knows.
func shortened(line string) string {
	if len(line) <= longLine {
		return line
	}
	line = line[:longLine]
	if at := strings.LastIndexAny(line, " \t"); at > longLine/2 {
		line = line[:at]
	} else {
		line = strings.TrimRightFunc(line, func(r rune) bool {
			return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_+/=.%", r)
		})
	}
	return line + " [cut]"
}

var stamp = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?`)

// timeOf is the time at the beginning of a line. One without a zone is of this host's.
func timeOf(line string) (time.Time, bool) {
	found := stamp.FindString(line[:min(len(line), 200)])
	if found == "" {
		return time.Time{}, false
	}
	text := strings.NewReplacer(" UTC", "Z", "UTC", "Z", ",", ".", " +", "+", " -", "-", " Z", "Z").Replace(found)
	text = text[:10] + "T" + text[11:]
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", text, time.Local) //nolint:gosmopolitan // a log without a zone is of this host
	return at, err == nil
}
