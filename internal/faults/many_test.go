//go:build faults

package faults_test

import "time"

// How often things go wrong in `make test-faults`.
const (
	reloads      = 1000
	reloadLeak   = 0.1      // goroutines or descriptors for each
	reloadMemory = 20 << 10 // bytes for each, once warm
	standstill   = 30 * time.Second
	starts       = 40
	rotations    = 15
	kills        = 200
	pluginKills  = 60
)
