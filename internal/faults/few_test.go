//go:build !faults

package faults_test

import "time"

// How often things go wrong in `go test ./...`; `make test-faults` has more patience.
const (
	reloads      = 200
	reloadLeak   = 0.4
	reloadMemory = 0 // too few to tell
	standstill   = 4 * time.Second
	starts       = 4
	rotations    = 3
	kills        = 4
	pluginKills  = 9
)
