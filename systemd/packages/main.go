// Command packages builds what is released into dist/: deb and rpm packages, archives with an install script, a bill of
// materials and checksums; byte for byte the same wherever the same commit is built by the same Go. It is no part of the
// product, it writes nowhere but below -dist, and it fetches nothing but the modules of go.mod and tools/package/go.mod.
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
	err := build(ctx, os.Args[1:], os.Environ(), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "packages: %v\n", err)
		os.Exit(1)
	}
}

// build is main without the process around it: VERSION and SOURCE_DATE_EPOCH are read from environ.
func build(ctx context.Context, args, environ []string, out io.Writer) error {
	flags := flag.NewFlagSet("packages", flag.ContinueOnError)
	root := flags.String("root", ".", "the checkout")
	dist := flags.String("dist", "dist", "the folder that the files are written to")
	arches := flags.String("arch", "amd64,arm64", "for which machines")
	formats := flags.String("format", "deb,rpm,tar.gz,cdx.json", "which files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := newRelease(ctx, *root, environ)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "windsock-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary folder
	files, err := r.build(ctx, work, *dist, strings.Split(*arches, ","), strings.Split(*formats, ","))
	for _, file := range files {
		fmt.Fprintln(out, file)
	}
	return err
}
