package usagelog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// state is all that is kept from one reading to the next, in one piece: how far the files were read and what was counted
// in them cannot come apart.
type state struct {
	Of     uint64   `json:"of"`              // the parameters that it was made with
	Files  []*place `json:"files,omitempty"` // the last is the log itself, those before it were the log
	Began  int64    `json:"began,omitempty"` // when the log was first looked for
	Whole  int64    `json:"whole,omitempty"` // from when on nothing is missing; 0: from the oldest record on
	Alive  int64    `json:"alive,omitempty"` // when the log was last written to
	Lines  int64    `json:"lines,omitempty"` // that were ever looked at
	Behind int64    `json:"-"`               // bytes that were not read in time
	Tally  tally    `json:"tally"`
	Flaws  flaws    `json:"flaws"`
}

// version changes with the meaning of what is kept, and makes it begin anew.
const version = 1

// signature tells parameters apart that give other numbers.
func signature(p Params, zone *time.Location) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%q\x00%s\x00%q", version, p.Path, p.Start, p.Contains, zone, p.expressions())
	return h.Sum64()
}

// restore reads what was kept. What is of other parameters, or cannot be read, is not used.
func restore(data []byte, of uint64) *state {
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil || s.Of != of {
		return &state{Of: of}
	}
	s.Files = slices.DeleteFunc(s.Files, func(p *place) bool { return p == nil || p.Offset < 0 || p.Printed < 0 || p.Printed > printed })
	maps.DeleteFunc(s.Tally.Minutes, func(_ int64, c cells) bool { return broken(c) })
	maps.DeleteFunc(s.Tally.Days, func(_ int64, c cells) bool { return broken(c) })
	maps.DeleteFunc(s.Tally.Hours, func(_ int64, h *hour) bool { return h == nil })
	return s
}

func broken(c cells) bool {
	for _, one := range c {
		if one == nil {
			return true
		}
	}
	return c == nil
}

// log is the log's own place, nil where it was never there.
func (s *state) log() *place {
	if len(s.Files) == 0 {
		return nil
	}
	return s.Files[len(s.Files)-1]
}

// since is from when on nothing is missing. ok is false while nobody knows.
func (s *state) since() (time.Time, bool) {
	at := cmp.Or(s.Whole, s.Tally.Oldest)
	return time.Unix(at, 0), at != 0
}

// gap is that something may be missing until now.
func (s *state) gap(now time.Time) { s.Whole = now.Unix() }

// flaws are what was left out in this month.
type flaws struct {
	Month  int64           `json:"month,omitempty"`
	Seen   map[flaw]*seen  `json:"seen,omitempty"`
	Lately map[int64]int64 `json:"lately,omitempty"` // by the minute in which they were read, of the last hour

	minute int64 // that is read in
}

// seen is how often, and where first.
type seen struct {
	N    int64  `json:"n"`
	File string `json:"file"`
	At   int64  `json:"at"` // the byte at which the line begins
}

// lately is how many there were in the last hour.
func (f *flaws) lately() (n int64) {
	for _, count := range f.Lately {
		n += count
	}
	return n
}

func (f *flaws) begin(month, now time.Time) {
	f.minute = now.Unix() / 60
	if f.Lately == nil {
		f.Lately = map[int64]int64{}
	}
	maps.DeleteFunc(f.Lately, func(minute, _ int64) bool { return minute > f.minute || minute < f.minute-60 })
	if f.Month != month.Unix() || f.Seen == nil {
		f.Month, f.Seen = month.Unix(), map[flaw]*seen{}
	}
	maps.DeleteFunc(f.Seen, func(_ flaw, s *seen) bool { return s == nil })
}

func (f *flaws) add(what flaw, file string, at int64) {
	if f.Seen[what] == nil {
		f.Seen[what] = &seen{File: filepath.Base(file), At: at}
	}
	f.Seen[what].N++
	f.Lately[f.minute]++
}

// words are what is said of each flaw, in the order in which they are told.
func words() []struct{ flaw, text string } {
	return []struct{ flaw, text string }{
		{string(flawLost), "times bytes were gone before they were read"},
		{string(flawBroken), "lines that are not JSON in UTF-8"},
		{string(flawLong), fmt.Sprintf("lines longer than %d MiB", maxLine>>20)},
		{string(flawHole), "runs of NUL bytes"},
		{string(flawUnfit), "lines on which an expression fails"},
		{string(flawBeyond), "lines for which an expression takes too much time or memory"},
		{string(flawEmpty), "selected lines without tokens and without a cost"},
		{string(flawUntimed), "records without a time that can be read"},
		{string(flawFuture), "records from the future"},
		{string(flawAbsurd), "records with a count or a cost that cannot be"},
	}
}

// notes are the flaws of this month, one line each.
func (f *flaws) notes() []string {
	var all []string
	for _, w := range words() {
		s := f.Seen[flaw(w.flaw)]
		if s == nil {
			continue
		}
		name := strings.ToValidUTF8(s.File, "?")
		all = append(all, fmt.Sprintf("%d %s this month, the first at byte %d of %q", s.N, w.text, s.At, name))
	}
	return all
}
