package checks

import (
	"context"
	"time"
)

// Spending is what the agent's own runs used in one hour, of one check, provider, model and trigger.
type Spending struct {
	Hour             time.Time // its beginning, UTC
	Check            string    // "" where only the amount is known: after damage, or a kill before the row was written
	Provider         string
	Model            string // as asked for; "" where nobody knows
	Trigger          Trigger
	Runs             int64   // paid runs, those among them that were billed nothing
	Cost             PicoUSD // booked and reserved
	Reserved         PicoUSD // the part of Cost that is reserved and not booked: runs in flight, and those that died
	PromptTokens     int64   // cached ones included
	CachedTokens     int64
	CompletionTokens int64
	Unpriced         int64 // runs whose price was not known: Cost has the dearest known price for them
}

// SpendingLedger is a Ledger that also knows what the money went into. The spend check asks Env.Ledger for it.
type SpendingLedger interface {
	Ledger
	// Spending is what was spent in the hours that begin at or after since and before until, by hour, then by name. Hours
	// of the last 35 days are known.
	Spending(ctx context.Context, since, until time.Time) ([]Spending, error)
}

// LedgerMemory is implemented by ledgers that know how far their memory goes.
type LedgerMemory interface {
	// Lacks says why money that was spent since a time may be missing, in one line; "" where none can be.
	Lacks(since time.Time) string
}
