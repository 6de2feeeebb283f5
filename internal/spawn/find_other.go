//go:build !linux

package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/windsock-monitor/windsock/checks"
)

// program is a program that was found. The agent's home is Linux; elsewhere, where it is tried out, nobody looks at
// owners and modes.
type program struct{ path string }

func (p *program) close() {}

func (p *program) direct() *os.File { return nil }

func (p *program) explain(err error) error {
	return fmt.Errorf("%w: %q: %w", checks.ErrProgramBroken, p.path, err)
}

func (s *Spawner) find(path string) (*program, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", checks.ErrProgramMissing, path)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up %q: %w", path, err)
	}
	for _, dir := range s.o.Directories {
		if target, err := filepath.EvalSymlinks(dir); err == nil && below(resolved, target) {
			return &program{resolved}, nil
		}
	}
	return nil, fmt.Errorf("%w: %q leads to %q, outside of the allowed directories", checks.ErrProgramRefused, path, resolved)
}
