// Command packages builds what is released: deb and rpm packages, archives with an install script, a bill of materials
// and checksums, byte for byte the same wherever the same commit is built with the same Go. It is no part of the product,
// and it fetches nothing but the modules that go.mod and tools/package/go.mod name.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := build(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "packages: %v\n", err)
		os.Exit(1)
	}
}

// build is main without the process around it.
func build(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("packages", flag.ContinueOnError)
	root := flags.String("root", ".", "the checkout")
	dist := flags.String("dist", "dist", "the folder that the files are written to")
	arches := flags.String("arch", "amd64,arm64", "for which machines, with commas")
	formats := flags.String("format", "deb,rpm", "which packages, with commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := newRelease(ctx, *root, getenv)
	if err != nil {
		return err
	}
	r.dist = *dist
	for _, arch := range strings.Split(*arches, ",") {
		if err := r.machine(ctx, arch, strings.Split(*formats, ","), out); err != nil {
			return err
		}
	}
	return nil
}
