// Package process runs one program, once, within bounds: no shell, an environment that the caller gives whole, no input,
// no inherited descriptors, a session of its own, output that is bounded in memory, and an end by force for it and all
// that it started. It does not decide which program may run, and knows no secrets.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// Command is what to run.
type Command struct {
	Path   string   // absolute: what is executed where File is nil
	File   *os.File // the program on an open descriptor, executed in the stead of Path; the caller closes it
	ByPath bool     // Path is executed though there is a File: a script that looks for files beside itself
	// Confine is what the program may do, where the kernel can hold it to that. It needs File. Nil is all that the agent may.
	Confine *sandbox.Policy
	Argv    []string // the name that the program sees, and its arguments
	Env     []string // NAME=value, all of it
	Dir     string   // its folder, of one that is not confined; "" is /
	Stdout  Bounds
	Stderr  Bounds
	Grace   time.Duration // from SIGTERM to SIGKILL when the context ends; 0 kills at once
	// Mark, a NAME=value that Env holds and no other run has, finds the processes that left the program's session: what
	// carries it when the program has ended is killed too. "" leaves them.
	Mark string
}

// Bounds of one stream. The zero value throws all of it away.
type Bounds struct {
	Keep int   // bytes that are kept, from the beginning; the rest is read and thrown away
	Most int64 // bytes after which the program is killed; 0 is no bound
}

// Stop says why the program was stopped.
type Stop string

// The reasons to stop a program.
const (
	StopNone      Stop = ""          // it ended by itself
	StopDeadline  Stop = "deadline"  // the context's deadline
	StopCancelled Stop = "cancelled" // the context was cancelled
	StopFlood     Stop = "flood"     // more output than Bounds.Most
)

// Output is what one stream held.
type Output struct {
	Text []byte
	Cut  bool // there was more
}

// End is how the program ended.
type End struct {
	Stdout, Stderr Output
	Code           int    // exit status; -1 where a signal ended it
	Signal         string // the signal that ended it, as "killed"; "" where it exited
	Stopped        Stop
	Left           int // processes with the mark that it left behind, which were killed
	Took           time.Duration
}

// drainFor is how long output may be waited for when the program has ended: only a process that cannot be killed holds
// the pipe for longer.
const drainFor = time.Second

// Run starts the program and returns when it has ended, been reaped, and everything of its process group has been killed.
// The end of ctx stops it. A program that survives SIGKILL (the kernel waits for a disk that does not answer) holds Run up
// until it is gone: it would be worse to start it again beside itself. The error is for a program that could not be
// started, and for a context that had ended before: nothing ran then.
func Run(ctx context.Context, c Command) (End, error) {
	if err := ctx.Err(); err != nil {
		return End{}, fmt.Errorf("starting: %w", err)
	}
	stdout, stderr, files, err := open(c)
	if err != nil {
		return End{}, err
	}
	began := time.Now()
	child, err := start(ctx, c, files)
	closeAll(files)
	if err != nil {
		stdout.abandon()
		stderr.abandon()
		return End{}, err
	}
	go stdout.drain()
	go stderr.drain()
	end := End{Stopped: watch(ctx, c.Grace, child, stdout, stderr)}
	end.Left = child.clear(c.Mark)
	end.Code, end.Signal = child.reap()
	end.Took = time.Since(began)
	by := time.Now().Add(drainFor)
	end.Stdout, end.Stderr = stdout.finish(by), stderr.finish(by)
	return end, nil
}

// open makes the program's three descriptors, in their order, and our ends of the two pipes.
func open(c Command) (stdout, stderr *stream, files []*os.File, err error) {
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("opening the program's input: %w", err)
	}
	stdout, out, err := newStream(c.Stdout)
	if err != nil {
		return nil, nil, nil, errors.Join(err, stdin.Close())
	}
	stderr, other, err := newStream(c.Stderr)
	if err != nil {
		stdout.abandon()
		return nil, nil, nil, errors.Join(err, stdin.Close(), out.Close())
	}
	return stdout, stderr, []*os.File{stdin, out, other}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// watch waits for the end of the program, or makes one.
func watch(ctx context.Context, grace time.Duration, child *child, stdout, stderr *stream) Stop {
	var stopped Stop
	select {
	case <-child.ended:
		return StopNone
	case <-ctx.Done():
		stopped = StopCancelled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			stopped = StopDeadline
		}
	case <-stdout.full:
		stopped, grace = StopFlood, 0
	case <-stderr.full:
		stopped, grace = StopFlood, 0
	}
	select {
	case <-child.ended: // at the same moment: its own end counts
		if stopped != StopFlood {
			return StopNone
		}
	default:
	}
	if grace > 0 {
		child.terminate()
		patience := time.NewTimer(grace)
		defer patience.Stop()
		select {
		case <-child.ended:
			return stopped
		case <-patience.C:
		}
	}
	child.kill()
	<-child.ended
	return stopped
}
