// Package secret reads credentials late, from where the operator put them: a systemd credential, a file, an environment
// variable or a command's output. It knows every value that is in use, so that a last writer can keep them out of logs.
// It never prints a value, and never puts one into an error.
package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// MaxSize is the most that a credential may hold, in bytes.
const MaxSize = 64 << 10

// CommandTimeout is the most that a command may take.
const CommandTimeout = 10 * time.Second

const (
	renewEvery  = time.Second     // reads past the cache, at most this often
	failedAgain = 5 * time.Second // a command that failed is not started again before

	leastRefresh = 10 * time.Second
)

// Ref names one place where a credential may be. Exactly one field is set.
type Ref struct {
	Credential string   // a name below $CREDENTIALS_DIRECTORY
	File       string   // an absolute path
	Env        string   // the name of an environment variable
	Command    []string // an absolute path and its arguments; no shell

	// Of a command only. Variables are what it finds in its environment beside PATH, LANG and HOME: NAME is the agent's own,
	// NAME=value is given. Refresh is when its answer is asked for again, past a refusal; 0 is never.
	Variables []string
	Refresh   time.Duration
}

// String names the place for a person: "file /etc/windsock/secrets/mistral".
func (r Ref) String() string {
	switch {
	case r.Credential != "":
		return "credential " + r.Credential
	case r.File != "":
		return "file " + r.File
	case r.Env != "":
		return "env " + r.Env
	case len(r.Command) > 0:
		return "command " + r.Command[0] // arguments may hold what is nobody's business
	default:
		return "no source"
	}
}

// Check says what is wrong with the reference itself; it touches no file.
func (r Ref) Check() error {
	set := 0
	for _, is := range []bool{r.Credential != "", r.File != "", r.Env != "", len(r.Command) > 0} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("want exactly one of credential, file, env and command")
	}
	switch {
	case r.Credential != "" && (filepath.Base(r.Credential) != r.Credential || strings.HasPrefix(r.Credential, ".")):
		return fmt.Errorf("credential %q is not a plain file name", r.Credential)
	case r.File != "" && !filepath.IsAbs(r.File):
		return fmt.Errorf("file %q is not an absolute path", r.File)
	case strings.ContainsAny(r.Env, "= \x00"):
		return fmt.Errorf("%q is not the name of an environment variable", r.Env)
	case len(r.Command) > 0 && !filepath.IsAbs(r.Command[0]):
		return fmt.Errorf("command %q is not an absolute path; there is no shell and no search path", r.Command[0])
	}
	return r.checkCommand()
}

// checkCommand says what is wrong with how a command is asked.
func (r Ref) checkCommand() error {
	switch {
	case len(r.Command) == 0 && (len(r.Variables) > 0 || r.Refresh != 0):
		return errors.New("variables and refresh are of a command only")
	case r.Refresh != 0 && r.Refresh < leastRefresh:
		return fmt.Errorf("refresh %s, want at least %s, or none", r.Refresh, leastRefresh)
	}
	for _, v := range r.Variables {
		if err := checkVariable(v); err != nil {
			return err
		}
	}
	return nil
}

// Options is what a Resolver needs. The zero value knows no environment and logs nothing.
type Options struct {
	Getenv               func(string) string
	Log                  *slog.Logger
	CredentialsDirectory string    // "" is $CREDENTIALS_DIRECTORY
	Scrubber             *Scrubber // learns every value; nil makes one
}

// Resolver makes secrets of references. It starts nothing and reads nothing before a secret is used. It is safe for
// concurrent use.
type Resolver struct {
	getenv   func(string) string
	log      *slog.Logger
	dir      string
	scrubber *Scrubber

	mu     sync.Mutex
	warned map[string]bool // guarded by mu: each warning is given once
}

// NewResolver makes a Resolver.
func NewResolver(o Options) *Resolver {
	r := &Resolver{getenv: o.Getenv, log: o.Log, dir: o.CredentialsDirectory, scrubber: o.Scrubber, warned: map[string]bool{}}
	if r.getenv == nil {
		r.getenv = func(string) string { return "" }
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.dir == "" {
		r.dir = r.getenv("CREDENTIALS_DIRECTORY")
	}
	if r.scrubber == nil {
		r.scrubber = NewScrubber()
	}
	return r
}

// Scrubber knows every value that the resolver has read.
func (r *Resolver) Scrubber() *Scrubber { return r.scrubber }

// Secret makes a secret of the places in their order: the first that has a value wins at each read. An absent or
// unreadable place is passed over; one that is there but must not be used (a key that everybody can read, an empty file, a
// command that fails) is an error, so that no older key is used in its stead unnoticed.
func (r *Resolver) Secret(refs ...Ref) (checks.Secret, error) {
	if len(refs) == 0 {
		return checks.Secret{}, errors.New("want at least one source")
	}
	s := &source{resolver: r, refs: slices.Clone(refs), busy: make(chan struct{}, 1), cache: make([]cached, len(refs))}
	for _, ref := range refs {
		if err := ref.Check(); err != nil {
			return checks.Secret{}, err
		}
		if ref.Env != "" { // a program of the same user can print it before it is used here
			r.scrubber.Add(r.getenv(ref.Env))
		}
		for _, v := range ref.Variables {
			if sounds := strings.ToUpper(v); !strings.Contains(v, "=") && slices.ContainsFunc(ofSecrets(), func(word string) bool { return strings.Contains(sounds, word) }) {
				r.scrubber.Add(r.getenv(v))
			}
		}
	}
	return checks.NewSecret(s), nil
}

// ofSecrets are words in the names of variables that hold one.
func ofSecrets() []string { return []string{"TOKEN", "SECRET", "PASSW", "KEY"} }

func (r *Resolver) warnOnce(message, where string, args ...any) {
	r.mu.Lock()
	key := message + "\x00" + where
	known := r.warned[key]
	r.warned[key] = true
	r.mu.Unlock()
	if !known {
		r.log.Warn("a secret needs attention", append([]any{"source", where, "problem", message}, args...)...)
	}
}

// source is one secret: its places, and what was read from them.
type source struct {
	resolver *Resolver
	refs     []Ref
	used     atomic.Pointer[use] // the place that gave the last value; nil before there was one
	busy     chan struct{}       // holds the one who reads; guards everything below
	cache    []cached
	value    string // the last one that was handed out
	renewed  time.Time
	changed  bool  // of the last renewal
	failed   error // of the last renewal
}

// use is a place that gave a value.
type use struct {
	ref     *Ref
	changed time.Time // of a file, as it was when it was read; zero where that tells nothing
}

// cached is what was read from one place.
type cached struct {
	value string
	err   error
	info  os.FileInfo // of a file, as it was when it was read
	until time.Time   // of a command: not started again before; zero is never
	valid bool
}

// Where names the places in their order.
func (s *source) Where() string {
	names := make([]string, len(s.refs))
	for i, ref := range s.refs {
		names[i] = ref.String()
	}
	return strings.Join(names, ", ")
}

// Used names the place that gave the last value.
func (s *source) Used() string {
	if last := s.used.Load(); last != nil {
		return last.ref.String()
	}
	return ""
}

// Changed is when the file that gave the last value was written. Of a systemd credential nobody knows: its file is a copy that
// is made at each start of the unit, however old what is in it. Nor does anybody of a variable, or of a program's answer.
func (s *source) Changed() (time.Time, bool) {
	if last := s.used.Load(); last != nil && !last.changed.IsZero() {
		return last.changed, true
	}
	return time.Time{}, false
}

// note takes note of the place that gave a value.
func (s *source) note(i int) {
	now := use{ref: &s.refs[i]}
	if info := s.cache[i].info; info != nil && now.ref.File != "" {
		now.changed = info.ModTime()
	}
	if last := s.used.Load(); last == nil || *last != now {
		fresh := now
		s.used.Store(&fresh)
	}
}

// Read returns the value of the first place that has one.
func (s *source) Read(ctx context.Context) (string, error) {
	if err := s.acquire(ctx); err != nil {
		return "", err
	}
	defer s.release()
	return s.read(ctx)
}

// Renew reads every place again, past what is kept.
func (s *source) Renew(ctx context.Context) (bool, error) {
	if err := s.acquire(ctx); err != nil {
		return false, err
	}
	defer s.release()
	if !s.renewed.IsZero() && time.Since(s.renewed) < renewEvery {
		return s.changed, s.failed
	}
	before := s.value
	clear(s.cache)
	after, err := s.read(ctx)
	if ctx.Err() != nil {
		return false, err // nobody else's answer
	}
	s.changed, s.failed, s.renewed = err == nil && after != before, err, time.Now()
	return s.changed, s.failed
}

func (s *source) acquire(ctx context.Context) error {
	select {
	case s.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", s.Where(), ctx.Err())
	}
}

func (s *source) release() { <-s.busy }

func (s *source) read(ctx context.Context) (string, error) {
	var denied, absent []string
	for i, ref := range s.refs {
		value, err := s.readOne(ctx, ref, &s.cache[i])
		switch {
		case err == nil:
			s.accept(ref, value)
			s.note(i)
			return value, nil
		case ctx.Err() != nil:
			return "", fmt.Errorf("reading %s: %w", ref, ctx.Err())
		case errors.Is(err, errAbsent):
			absent = append(absent, fmt.Sprintf("%s: %v", ref, err))
		case errors.Is(err, os.ErrPermission):
			denied = append(denied, fmt.Sprintf("%s: %v", ref, err))
			s.resolver.warnOnce(err.Error(), ref.String())
		default:
			return "", fmt.Errorf("%w: %s: %w", checks.ErrNoSecret, ref, err)
		}
	}
	return "", fmt.Errorf("%w: %s", checks.ErrNoSecret, strings.Join(append(denied, absent...), "; ")) // what can be mended first: texts are cut
}

// accept takes note of a value that is about to be used.
func (s *source) accept(ref Ref, value string) {
	if value == s.value {
		return
	}
	s.value = value
	r := s.resolver
	r.scrubber.Add(value)
	if ref.Env != "" {
		r.warnOnce("taken from the environment, which every program of the same user can read; prefer a credential or a file", ref.String())
	}
	if strings.TrimSpace(value) != value {
		r.warnOnce("the value begins or ends with white space", ref.String())
	}
	if len(value) < minScrub {
		r.warnOnce("the value is too short to be kept out of the log by its text", ref.String())
	}
}

var (
	errAbsent = errors.New("absent") // the place has nothing: go on to the next
	errEmpty  = errors.New("empty")
)

func (s *source) readOne(ctx context.Context, ref Ref, c *cached) (string, error) {
	r := s.resolver
	switch {
	case ref.Credential != "":
		if r.dir == "" {
			return "", fmt.Errorf("%w: $CREDENTIALS_DIRECTORY is not set", errAbsent)
		}
		return s.readFile(filepath.Join(r.dir, ref.Credential), true, c)
	case ref.File != "":
		return s.readFile(ref.File, false, c)
	case ref.Env != "":
		if value := r.getenv(ref.Env); value != "" {
			return usable(value)
		}
		return "", fmt.Errorf("%w: not set, or empty", errAbsent)
	default:
		return s.readCommand(ctx, ref, c)
	}
}

// usable refuses what cannot be a credential.
func usable(value string) (string, error) {
	switch {
	case value == "":
		return "", errEmpty
	case len(value) > MaxSize:
		return "", fmt.Errorf("larger than %d bytes", MaxSize)
	case strings.ContainsRune(value, 0) || !utf8.ValidString(value):
		return "", errors.New("not text")
	}
	return value, nil
}

// trimNewline removes exactly one line end: editors and `echo` add one, and any other white space is the value's own.
func trimNewline(s string) string {
	if t, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(t, "\r")
	}
	return s
}
