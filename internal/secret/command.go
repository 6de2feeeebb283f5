package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// run starts the program, without a shell and with almost no environment, and returns what it printed. What it writes to
// standard error is thrown away: tools print keys there. home is for tools that keep their own login in it.
func run(ctx context.Context, argv []string, home string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, CommandTimeout)
	defer cancel()
	out := &capped{stop: cancel}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the operator's own file names it
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if home != "" {
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	cmd.Dir = "/"
	cmd.Stdout = out
	cmd.WaitDelay = time.Second
	group(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = killGroup(cmd) // a child of the program still holds the pipe
	}
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case out.over:
		return "", fmt.Errorf("printed more than %d bytes", MaxSize)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("no end within %s", CommandTimeout)
	case ctx.Err() != nil:
		return "", ctx.Err()
	case exited && exit.Exited():
		return "", fmt.Errorf("exit status %d", exit.ExitCode())
	case exited:
		return "", errors.New("ended by a signal")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("starting: %w", fileError(err))
	}
	return out.buf.String(), nil
}

// capped collects up to MaxSize bytes and stops the program at the next.
type capped struct {
	buf  bytes.Buffer
	over bool
	stop context.CancelFunc
}

func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > MaxSize {
		c.over = true
		c.stop()
		return 0, errors.New("too much output")
	}
	return c.buf.Write(p)
}
