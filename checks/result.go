package checks

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Result is what a check saw. The pipeline stamps name, id, times and trigger on it and makes it a Report.
type Result struct {
	Status       Status
	Cause        Cause             // exactly one; "" when OK
	Blame        Blame             // "" is the cause's own; a check that knows better (a reference host fails too) says so
	Summary      string            // one line for a person; never a key, a prompt or an answer
	Measurements []Measurement     // bounded names and attributes
	Phases       []Phase           // where the time went
	Evidence     []Step            // the path walked through the decision tree
	Usage        *Usage            // what the run consumed; nil where nothing is billed
	Facts        map[string]string // request id, resolved model…: for records and logs, never metric attributes
}

// Measurement is one number. Name is a name of the catalogue (docs/metrics.md) or, from plugins, one of their own.
type Measurement struct {
	Name  string            `json:"name"`
	Value float64           `json:"value"` // finite
	Unit  string            `json:"unit,omitempty"`
	Attrs map[string]string `json:"attrs,omitempty"` // bounded values: never error text, ids or free text
}

// PhaseName is a part of a request's time.
type PhaseName string

// The phases, in the order in which they happen. FirstByte is from the request's end to the first byte of the answer,
// FirstToken from the request's start to the first non-empty content of a stream.
const (
	PhaseResolve    PhaseName = "resolve"
	PhaseConnect    PhaseName = "connect"
	PhaseTLS        PhaseName = "tls"
	PhaseFirstByte  PhaseName = "first_byte"
	PhaseFirstToken PhaseName = "first_token"
	PhaseTransfer   PhaseName = "transfer"
)

// Phase is the time that one part of the run took.
type Phase struct {
	Name PhaseName
	Took time.Duration
}

// Step is one question of the decision tree and what was found.
type Step struct {
	Name   string `json:"name"`             // "dns", "connect", "status", "stream"
	OK     bool   `json:"ok"`               // whether the walk went on
	Detail string `json:"detail,omitempty"` // one line, sanitised
}

// PicoUSD is money: 10⁻¹² US dollar. An int64 of it reaches nine million dollars.
type PicoUSD int64

// Dollar is one US dollar.
const Dollar PicoUSD = 1_000_000_000_000

// USD converts to dollars, for display and for the wire.
func (p PicoUSD) USD() float64 { return float64(p) / float64(Dollar) }

// String shows dollars rounded up to the millionth: "$0.000002".
func (p PicoUSD) String() string {
	const micro = Dollar / 1_000_000
	sign := ""
	if p < 0 {
		sign, p = "-", -p
	}
	up := p / micro
	if p%micro != 0 {
		up++
	}
	return fmt.Sprintf("%s$%d.%06d", sign, up/1_000_000, up%1_000_000)
}

// Plus adds an amount. A sum that an int64 cannot hold stays at its end: money out of its senses must stop a budget, not refill
// it.
func (p PicoUSD) Plus(q PicoUSD) PicoUSD {
	if q > 0 && p > math.MaxInt64-q {
		return math.MaxInt64
	}
	return p + q
}

// Times multiplies an amount of at least 0 by a count of at least 0, and stays at the end of an int64 as Plus does.
func (p PicoUSD) Times(n int64) PicoUSD {
	high, low := bits.Mul64(uint64(p), uint64(n))
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return PicoUSD(low)
}

// Usage is what one run consumed.
type Usage struct {
	Model            string  // as asked for
	PromptTokens     int64   // cached tokens included
	CachedTokens     int64   // part of PromptTokens
	CompletionTokens int64   // thinking included
	Cost             PicoUSD // at the price table of PriceDate; the dearest known price where the model's is unknown
	PriceKnown       bool
	PriceDate        string // date of the price table, 2006-01-02
	Estimated        bool   // the provider sent no usage: this is the worst case
}

// Pass is an OK result.
func Pass(summary string) Result { return Result{Status: OK, Summary: summary} }

// Fail is a result that blames the target.
func Fail(cause Cause, summary string) Result {
	return Result{Status: Failed, Cause: cause, Summary: summary}
}

// Degrade is a result that worked, but not well.
func Degrade(cause Cause, summary string) Result {
	return Result{Status: Degraded, Cause: cause, Summary: summary}
}

// Skip is a result for a run that was not made.
func Skip(cause Cause, summary string) Result {
	return Result{Status: Skipped, Cause: cause, Summary: summary}
}

// Undetermined is a result that nobody can vouch for.
func Undetermined(cause Cause, summary string) Result {
	return Result{Status: Unknown, Cause: cause, Summary: summary}
}
