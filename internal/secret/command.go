package secret

import (
	"context"
	"errors"
	"fmt"

	"github.com/windsock-monitor/windsock/internal/process"
)

// run starts the program, without a shell and with almost no environment, and returns what it printed. What it writes to
// standard error is thrown away: tools print keys there. home is for tools that keep their own login in it. An agent that
// such a tool starts for itself (gpg-agent) may stay, where it makes a session of its own.
func run(ctx context.Context, argv []string, home string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, CommandTimeout)
	defer cancel()
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if home != "" {
		env = append(env, "HOME="+home)
	}
	end, err := process.Run(ctx, process.Command{
		Path: argv[0], Argv: argv, Env: env, Stdout: process.Bounds{Keep: MaxSize, Most: MaxSize},
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("starting: %w", fileError(err))
	case end.Stopped == process.StopFlood || end.Stdout.Cut:
		return "", fmt.Errorf("printed more than %d bytes", MaxSize)
	case end.Stopped == process.StopDeadline:
		return "", fmt.Errorf("no end within %s", CommandTimeout)
	case end.Stopped == process.StopCancelled:
		return "", context.Canceled
	case end.Signal != "":
		return "", errors.New("ended by a signal")
	case end.Code != 0:
		return "", fmt.Errorf("exit status %d", end.Code)
	}
	return string(end.Stdout.Text), nil
}
