// Command windsock is a synthetic-monitoring agent for teams that run Mistral AI in production.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	_ "github.com/windsock-monitor/windsock/internal/sandbox/shim" // its init answers where the agent starts itself to confine a program
)

// Set by the linker; without it, commit and date are those that the Go compiler found.
var version, commit, date = "dev", "", "" //nolint:gochecknoglobals // the linker writes them

func main() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // no core file, and nobody of the same user reads its memory, environment and descriptors
	signal.Ignore(syscall.SIGXFSZ)                   // a file that may not grow is an error of write, not the end of the process
	os.Exit(profiled(func() int {
		return windsock(process{
			args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		})
	}))
}
