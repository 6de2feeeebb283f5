package launch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// What a plugin's own folder, which is its TMPDIR, may hold. It lies in the state directory or in /run, where the agent's own
// store stands, or memory is taken. A plugin that has something to keep has `write` in its entry.
const (
	MaxDisk    = 256 << 20 // bytes: far more than a check needs, and far less than a host has
	MaxEntries = 10_000    // files and folders: they use up a file system too, and looking at all of them takes time
	maxNested  = 32        // folders within each other
	entryBatch = 256       // names that are read at a time
)

// Overfull says what is too much in the plugin's own folder; "" where nothing is. A file counts with the blocks that it has,
// and once for each of its names. What was removed and is still open cannot be seen. It is over soon whatever the folder
// holds, follows no link, and looks at nothing outside.
func (p *Process) Overfull() string {
	if p.guest != nil {
		return "" // it has a folder of its user's
	}
	p.run.mu.Lock()
	folder := p.run.sockets
	p.run.mu.Unlock()
	return overfull(folder, MaxDisk, MaxEntries)
}

func overfull(folder string, bytes int64, entries int) string {
	d := &disk{bytes: bytes, entries: entries, mostBytes: bytes, mostEntries: entries}
	root, err := os.OpenRoot(folder)
	if err != nil {
		err = unreadable(err)
	} else {
		err = d.measure(root, maxNested)
	}
	if e, ok := errors.AsType[*tooMuchError](err); ok {
		return "its folder for temporary files " + e.text
	}
	return ""
}

// tooMuchError is why a folder holds more than it may.
type tooMuchError struct{ text string }

func (t *tooMuchError) Error() string { return t.text }

// disk is what is left, and what there was in the beginning.
type disk struct {
	bytes, mostBytes     int64
	entries, mostEntries int
}

// measure counts a folder and closes it. It holds one descriptor for each folder above.
func (d *disk) measure(folder *os.Root, levels int) error {
	defer func() { _ = folder.Close() }()
	list, err := folder.Open(".")
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = list.Close() }()
	for {
		names, err := list.Readdirnames(entryBatch)
		for _, name := range names {
			if err := d.count(folder, name, levels); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
	}
}

func (d *disk) count(folder *os.Root, name string, levels int) error {
	info, err := folder.Lstat(name)
	if err != nil {
		return unreadable(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		d.bytes -= stat.Blocks * 512 // POSIX: whatever the file system's own blocks are
	}
	d.entries--
	switch {
	case d.bytes < 0:
		return &tooMuchError{fmt.Sprintf("holds more than %d MiB", d.mostBytes>>20)}
	case d.entries < 0:
		return &tooMuchError{fmt.Sprintf("holds more than %d files", d.mostEntries)}
	case !info.IsDir():
		return nil
	case levels == 0:
		return &tooMuchError{fmt.Sprintf("has more than %d folders within each other", maxNested)}
	}
	inner, err := folder.OpenRoot(name) // fails at what is no folder any more, and waits for nothing
	if err != nil {
		return unreadable(err)
	}
	return d.measure(inner, levels-1)
}

// unreadable is nil for what came or went meanwhile, which the next look sees. A folder that its owner has closed to
// itself is one to hide in.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &tooMuchError{"cannot be looked into"}
	}
	return nil
}
