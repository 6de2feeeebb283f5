// Package source is what every source of spend gives to the spend check: what it knows, up to when, how sure it is, or why
// it cannot tell. It holds words and no logic of any source; it performs no I/O.
package source

import (
	"context"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Source reads one place that knows something of what is spent.
//
// Read obeys ctx and is never called concurrently for the same Source. now is the time that the windows end at. An error is
// always a *Problem: nobody can tell, which is never the same as nothing spent. Constructors start nothing.
type Source interface {
	Read(ctx context.Context, now time.Time) (Reading, error)
}

// Reading is what a source knows now. A number that is not known is absent, never zero.
type Reading struct {
	AsOf       time.Time  // what the numbers hold up to; never after the now that Read was given
	Confidence Confidence // how near to the bill
	Why        string     // one line: why partial, or why behind; "" otherwise

	Hour  *Amount // the last 60 minutes; nil: not known
	Today *Amount // since midnight of the check's time zone; nil: not known
	Month *Amount // since the month began, in the same zone; nil: not known

	Hours  []Bucket             // complete hours that the source vouches for, oldest first; may be empty. They feed the baseline
	Notes  []string             // one line each: what was left out, and where it was first seen. Never content of the place that was read
	Alarms []Alarm              // what wants somebody to look, such as a limit that is reached
	Extra  []checks.Measurement // what only this source knows: a spend limit, say
}

// Alarm is something that a source knows and that wants somebody to look.
type Alarm struct {
	Blame checks.Blame
	Text  string // one line
}

// Amount is what was spent in a window.
type Amount struct {
	Cost     checks.PicoUSD
	Requests int64    // -1: not known
	Tokens   []Tokens // by model and direction, sorted by both; empty: not known
	Unpriced []string // models without a known price, sorted: Cost lacks them
}

// Direction is which way tokens went.
type Direction string

// The directions. Input holds the cached tokens too.
const (
	Input  Direction = "input"
	Cached Direction = "cached"
	Output Direction = "output"
)

// Tokens are the tokens of one model in one direction.
type Tokens struct {
	Model     string
	Direction Direction
	N         int64
}

// Bucket is what one complete hour cost.
type Bucket struct {
	Start time.Time
	Cost  checks.PicoUSD
}

// Confidence says how near to the bill a Reading is.
type Confidence uint8

// The confidences, from the weakest.
const (
	Unsure    Confidence = iota // the zero value: nobody said
	Partial                     // a part of the truth: something is known to be missing
	Estimated                   // tokens at the price table
	Exact                       // the provider's own bill, or a counter of costs
)

// String is the word for records and metrics.
func (c Confidence) String() string {
	switch c {
	case Partial:
		return "partial"
	case Estimated:
		return "estimated"
	case Exact:
		return "exact"
	case Unsure:
	}
	return "unsure"
}

// Problem is why nobody can tell: the error of every Read.
type Problem struct { //nolint:errname // it is a finding of a source first, and an error by the way
	Cause checks.Cause
	Blame checks.Blame // "" is the cause's own
	Text  string       // one line for a person; never a key, and never content of the place that was read
	Err   error        // what is beneath, for errors.Is; may be nil. Its text is never shown
}

func (p *Problem) Error() string { return p.Text }

// Unwrap is what is beneath.
func (p *Problem) Unwrap() error { return p.Err }

// Problemf is a Problem with the cause's own blame.
func Problemf(cause checks.Cause, format string, args ...any) *Problem {
	return &Problem{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// State is a source's own durable bytes. The spend check keeps the states of all its sources together, and writes them
// after the run: what Save was given last before the end of a Read is what Load gives after a restart, whole or not at all.
type State interface {
	Load() []byte // nil where nothing was saved
	Save(data []byte)
}

// Windows is where a source's day and month begin: midnight in loc. A nil loc is UTC.
func Windows(now time.Time, loc *time.Location) (day, month time.Time) {
	if loc == nil {
		loc = time.UTC
	}
	y, m, d := now.In(loc).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, loc), time.Date(y, m, 1, 0, 0, 0, 0, loc)
}
