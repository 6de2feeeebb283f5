package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/process"
)

// readCommand returns what the program printed when it was last asked. It is asked again when its time is over: where it
// then fails the answer of before counts on, as a key that works is better than none, until the target refuses it.
func (s *source) readCommand(ctx context.Context, ref Ref, c *cached) (string, error) {
	if c.valid && (c.until.IsZero() || time.Now().Before(c.until)) {
		return c.value, c.err
	}
	value, err := s.ask(ctx, ref)
	if err != nil && ctx.Err() != nil {
		return "", err // the caller gave up; that says nothing about the command
	}
	next := cached{value: value, err: err, valid: true}
	switch {
	case err != nil && c.valid && c.err == nil:
		s.resolver.warnOnce("not renewed, the value of before is used on: "+err.Error(), ref.String())
		next = cached{value: c.value, until: time.Now().Add(failedAgain), valid: true}
	case err != nil:
		next.until = time.Now().Add(failedAgain)
	case ref.Refresh > 0:
		next.until = time.Now().Add(ref.Refresh)
	}
	*c = next
	return next.value, next.err
}

func (s *source) ask(ctx context.Context, ref Ref) (string, error) {
	out, err := run(ctx, ref.Command, s.environment(ref))
	if err != nil {
		return "", err
	}
	return usable(trimNewline(out))
}

// environment is what the program gets: almost nothing of the agent's. HOME is for tools that keep their own login in it.
// Each name stands there once, as given.
func (s *source) environment(ref Ref) []string {
	given := map[string]bool{}
	var env []string
	for _, v := range ref.Variables {
		name, _, fixed := strings.Cut(v, "=")
		value := s.resolver.getenv(name)
		switch {
		case given[name]:
		case fixed:
			env = append(env, v)
			given[name] = true
		case value != "":
			env = append(env, name+"="+value)
			given[name] = true
		}
	}
	for _, v := range []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + s.resolver.getenv("HOME")} {
		if name, value, _ := strings.Cut(v, "="); !given[name] && value != "" {
			env = append(env, v)
		}
	}
	return env
}

// checkVariable refuses what is no variable. Its error does not show it: what is wrong may be a value.
func checkVariable(v string) error {
	name, _, _ := strings.Cut(v, "=")
	if strings.ContainsRune(v, 0) || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" || name[0] <= '9' {
		return errors.New("a variable is NAME, which takes the agent's own, or NAME=value")
	}
	return nil
}

// run starts the program, without a shell, and returns what it printed. What it writes to standard error is thrown away:
// tools print keys there. An agent that such a tool starts for itself (gpg-agent) may stay, where it makes a session of its
// own.
func run(ctx context.Context, argv, env []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, CommandTimeout)
	defer cancel()
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
