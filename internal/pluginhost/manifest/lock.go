package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LockName is the name of the file, beside the configuration.
const LockName = "plugins.lock"

// lockVersion is the version of the file's form.
const lockVersion = 1

// maxLock is how large the file may be.
const maxLock = 16 << 20

// Lock is the file plugins.lock: which plugins were looked at, and what they said of themselves then.
type Lock struct {
	Version int      `json:"version"`
	Plugins []Locked `json:"plugins"` // in the order of their names
}

// Locked is one plugin as it was when it was locked.
type Locked struct {
	SHA256   string   `json:"sha256"` // of its file, lower-case hexadecimal
	Manifest Manifest `json:"manifest"`
}

// Find finds a plugin by its name.
func (l *Lock) Find(name string) (Locked, bool) {
	if l == nil {
		return Locked{}, false
	}
	i := slices.IndexFunc(l.Plugins, func(p Locked) bool { return p.Manifest.Name == name })
	if i < 0 {
		return Locked{}, false
	}
	return l.Plugins[i], true
}

// Set adds a plugin, or takes the place of the one of its name.
func (l *Lock) Set(p Locked) {
	l.Plugins = slices.DeleteFunc(l.Plugins, func(old Locked) bool { return old.Manifest.Name == p.Manifest.Name })
	l.Plugins = append(l.Plugins, p)
	slices.SortFunc(l.Plugins, func(a, b Locked) int { return strings.Compare(a.Manifest.Name, b.Manifest.Name) })
}

// ReadLock reads the file. One that is not there is empty, and that is no error.
func ReadLock(path string) (*Lock, error) {
	f, err := os.Open(path) //nolint:gosec // it stands beside the configuration, whoever writes that writes it
	if errors.Is(err, fs.ErrNotExist) {
		return &Lock{Version: lockVersion}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lock of plugins: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, fmt.Errorf("reading the lock of plugins: %w", err)
	}
	lock, err := ParseLock(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; write it anew with `windsock plugins lock`", path, err)
	}
	return lock, nil
}

// ParseLock reads the text of the file. Damage is an error; what one plugin says wrongly of itself is an error too, since
// `windsock plugins lock` would not have written it.
func ParseLock(data []byte) (*Lock, error) {
	if len(data) > maxLock {
		return nil, fmt.Errorf("the lock is larger than %d bytes", maxLock)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	var lock Lock
	if err := decoder.Decode(&lock); err != nil {
		return nil, fmt.Errorf("line %d: not the JSON of a lock: %w", lineOf(data, err, decoder.InputOffset()), err)
	}
	if lock.Version != lockVersion {
		return nil, fmt.Errorf("it is a lock of version %d, and this version of windsock reads %d", lock.Version, lockVersion)
	}
	seen := map[string]bool{}
	for _, p := range lock.Plugins {
		name := p.Manifest.Name
		if seen[name] {
			return nil, fmt.Errorf("two plugins are called %q", cut(name))
		}
		seen[name] = true
		if !IsDigest(p.SHA256) {
			return nil, fmt.Errorf("plugin %q: %q is not a SHA-256 digest of 64 lower-case hexadecimal digits", cut(name), cut(p.SHA256))
		}
		if err := p.Manifest.Check(); err != nil {
			return nil, fmt.Errorf("plugin %q: %w", cut(name), oneLine(err))
		}
	}
	return &lock, nil
}

// lineOf is the line, from 1, at which decoding failed.
func lineOf(data []byte, err error, offset int64) int {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = typed.Offset
	}
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// IsDigest reports whether a text is a SHA-256 digest as it is written here.
func IsDigest(text string) bool { return regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(text) }

// Bytes is the text of the file: the same for the same plugins.
func (l *Lock) Bytes() ([]byte, error) {
	l.Version = lockVersion
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the lock of plugins: %w", err)
	}
	return append(data, '\n'), nil
}

// Write replaces the file whole: a reader, and a crash, find the old one or the new one.
func (l *Lock) Write(path string) error {
	data, err := l.Bytes()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".plugins.lock-")
	if err != nil {
		return fmt.Errorf("writing the lock of plugins: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the lock of plugins: %w", err)
	}
	return nil
}

// Differences says in sentences what has changed from one manifest to another; nothing where they are equal.
func Differences(from, to Manifest) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, line := range []struct{ what, a, b string }{
		{"name", from.Name, to.Name},
		{"version", from.Version, to.Version},
		{"summary", from.Summary, to.Summary},
		{"homepage", from.Homepage, to.Homepage},
		{"library", from.SDK, to.SDK},
		{"concurrent", strconv.FormatBool(from.Concurrent), strconv.FormatBool(to.Concurrent)},
		{"reconfigure", strconv.FormatBool(from.Reconfigure), strconv.FormatBool(to.Reconfigure)},
	} {
		if line.a != line.b {
			say("%s: %q is now %q", line.what, cut(line.a), cut(line.b))
		}
	}
	for _, k := range from.Kinds {
		now, kept := to.Kind(k.Name)
		if !kept {
			say("kind %s is gone", k.Name)
			continue
		}
		out = append(out, kindDifferences(k, now)...)
	}
	for _, k := range to.Kinds {
		if _, known := from.Kind(k.Name); !known {
			say("kind %s is new (%s)", k.Name, k.Type)
		}
	}
	return out
}

func kindDifferences(from, to Kind) []string {
	var out []string
	for _, line := range []struct {
		what string
		a, b any
	}{
		{"type", from.Type, to.Type},
		{"documentation", from.Doc, to.Doc},
		{"schema of parameters", string(compact(from.Schema)), string(compact(to.Schema))},
		{"measurements", fmt.Sprint(from.Measurements), fmt.Sprint(to.Measurements)},
		{"shortest interval", from.MinInterval, to.MinInterval},
		{"default timeout", from.DefaultTimeout, to.DefaultTimeout},
		{"most that a run costs", from.MaxCost, to.MaxCost},
		{"largest batch", from.MaxBatch, to.MaxBatch},
		{"wanted records", fmt.Sprint(from.Records), fmt.Sprint(to.Records)},
		{"refresh", from.Refresh, to.Refresh},
	} {
		if line.a != line.b {
			out = append(out, fmt.Sprintf("kind %s has another %s", from.Name, line.what))
		}
	}
	return out
}
