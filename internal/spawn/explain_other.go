//go:build !linux

package spawn

import (
	"fmt"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/executable"
)

func explain(p *executable.File, err error) error {
	return fmt.Errorf("%w: %q: %w", checks.ErrProgramBroken, p.Path, errno(err))
}
