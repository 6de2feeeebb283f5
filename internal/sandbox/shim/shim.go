// Package shim is the step between the agent and a program that it does not trust: the agent starts its own binary as
// `windsock plugin-exec`, which confines itself and then becomes the program. Its init answers, so that every binary that
// imports the package is a shim too. It decides nothing: what the program may do is in the Spec, which the agent sends.
//
// It imports next to nothing, and must not: what it imports is initialised before it, and so is every package that comes
// earlier by name and is ready by then. That is time which every program pays at its start.
package shim

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Verb is the argument that makes a binary the shim.
const Verb = "plugin-exec"

// Prefix begins the one line that the shim writes where it fails.
const Prefix = "windsock " + Verb + ": "

// The descriptors of the shim, beside those of every program.
const (
	SpecFD    = 3 // the Spec is read from it: a pipe, or a socket, to which a failure is written too
	ProgramFD = 4 // the program, opened; of a script it stays open, so that the interpreter reads the file that was judged
)

// The exit statuses of a shim that failed, as the shells have them.
const (
	ExitTyped  = 2   // somebody typed the verb
	ExitSetup  = 125 // the program could not be confined, and was not started
	ExitDenied = 126 // the program could not be executed
	ExitAbsent = 127 // the program, its interpreter or its loader is not there
)

// MaxSpec is the most bytes that a Spec may take: more than the kernel lets a program have in arguments and environment.
const MaxSpec = 8 << 20

// Spec is what the shim does before it becomes the program.
type Spec struct {
	Argv, Env []string
	Dir       string   // the program's folder
	Path      string   // executed in the stead of the descriptor: a script that looks for files beside itself
	Read      []string // files and folders that it may read and execute
	Write     []string // those that it may change too
	Isolated  bool     // no network
	Bounded   bool     // TCP to the Ports only
	Ports     []uint16
	Session   bool   // it stays in its session, and ends with the agent
	Files     int    // descriptors; 0 is the agent's own limit
	Cgroup    string // the folder of the cgroup to join; "" stays
}

// Encode returns the Spec as the shim reads it: NUL-terminated key=value, ended by a lone NUL. Nothing that the kernel
// takes as an argument, a variable or a path can hold a NUL.
func (s Spec) Encode() ([]byte, error) {
	var b []byte
	add := func(key string, values ...string) {
		for _, value := range values {
			b = append(append(append(append(b, key...), '='), value...), 0)
		}
	}
	add("argv", s.Argv...)
	add("env", s.Env...)
	add("dir", s.Dir)
	add("path", s.Path)
	add("read", s.Read...)
	add("write", s.Write...)
	add("isolated", strconv.FormatBool(s.Isolated))
	add("bounded", strconv.FormatBool(s.Bounded))
	for _, port := range s.Ports {
		add("port", strconv.Itoa(int(port)))
	}
	add("session", strconv.FormatBool(s.Session))
	add("files", strconv.Itoa(s.Files))
	add("cgroup", s.Cgroup)
	lists := len(s.Argv) + len(s.Env) + len(s.Read) + len(s.Write) + len(s.Ports)
	const single = 7
	if strings.Count(string(b), "\x00") != lists+single {
		return nil, syscall.EINVAL
	}
	b = append(b, 0)
	if len(b) > MaxSpec {
		return nil, syscall.E2BIG
	}
	return b, nil
}

// errSpec is for a Spec that the agent's own Encode did not write.
var errSpec = errors.New("what the agent sent cannot be read")

func decode(text string) (Spec, error) {
	var s Spec
	for {
		line, rest, found := strings.Cut(text, "\x00")
		if !found {
			return s, errSpec
		}
		if line == "" {
			return s, nil
		}
		text = rest
		key, value, found := strings.Cut(line, "=")
		if !found || !s.set(key, value) {
			return s, errSpec
		}
	}
}

// set takes one value, and reports whether it could.
func (s *Spec) set(key, value string) bool {
	var err error
	switch key {
	case "argv":
		s.Argv = append(s.Argv, value)
	case "env":
		s.Env = append(s.Env, value)
	case "dir":
		s.Dir = value
	case "path":
		s.Path = value
	case "read":
		s.Read = append(s.Read, value)
	case "write":
		s.Write = append(s.Write, value)
	case "cgroup":
		s.Cgroup = value
	case "isolated":
		s.Isolated, err = strconv.ParseBool(value)
	case "bounded":
		s.Bounded, err = strconv.ParseBool(value)
	case "session":
		s.Session, err = strconv.ParseBool(value)
	case "files":
		s.Files, err = strconv.Atoi(value)
	case "port":
		var port uint64
		port, err = strconv.ParseUint(value, 10, 16)
		s.Ports = append(s.Ports, uint16(port))
	default:
		return false
	}
	return err == nil
}

// init makes the binary a shim where it was started as one, and then does not return.
func init() { //nolint:gochecknoinits // it must act before the agent's packages are initialised
	if args := os.Args; len(args) > 1 && args[1] == Verb { //nolint:forbidigo // it is a program's beginning
		serve()
	}
}
