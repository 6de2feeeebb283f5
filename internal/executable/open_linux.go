package executable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens the program of an absolute path and judges every part of the path: owned by root or the agent's user, not
// writable for group or others. allowed is the directory that it must be below; a sticky directory above it (/tmp)
// passes, because there nobody can touch what is another's. "" is the program's own directory. It walks from the root of
// the file system and judges what it has opened: nothing can be exchanged between the look and the use. The error is an
// *Error.
func Open(path, allowed string, o Options) (*File, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return nil, fault(Outside, path, "%q is not an absolute path in its shortest form", path)
	}
	if allowed == "" {
		allowed = filepath.Dir(path)
	}
	if o.Links {
		asked := path
		for _, p := range []*string{&path, &allowed} {
			target, err := filepath.EvalSymlinks(*p)
			if err != nil {
				return nil, lookup(*p, err)
			}
			*p = target
		}
		if !below(path, allowed) {
			return nil, fault(Outside, asked, "%q leads to %q, outside of %q", asked, path, allowed)
		}
	}
	if !below(path, allowed) {
		return nil, fault(Outside, path, "%q is not in %q", path, allowed)
	}
	file, err := walk(path, allowed)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, file: file}
	f.Interpreter, f.Script = f.interpreter()
	return f, nil
}

// Descriptor is the program opened with O_PATH: it can be executed and looked at, not read.
func (f *File) Descriptor() *os.File { return f.file }

// Reader opens the very file again, to be read. The caller closes it.
func (f *File) Reader() (*os.File, error) {
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", f.Path, errno(err))
	}
	return file, nil
}

// walk opens every part of the path from the one before, without following links, and judges each.
func walk(path, allowed string) (*os.File, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open("/", flags, 0)
	if err != nil {
		return nil, lookup("/", err)
	}
	at := "/"
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if fault := judgeDirectory(fd, at, allowed); fault != nil {
			_ = unix.Close(fd)
			return nil, fault
		}
		next, err := unix.Openat(fd, name, flags, 0)
		_ = unix.Close(fd)
		at = filepath.Join(at, name)
		if err != nil {
			return nil, lookup(at, err)
		}
		fd = next
	}
	if fault := judgeFile(fd, path); fault != nil {
		_ = unix.Close(fd)
		return nil, fault
	}
	return os.NewFile(uintptr(fd), path), nil
}

// judgeDirectory refuses a directory in which others could exchange what we run. Above the allowed one a directory such as
// /tmp passes, where everybody can write and nobody can touch what is another's: what is ours there is judged next.
func judgeDirectory(fd int, at, allowed string) *Error {
	st, fault := judge(fd, at)
	switch {
	case fault != nil:
		return fault
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return lookup(at, unix.ENOTDIR)
	}
	sticky := st.Mode&unix.S_ISVTX != 0 && at != allowed && !below(at, allowed)
	if st.Mode&0o022 != 0 && !sticky {
		return writable(at, st.Mode)
	}
	return nil
}

func judgeFile(fd int, path string) *Error {
	st, found := judge(fd, path)
	switch {
	case found != nil:
		return found
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fault(Directory, path, "%q is a directory", path)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fault(Special, path, "%q is not a regular file", path)
	case st.Mode&0o022 != 0:
		return writable(path, st.Mode)
	case st.Mode&0o111 == 0:
		return fault(NotExecutable, path, "%q is not executable (mode %04o)", path, st.Mode&0o7777)
	}
	return nil
}

// judge refuses what is a link or somebody else's.
func judge(fd int, path string) (unix.Stat_t, *Error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return st, lookup(path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return st, linked(fd, path)
	case int(st.Uid) != 0 && int(st.Uid) != os.Geteuid():
		return st, fault(Owner, path, "%q belongs to user %d, want root or the agent's user", path, st.Uid)
	}
	return st, nil
}

func linked(fd int, path string) *Error {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return lookup(path, err)
	}
	to := string(target[:n])
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	return fault(Link, path, "%q is a symbolic link to %q: write that path", path, to)
}

func writable(at string, mode uint32) *Error {
	return fault(Writable, at, "others can write %q (mode %04o)", at, mode&0o7777)
}

// interpreter reads the first line of a script. What cannot be read is no script: an interpreter could not read it either.
func (f *File) interpreter() (string, bool) {
	file, err := f.Reader()
	if err != nil {
		return "", false
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, 256)
	n, _ := file.Read(head)
	line, found := strings.CutPrefix(string(head[:n]), "#!")
	if !found {
		return "", false
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", true
	}
	return words[0], true
}
