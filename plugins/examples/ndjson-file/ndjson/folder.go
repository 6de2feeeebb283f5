package ndjson

import (
	"cmp"
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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/exporters"
)

const (
	timeForm   = "20060102T150405Z"
	zipped     = ".gz"
	unfinished = ".tmp" // behind .gz, while it is written
)

// folder is the files of one name in one folder.
type folder struct {
	path string
	name string         // with its places
	form *regexp.Regexp // of a name
	mode fs.FileMode
}

// part is one file.
type part struct {
	seq    int64
	name   string // without .gz
	plain  bool   // it is there as it was written
	zipped bool   // it is there compressed; both where compressing was cut short behind its end
	size   int64  // bytes on the disk
}

func newFolder(p Params) (folder, error) {
	mode, err := p.mode()
	if err != nil {
		return folder{}, fmt.Errorf("reading the mode %q: %w", p.Mode, err)
	}
	form := regexp.QuoteMeta(p.Name)
	form = strings.Replace(form, regexp.QuoteMeta(timePlace), `(?P<time>\d{8}T\d{6}Z)`, 1)
	form = strings.Replace(form, regexp.QuoteMeta(seqPlace), `(?P<seq>\d{6,18})`, 1)
	return folder{p.Folder, p.Name, regexp.MustCompile("^" + form + "$"), mode}, nil
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// fresh is the name of a file that is begun now.
func (f *folder) fresh(seq int64, now time.Time) string {
	return strings.NewReplacer(timePlace, now.UTC().Format(timeForm), seqPlace, fmt.Sprintf("%06d", seq)).Replace(f.name)
}

// begun is when a file was begun, by its name.
func (f *folder) begun(name string) time.Time {
	found := f.form.FindStringSubmatch(name)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(timeForm, found[f.form.SubexpIndex("time")])
	if err != nil {
		return time.Time{}
	}
	return at
}

// seq is the number of a file, by its name.
func (f *folder) seq(name string) int64 {
	found := f.form.FindStringSubmatch(name)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseInt(found[f.form.SubexpIndex("seq")], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// list is all files by their number, and the names of those that a compressing left unfinished.
func (f *folder) list() (parts []part, halves []string, err error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, nil, f.class("reading", err)
	}
	found := map[string]*part{}
	for _, e := range entries {
		name, compressed := strings.CutSuffix(e.Name(), zipped)
		if inner, ok := strings.CutSuffix(e.Name(), zipped+unfinished); ok && f.form.MatchString(inner) {
			halves = append(halves, e.Name())
			continue
		}
		if !f.form.MatchString(name) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil { // it has gone meanwhile
			continue
		}
		p := found[name]
		if p == nil {
			p = &part{seq: f.seq(name), name: name}
			found[name] = p
		}
		p.plain, p.zipped, p.size = p.plain || !compressed, p.zipped || compressed, p.size+info.Size()
	}
	for _, p := range found {
		parts = append(parts, *p)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.name, b.name)) })
	return parts, halves, nil
}

// open opens or creates a file to write to. A symbolic link is not followed.
func (f *folder) open(name string, flags int) (*os.File, error) {
	out, err := os.OpenFile(f.file(name), flags|syscall.O_NOFOLLOW, f.mode)
	if err != nil {
		return nil, err
	}
	if flags&os.O_CREATE != 0 {
		if err := out.Chmod(f.mode); err != nil { // whatever the umask is
			_ = out.Close()
			return nil, err
		}
	}
	return out, nil
}

// sync makes names that were made, changed or deleted durable.
func (f *folder) sync() error {
	dir, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it was only synced
	return dir.Sync()
}

// class is the error for what a file operation said: what only an operator can change is Hold, all else is Retry.
func (f *folder) class(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return exporters.Hold(fmt.Errorf("%s %s: the folder is not there: create it for the agent's user, and list it under `write:` of the plugin", doing, f.path))
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EISDIR):
		return exporters.Hold(fmt.Errorf("%s %s: it is no folder, or one of its files is a link or a folder: want a folder of its own", doing, f.path))
	case errors.Is(err, fs.ErrPermission):
		return exporters.Hold(fmt.Errorf("%s %s: the agent's user may not: give it the folder, and list it under `write:` of the plugin", doing, f.path))
	case errors.Is(err, syscall.EROFS):
		return exporters.Hold(fmt.Errorf("%s %s: the file system is read-only", doing, f.path))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return exporters.Retry(fmt.Errorf("%s %s: no room: %w", doing, f.path, err), 0)
	}
	return exporters.Retry(fmt.Errorf("%s %s: %w", doing, f.path, err), 0)
}

// errTaken is for a folder that another exporter has taken over.
var errTaken = errors.New("another exporter has begun to write these files: give each a folder or a name of its own")

// claim locks the folder for one attempt. Who opened it last has it: an exporter that had it before, and finds the mark of
// another, is told so. taken is whether it was not ours before.
func (f *folder) claim(lock *os.File, mark string, had bool) (taken bool, err error) {
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, err
	}
	buf := make([]byte, 256)
	n, err := lock.ReadAt(buf, 0)
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch owner := string(buf[:n]); {
	case owner == mark:
		return false, nil
	case had && owner != "": // an empty one: somebody deleted the file
		return false, errTaken
	}
	if err := lock.Truncate(0); err != nil {
		return false, err
	}
	if _, err := lock.WriteAt([]byte(mark), 0); err != nil {
		return false, err
	}
	return true, nil
}
