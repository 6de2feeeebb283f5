package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const (
	readers   = 2   // files that are read at once
	deepest   = 100 // directories within directories: each holds a descriptor while what is below is looked at
	kept      = 100 // names of unreadable files
	batch     = 512 // entries of a directory that are read at once
	directory = 1 << 20
)

// walk is one look at a tree: one goroutine goes through it in order and opens, two read.
type walk struct {
	o    Options
	skip map[string]bool
	jobs chan job

	mu    sync.Mutex // guards what is below
	r     Result
	order int // of the file that was opened last
	found []seen
	held  int // findings in found
	large int // files that were read in part
	cuts  []string
}

type job struct {
	file  *os.File
	name  string
	order int
}

func newWalk(o Options) *walk {
	w := &walk{o: o, jobs: make(chan job), skip: map[string]bool{}}
	if !o.Everything {
		for _, name := range foreign() {
			w.skip[name] = true
		}
	}
	return w
}

// foreign are names of directories and files that are not the team's own words.
func foreign() []string {
	return []string{
		".git", ".hg", ".svn", "node_modules", "bower_components", "vendor", "dist", ".venv", "venv", "site-packages", "__pycache__",
		".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".next", ".nuxt", ".svelte-kit", ".terraform", ".gradle", ".idea", ".yarn",
		"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "Cargo.lock", "poetry.lock", "Pipfile.lock", "uv.lock", "pdm.lock",
		"go.sum", "go.work.sum", "composer.lock", "Gemfile.lock", "mix.lock", "flake.lock", "packages.lock.json", "pubspec.lock", "Podfile.lock", ".terraform.lock.hcl",
	}
}

func (w *walk) run(ctx context.Context, root *os.Root) {
	var group sync.WaitGroup
	for range readers {
		group.Go(func() { w.read(ctx) })
	}
	w.dir(ctx, root, "", 0)
	close(w.jobs)
	group.Wait()
}

// dir looks at one directory, in the order of names.
func (w *walk) dir(ctx context.Context, root *os.Root, rel string, depth int) {
	entries, err := w.entries(root)
	if err != nil {
		w.unreadable(cmp.Or(rel, "."), err)
	}
	for _, e := range entries {
		if ctx.Err() != nil || w.full() {
			return
		}
		name := path.Join(rel, e.Name())
		switch {
		case w.passed(e, name):
			w.pass()
		case e.IsDir():
			w.below(ctx, root, name, depth)
		default:
			w.open(ctx, root, name)
		}
	}
}

func (w *walk) below(ctx context.Context, root *os.Root, name string, depth int) {
	if depth >= deepest {
		w.cut(fmt.Sprintf("directories within more than %d others were not looked at", deepest))
		w.pass()
		return
	}
	sub, err := root.OpenRoot(path.Base(name))
	if err != nil {
		w.unreadable(name, err)
		return
	}
	defer func() { _ = sub.Close() }()
	w.dir(ctx, sub, name, depth+1)
}

// entries are what stands in a directory, sorted. Of more than a million entries the order of the first million is the
// file system's.
func (w *walk) entries(root *os.Root) ([]fs.DirEntry, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	var all []fs.DirEntry
	for {
		some, err := d.ReadDir(batch)
		all = append(all, some...)
		if len(all) >= directory {
			w.cut("a directory holds more than a million entries")
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sorted(all), err
		}
	}
	return sorted(all), nil
}

func sorted(entries []fs.DirEntry) []fs.DirEntry {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}

// passed says whether an entry is none to look at: links, what is no file, what is not the team's.
func (w *walk) passed(e fs.DirEntry, name string) bool {
	if !e.IsDir() && !e.Type().IsRegular() {
		return true
	}
	if w.skip[e.Name()] || !w.o.Everything && !e.IsDir() && minified(e.Name()) {
		return true
	}
	return slices.ContainsFunc(w.o.Skip, func(pattern string) bool {
		byName, _ := path.Match(pattern, e.Name())
		byPath, _ := path.Match(pattern, name)
		return byName || byPath
	})
}

func minified(name string) bool {
	for _, end := range []string{".min.js", ".min.css", ".bundle.js", ".map", ".min.mjs"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// open hands a file to a reader. It was a regular file a moment ago; should it be a pipe by now, opening does not wait.
func (w *walk) open(ctx context.Context, root *os.Root, name string) {
	f, err := root.OpenFile(path.Base(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		w.unreadable(name, err)
		return
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		w.pass()
		return
	}
	w.mu.Lock()
	w.order++
	order := w.order
	w.mu.Unlock()
	select {
	case w.jobs <- job{f, name, order}:
	case <-ctx.Done():
		_ = f.Close()
	}
}

// read looks at the files that are opened, with one buffer for all of them.
func (w *walk) read(ctx context.Context) {
	r := newReader()
	for j := range w.jobs {
		if ctx.Err() == nil {
			w.file(ctx, r, j)
		}
		_ = j.file.Close()
	}
}

func (w *walk) file(ctx context.Context, r *reader, j job) {
	text, more, err := r.load(j.file, w.o.FileBytes)
	if err != nil {
		w.unreadable(j.name, err)
		return
	}
	if text == nil {
		w.pass()
		return
	}
	s := r.look(j.name, text)
	s.order = j.order
	read := int64(len(text))
	if more {
		var rest int64
		var all bool
		if rest, all, err = r.rest(ctx, j.file, j.name, &s); err != nil {
			w.unreadable(j.name, err)
		}
		read, more = read+rest, !all
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r.Files++
	w.r.Bytes += read
	if more {
		w.large++
	}
	if n := s.count(); n > 0 {
		w.found = append(w.found, s)
		w.held += n
	}
	if w.held > 8*w.o.Findings {
		w.prune()
	}
}

func (s *seen) count() int {
	return len(s.secrets) + len(s.allowed) + len(s.calls) + len(s.models)
}

// prune forgets what is beyond the bound of findings: those of the last files. What a reader brings late from an earlier
// file finds its place, as each file's findings keep the file's order.
func (w *walk) prune() {
	slices.SortFunc(w.found, func(a, b seen) int { return a.order - b.order })
	left := [4]int{w.o.Findings, w.o.Findings, w.o.Findings, w.o.Findings}
	w.held = 0
	over := false
	for i := range w.found {
		s := &w.found[i]
		before := s.count()
		s.secrets, s.allowed = first(s.secrets, &left[0]), first(s.allowed, &left[1])
		s.calls, s.models = first(s.calls, &left[2]), first(s.models, &left[3])
		over = over || s.count() < before
		w.held += s.count()
	}
	w.found = slices.DeleteFunc(w.found, func(s seen) bool { return s.count() == 0 })
	if over {
		w.cutLocked(fmt.Sprintf("of each sort of findings the first %d are kept", w.o.Findings))
	}
}

// gather is all that was found, in the order of the files, each sort up to the bound.
func (w *walk) gather() seen {
	w.prune()
	var all seen
	for _, s := range w.found {
		all.secrets = append(all.secrets, s.secrets...)
		all.allowed = append(all.allowed, s.allowed...)
		all.calls = append(all.calls, s.calls...)
		all.models = append(all.models, s.models...)
	}
	return all
}

// first is the beginning of a list, as much as is left of a bound.
func first[T any](all []T, left *int) []T {
	if *left < len(all) {
		all = slices.Clone(all[:*left]) // the rest is let go
	}
	*left -= len(all)
	return all
}

// full says that the bound of files is reached.
func (w *walk) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.order < w.o.Files {
		return false
	}
	w.cutLocked(fmt.Sprintf("there are more than %d files", w.o.Files))
	return true
}

func (w *walk) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r.Skipped++
}

// unreadable notes a file by name. The reason is the system's word without the path, which the name is.
func (w *walk) unreadable(name string, err error) {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r.Unread++
	if len(w.r.Unreadable) < kept {
		w.r.Unreadable = append(w.r.Unreadable, Unreadable{shownName(name), err.Error()})
	}
}

func (w *walk) cut(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutLocked(why)
}

func (w *walk) cutLocked(why string) {
	if !slices.Contains(w.cuts, why) {
		w.cuts = append(w.cuts, why)
	}
}

// result is what was seen. The readers have ended.
func (w *walk) result() Result {
	all := w.gather()
	r := w.r
	r.Secrets, r.Allowed, r.Calls, r.Models = all.secrets, all.allowed, all.calls, all.models
	slices.SortFunc(r.Unreadable, func(a, b Unreadable) int { return strings.Compare(a.File, b.File) })
	if w.large > 0 {
		w.cut(fmt.Sprintf("of %d files only the beginning was read", w.large))
	}
	r.Truncated = strings.Join(w.cuts, "; ")
	return r
}
