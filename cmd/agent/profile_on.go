//go:build windsock_profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// profiled runs the agent and writes a CPU profile of it to the file of $WINDSOCK_CPU_PROFILE, and at each SIGUSR1 a
// profile of its memory beside that. No build that is shipped has this: it is for benchmarks/.
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
	heap := make(chan os.Signal, 1)
	signal.Notify(heap, syscall.SIGUSR1)
	go func() {
		for range heap {
			writeHeap(path + ".heap")
		}
	}()
	code := run()
	pprof.StopCPUProfile()
	_ = file.Close()
	return code
}

func writeHeap(path string) {
	file, err := os.Create(path) //nolint:gosec // who profiles says where to
	if err != nil {
		return
	}
	runtime.GC()
	_ = pprof.WriteHeapProfile(file)
	_ = file.Close()
}
