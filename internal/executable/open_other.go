//go:build !linux

package executable

import (
	"os"
	"path/filepath"
)

// Open opens the program of an absolute path, below the directory that is allowed ("" is its own). The agent's home is
// Linux; elsewhere, where it is tried out, nobody looks at owners and modes, and links are followed. The error is an *Error.
func Open(path, allowed string, _ Options) (*File, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return nil, fault(Outside, path, "%q is not an absolute path in its shortest form", path)
	}
	if allowed == "" {
		allowed = filepath.Dir(path)
	}
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
	file, err := os.Open(path)
	if err != nil {
		return nil, lookup(path, err)
	}
	return &File{Path: path, file: file}, nil
}

// Descriptor is the program, opened.
func (f *File) Descriptor() *os.File { return f.file }

// Reader opens the file again, to be read. The caller closes it.
func (f *File) Reader() (*os.File, error) { return os.Open(f.Path) }
