package evidence

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile has a file of mode 0600 written, which has its name when all of it is on the disk: whatever goes wrong on the
// way, and also where ctx ends, nothing is left behind. It replaces another file only where replace is set; the error wraps
// fs.ErrExist else.
func WriteFile(ctx context.Context, name string, replace bool, write func(io.Writer) error) (err error) {
	if err := free(name, replace); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	dir := filepath.Dir(name)
	part, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*.part") // of mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() { _ = os.Remove(part.Name()) }() // it is gone already where all went well
	buffered := bufio.NewWriterSize(&interruptible{ctx, part}, 256<<10)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = settle(part.Name(), name, replace)
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("writing %s: interrupted, nothing was written: %w", name, context.Cause(ctx))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fmt.Errorf("writing %s: no room in %s, nothing was written: %w", name, dir, err)
	case err != nil:
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// free refuses a name that is taken.
func free(name string, replace bool) error {
	there, err := os.Lstat(name)
	switch {
	case err != nil:
		return nil //nolint:nilerr // what is wrong with the folder is said when the file is made
	case !there.Mode().IsRegular():
		return fmt.Errorf("it is there and no file: %w", fs.ErrExist)
	case !replace:
		return fs.ErrExist
	}
	return nil
}

// settle gives the file its name. Without replace it takes no name that came in between.
func settle(part, name string, replace bool) error {
	var err error
	if replace {
		err = os.Rename(part, name)
	} else if err = os.Link(part, name); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) { // no links there
		err = os.Rename(part, name)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// interruptible stops where its context has ended.
type interruptible struct {
	ctx context.Context //nolint:containedctx // it lives as long as the call that made it
	to  io.Writer
}

func (w *interruptible) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.to.Write(p)
}
