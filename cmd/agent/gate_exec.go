package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	program "github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/scan"
)

const (
	mostOutput = 16 << 10         // bytes of each stream of the command that are kept
	mostLines  = 20               // of each that people are shown
	lastWords  = 10 * time.Second // from SIGTERM to SIGKILL
)

// execution is what became of the command of --exec-on-rollback.
type execution struct {
	Argv     []string `json:"argv"`
	ExitCode int      `json:"exit_code"` // -1 where it did not exit
	Took     float64  `json:"took"`
	Stdout   string   `json:"stdout,omitempty"`
	Stderr   string   `json:"stderr,omitempty"`
	Cut      bool     `json:"cut,omitempty"` // there was more output
	Error    string   `json:"error,omitempty"`
}

func (a *gateAfter) check() error {
	switch {
	case a.exec == "" && a.yes:
		return errors.New("--yes is for --exec-on-rollback, which is not given")
	case a.exec == "":
		return nil
	case !a.yes:
		return errors.New("--exec-on-rollback runs a command that changes something: say --yes as well, or take --print-commands and run it yourself")
	case a.timeout <= 0:
		return fmt.Errorf("--exec-timeout is %s, want more than 0s", a.timeout)
	}
	argv, err := shellWords(a.exec)
	if err == nil {
		_, err = exec.LookPath(argv[0])
	}
	if err != nil {
		return fmt.Errorf("--exec-on-rollback: %w", err)
	}
	return nil
}

// execute runs the command, with the few variables that kubectl and its like need.
func (g *gating) execute(ctx context.Context) *execution {
	a := &g.f.after
	done := &execution{ExitCode: -1}
	argv, err := shellWords(a.exec)
	if err != nil {
		done.Error = err.Error()
		return done
	}
	g.know(ctx)
	done.Argv = g.shownWords(argv)
	path, err := exec.LookPath(argv[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		done.Error = err.Error()
		return done
	}
	here, err := os.Getwd()
	if err != nil {
		done.Error = err.Error()
		return done
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	g.note("running " + strings.Join(done.Argv, " "))
	bounds := program.Bounds{Keep: mostOutput}
	end, err := program.Run(ctx, program.Command{Path: path, Argv: argv, Env: g.environment(), Dir: here, Stdout: bounds, Stderr: bounds, Grace: lastWords})
	if err != nil {
		done.Error = err.Error()
	}
	if err == nil {
		done.ExitCode, done.Took = end.Code, end.Took.Seconds()
		done.Stdout, done.Stderr, done.Cut = g.shown(kept(end.Stdout)), g.shown(kept(end.Stderr)), end.Stdout.Cut || end.Stderr.Cut
		if end.Stopped != program.StopNone {
			done.Error = "stopped: " + string(end.Stopped)
		}
	}
	g.note(fmt.Sprintf("%s ended with exit code %d in %.3fs%s", done.Argv[0], done.ExitCode, done.Took, suffix(done.Error)))
	if err := g.remember(ctx, done); err != nil {
		g.note(err.Error())
	}
	return done
}

// shown is a text of the command without what is, or looks like, a credential: its environment may hold some that no
// configuration knows.
func (g *gating) shown(text string) string { return scan.Redact(g.p.scrubber.String(text)) }

// shownWords are the words of the command likewise; a word after a flag is the flag's value.
func (g *gating) shownWords(argv []string) []string {
	all := make([]string, 0, len(argv))
	flag := ""
	for _, word := range argv {
		text := g.shown(word)
		if flag != "" {
			text = strings.TrimPrefix(g.shown(flag+word), flag)
		}
		all = append(all, text)
		flag = ""
		if strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "=:") {
			flag = word + "="
		}
	}
	return all
}

// kept is what is kept of a stream. A word that was cut may be half a credential, which nobody would recognise.
func kept(s program.Output) string {
	text := string(s.Text)
	if s.Cut {
		text = strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsSpace(r) })
	}
	return text
}

func suffix(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// remember notes the run in the timeline of the running agent.
func (g *gating) remember(ctx context.Context, done *execution) error {
	if g.road == nil {
		return nil
	}
	text := fmt.Sprintf(markPrefix+"ran %s: exit code %d%s", strings.Join(done.Argv, " "), done.ExitCode, suffix(done.Error))
	return g.road.mark(context.WithoutCancel(ctx), g.p.scrubber.String(text))
}

// know reads the configuration's secrets, so that none of them is shown where the command prints it.
func (g *gating) know(ctx context.Context) {
	for _, name := range g.f.after.env {
		if value := g.p.getenv(name); strings.ContainsAny(value, "0123456789") { // a word such as production is no secret
			g.p.scrubber.Add(value)
		}
	}
	if g.plan.base == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for i := range g.plan.base.Providers {
		p := &g.plan.base.Providers[i]
		_, _ = p.APIKey.Reveal(ctx) // the scrubber learns it; nobody else
		_, _ = p.FallbackAPIKey.Reveal(ctx)
	}
	for _, s := range g.plan.base.Secrets {
		_, _ = s.Reveal(ctx)
	}
}

// environment is all that the command gets.
func (g *gating) environment() []string {
	names := []string{"PATH", "HOME", "USER", "LANG", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
	var env []string
	for _, name := range slices.Concat(names, g.f.after.env) {
		if value := g.p.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return append(env, "WINDSOCK_VERDICT=roll_back")
}

func (e *execution) print(w io.Writer) {
	fmt.Fprintf(w, "executed  %s\n          exit code %d in %.3fs%s\n", strings.Join(e.Argv, " "), e.ExitCode, e.Took, suffix(e.Error))
	more := e.Cut
	for _, stream := range []struct{ name, text string }{{"stdout", e.Stdout}, {"stderr", e.Stderr}} {
		lines := 0
		for text := range strings.Lines(stream.text) {
			if lines++; lines > mostLines {
				more = true
				break
			}
			fmt.Fprintf(w, "          %s: %s\n", stream.name, oneLine(strings.TrimRight(text, "\n"), 500))
		}
	}
	if more {
		fmt.Fprintf(w, "          (there was more: the report has up to %d KiB of each)\n", mostOutput>>10)
	}
}

// shellWords splits a command as a shell does, and does nothing else that a shell does: quotes and backslashes count, and
// what a shell would expand or act on is refused rather than taken as it stands.
func shellWords(text string) ([]string, error) {
	var s splitter
	for _, r := range text {
		if err := s.take(r); err != nil {
			return nil, err
		}
	}
	if s.quote != 0 || s.escaped {
		return nil, errors.New("a quote or a backslash has no end")
	}
	s.end()
	if len(s.words) == 0 || s.words[0] == "" {
		return nil, errors.New("it is empty")
	}
	return s.words, nil
}

// splitter is a command that is being split.
type splitter struct {
	words   []string
	word    strings.Builder
	open    bool // a word has begun; it may be empty, as in ''
	quote   rune // that is open, 0 for none
	escaped bool // by a backslash before
}

func (s *splitter) end() {
	if s.open {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.open = false
}

func (s *splitter) take(r rune) error {
	switch {
	case s.escaped:
		s.escaped = false
		if s.quote == '"' && !strings.ContainsRune("\"\\$`", r) {
			s.word.WriteByte('\\')
		}
		s.word.WriteRune(r)
	case s.quote == '\'' && r != '\'':
		s.word.WriteRune(r)
	case s.quote != 0 && r == s.quote:
		s.quote = 0
	case r == '\\':
		s.escaped, s.open = true, true
	case r == '$' || r == '`':
		return forAShell(r)
	case s.quote == '"':
		s.word.WriteRune(r)
	default:
		return s.outside(r)
	}
	return nil
}

// outside takes a character that no quote protects.
func (s *splitter) outside(r rune) error {
	switch {
	case strings.ContainsRune("|&;<>()*?[]{}~#\n", r):
		return forAShell(r)
	case r == ' ' || r == '\t':
		s.end()
	case r == '\'' || r == '"':
		s.quote, s.open = r, true
	default:
		s.word.WriteRune(r)
		s.open = true
	}
	return nil
}

func forAShell(r rune) error {
	return fmt.Errorf("%q is for a shell, and there is none: quote it, or put the command into a script", r)
}
