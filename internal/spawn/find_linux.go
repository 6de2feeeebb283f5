package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
)

// program is a program that was found fit, held open.
type program struct {
	path        string // without symbolic links
	file        *os.File
	script      bool   // begins with #!
	interpreter string // of a script
}

func (p *program) close() { _ = p.file.Close() }

// direct is the descriptor to execute. A script has none: its interpreter opens it by its path, and what it reads beside
// itself (utils.sh) it looks for there. Nobody but root and the agent's user can change anything on that path.
func (p *program) direct() *os.File {
	if p.script {
		return nil
	}
	return p.file
}

// find opens the program that a path leads to, and refuses what is outside of the allowed directories or what another
// than root and the agent's user could change. It walks from the root of the file system, and judges what it has opened:
// nothing can be exchanged between the look and the use.
func (s *Spawner) find(path string) (*program, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, lookupError(path, err)
	}
	i := slices.IndexFunc(s.o.Directories, func(dir string) bool {
		target, err := filepath.EvalSymlinks(dir)
		return err == nil && below(resolved, target)
	})
	if i < 0 {
		return nil, fmt.Errorf("%w: %q leads to %q, outside of the allowed directories", checks.ErrProgramRefused, path, resolved)
	}
	allowed, err := filepath.EvalSymlinks(s.o.Directories[i])
	if err != nil {
		return nil, lookupError(path, err)
	}
	file, err := walk(resolved, allowed)
	if err != nil {
		return nil, err
	}
	p := &program{path: resolved, file: file}
	p.interpreter, p.script = interpreter(file)
	return p, nil
}

func lookupError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %q", checks.ErrProgramMissing, path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("%w: looking up %q: %w", checks.ErrProgramRefused, path, err)
	}
	return fmt.Errorf("looking up %q: %w", path, err)
}

// walk opens every part of the path from the one before, without following links, and judges each.
func walk(path, allowed string) (*os.File, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open("/", flags|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /: %w", err)
	}
	at := "/"
	names := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, name := range names {
		if err := judgeDirectory(fd, at, allowed); err != nil {
			_ = unix.Close(fd)
			return nil, err
		}
		how := flags
		if i < len(names)-1 {
			how |= unix.O_DIRECTORY
		}
		next, err := unix.Openat(fd, name, how, 0)
		_ = unix.Close(fd)
		at = filepath.Join(at, name)
		if err != nil {
			return nil, lookupError(at, err)
		}
		fd = next
	}
	if err := judgeFile(fd, path); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// judgeDirectory refuses a directory in which others could exchange what we run. Above the allowed one a directory such as
// /tmp passes, where everybody can write and nobody can touch what is another's: what is ours there is judged next.
func judgeDirectory(fd int, at, allowed string) error {
	st, err := judgeOwner(fd, at)
	if err != nil {
		return err
	}
	sticky := st.Mode&unix.S_ISVTX != 0 && at != allowed && !below(at, allowed)
	if st.Mode&0o022 != 0 && !sticky {
		return writable(at, st.Mode)
	}
	return nil
}

func judgeFile(fd int, path string) error {
	st, err := judgeOwner(fd, path)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fmt.Errorf("%w: %q is a directory", checks.ErrProgramBroken, path)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%w: %q is not a regular file", checks.ErrProgramBroken, path)
	case st.Mode&0o022 != 0:
		return writable(path, st.Mode)
	case st.Mode&0o111 == 0:
		return fmt.Errorf("%w: %q is not executable (mode %04o)", checks.ErrProgramBroken, path, st.Mode&0o7777)
	}
	return nil
}

func judgeOwner(fd int, path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return st, fmt.Errorf("looking at %q: %w", path, err)
	}
	if int(st.Uid) != 0 && int(st.Uid) != os.Geteuid() {
		return st, fmt.Errorf("%w: %q belongs to user %d, want root or the agent's user", checks.ErrProgramRefused, path, st.Uid)
	}
	return st, nil
}

func writable(path string, mode uint32) error {
	return fmt.Errorf("%w: others can write %q (mode %04o)", checks.ErrProgramRefused, path, mode&0o7777)
}

// interpreter reads the first line of a script. What cannot be read is no script: an interpreter could not read it either.
func interpreter(file *os.File) (string, bool) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 256)
	n, _ := f.Read(head)
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

// explain tells the program's fault from our own.
func (p *program) explain(err error) error {
	is := func(all ...error) bool {
		return slices.ContainsFunc(all, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case is(syscall.ENOENT) && p.script:
		return fmt.Errorf("%w: the interpreter %q of %q is missing", checks.ErrProgramBroken, p.interpreter, p.path)
	case is(syscall.EACCES) && p.script:
		return fmt.Errorf("%w: %q or its interpreter %q may not be executed", checks.ErrProgramBroken, p.path, p.interpreter)
	case is(syscall.ENOEXEC):
		return fmt.Errorf("%w: %q is neither a program for this machine nor a script with #! at its top", checks.ErrProgramBroken, p.path)
	case is(syscall.ETXTBSY):
		return fmt.Errorf("%w: %q is being written (text file busy)", checks.ErrProgramBroken, p.path)
	case is(syscall.ENOENT):
		return fmt.Errorf("%w: the loader that %q asks for is missing", checks.ErrProgramBroken, p.path)
	case is(syscall.EACCES, syscall.EPERM, syscall.ELIBBAD, syscall.E2BIG, syscall.ELOOP, syscall.EISDIR):
		return fmt.Errorf("%w: %q: %w", checks.ErrProgramBroken, p.path, errno(err))
	}
	return fmt.Errorf("starting %q: %w", p.path, errno(err))
}

// errno is the fault without the path of the descriptor.
func errno(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
