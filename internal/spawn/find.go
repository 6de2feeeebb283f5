package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/executable"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// find opens the program that a path leads to, and refuses what is outside of the allowed directories or what another
// than root and the agent's user could change.
func (s *Spawner) find(path string) (*executable.File, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, lookupError(path, err)
	}
	i := slices.IndexFunc(s.o.Directories, func(dir string) bool {
		target, err := filepath.EvalSymlinks(dir)
		return err == nil && below(resolved, target)
	})
	if i < 0 {
		return nil, fmt.Errorf("%w: %q leads to %q, outside of the allowed directories", checks.ErrProgramRefused, path, resolved)
	}
	allowed, err := filepath.EvalSymlinks(s.o.Directories[i])
	if err != nil {
		return nil, lookupError(path, err)
	}
	file, err := executable.Open(resolved, allowed, executable.Options{})
	if e, ok := errors.AsType[*executable.Error](err); ok {
		return nil, unfit(e)
	}
	return file, err
}

func lookupError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %q", checks.ErrProgramMissing, path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("%w: looking up %q: %w", checks.ErrProgramRefused, path, err)
	}
	return fmt.Errorf("looking up %q: %w", path, err)
}

// unfit is the fault of a program in the words of the checks.
func unfit(e *executable.Error) error {
	switch {
	case e.Kind == executable.Missing:
		return fmt.Errorf("%w: %q", checks.ErrProgramMissing, e.Path)
	case e.Kind.Refused():
		return fmt.Errorf("%w: %w", checks.ErrProgramRefused, e)
	case e.Kind == executable.Failed:
		return e
	}
	return fmt.Errorf("%w: %w", checks.ErrProgramBroken, e)
}

// errno is the fault without what the descriptor or the shim adds to it.
func errno(err error) error {
	if e, ok := errors.AsType[*sandbox.StartError](err); ok {
		return e.Errno
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
