// Command benchmarks is the load program: it runs the agent as it is shipped, as a process of its own, against a server on
// loopback, and measures what a run costs beside the least that such a request can cost. It is no part of the product.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

// start is main without the process's end: the load program, or one of the processes that it starts of itself.
func start(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = play(ctx, role, os.Stdout)
	} else {
		err = bench(ctx, args, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "benchmarks: %v\n", err)
		return 1
	}
	return 0
}
