package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// largestFile is the largest file that the program may write.
const largestFile = 1 << 30

// child is a program that runs, and the leader of its session.
type child struct {
	pid   int
	ended chan struct{} // closed when the program has ended; its number stays its own until reap
	done  chan struct{} // closed when it may be reaped
	state chan *os.ProcessState
}

// start starts the program. One goroutine starts it, waits for it and reaps it, on one thread: the kernel kills the
// program when that thread ends (Pdeathsig), which is when the agent is killed.
func start(c Command, files []*os.File) (*child, error) {
	ch := &child{ended: make(chan struct{}), done: make(chan struct{}), state: make(chan *os.ProcessState, 1)}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p, err := begin(c, files)
		if err != nil {
			started <- err
			return
		}
		ch.pid = p.Pid
		bound(p.Pid)
		started <- nil
		await(p.Pid)
		close(ch.ended)
		<-ch.done
		state, _ := p.Wait()
		ch.state <- state
	}()
	return ch, <-started
}

// begin starts the program, and tries again where somebody has it open for writing: a package that is being installed, or
// a fork of our own that has not come to its exec.
func begin(c Command, files []*os.File) (*os.Process, error) {
	path, release, err := executable(c, files)
	if err != nil {
		return nil, err
	}
	defer release()
	closeOnExec()
	attr := &os.ProcAttr{
		Dir: "/", Env: c.Env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	for try := 0; ; try++ {
		p, err := os.StartProcess(path, c.Argv, attr)
		if try < 10 && errors.Is(err, syscall.ETXTBSY) {
			time.Sleep(30 * time.Millisecond)
			continue
		}
		return p, err
	}
}

// executable is the path to execute. An open program is executed through /proc: what was looked at is what runs. Its
// descriptor is moved behind those that starting a process may overwrite.
func executable(c Command, files []*os.File) (path string, release func(), err error) {
	if c.File == nil {
		return c.Path, func() {}, nil
	}
	least := 0
	for _, f := range files {
		least = max(least, int(f.Fd()))
	}
	fd, err := unix.FcntlInt(c.File.Fd(), unix.F_DUPFD_CLOEXEC, least+8)
	runtime.KeepAlive(c.File)
	if err != nil {
		return "", nil, fmt.Errorf("keeping %q open: %w", c.Path, err)
	}
	path = "/proc/self/fd/" + strconv.Itoa(fd)
	if _, err := os.Lstat(path); err != nil {
		path = c.Path // there is no /proc here
	}
	return path, func() { _ = unix.Close(fd) }, nil
}

// closeOnExec keeps descriptors from the program that our own parent left open in us. Everything that Go opens is closed
// anyway.
func closeOnExec() {
	const first = 3
	if unix.CloseRange(first, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
		}
	}
}

// bound sets the limits that no program needs to pass: no core file, which would hold its environment, and no file that
// fills the disk.
func bound(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: largestFile, Max: largestFile}, nil)
}

// await returns when the process has ended, and leaves it to be reaped: until then its number, and that of its group, is
// nobody else's, so that killing the group cannot hit another.
func await(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (c *child) terminate() { _ = unix.Kill(-c.pid, unix.SIGTERM) }

func (c *child) kill() { _ = unix.Kill(-c.pid, unix.SIGKILL) }

// clear kills what is left of the group, and what carries the mark. It is called between the end and reap.
func (c *child) clear(mark string) int {
	left := sweep(mark, c.pid)
	c.kill()
	for again, total := left, left; again > 0 && total < 10_000; total += again { // what forks while it is being killed
		again = sweep(mark, c.pid)
		left += again
	}
	return left
}

// reap returns the exit status, or the name of the signal.
func (c *child) reap() (code int, signal string) {
	close(c.done)
	state := <-c.state
	if state == nil {
		return -1, "unknown"
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return -1, status.Signal().String()
	}
	return state.ExitCode(), ""
}
