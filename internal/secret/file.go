package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readFile returns the file's value, from what is kept where the file has not changed. Symbolic links are followed,
// because systemd and Kubernetes hand out credentials through them; what is judged is the file that was opened, never the
// path, so nothing can be exchanged in between.
func (s *source) readFile(path string, credential bool, c *cached) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		*c = cached{}
		return "", s.resolver.unreadable(path, err)
	}
	if c.valid && same(c.info, info) {
		return c.value, c.err
	}
	if !credential { // systemd makes the folder of those
		if err := s.resolver.judgeFolders(path); err != nil {
			*c = cached{} // a folder that is mended does not show in the file
			return "", err
		}
	}
	value, opened, err := s.readStable(path, credential)
	*c = cached{value: value, err: err, info: opened, valid: opened != nil}
	return value, err
}

// readStable reads until the content is the same before and after: a writer that does not rename could be half way. That
// the name went to a newer file meanwhile, which is how keys are rotated, does not make what was read less whole.
func (s *source) readStable(path string, credential bool) (string, os.FileInfo, error) {
	for range 3 {
		value, before, after, err := s.readOnce(path, credential)
		if err != nil || sameContent(before, after) {
			return value, before, err
		}
	}
	return "", nil, errors.New("the file changes while it is read; write a new one and rename it")
}

func (s *source) readOnce(path string, credential bool) (value string, before, after os.FileInfo, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0) //nolint:gosec // the operator's own file names it
	if err != nil {
		return "", nil, nil, s.resolver.unreadable(path, err)
	}
	defer func() { _ = f.Close() }()
	if before, err = f.Stat(); err != nil {
		return "", nil, nil, fileError(err)
	}
	if err := s.resolver.judge(path, before, credential); err != nil {
		return "", before, before, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return "", nil, nil, fileError(err)
	}
	if after, err = f.Stat(); err != nil {
		return "", nil, nil, fileError(err)
	}
	value, err = usable(trimNewline(string(data)))
	return value, before, after, err
}

// same reports whether two looks at a file saw the same file, content, owner and mode, as far as the system tells.
func same(a, b os.FileInfo) bool {
	return sameContent(a, b) && a.Mode() == b.Mode() && ownerOf(a) == ownerOf(b)
}

// sameContent leaves out what changes when a file loses its name.
func sameContent(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// fileError names the fault without the path, which the caller has.
func fileError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || notDirectory(err) {
		return fmt.Errorf("%w: no such file", errAbsent)
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
