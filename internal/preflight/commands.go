package preflight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/process"
)

const (
	endsWithin = 5 * time.Second // from SIGTERM to SIGKILL
	mostOutput = 256 << 20       // bytes of one stream, after which a program is ended
)

// commands runs what the configuration gives, one after the other: they share the target.
func (r *run) commands(ctx context.Context) {
	c := &r.cfg.Preflight.Commands
	for _, row := range []struct {
		id, key string
		argv    []string
	}{{itemTypecheck, "typecheck", c.Typecheck}, {itemTest, "test", c.Test}} {
		if ctx.Err() != nil {
			return
		}
		if row.argv == nil {
			r.set(row.id, blocked("add preflight.commands."+row.key+": [PROGRAM, ARGUMENT…]", "no command is given"))
			continue
		}
		if f := r.command(ctx, row.argv); ctx.Err() == nil {
			r.set(row.id, f)
		}
	}
}

// command runs one program in the target. Its output is counted, and never shown: nobody knows what stands in it.
func (r *run) command(ctx context.Context, argv []string) finding {
	folder, problem := r.folder()
	if problem != nil {
		return *problem
	}
	path, err := r.program(folder, argv[0])
	if err != nil {
		return blocked("install it, or give its path", "%q cannot be run: %v", argv[0], err)
	}
	mark := "WINDSOCK_PREFLIGHT=" + rand.Text()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Preflight.Commands.Timeout)
	defer cancel()
	end, err := process.Run(ctx, process.Command{
		Path: path, Argv: argv, Dir: folder, Env: append(r.environment(r.cfg.Preflight.Commands.Env), mark), Mark: mark, Grace: endsWithin,
		Stdout: process.Bounds{Most: mostOutput}, Stderr: process.Bounds{Most: mostOutput},
	})
	line := typed(argv)
	again := "run it by hand: cd " + typed([]string{folder}) + " && " + line
	switch took := end.Took.Round(10 * time.Millisecond); {
	case err != nil:
		return blocked("install it, or give its path", "%q cannot be run: %v", argv[0], err)
	case end.Stopped == process.StopDeadline:
		return fail("raise preflight.commands.timeout, or make it faster", "%s was ended after %s", line, r.cfg.Preflight.Commands.Timeout)
	case end.Stopped == process.StopFlood:
		return fail(again, "%s was ended: it wrote more than %d MiB", line, mostOutput>>20)
	case end.Signal != "":
		return fail(again, "%s was ended by a signal: %s", line, end.Signal)
	case end.Code != 0:
		return fail(again, "%s: exit code %d, after %s", line, end.Code, took)
	default:
		return pass("%s: exit code 0, after %s", line, took)
	}
}

// typed is a command as one types it.
func typed(argv []string) string {
	var all []string
	for _, word := range argv {
		odd := func(c rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+", c)
		}
		if word == "" || strings.IndexFunc(word, odd) >= 0 {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

// program finds a program as a shell in the folder would.
func (r *run) program(folder, name string) (string, error) {
	var tried []string
	switch {
	case filepath.IsAbs(name):
		tried = []string{name}
	case strings.Contains(name, "/"):
		tried = []string{filepath.Join(folder, name)}
	default:
		for _, dir := range filepath.SplitList(r.path()) {
			if filepath.IsAbs(dir) {
				tried = append(tried, filepath.Join(dir, name))
			}
		}
	}
	for _, path := range tried {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0:
			return filepath.Abs(path)
		case err != nil && !errors.Is(err, fs.ErrNotExist) && len(tried) == 1:
			return "", err //nolint:wrapcheck // the caller names the program
		}
	}
	return "", errors.New("there is no such program")
}

func (r *run) path() string {
	if path := r.o.Getenv("PATH"); path != "" {
		return path
	}
	return "/usr/local/bin:/usr/bin:/bin"
}

// environment is what a program gets: PATH, HOME, LANG, and what the configuration names.
func (r *run) environment(given []string) []string {
	all := []string{"PATH=" + r.path()}
	for _, name := range []string{"HOME", "LANG"} {
		if value := r.o.Getenv(name); value != "" {
			all = append(all, name+"="+value)
		}
	}
	for _, text := range given {
		if strings.Contains(text, "=") {
			all = append(all, text)
		} else if value := r.o.Getenv(text); value != "" {
			all = append(all, fmt.Sprintf("%s=%s", text, value))
		}
	}
	return all
}
