package store

import "time"

// WithClock has the ledger read this clock.
func (o Options) WithClock(read func() (wall time.Time, sinceBoot time.Duration)) Options {
	o.clock = read
	return o
}

// Migrations are the steps from each version of the schema to the next.
func Migrations() []string { return migrations() }

// ApplicationID marks a database as ours.
const ApplicationID = applicationID
