// Package applog reads the end of an application's log, a file or a unit of the journal, and counts the errors of its calls
// by what went wrong. It keeps no line but a few samples, from which keys and what people wrote are taken; it follows
// nothing and changes nothing.
package applog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	// Back is how far back lines count.
	Back = 15 * time.Minute
	// Most is how much of the end of a log is read, in bytes.
	Most = 10 << 20

	mostSamples = 5
	mostSample  = 200 // bytes of one
	mostLine    = 64 << 10
	patience    = 5 * time.Second // for journalctl
)

// Options is what Read needs.
type Options struct {
	Scrub  func(string) string // takes known secrets out; nil: none are known
	Getenv func(string) string
	Now    time.Time // zero: now
}

// Found is what a log holds.
type Found struct {
	Lines   int // of the last 15 minutes, or without a time
	Errors  int // lines that tell of a call that failed
	By      map[checks.Cause]int
	Samples []string // redacted, the newest
	Cut     bool     // there was more than is read
}

// Summary is one line.
func (f *Found) Summary() string {
	if f.Errors == 0 {
		return fmt.Sprintf("%d lines, no failed call among them", f.Lines)
	}
	var parts []string
	for _, cause := range f.order() {
		parts = append(parts, fmt.Sprintf("%d %s", f.By[cause], strings.ReplaceAll(string(cause), "_", " ")))
	}
	text := fmt.Sprintf("%d lines, %d of failed calls: %s", f.Lines, f.Errors, strings.Join(parts, ", "))
	if f.Cut {
		text += fmt.Sprintf(" (only the last %d MiB were read)", Most>>20)
	}
	return text
}

func (f *Found) order() []checks.Cause {
	all := slices.Sorted(maps.Keys(f.By))
	slices.SortStableFunc(all, func(a, b checks.Cause) int { return f.By[b] - f.By[a] })
	return all
}

// Worst is the cause of most errors.
func (f *Found) Worst() checks.Cause {
	if order := f.order(); len(order) > 0 {
		return order[0]
	}
	return checks.CauseNone
}

// Read reads the end of a log: of the file of that name, or of the unit behind "unit:".
func Read(ctx context.Context, source string, o Options) (*Found, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Scrub == nil {
		o.Scrub = func(s string) string { return s }
	}
	unit, ofUnit := strings.CutPrefix(source, "unit:")
	var data []byte
	var cut bool
	var err error
	if ofUnit {
		data, cut, err = journal(ctx, unit, o)
	} else {
		data, cut, err = tail(source)
	}
	if err != nil {
		return nil, err
	}
	return count(data, cut, o), nil
}

// tail reads the end of a regular file; anything else could hang or never end.
func tail(path string) (data []byte, cut bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, false, reading(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, reading(err)
	}
	if !info.Mode().IsRegular() {
		return nil, false, errors.New("the log is not a regular file")
	}
	if info.Size() > Most {
		cut = true
		if _, err := f.Seek(-Most, io.SeekEnd); err != nil {
			return nil, false, reading(err)
		}
	}
	data, err = io.ReadAll(io.LimitReader(f, Most))
	if err != nil {
		return nil, false, reading(err)
	}
	if cut { // the first line is a part of one
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return data, cut, nil
}

func reading(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("reading the log: %w", err)
}

// journal asks journalctl for the last lines of a unit.
func journal(ctx context.Context, unit string, o Options) (data []byte, cut bool, err error) {
	if !units.MatchString(unit) {
		return nil, false, errors.New("what follows unit: is not the name of a unit")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", "--unit="+unit, "--since=-15min", "--output=cat", "--no-pager", "--quiet", "--lines=100000") //nolint:gosec // the name was looked at, and there is no shell
	cmd.Env = []string{"LANG=C.UTF-8", "PATH=" + o.Getenv("PATH"), "SYSTEMD_COLORS=0"}
	cmd.WaitDelay = time.Second
	out, complaint := &capped{most: Most}, &capped{most: 4 << 10}
	cmd.Stdout, cmd.Stderr = out, complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, false, errors.New("journalctl did not end in time")
		}
		if said := outbound.Sanitize(o.Scrub(complaint.String()), 200); said != "" {
			return nil, false, fmt.Errorf("journalctl: %w: %s", err, said)
		}
		return nil, false, fmt.Errorf("journalctl: %w", err)
	}
	return out.Bytes(), out.cut, nil
}

// capped keeps the first bytes of what is written, and takes the rest.
type capped struct {
	bytes.Buffer

	most int
	cut  bool
}

func (c *capped) Write(p []byte) (int, error) {
	left := c.most - c.Len()
	if len(p) > left {
		c.cut = true
		c.Buffer.Write(p[:max(left, 0)])
		return len(p), nil
	}
	return c.Buffer.Write(p) //nolint:wrapcheck // as any writer
}

// count looks at each line that is young enough.
func count(data []byte, cut bool, o Options) *Found {
	f := &Found{By: map[checks.Cause]int{}, Cut: cut}
	at := time.Time{} // of the line before: what follows a line without a time of its own is of the same
	for raw := range bytes.Lines(data) {
		line := strings.TrimSpace(string(raw[:min(len(raw), mostLine)]))
		if line == "" {
			continue
		}
		if told, ok := timeOf(line); ok {
			at = told
		}
		if !at.IsZero() && o.Now.Sub(at) > Back {
			continue
		}
		f.Lines++
		cause := causeOf(line)
		if cause == checks.CauseNone {
			continue
		}
		f.Errors++
		f.By[cause]++
		if f.Samples = append(f.Samples, line); len(f.Samples) > mostSamples {
			f.Samples = f.Samples[1:]
		}
	}
	for i := range f.Samples {
		f.Samples[i] = Redact(f.Samples[i], o.Scrub)
	}
	return f
}

var (
	stamps   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`)
	statuses = regexp.MustCompile(`(?i)(?:\bstatus(?:[ _-]?code)?|\bhttp(?:/[0-9.]+)?|\bcode|\berror|\bfailed(?: with)?|\banswered)["']?\s*[:=( ]\s*["']?([1-5]\d\d)\b`)
	units    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,255}$`)
)

// timeOf is the time at the beginning of a line, or of its field "time", "ts" or "timestamp", as RFC 3339 writes it.
func timeOf(line string) (time.Time, bool) {
	text := stamps.FindString(line[:min(len(line), 512)])
	if text == "" {
		return time.Time{}, false
	}
	text = strings.Replace(text, " ", "T", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// statusOf is the HTTP status that a line tells of; 0 where it tells none.
func statusOf(line string) int {
	found := statuses.FindStringSubmatch(line)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// causeOf is what went wrong in a line; none where it tells of nothing that failed.
func causeOf(line string) checks.Cause {
	low := strings.ToLower(line)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(low, word) })
	}
	switch status := statusOf(line); {
	case status == 401:
		return checks.CauseAuth
	case status == 402:
		return checks.CausePayment
	case status == 403:
		return checks.CauseForbidden
	case status == 429 && has("capacity"):
		return checks.CauseCapacity
	case status == 429:
		return checks.CauseRateLimited
	case status >= 500:
		return checks.CauseServer
	case status >= 400 && has("invalid_model", "model"):
		return checks.CauseModelGone
	case status >= 400 && status != 404:
		return checks.CauseBadRequest
	case status != 0:
		return checks.CauseNone
	}
	switch {
	case has("enotfound", "eai_again", "no such host", "name resolution", "getaddrinfo"):
		return checks.CauseDNS
	case has("econnrefused", "connection refused", "econnreset", "connection reset"):
		return checks.CauseConnect
	case has("certificate", "x509:", "self signed", "self-signed"):
		return checks.CauseTLS
	case has("etimedout", "timed out", "deadline exceeded", "timeouterror", "aborterror"):
		return checks.CauseTimeout
	case has("rate limit", "rate_limited", "ratelimit") && has("error", "exceeded", "429"):
		return checks.CauseRateLimited
	}
	return checks.CauseNone
}
