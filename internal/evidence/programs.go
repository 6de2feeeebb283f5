package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/internal/process"
)

// Programs runs programs of the system that only tell something: without a shell, without a terminal, in an environment of
// PATH, HOME and KUBECONFIG alone.
type Programs struct {
	Getenv func(string) string
	Most   time.Duration // that one may take; 10 seconds
	Keep   int           // bytes of its output; 8 MiB
}

// ErrAbsent means that there is no such program.
var ErrAbsent = errors.New("not installed, or not in PATH")

// Run is what the program printed. The error says in one line why there is nothing.
func (p Programs) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := p.find(name)
	if err != nil {
		return nil, err
	}
	most, keep := p.Most, p.Keep
	if most <= 0 {
		most = 10 * time.Second
	}
	if keep <= 0 {
		keep = 8 << 20
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "KUBECONFIG"} {
		if value := p.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	end, err := process.Run(bounded, process.Command{
		Path: path, Argv: append([]string{name}, args...), Env: env,
		Stdout: process.Bounds{Keep: keep, Most: 8 * int64(keep)}, Stderr: process.Bounds{Keep: 4 << 10, Most: 16 << 20},
	})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: interrupted: %w", name, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case end.Stopped == process.StopDeadline:
		return nil, fmt.Errorf("%s did not end within %s, and was killed", name, most)
	case end.Stopped != process.StopNone || end.Stdout.Cut:
		return nil, fmt.Errorf("%s printed more than %d MiB", name, keep>>20)
	case end.Code != 0:
		return nil, fmt.Errorf("%s failed (%s): %s", name, ending(end), firstLine(string(end.Stderr.Text)))
	}
	return end.Stdout.Text, nil
}

func ending(end process.End) string {
	if end.Signal != "" {
		return end.Signal
	}
	return fmt.Sprintf("exit code %d", end.Code)
}

// logged is how a line of kubectl's own log begins. The sentence for people comes after such lines.
var logged = regexp.MustCompile(`^[IWEF]\d{4} \d\d:`)

// firstLine is the first line of a text that says something, fit for a sentence; one of a log only where there is no other.
func firstLine(text string) string {
	first := "it said nothing"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(line, "")))
		line = line[:min(len(line), 300)]
		switch {
		case line == "":
		case !logged.MatchString(line):
			return line
		case first == "it said nothing":
			first = line
		}
	}
	return first
}

// find looks in PATH, as far as that has absolute places.
func (p Programs) find(name string) (string, error) {
	for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, ErrAbsent)
}

// openPlain opens a file, and nothing that would make whoever opens it wait.
func openPlain(path string) (*os.File, int64, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a file: %w", path, fs.ErrInvalid)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}
