package process

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep kills every process whose number came after another's and that carries the mark, a NAME=value that nothing else has
// in its environment, and returns how many there were. They have ended when it returns.
func Sweep(mark string, after int) int { return sweep(mark, after) }

// sweep kills every process that carries the mark in its environment, waits for their ends, and returns how many there
// were. A process that has left its session and its parent still has the environment that it was born with. Processes
// get rising numbers, so that only those after the program's need to be looked at.
func sweep(mark string, after int) int {
	if mark == "" {
		return 0
	}
	if last := lastPID(); last < after {
		after = 0 // the numbers began anew
	}
	return end(func(pid int) bool { return pid > after && carries(pid, mark) })
}

// end kills every process but this one that is meant, waits for their ends, and returns how many there were.
func end(meant func(pid int) bool) int {
	var killed []int
	for _, pid := range pids() {
		if fd, hit := strike(pid, meant); hit {
			killed = append(killed, fd)
		}
	}
	bury(killed)
	return len(killed)
}

// strike kills a process that is meant, and returns a descriptor of it, which the caller closes.
func strike(pid int, meant func(pid int) bool) (fd int, hit bool) {
	if pid == os.Getpid() || !meant(pid) {
		return 0, false
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, false
	}
	// Looked at again with the process held: its number cannot have become another's.
	if !over(fd) && meant(pid) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
		return fd, true
	}
	_ = unix.Close(fd)
	return 0, false
}

// over reports whether a process has ended. /proc calls one a zombie whose first thread has ended and whose others run.
func over(fd int) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}

func pids() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = proc.Close() }()
	names, _ := proc.Readdirnames(-1)
	out := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// lastPID is the number that was given out last; 0 where nobody says.
func lastPID() int {
	data, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(fields[len(fields)-1])
	return last
}

// carries reports whether the process was born with the mark. One that has ended has no environment.
func carries(pid int, mark string) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false // another user's
	}
	defer func() { _ = f.Close() }()
	environ, _ := io.ReadAll(io.LimitReader(f, 4<<20))
	return bytes.Contains(environ, []byte(mark+"\x00"))
}

// bury waits, for a second at the most, until the killed are gone.
func bury(fds []int) {
	until := time.Now().Add(time.Second)
	for _, fd := range fds {
		wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for left := time.Until(until); left > 0; left = time.Until(until) {
			if n, _ := unix.Poll(wait, int(left.Milliseconds())+1); n > 0 {
				break
			}
		}
		_ = unix.Close(fd)
	}
}
