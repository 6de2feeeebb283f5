package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/internal/process"
)

// Bounds of a log that is read.
const (
	LogBytes   = 8 << 20 // of its end, by default
	LogLine    = 256 << 10
	LogTimeout = 10 * time.Second // of a program, journalctl included
	overlap    = 4 << 10          // of the pieces of a line that is longer than LogLine
)

// Source is where a log is. Exactly one of File, Unit and Command is set.
type Source struct {
	File    string   // a regular file, or a link to one
	Unit    string   // a unit of systemd: its lines in the journal, by journalctl
	Command []string // a program by its absolute path, and its arguments; no shell. Its standard output is the log
	Env     []string // NAME=value: all that the program finds beside PATH and LANG
	Bytes   int64    // 0 is LogBytes
	// Journalctl is the program's path; "" looks it up where systems have it.
	Journalctl string
}

// String names the source for a person: "unit shop.service".
func (s Source) String() string {
	switch {
	case s.Unit != "":
		return "unit " + s.Unit
	case len(s.Command) > 0:
		return "command " + filepath.Base(s.Command[0])
	}
	return "file " + s.File
}

// Log visits the lines of a log since a time, in their order. The bytes of a line are as they were written, without the end
// of the line, and the log's again when visit returns. A longer line than LogLine comes in pieces, each of which begins
// with the last 4 KiB of the one before, so that a word is not cut.
//
// A file is read from its last Bytes on, where a line begins. Of its lines those are passed over that carry an older time
// (RFC 3339, with a zone, within their first 200 bytes), with those that follow them and carry none; lines before the first
// time are visited. The zero time visits all. A program is ended after LogTimeout, and one that prints more than Bytes is an
// error; what it printed is visited before.
//
// No line visited is no evidence that nothing was written: a unit that is not there has none either. The error is for a
// source that cannot be read, for the end of ctx, and what visit returned, which ends the visit.
func Log(ctx context.Context, s Source, since time.Time, visit func(line []byte) error) error {
	if s.Bytes <= 0 {
		s.Bytes = LogBytes
	}
	set := 0
	for _, given := range []bool{s.File != "", s.Unit != "", len(s.Command) > 0} {
		if given {
			set++
		}
	}
	if set != 1 {
		return errors.New("a log is a file, a unit or a command: one of them")
	}
	var err error
	switch {
	case s.File != "":
		err = fileLog(ctx, s, since, visit)
	case s.Unit != "":
		err = unitLog(ctx, s, since, visit)
	default:
		err = programLog(ctx, s, s.Command, visit)
	}
	if err != nil {
		return fmt.Errorf("reading the log of %s: %w", s, err)
	}
	return nil
}

func fileLog(ctx context.Context, s Source, since time.Time, visit func([]byte) error) error {
	f, err := os.OpenFile(s.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	from := max(0, info.Size()-s.Bytes)
	if _, err := f.Seek(max(0, from-1), io.SeekStart); err != nil {
		return withoutPath(err)
	}
	r := bufio.NewReaderSize(io.LimitReader(f, s.Bytes+1), 64<<10)
	if from > 0 { // the byte before is the end of a line, or this line began before
		if err := skipLine(r); err != nil {
			return err
		}
	}
	return eachLine(ctx, r, younger(since, visit))
}

// skipLine reads to the end of the line. The end of the file is no error.
func skipLine(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return withoutPath(err)
		}
	}
}

func unitLog(ctx context.Context, s Source, since time.Time, visit func([]byte) error) error {
	if !unitName(s.Unit) {
		return errors.New("it is no name of a unit")
	}
	program := s.Journalctl
	if program == "" {
		if program = lookUp("journalctl"); program == "" {
			return errors.New("there is no journalctl here")
		}
	}
	argv := []string{program, "--unit=" + s.Unit, "--no-pager", "--quiet", "--all", "--output=cat", "--lines=100000"}
	if !since.IsZero() {
		argv = append(argv, fmt.Sprintf("--since=@%d", since.Unix()))
	}
	return programLog(ctx, s, argv, visit)
}

func unitName(name string) bool {
	return !strings.HasPrefix(name, "-") && len(name) <= 255 && regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+$`).MatchString(name)
}

func lookUp(program string) string {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func programLog(ctx context.Context, s Source, argv []string, visit func([]byte) error) error {
	if !filepath.IsAbs(argv[0]) {
		return errors.New("the program needs an absolute path")
	}
	bounded, cancel := context.WithTimeout(ctx, LogTimeout)
	defer cancel()
	env := append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, s.Env...)
	end, err := process.Run(bounded, process.Command{
		Path: argv[0], Argv: argv, Env: env, Stdout: process.Bounds{Keep: int(s.Bytes), Most: s.Bytes + 1},
	})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("starting it: %w", withoutPath(err))
	}
	if err := eachLine(ctx, bufio.NewReaderSize(bytes.NewReader(end.Stdout.Text), 64<<10), visit); err != nil {
		return err
	}
	return ended(end, s.Bytes)
}

// ended says what is wrong with how a program ended. What it wrote to standard error is not shown: it may hold anything.
func ended(end process.End, most int64) error {
	switch {
	case end.Stopped == process.StopFlood || end.Stdout.Cut:
		return fmt.Errorf("it printed more than %d bytes", most)
	case end.Stopped == process.StopDeadline:
		return fmt.Errorf("no end within %s", LogTimeout)
	case end.Stopped == process.StopCancelled:
		return context.Canceled
	case end.Signal != "":
		return errors.New("it was ended by a signal")
	case end.Code != 0:
		return fmt.Errorf("exit status %d", end.Code)
	}
	return nil
}

// eachLine visits the lines, long ones in pieces.
func eachLine(ctx context.Context, r *bufio.Reader, visit func([]byte) error) error {
	var line []byte
	for {
		part, whole, err := nextPart(ctx, r)
		line = append(line, part...)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		keep := len(line)
		switch {
		case whole || last:
			keep = 0
		case keep >= LogLine:
			keep = overlap
		}
		if keep < len(line) {
			if err := visit(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))); err != nil {
				return err
			}
			line = append(line[:0], line[len(line)-keep:]...)
		}
		if last {
			return nil
		}
	}
}

// nextPart is the next part of a line, and whether the line ends with it.
func nextPart(ctx context.Context, r *bufio.Reader) (part []byte, whole bool, err error) {
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	part, err = r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return part, false, nil
	case errors.Is(err, io.EOF):
		return part, false, io.EOF
	case err != nil:
		return nil, false, withoutPath(err)
	}
	return part, true, nil
}

// younger passes over the lines that are older.
func younger(since time.Time, visit func([]byte) error) func([]byte) error {
	if since.IsZero() {
		return visit
	}
	stamp := regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})`)
	since = since.Truncate(time.Second) // a log that knows seconds only has written it in this one
	old := false
	return func(line []byte) error {
		if m := stamp.Find(line[:min(len(line), 200)]); m != nil {
			if at, ok := stamped(string(m)); ok {
				old = at.Before(since)
			}
		}
		if old {
			return nil
		}
		return visit(line)
	}
}

func stamped(text string) (time.Time, bool) {
	text = strings.Replace(strings.Replace(text, " ", "T", 1), ",", ".", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// withoutPath is an error of the file system in its own words: the source is named once.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}
