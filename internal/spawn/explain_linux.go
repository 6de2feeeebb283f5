package spawn

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/executable"
)

// explain tells the program's fault from our own.
func explain(p *executable.File, err error) error {
	is := func(all ...error) bool {
		return slices.ContainsFunc(all, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case is(syscall.ENOENT) && p.Script:
		return fmt.Errorf("%w: the interpreter %q of %q is missing", checks.ErrProgramBroken, p.Interpreter, p.Path)
	case is(syscall.EACCES) && p.Script:
		return fmt.Errorf("%w: %q or its interpreter %q may not be executed; an interpreter that is not the system's has to be in programs.read", checks.ErrProgramBroken, p.Path, p.Interpreter)
	case is(syscall.ENOEXEC):
		return fmt.Errorf("%w: %q is neither a program for this machine nor a script with #! at its top", checks.ErrProgramBroken, p.Path)
	case is(syscall.ETXTBSY):
		return fmt.Errorf("%w: %q is being written (text file busy)", checks.ErrProgramBroken, p.Path)
	case is(syscall.ENOENT):
		return fmt.Errorf("%w: the loader that %q asks for is missing", checks.ErrProgramBroken, p.Path)
	case is(syscall.EACCES, syscall.EPERM, syscall.ELIBBAD, syscall.E2BIG, syscall.ELOOP, syscall.EISDIR):
		return fmt.Errorf("%w: %q: %w", checks.ErrProgramBroken, p.Path, errno(err))
	}
	return fmt.Errorf("starting %q: %w", p.Path, errno(err))
}
