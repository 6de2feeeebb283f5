// Package spawn says which programs a check may run, and runs them. It runs nothing outside of the directories that the
// operator allows, nothing that somebody else could have changed, and gives a program no secret that its check does not
// name. How a program is run and ended is internal/process.
package spawn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// The bounds of what a program prints.
const (
	KeepStdout = 64 << 10 // bytes that are kept
	KeepStderr = 4 << 10
	Flood      = 16 << 20 // bytes of one of them after which the program is killed
)

// Mark is the environment variable by which what a program leaves behind is found. Each run has another value.
const Mark = "WINDSOCK_RUN"

// Options is what a Spawner needs. The zero value allows nothing.
type Options struct {
	Directories []string            // absolute; programs are in them or below
	Read, Write []string            // absolute; what programs may read and execute, or change too, beside the system's and Directories
	Env         []string            // names of variables that every program gets from the agent's own environment
	Getenv      func(string) string // the agent's own environment; nil is empty
	Scrubber    *secret.Scrubber    // takes secrets out of what programs print; nil makes one
}

// Spawner implements checks.Spawner.
type Spawner struct{ o Options }

// New makes a Spawner.
func New(o Options) (*Spawner, error) {
	for _, dir := range o.Directories {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
			return nil, fmt.Errorf("allowing programs of %q: want an absolute path below /", dir)
		}
	}
	for _, path := range slices.Concat(o.Read, o.Write) {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("allowing programs to read or write %q: want an absolute path", path)
		}
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Scrubber == nil {
		o.Scrubber = secret.NewScrubber()
	}
	return &Spawner{o}, nil
}

// Permits implements checks.Spawner.
func (s *Spawner) Permits(path string) error {
	switch {
	case len(s.o.Directories) == 0:
		return fmt.Errorf("%w: no directory of programs is allowed", checks.ErrProgramRefused)
	case !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return fmt.Errorf("%w: %q is not an absolute path in its shortest form", checks.ErrProgramRefused, path)
	case !slices.ContainsFunc(s.o.Directories, func(dir string) bool { return below(path, dir) }):
		return fmt.Errorf("%w: %q is in none of the allowed directories: %s", checks.ErrProgramRefused, path, strings.Join(s.o.Directories, ", "))
	}
	return nil
}

// below reports whether the path is inside the directory.
func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// Spawn implements checks.Spawner.
func (s *Spawner) Spawn(ctx context.Context, p checks.Program) (checks.Ended, error) {
	if len(p.Argv) == 0 {
		return checks.Ended{}, errors.New("spawning: no program")
	}
	path := p.Argv[0]
	if err := s.Permits(path); err != nil {
		return checks.Ended{}, err
	}
	env, err := s.environment(ctx, p)
	if err != nil {
		return checks.Ended{}, err
	}
	program, err := s.find(path)
	if err != nil {
		return checks.Ended{}, err
	}
	defer func() { _ = program.Close() }()
	mark := Mark + "=" + rand.Text()
	end, err := process.Run(ctx, process.Command{
		Path: program.Path, File: program.Descriptor(), ByPath: program.Script, Confine: s.policy(),
		Argv: p.Argv, Env: append(env, mark), Grace: p.Grace, Mark: mark,
		Stdout: process.Bounds{Keep: KeepStdout, Most: Flood}, Stderr: process.Bounds{Keep: KeepStderr, Most: Flood},
	})
	if err != nil {
		return checks.Ended{}, explain(program, err)
	}
	return checks.Ended{
		Stdout: s.scrub(end.Stdout), Stderr: s.scrub(end.Stderr), Cut: end.Stdout.Cut,
		Code: end.Code, Signal: end.Signal, Stopped: checks.Stop(end.Stopped), Left: end.Left, Took: end.Took,
	}, nil
}

// policy is what every program may do.
func (s *Spawner) policy() *sandbox.Policy {
	return &sandbox.Policy{Read: slices.Concat(s.o.Directories, s.o.Read), Write: s.o.Write}
}

// environment is all that the program sees of ours.
func (s *Spawner) environment(ctx context.Context, p checks.Program) ([]string, error) {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
	for _, name := range s.o.Env {
		if value := s.o.Getenv(name); value != "" {
			env[name] = value
		}
	}
	maps.Copy(env, p.Env)
	for name, ref := range p.Secrets {
		value, err := ref.Reveal(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the secret for %s: %w", name, err)
		}
		s.o.Scrubber.Add(value)
		env[name] = value
	}
	out := make([]string, 0, len(env)+1)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out, nil
}

// scrub takes the secrets out. Where the text was cut, an end that could be the beginning of a secret goes too.
func (s *Spawner) scrub(out process.Output) string {
	if !out.Cut {
		return s.o.Scrubber.String(string(out.Text))
	}
	var b strings.Builder
	_, _ = s.o.Scrubber.Writer(&b).Write(out.Text)
	return b.String()
}
