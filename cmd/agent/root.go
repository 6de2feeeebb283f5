package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/store"
)

// The exit codes. They are documented in docs/exit-codes.md.
const (
	exitWell      = 0  // well
	exitCannot    = 1  // could not do it
	exitUsage     = 2  // asked wrongly
	exitBadNews   = 3  // did it, and the news is bad
	exitUndecided = 4  // not enough data or budget to say
	exitConfig    = 78 // `run` with a wrong configuration
)

// process is all that the verbs know of the process around them.
type process struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	scrubber       *secret.Scrubber // of all that is logged
}

// exitError ends the process with a code. Where err is nil everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

// windsock runs one verb and returns the exit code.
func windsock(p process) int {
	hushLibraries()
	p.scrubber = secret.NewScrubber()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(p)
	root.SetArgs(p.args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitWell
	}
	var exited *exitError
	if !errors.As(err, &exited) {
		exited = &exitError{exitUsage, err} // cobra's own: unknown verb or flag
	}
	if exited.err != nil {
		say(p, exited.err)
	}
	return exited.code
}

// say tells why the process ends, and what to do about it where that is known: on standard error, also where the journal
// stands behind it. By its own protocol journald asks the kernel which unit the sender is of, and one that has ended is of
// none; of standard error it knows the unit. There the first line is the error, and what explains it is not another one.
func say(p process, err error) {
	text := fmt.Sprintf("windsock: %v", err)
	if _, locked := errors.AsType[*store.LockedError](err); locked {
		text += "\nhint: where an agent holds it, give the configuration that the agent runs with (--config), and it is asked; a second agent wants another state_dir"
	}
	text = p.scrubber.String(text)
	if journaled(p) != nil {
		text = "<3>" + strings.ReplaceAll(text, "\n", "\n<6>")
	}
	fmt.Fprintln(p.stderr, text)
}

func newRoot(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "windsock",
		Short: "Synthetic monitoring for teams that run Mistral AI in production",
		Long: `Windsock runs cron-scheduled checks of Mistral AI (models list, chat, embeddings), of the way there,
of your application and of what you measure already, says in one word what is wrong and whose fault
it is, and hands every result to OpenTelemetry, Datadog, Prometheus or standard output.
Start with: windsock demo`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddCommand(
		newRun(p), newDemo(p), newCheck(p), newValidate(p), newTriage(p), newPreflight(p), newGate(p), newDrill(p), newStatus(p), newAlerts(p), newIncident(p), newPlugins(p), newModels(p), newPrices(p), newStore(p), newSimulate(p), newVersion(p),
	)
	documented(root)
	return root
}

// outputFlag adds --output text|json.
func outputFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", "text", "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func wantOutput(output string) (json bool, err error) {
	switch output {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, exit(exitUsage, fmt.Errorf("--output is %q, want text or json", output))
}

// terminal reports whether w is a terminal that wants colour, and its size.
func terminal(p process, w io.Writer) (width, height int, ok bool) {
	file, isFile := w.(*os.File)
	if !isFile || p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(file.Fd()))
	return width, height, err == nil
}
