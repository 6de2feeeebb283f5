// Package scan reads an application's sources, configurations and logs as they lie on a disk: credentials that stand in
// them, calls to the provider with what each sets, and the models that they name.
//
// It never executes, changes, follows or sends anything, and never shows a credential: not its text, length, beginning or
// hash. What it cannot see it calls unclear, and what it did not look at it counts.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// The bounds of a look where Options gives none.
const (
	DefaultFiles     = 500_000
	DefaultFileBytes = 4 << 20
	DefaultTime      = 2 * time.Minute
	DefaultFindings  = 1000
)

// Options bound a look. The zero value is the defaults.
type Options struct {
	Files     int           // files that are looked at, at most; what is skipped does not count
	FileBytes int64         // bytes of each file, from its beginning; what is no program goes on to LargeBytes
	Time      time.Duration // for all
	Findings  int           // of each sort: credentials, calls, mentions
	// Skip are patterns as path.Match knows them, against the name of each file and directory and against its path from
	// the target, beside those that are passed over anyway (see Everything).
	Skip []string
	// Everything looks also into what is not the team's own: .git, node_modules, vendor, dist, virtual environments, lock
	// files, minified files.
	Everything bool
}

// Result is what a look saw, in the order of the paths, and what it did not see.
//
// What git ignores is looked at like the rest: an .env that nobody commits lies on the machine all the same.
type Result struct {
	Files   int   `json:"files"`   // looked at
	Skipped int   `json:"skipped"` // files, links and directories that were passed over; a directory counts once
	Bytes   int64 `json:"bytes"`   // read
	// Truncated says which bound ended the look, or a file's part of it, before all was seen. "" is: all was seen.
	Truncated string `json:"truncated,omitempty"`
	// Unreadable are the first hundred files and directories that could not be read; Unread is how many there were.
	Unreadable []Unreadable `json:"unreadable,omitempty"`
	Unread     int          `json:"unread,omitempty"`

	Secrets []Finding `json:"secrets,omitempty"`
	Allowed []Finding `json:"allowed,omitempty"` // credentials that a comment "windsock:allow REASON" allows; Why is the reason
	Calls   []Call    `json:"calls,omitempty"`
	Models  []Mention `json:"models,omitempty"`
}

// Place is where something stands. Lines and columns count from 1, columns in bytes.
type Place struct {
	File   string `json:"file"` // from the target, with slashes; what looks like a key in a name is [redacted], and what is not to be printed is ?
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Test   bool   `json:"test,omitempty"` // by its path, the file belongs to tests or examples
}

// Finding is a credential that stands in a file.
type Finding struct {
	Place
	Kind string `json:"kind"` // as "API key"
	Why  string `json:"why"`  // what gave it away; nothing of the credential
}

// Unreadable is a file or a directory that could not be read.
type Unreadable struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Presence says whether a call sets a parameter.
type Presence string

// Unclear is a call whose parameters come, or may come, from elsewhere: a variable, a spread, a file.
const (
	Set     Presence = "set"
	Absent  Presence = "absent"
	Unclear Presence = "unclear"
)

// Call is a call to the provider, or a configuration that holds the parameters of one.
type Call struct {
	Place
	API         string   `json:"api"`             // chat, embeddings, fim
	Model       string   `json:"model,omitempty"` // "" where it is no literal
	MaxTokens   Presence `json:"max_tokens"`      // embeddings have none: absent
	Temperature Presence `json:"temperature"`
}

// Mention is a literal that names a model of the provider.
type Mention struct {
	Place
	Model string `json:"model"`
	// Floating is a name that the provider may point to another model: it ends in -latest, or has neither date nor size.
	Floating bool `json:"floating"`
}

// Dir looks at the directory and all below it. Links are never followed: what is below has its own name, and what is not
// is none of its business. Files that are no text are passed over by their content; pipes, sockets and devices are never
// opened. The error is for a directory that cannot be opened and for the end of ctx; the Result then is what was seen
// until then. A file system that does not answer holds it up.
//
// 200,000 files of 1.2 KB take four to ten seconds on two busy processors where the kernel has them cached, and 5 MiB of heap
// (docs/performance.md).
func Dir(ctx context.Context, dir string, o Options) (Result, error) {
	o.Files = cmp.Or(o.Files, DefaultFiles)
	o.FileBytes = cmp.Or(o.FileBytes, DefaultFileBytes)
	o.Time = cmp.Or(o.Time, DefaultTime)
	o.Findings = cmp.Or(o.Findings, DefaultFindings)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, fmt.Errorf("opening %q: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	bounded, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	w := newWalk(o)
	w.run(bounded, root)
	if err := ctx.Err(); err != nil {
		w.cut("the look was stopped")
		return w.result(), fmt.Errorf("looking at %q: %w", dir, err)
	}
	if errors.Is(bounded.Err(), context.DeadlineExceeded) {
		w.cut("the look took more than " + o.Time.String())
	}
	return w.result(), nil
}

// File looks at one text, as Dir does at each: name tells its language. It bounds nothing.
func File(name string, text []byte) Result {
	seen := newReader().look(name, text)
	r := Result{Files: 1, Bytes: int64(len(text)), Secrets: seen.secrets, Allowed: seen.allowed, Calls: seen.calls, Models: seen.models}
	return r
}

// seen is what one file holds. Its places have no file yet while it is read.
type seen struct {
	order   int // of the file
	secrets []Finding
	allowed []Finding
	calls   []Call
	models  []Mention
}

// stand puts the file's name into every place and sorts by line.
func (s *seen) stand(name string) {
	test := isTest(name)
	name = shownName(name)
	each := func(p *Place) { p.File, p.Test = name, test }
	for i := range s.secrets {
		each(&s.secrets[i].Place)
	}
	for i := range s.allowed {
		each(&s.allowed[i].Place)
	}
	for i := range s.calls {
		each(&s.calls[i].Place)
	}
	for i := range s.models {
		each(&s.models[i].Place)
	}
	slices.SortStableFunc(s.secrets, func(a, b Finding) int { return a.before(b.Place) })
	s.secrets = slices.CompactFunc(s.secrets, func(a, b Finding) bool { return a.Place == b.Place })
	slices.SortStableFunc(s.calls, func(a, b Call) int { return a.before(b.Place) })
	slices.SortStableFunc(s.models, func(a, b Mention) int { return a.before(b.Place) })
}

func (p Place) before(q Place) int { return cmp.Or(p.Line-q.Line, p.Column-q.Column) }

// String is "file:line:column".
func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }
