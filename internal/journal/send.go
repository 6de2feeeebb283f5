package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patience = 50 * time.Millisecond // how long one record may wait for a journal that is busy
	respite  = 5 * time.Second       // how long a journal that took nothing is not tried again
	mostElse = 4 << 10               // bytes of a line for standard error: a pipe that has room takes so many at once
)

// sender writes datagrams to the journal, and lines to standard error where it takes none. What neither takes is counted.
type sender struct {
	socket string
	or     *os.File

	mu    sync.Mutex // guards the rest
	conn  *net.UnixConn
	again time.Time // the journal is not tried before
	lost  int       // lines since the last that was taken
}

// send writes one record. It waits for a moment at most, and then for none of the next.
func (s *sender) send(fields map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > 0 {
		s.pass(map[string]string{
			"MESSAGE":  "lines of the log were lost: neither the journal nor standard error took them lines=" + strconv.Itoa(s.lost),
			"PRIORITY": "4", "SYSLOG_IDENTIFIER": fields["SYSLOG_IDENTIFIER"],
		})
	}
	s.pass(fields)
}

func (s *sender) pass(fields map[string]string) {
	if time.Now().After(s.again) {
		if s.write(encode(fields)) == nil {
			s.lost = 0
			return
		}
		s.again = time.Now().Add(respite)
	}
	if s.line("<"+fields["PRIORITY"]+">"+fields["MESSAGE"]) != nil {
		s.lost++
		return
	}
	s.lost = 0
}

// write sends one datagram, and connects first where it must: a journal that was started anew is another one.
func (s *sender) write(datagram []byte) (err error) {
	for range 2 {
		if s.conn == nil {
			if s.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"}); err != nil {
				s.conn = nil
				return err
			}
		}
		if err = s.conn.SetWriteDeadline(time.Now().Add(patience)); err == nil {
			_, err = s.conn.Write(datagram)
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		_ = s.conn.Close()
		s.conn = nil
	}
	return err
}

// line writes to standard error, where that does not block: under systemd the journal stands behind it too.
func (s *sender) line(text string) error {
	if s.or == nil {
		return os.ErrClosed
	}
	raw, err := s.or.SyscallConn()
	if err != nil {
		return err
	}
	room := false
	err = raw.Control(func(fd uintptr) {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, failed := unix.Poll(ready, 0)
		room = failed == nil && n == 1 && ready[0].Revents&unix.POLLOUT != 0
	})
	if err == nil && !room {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		return err
	}
	_, err = s.or.WriteString(clip(strings.ReplaceAll(text, "\n", " "), mostElse-1) + "\n")
	return err
}

// encode writes the native protocol: NAME=value, or for a value of several lines its length in 64 bits, little-endian.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
func encode(fields map[string]string) []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		out.WriteString(name)
		if strings.Contains(value, "\n") {
			out.WriteByte('\n')
			out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		} else {
			out.WriteByte('=')
		}
		out.WriteString(value)
		out.WriteByte('\n')
	}
	return out.Bytes()
}
