package scan

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// LargeBytes is how much of a large file is looked at: one that holds no program goes on beyond Options.FileBytes, for
// credentials only, in pieces of that size.
const LargeBytes = 256 << 20

// rest looks for credentials in what follows the beginning of a file, which is in the buffer still, with one byte more than
// was looked at: load told by it that there is more. It returns how much more it read, and whether that was all.
func (r *reader) rest(ctx context.Context, f io.Reader, name string, s *seen) (read int64, all bool, err error) {
	n := r.loaded
	src := &source{name: name, lang: languageOf(name, nil)}
	if src.lang.code() || wide(r.buffer[:n]) {
		return 0, false, nil
	}
	read = 1
	line, column := 0, 0 // of the beginning of the buffer
	for read < LargeBytes && ctx.Err() == nil {
		cut := piece(r.buffer[:n])
		line, column = after(r.buffer[:cut], line, column)
		kept := copy(r.buffer, r.buffer[cut:n])
		more, err := io.ReadFull(f, r.buffer[kept:r.loaded])
		read += int64(more)
		n = kept + more
		if all = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !all {
			return read, false, err
		}
		*src = source{name: name, lang: src.lang, text: r.buffer[:n], begin: Place{Line: line, Column: column}}
		var found seen
		r.keys.find(src, &found)
		s.secrets, s.allowed = append(s.secrets, found.secrets...), append(s.allowed, found.allowed...)
		if all {
			break
		}
	}
	s.stand(name)
	return read, all, nil
}

// piece is where the last line of a text begins, or its last KiB where the line is longer than 64 KiB.
func piece(text []byte) int {
	from := bytes.LastIndexByte(text, '\n') + 1
	if len(text)-from > 64<<10 {
		return len(text) - 1024
	}
	if from == 0 {
		return len(text) / 2
	}
	return from
}

// after is the line and the column, from 0, that follow a text which begins at others.
func after(text []byte, line, column int) (nextLine, nextColumn int) {
	if end := bytes.LastIndexByte(text, '\n'); end >= 0 {
		return line + bytes.Count(text, []byte("\n")), len(text) - end - 1
	}
	return line, column + len(text)
}
