package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Glance is what the files of a state directory tell without being opened as a database. Nothing is locked or written.
type Glance struct {
	Found   bool     // there is a database
	Version int      // of its schema; 0 where it cannot be told
	Known   int      // the newest that this build knows
	Bytes   int64    // of all files of the store
	Holder  int      // the process that holds the lock; 0: nobody, as far as the kernel tells
	Aside   []string // databases that were moved aside because they were corrupt
}

// GlanceAt looks at a state directory. proc is /proc, where the kernel lists who holds which lock. It must not be called by a
// process that has the store open.
func GlanceAt(dir, proc string) (Glance, error) {
	g := Glance{Known: len(migrations())}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return g, nil
	case err != nil:
		return g, fmt.Errorf("looking at the state directory: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		info, err := entry.Info()
		if err != nil {
			continue // removed meanwhile
		}
		if entry.Type().IsRegular() {
			g.Bytes += info.Size()
		}
		if strings.HasPrefix(name, databaseName+".corrupt-") && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") {
			g.Aside = append(g.Aside, filepath.Join(dir, name))
		}
	}
	path := filepath.Join(dir, databaseName)
	if _, err := os.Lstat(path); err == nil {
		g.Found, g.Version = true, peekVersion(path)
	}
	g.Holder = holderOf(filepath.Join(dir, lockName), filepath.Join(proc, "locks"))
	return g, nil
}

// holderOf finds the lock's file in the kernel's list, by its number:
//
//	1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
//
// The device is left out: what the list calls it differs from stat(2) on some file systems. A number of a lock of the agent's
// kind that is on two devices is not worth telling apart, as long as one of them is the pid that the file itself names.
func holderOf(path, list string) int {
	var st unix.Stat_t
	data, err := os.ReadFile(list) //nolint:gosec // a file of the kernel's
	if err != nil || unix.Stat(path, &st) != nil {
		return 0
	}
	said := 0                                // by whom holds it, or held it last
	if f, err := os.Open(path); err == nil { //nolint:gosec // the operator's state directory
		said = holder(f)
		_ = f.Close()
	}
	number, found := strconv.FormatUint(st.Ino, 10), 0
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[3] != "WRITE" || !strings.HasSuffix(fields[5], ":"+number) {
			continue
		}
		pid, _ := strconv.Atoi(fields[4])
		if pid <= 0 {
			pid = said // a process that this container does not see
		}
		if found == 0 || pid == said {
			found = pid
		}
	}
	return found
}
