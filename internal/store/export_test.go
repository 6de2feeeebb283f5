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

// RoomFor fails where a file system cannot take so much more.
func RoomFor(dir string, bytes int64) error { return roomFor(dir, bytes) }
