package store

import "time"

// WithClock has the ledger read this clock.
func (o Options) WithClock(read func() (wall time.Time, sinceBoot time.Duration)) Options {
	o.clock = read
	return o
}
