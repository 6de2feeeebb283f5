//go:build windsock_profile

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// profiled runs the agent and writes a CPU profile of it to the file of $WINDSOCK_CPU_PROFILE. No build that is shipped has
// this: it is for benchmarks/.
func profiled(run func() int) int {
	path := os.Getenv("WINDSOCK_CPU_PROFILE") //nolint:forbidigo // a build of its own, in the place of main
	if path == "" {
		return run()
	}
	file, err := os.Create(path) //nolint:gosec // who profiles says where to
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "windsock: profiling: %v\n", err) //nolint:forbidigo // a build of its own, in the place of main
		return exitCannot
	}
	code := run()
	pprof.StopCPUProfile()
	_ = file.Close()
	return code
}
