package checks

import (
	"context"
	"errors"
	"time"
)

// Why a program could not be started. Each is the configuration's fault, not the target's.
var (
	ErrProgramMissing = errors.New("no such program")
	ErrProgramRefused = errors.New("program not allowed") // outside the allowed directories, or others can change it
	ErrProgramBroken  = errors.New("program cannot be executed")
)

// Spawner runs programs for a check: only those of the directories that the operator allows, without a shell, within
// bounds, and with an end by force. It is safe for concurrent use.
type Spawner interface {
	// Permits says why the program would be refused, by the text of its absolute path alone: it touches no file.
	Permits(path string) error
	// Spawn runs the program to its end, or to that of ctx. The error wraps one of ErrProgramMissing, ErrProgramRefused
	// and ErrProgramBroken where the program is at fault, ErrNoSecret where a secret is, and the context's where that had
	// ended before; any other is the agent's own (no descriptors, no processes). In all these cases nothing ran.
	Spawn(ctx context.Context, p Program) (Ended, error)
}

// Program is one run of a program.
type Program struct {
	Argv    []string          // an absolute path and the arguments; never a secret, because every user can read them
	Env     map[string]string // beside what the agent gives every program
	Secrets map[string]Secret // more of the environment; their values are taken out of what the program prints
	Grace   time.Duration     // from SIGTERM to SIGKILL when ctx ends; 0 kills at once
}

// Stop says why a program was stopped.
type Stop string

// The reasons to stop a program.
const (
	StopNone      Stop = ""          // it ended by itself
	StopDeadline  Stop = "deadline"  // of the context
	StopCancelled Stop = "cancelled" // the context was
	StopFlood     Stop = "flood"     // it printed without end
)

// Ended is how a program ended.
type Ended struct {
	Stdout, Stderr string // their beginnings, bounded, as the program wrote them but for secrets
	Cut            bool   // Stdout was longer than was kept
	Code           int    // exit status; -1 where a signal ended it
	Signal         string // the signal, as "killed"; "" where it exited
	Stopped        Stop
	Left           int // processes that it left behind, which were killed
	Took           time.Duration
}
