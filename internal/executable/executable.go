// Package executable says which file may be run: one that nobody but root and the agent's user could have changed or
// exchanged, on a path that nobody else could lead elsewhere. It opens what it judges, so that the file that was judged is
// the file that runs. It runs nothing, and does not look into what a program does.
package executable

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Options is how to look.
type Options struct {
	// Links follows symbolic links to the path that they lead to, which is judged then. Otherwise a link anywhere on the
	// path is refused.
	Links bool
}

// Kind is what is wrong with a program.
type Kind string

// The faults of a program.
const (
	Missing       Kind = "missing"
	Outside       Kind = "outside" // of the directory that is allowed
	Link          Kind = "link"    // a symbolic link, where none is followed
	Directory     Kind = "directory"
	Special       Kind = "special" // a pipe, a device, a socket
	NotExecutable Kind = "not executable"
	Writable      Kind = "writable" // for others than its owner
	Owner         Kind = "owner"    // neither root nor the agent's user
	Denied        Kind = "denied"   // the agent may not look there, or the links lead in a circle
	Failed        Kind = "failed"   // the look failed, for no fault of the program
)

// Refused reports whether the program is not to be trusted, in difference to one that is not there or does not work.
func (k Kind) Refused() bool {
	return slices.Contains([]Kind{Outside, Link, Writable, Owner, Denied}, k)
}

// Error is why a file may not be run. Its text is a whole sentence of people's words: `others can write "/opt/x" (mode 0777)`.
type Error struct {
	Kind Kind
	Path string // of the part that is at fault
	Text string
	Err  error // the kernel's, where it was the one that said so
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// Read opens the program of an absolute path, without links, to be read and to be run by its descriptor. The caller closes
// it. The text of its error says what is wrong, and then the way out.
func Read(path string) (*os.File, error) {
	found, err := Open(path, "", Options{})
	if e, ok := errors.AsType[*Error](err); ok {
		if out := e.wayOut(); out != "" {
			return nil, fmt.Errorf("%w; %s", err, out)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	return found.Reader()
}

// wayOut is what an operator can do about it; "" where the text says it.
func (e *Error) wayOut() string {
	switch e.Kind {
	case Missing:
		return "put the program there, or correct the path"
	case NotExecutable:
		return fmt.Sprintf("chmod 0755 %s makes it so", e.Path)
	case Writable:
		return fmt.Sprintf("chmod go-w %s takes that from them", e.Path)
	case Owner:
		return "chown root " + e.Path
	case Directory, Special, Outside:
		return "write the path of the program"
	case Denied:
		return "let the agent's user look there"
	case Link, Failed:
	}
	return ""
}

func fault(kind Kind, path, format string, args ...any) *Error {
	return &Error{Kind: kind, Path: path, Text: fmt.Sprintf(format, args...)}
}

// lookup is the fault of a path that could not be followed.
func lookup(path string, err error) *Error {
	kind := Failed
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return &Error{Kind: Missing, Path: path, Text: fmt.Sprintf("%q is missing", path), Err: err}
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.ELOOP):
		kind = Denied
	}
	return &Error{Kind: kind, Path: path, Text: fmt.Sprintf("looking up %q: %v", path, err), Err: err}
}

// File is a program that was found fit, held open. The caller closes it.
type File struct {
	Path        string // without symbolic links
	Script      bool   // it begins with #!
	Interpreter string // of a script; "" where its line names none
	file        *os.File
}

// Close lets go of the program.
func (f *File) Close() error { return f.file.Close() }

// below reports whether the path is inside the directory.
func below(path, dir string) bool {
	return path != dir && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// errno is the fault without the path of the descriptor.
func errno(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
