// Package applog reads the end of an application's log, a file or a unit of the journal, and counts the errors of its calls
// by what went wrong. It keeps no line but a few samples, from which keys and what people wrote are taken; it follows
// nothing and changes nothing.
package applog

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/scan"
)

const (
	// Back is how far back lines count.
	Back = 15 * time.Minute
	// Most is how much of the end of a log is read, in bytes.
	Most = 10 << 20

	mostSamples = 5
	mostSample  = 200 // bytes of one
)

// Options is what Read needs.
type Options struct {
	Scrub      func(string) string // takes known secrets out; nil: none are known
	Now        time.Time           // zero: now
	Journalctl string              // the program; "" is the system's
}

// Found is what a log holds.
type Found struct {
	Lines   int // of the last 15 minutes, or without a time
	Errors  int // lines that tell of a call that failed
	By      map[checks.Cause]int
	Samples []string // redacted, the newest
	Partly  error    // why not all of it could be read; nil: it could
	Guessed bool     // its times have no zone: what counts is the time up to its last line
}

// Few reports that what failed is next to nothing, of what comes and goes by itself.
func (f *Found) Few() bool {
	passes := f.By[checks.CauseServer] + f.By[checks.CauseConnect] + f.By[checks.CauseTimeout] + f.By[checks.CauseRateLimited] + f.By[checks.CauseCapacity]
	return f.Errors > 0 && f.Errors <= 3 && f.Errors*100 < f.Lines && passes == f.Errors
}

// entry is a line that counts.
type entry struct {
	at    time.Time // zero: it has none, or one with a zone
	cause checks.Cause
	line  string // "" where nothing failed
}

// reader reads a log.
type reader struct {
	since   time.Time
	entries []entry
	at      time.Time // of the line before, where it has no zone
	old     bool      // the line before is older
	newest  time.Time // of the times without a zone
}

// Summary is one line.
func (f *Found) Summary() string {
	if f.Errors == 0 {
		return fmt.Sprintf("%d lines, no failed call among them", f.Lines) + f.partly()
	}
	var parts []string
	for _, cause := range f.order() {
		parts = append(parts, fmt.Sprintf("%d %s", f.By[cause], strings.ReplaceAll(string(cause), "_", " ")))
	}
	return fmt.Sprintf("%d lines, %d of failed calls: %s", f.Lines, f.Errors, strings.Join(parts, ", ")) + f.partly()
}

func (f *Found) partly() string {
	text := ""
	if f.Guessed {
		text = fmt.Sprintf(" (its times have no zone: of the %.0f minutes up to its last line)", Back.Minutes())
	}
	if f.Partly != nil {
		text += fmt.Sprintf(" (not all of it: %v)", f.Partly)
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
	from := scan.Source{File: source, Bytes: Most, Journalctl: o.Journalctl}
	if unit, is := strings.CutPrefix(source, "unit:"); is {
		from.File, from.Unit = "", unit
	}
	f := &Found{By: map[checks.Cause]int{}}
	r := &reader{since: o.Now.Add(-Back).Truncate(time.Second)}
	err := scan.Log(ctx, from, r.since, func(line []byte) error {
		r.read(string(bytes.TrimSpace(line)))
		return nil
	})
	f.count(r)
	if err != nil && f.Lines == 0 {
		return nil, err //nolint:wrapcheck // it names the log
	}
	f.Partly = err
	for i := range f.Samples {
		f.Samples[i] = Redact(f.Samples[i], o.Scrub)
	}
	return f, nil
}

// read looks at a line. One without a time is of the time of the line before.
func (r *reader) read(line string) {
	if line == "" {
		return
	}
	if at, certain, is := when(line); is {
		r.old, r.at = certain && at.Before(r.since), time.Time{}
		if !certain {
			r.at = at
		}
		if r.at.After(r.newest) {
			r.newest = r.at
		}
	}
	if r.old {
		return
	}
	e := entry{at: r.at, cause: causeOf(line)}
	if e.cause != checks.CauseNone {
		e.line = line
	}
	r.entries = append(r.entries, e)
}

// count counts the lines. Of a time without a zone nobody knows when it was: those count that are not long before the last
// one, unless that is of long ago wherever it was written.
func (f *Found) count(r *reader) {
	from := r.newest.Add(-Back)
	f.Guessed = !r.newest.IsZero()
	if f.Guessed && r.newest.Add(farthest).Before(r.since) {
		from = r.since
	}
	for i := range r.entries {
		e := &r.entries[i]
		if !e.at.IsZero() && e.at.Before(from) {
			continue
		}
		if f.Lines++; e.cause == checks.CauseNone {
			continue
		}
		f.Errors++
		f.By[e.cause]++
		if f.Samples = append(f.Samples, e.line); len(f.Samples) > mostSamples {
			f.Samples = f.Samples[1:]
		}
	}
}

var statuses = regexp.MustCompile(`(?i)(?:\bstatus(?:[ _-]?code)?|\bhttp(?:/[0-9.]+)?|\bcode|\berror|\bfailed(?: with)?|\banswered)["']?\s*[:=( ]\s*["']?([1-5]\d\d)\b`)

// other are forms of a status in logs: with its words, and after a method and a path.
var (
	phrases = regexp.MustCompile(`(?i)\b(401|402|403|429|5\d\d) (?:unauthori[sz]ed|payment required|forbidden|too many requests|internal server error|bad gateway|service unavailable|gateway time-?out)\b`)
	replied = regexp.MustCompile(`(?i)\b(?:returned|responded|received|got)(?: with)?(?: an?)?(?: http)?(?: status)?(?: code)?[ :]+([45]\d\d)(?:[,.;:)\]"']|$| from\b| for\b| error\b)`)
	request = regexp.MustCompile(`\b(?:GET|POST|PUT|PATCH|DELETE|HEAD) \S+ (?:\x1b\[[0-9;]*m)?([1-5]\d\d)\b`)
)

// perhaps reports whether a line holds a number of three digits that may be a status.
func perhaps(line string) bool {
	digit := func(i int) bool { return i >= 0 && i < len(line) && line[i] >= '0' && line[i] <= '9' }
	for i := range len(line) {
		if line[i] >= '1' && line[i] <= '5' && digit(i+1) && digit(i+2) && !digit(i-1) && !digit(i+3) {
			return true
		}
	}
	return false
}

// statusOf is the HTTP status that a line tells of; 0 where it tells none.
func statusOf(line string) int {
	if !perhaps(line) { // most lines: the forms take their time
		return 0
	}
	for _, form := range []*regexp.Regexp{statuses, phrases, replied, request} {
		if found := form.FindStringSubmatch(line); found != nil {
			n, _ := strconv.Atoi(found[1])
			return n
		}
	}
	return 0
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
