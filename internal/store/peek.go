package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The parts of SQLite's file format that tell the schema version without opening the database, which would write to it:
// https://www.sqlite.org/fileformat2.html, sections 1.3 (database header) and 4 (write-ahead log).
const (
	headerSize    = 100
	versionOffset = 60 // user_version, big-endian
	walHeader     = 32
	frameHeader   = 24
)

// peekVersion reads user_version from the files alone: from the last committed copy of page 1 in the write-ahead log,
// or from the database's header. 0 where there is none to read. It must not be called while the database is open in this
// process: closing any descriptor of the file drops SQLite's locks on it.
func peekVersion(path string) int {
	version := 0
	if header, err := readHead(path, headerSize); err == nil && bytes.HasPrefix(header, []byte("SQLite format 3\x00")) {
		version = int(binary.BigEndian.Uint32(header[versionOffset:]))
	}
	if logged, ok := peekWAL(path + "-wal"); ok {
		version = logged
	}
	return version
}

// checkFormat refuses a header that SQLite takes for a format of the future: it would open the database for reading only,
// and never say that anything is wrong with it. The same rule as for peekVersion holds.
func checkFormat(path string) error {
	header, err := readHead(path, headerSize)
	if err != nil || !bytes.HasPrefix(header, []byte("SQLite format 3\x00")) {
		return nil //nolint:nilerr // SQLite has its own words for what it cannot read
	}
	if write, read := header[18], header[19]; write > 2 || read > 2 {
		return &corruptError{fmt.Sprintf("the header holds file format %d, %d", write, read)}
	}
	return nil
}

// openPlain opens a file, and nothing that would make whoever opens it wait: a pipe that lies under its name.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) //nolint:gosec // the operator's state directory
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%q is not a file", path), err, f.Close())
	}
	return f, nil
}

func readHead(path string, n int) ([]byte, error) {
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, n)
	_, err = io.ReadFull(f, head)
	return head, errors.Join(err, f.Close())
}

// peekWAL walks the frames of the current generation of the log.
func peekWAL(path string) (version int, found bool) {
	f, err := openPlain(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, walHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return 0, false
	}
	pageSize := int64(binary.BigEndian.Uint32(head[8:]))
	if binary.BigEndian.Uint32(head)&^1 != 0x377f0682 || pageSize < 512 || pageSize > 65536 {
		return 0, false
	}
	return walkFrames(f, head[16:24], frameHeader+pageSize)
}

// walkFrames finds the version in the last committed frame of page 1 among those with the log's salt.
func walkFrames(f io.ReaderAt, salt []byte, step int64) (version int, found bool) {
	pending, isPending := 0, false
	frame := make([]byte, frameHeader+headerSize)
	for at := int64(walHeader); ; at += step {
		if _, err := f.ReadAt(frame, at); err != nil || !bytes.Equal(frame[8:16], salt) {
			return version, found // the end, or a generation before
		}
		if binary.BigEndian.Uint32(frame) == 1 {
			pending, isPending = int(binary.BigEndian.Uint32(frame[frameHeader+versionOffset:])), true
		}
		if binary.BigEndian.Uint32(frame[4:]) != 0 && isPending { // a commit
			version, found, isPending = pending, true, false
		}
	}
}
