// Package checks is the vocabulary of Windsock: what a check is, what it returns, and the record that travels the road.
// It imports the standard library and nothing else, so that anybody can build on it. It performs no I/O and keeps no state.
package checks

import (
	"context"
	"time"
)

// Check is one probe of one target.
//
// Run obeys the deadline of ctx and is never called concurrently for the same Check. A bad target is a Result; the error is
// for "could not tell, and it is our fault" (no file descriptors, a broken configuration): the pipeline turns it into
// status Error. Constructors check everything and start nothing.
type Check interface {
	Run(ctx context.Context) (Result, error)
}

// Func adapts a function to a Check.
type Func func(ctx context.Context) (Result, error)

// Run calls f.
func (f Func) Run(ctx context.Context) (Result, error) { return f(ctx) }

// Paid is implemented by checks whose runs cost money. The pipeline reserves MaxCost against the budget before each run
// and books Result.Usage after it.
type Paid interface {
	// MaxCost is the most that one run at that time can cost. known is false where the price of the model is not known;
	// the amount then counts the dearest known price.
	MaxCost(at time.Time) (cost PicoUSD, known bool)
}

// Typical is implemented by paid checks that can tell what a run costs as a rule: an estimate for people who plan, which
// bounds nothing.
type Typical interface {
	TypicalCost(at time.Time) (cost PicoUSD, known bool)
}

// Owned is implemented by checks whose target is not the provider's API. What the table blames on the provider is blamed
// on the owner instead; and where such a check costs money, the provider's breaker neither stops its runs nor learns from
// them: they ask how the owner fares, also while the provider is down.
type Owned interface {
	Owner() Blame
}

// Modelled is implemented by checks that call models of the provider: who looks after models wants to know which.
type Modelled interface {
	ModelsUsed() []string // ids or aliases, as they are asked for
}

// Measuring is implemented by checks that can say what they measure, beside what every check does: who writes rules on it
// wants to know that somebody does.
type Measuring interface {
	Measures() []string // names of measurements, sorted; some may be missing from a result
}

// Naming is implemented by checks whose parameters hold host names. `validate --online` resolves them.
type Naming interface {
	// HostNames are the names that the system's resolver must know, without ports; addresses may be among them.
	HostNames() []string
}

// Referring is implemented by checks that tell a target's fault from the network's by a host that has nothing to do with it.
// `validate --online` connects to it.
type Referring interface {
	// References are host:port; none where none is given.
	References() []string
}

// Trigger says why a run took place.
type Trigger string

// The triggers.
const (
	TriggerSchedule Trigger = "schedule"
	TriggerStartup  Trigger = "startup"
	TriggerCatchUp  Trigger = "catch_up"
	TriggerManual   Trigger = "manual"
	TriggerGate     Trigger = "gate"
	TriggerDrill    Trigger = "drill"
	TriggerConfirm  Trigger = "confirm"
)
