//go:build faults

package faults_test

import "time"

// How often things go wrong in `make test-faults`.
const (
	reloads      = 1000
	reloadMemory = 8 << 10 // bytes for each
	standstill   = 30 * time.Second
	starts       = 40
	rotations    = 15
	kills        = 200
)
