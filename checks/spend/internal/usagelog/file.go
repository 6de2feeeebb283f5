package usagelog

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	printed     = 1024             // bytes that a file is known by
	enough      = 64               // bytes that tell a file by themselves
	grace       = 10 * time.Minute // in which a writer may still write into what was renamed under it
	mostFiles   = 16               // that are read one after the other
	mostEntries = 10_000           // of a folder
)

// place is a file and how far it was read.
type place struct {
	Name     string `json:"name"` // without its folder, as last seen
	Dev      uint64 `json:"dev"`
	Ino      uint64 `json:"ino"`
	Offset   int64  `json:"offset"` // of the first line that was not read
	Size     int64  `json:"size"`   // when it was last seen
	Print    uint64 `json:"print"`  // of its first bytes
	Printed  int64  `json:"printed"`
	Skipping bool   `json:"skipping,omitempty"` // in the middle of a line that nobody wants
	Old      bool   `json:"old,omitempty"`      // read to its end when it was the log no more
}

// opened is a regular file.
type opened struct {
	*os.File
	path     string
	info     os.FileInfo
	dev, ino uint64
}

var errNotRegular = errors.New("it is not a regular file")

// open opens a regular file, and never waits for it. A symbolic link is followed where it is the log itself.
func open(path string, follow bool) (*opened, error) {
	stat, flags := os.Lstat, os.O_RDONLY|openFlags|ownFlag
	if follow {
		stat, flags = os.Stat, os.O_RDONLY|openFlags
	}
	if info, err := stat(path); err != nil {
		return nil, err //nolint:wrapcheck // the caller judges it
	} else if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := os.OpenFile(path, flags, 0) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() { // it was exchanged meanwhile
		err = errNotRegular
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o := &opened{File: f, path: path, info: info}
	o.dev, o.ino = identity(info)
	return o, nil
}

func (o *opened) close() { _ = o.Close() }

// print is the fingerprint of the first n bytes.
func (o *opened) print(n int64) (uint64, error) {
	h := fnv.New64a()
	if _, err := io.Copy(h, io.NewSectionReader(o.File, 0, n)); err != nil {
		return 0, fmt.Errorf("reading its beginning: %w", err)
	}
	return h.Sum64(), nil
}

// begins reports whether the file begins as the one of p did, and is as long as it was read.
func (o *opened) begins(p *place) bool {
	if o.info.Size() < max(p.Offset, p.Printed) {
		return false
	}
	sum, err := o.print(p.Printed)
	return err == nil && sum == p.Print
}

// is reports whether it is the file of p, whatever became of what is in it.
func (o *opened) is(p *place) bool { return o.dev == p.Dev && o.ino == p.Ino }

// placeOf is the beginning of a file.
func placeOf(o *opened) *place {
	p := &place{Dev: o.dev, Ino: o.ino, Name: filepath.Base(o.path)}
	p.look(o)
	return p
}

// look remembers how the file is now.
func (p *place) look(o *opened) {
	p.Size, p.Name = o.info.Size(), filepath.Base(o.path)
	if p.Printed >= printed || p.Size <= p.Printed {
		return
	}
	n := min(p.Size, printed)
	if sum, err := o.print(n); err == nil {
		p.Print, p.Printed = sum, n
	}
}

// siblings are the files beside the log whose names are the log's with something between or behind.
func siblings(path string) []string {
	stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	var found []string
	for _, dir := range folders(path) {
		f, err := os.Open(dir) //nolint:gosec // of the log that the operator names
		if err != nil {
			continue
		}
		names, _ := f.Readdirnames(mostEntries)
		_ = f.Close()
		slices.Sort(names)
		for _, name := range names {
			full := filepath.Join(dir, name)
			if strings.HasPrefix(name, stem) && full != path {
				found = append(found, full)
			}
		}
	}
	return found
}

// folders are the log's own and, where it is a link, that of what it leads to.
func folders(path string) []string {
	own := filepath.Dir(path)
	target, err := filepath.EvalSymlinks(path)
	if err != nil || filepath.Dir(target) == own {
		return []string{own}
	}
	return []string{own, filepath.Dir(target)}
}

// rotated reports whether name is what a rotation makes of the log's: app.log.1, app.log-20261127, app-2026-11-27.log.
func rotated(path, name string) bool {
	base, ext := filepath.Base(path), filepath.Ext(path)
	stem := strings.TrimSuffix(base, ext)
	pattern := fmt.Sprintf(`^(%s[.-]|%s[.-])\d[\dT.:_-]*(%s)?$`, regexp.QuoteMeta(base), regexp.QuoteMeta(stem), regexp.QuoteMeta(ext))
	return regexp.MustCompile(pattern).MatchString(name)
}

// find opens the first sibling that fits. The caller closes it.
func find(path string, fits func(*opened) bool) *opened {
	for _, name := range siblings(path) {
		o, err := open(name, false)
		if err != nil {
			continue
		}
		if fits(o) {
			return o
		}
		o.close()
	}
	return nil
}

// between are the rotated files that are younger than a moment, oldest first: those that came and went while nobody looked.
// The caller closes them.
func between(path string, after time.Time, known func(*opened) bool) []*opened {
	var all []*opened
	for _, name := range siblings(path) {
		if !rotated(path, filepath.Base(name)) {
			continue
		}
		o, err := open(name, false)
		if err != nil {
			continue
		}
		if len(all) == mostFiles || !o.info.ModTime().After(after) || known(o) {
			o.close()
			continue
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *opened) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	return all
}

// missing reports whether an error says that there is no such file.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
