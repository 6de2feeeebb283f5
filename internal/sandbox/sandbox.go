// Package sandbox starts programs that the agent does not trust: plugins, and the programs of exec checks. It says what
// such a program may do, finds out what this kernel and unit can hold it to, and reads what the shim says where it failed.
// It starts no process itself, and judges no file: that are the callers of it and internal/executable.
//
// What it keeps from the program: files outside of the system's and the policy's; the agent's memory, environment and
// descriptors; signals to the agent and abstract sockets, where the kernel knows how; core files. What it does not: the
// user is the agent's, so that a program can connect to the agent's Unix sockets, see that files are there, and use the
// network that its policy leaves it.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/windsock-monitor/windsock/internal/sandbox/shim"
)

// The networks of a Policy.
const (
	NetworkAny  = "any"  // "" too
	NetworkNone = "none" // Unix sockets only
)

// Policy is what a program may do. The zero value reads the system's programs, libraries and settings of the network,
// writes nothing, and uses any network.
type Policy struct {
	Read  []string // absolute paths, files or folders with all below, to read and execute; what is not there is left out
	Write []string // likewise, to change too
	// Network is NetworkAny or NetworkNone.
	Network string
	Ports   []uint16 // the TCP ports that it may connect to, where the kernel can hold it to that; nil is any
	// Session keeps it, and all that it starts, in the session that the caller began with it, so that they can be found by
	// its number, and keeps the signal from being lifted by which it ends with the agent.
	Session bool
	Memory  int64  // bytes: what a Go runtime in it is told to stay below; the bound itself is the Cgroup's. 0 is none
	Files   int    // descriptors; 0 is as many as the agent may have
	Cgroup  string // the folder of the cgroup to join; "" stays in the agent's
}

// Command is a program to become.
type Command struct {
	Argv, Env []string // the name that it sees and its arguments; NAME=value, all of it
	Dir       string   // its folder; "" is the agent's
	Path      string   // executed by this name and not by descriptor: a script that looks for files beside itself
	Policy    Policy
}

// Shim is the program to start, and its arguments. The caller gives it the read end of a pipe as descriptor 3, to which
// Send writes, the program, opened, as 4, and what it likes as 0 to 2; an environment it needs none. It ends with status 0
// where the pipe is closed without a word, so that it can be started before it is known what is to run.
//
// In the stead of the pipe 3 may be a socket: a failure is then written to it and not to standard error, which Report
// reads, and it is closed when the program has begun.
func Shim() (path string, argv []string) { return "/proc/self/exe", []string{"windsock", shim.Verb} }

// Send writes what to run. An error before anything was written is a fault of the command.
func (c Command) Send(w io.Writer) error {
	if err := c.Policy.check(); err != nil {
		return err
	}
	env := c.Env
	if c.Policy.Memory > 0 && !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "GOMEMLIMIT=") }) {
		env = append(slices.Clone(env), "GOMEMLIMIT="+strconv.FormatInt(c.Policy.Memory/5*4, 10))
	}
	data, err := shim.Spec{
		Argv: c.Argv, Env: env, Dir: c.Dir, Path: c.Path,
		Read: c.Policy.Read, Write: c.Policy.Write, Isolated: c.Policy.Network == NetworkNone,
		Bounded: c.Policy.Ports != nil, Ports: c.Policy.Ports, Session: c.Policy.Session, Files: c.Policy.Files, Cgroup: c.Policy.Cgroup,
	}.Encode()
	switch {
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("arguments, environment and paths take more than %d bytes: %w", shim.MaxSpec, err)
	case err != nil:
		return fmt.Errorf("a NUL in an argument, a variable or a path: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("telling the shim what to run: %w", err)
	}
	return nil
}

func (p Policy) check() error {
	if !slices.Contains([]string{"", NetworkAny, NetworkNone}, p.Network) {
		return fmt.Errorf("the network %q, want %s or %s", p.Network, NetworkAny, NetworkNone)
	}
	for _, path := range slices.Concat(p.Read, p.Write) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("the path %q is not absolute", path)
		}
	}
	return nil
}

// StartError is the shim's word that the program was not started. It unwraps to the kernel's errno.
type StartError struct {
	Code  int    // shim.ExitSetup, ExitDenied or ExitAbsent
	Text  string // what it did, and the fault
	Errno syscall.Errno
}

func (e *StartError) Error() string { return e.Text }

func (e *StartError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Report reads from the socket that was given as descriptor 3, until the shim says why it failed or the program has begun.
// Nil is that it began, or that the shim was killed before.
func Report(r io.Reader) error {
	const most = 4 << 10
	text, err := io.ReadAll(io.LimitReader(r, most))
	code, rest, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !ok {
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("reading the shim's report: %w", err)
		}
		return nil
	}
	number, rest, _ := strings.Cut(rest, " ")
	e := &StartError{Text: rest}
	e.Code, _ = strconv.Atoi(code)
	errno, _ := strconv.Atoi(number)
	e.Errno = syscall.Errno(errno)
	return e
}

// Explain says what an exit status of the shim means: a sentence for people, and whether it is the shim's own. It is not
// where the program began and ended by itself with the same status.
func Explain(code int, stderr string) (sentence string, ours bool) {
	if !slices.Contains([]int{shim.ExitSetup, shim.ExitDenied, shim.ExitAbsent}, code) {
		return "", false
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	text, ours := strings.CutPrefix(lines[len(lines)-1], shim.Prefix)
	if !ours {
		return "", false
	}
	switch code {
	case shim.ExitAbsent:
		return "the program, its interpreter or its loader is missing: " + text, true
	case shim.ExitDenied:
		sentence = "the program cannot be executed: " + text
		if strings.HasSuffix(text, syscall.EACCES.Error()) {
			sentence += "; where its mode allows it, its file system is mounted noexec, or the unit (NoExecPaths=) or a security module refuses: `findmnt`, `journalctl -k | grep -i denied`"
		}
		return sentence, true
	}
	return "the program could not be confined, and was not started: " + text, true
}
