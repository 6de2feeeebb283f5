package launch

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is the process, leader of its session.
type child struct {
	pid   int
	done  chan struct{} // closed when it was reaped; state and at may be read then
	state *os.ProcessState
	at    time.Time

	mu     sync.Mutex
	ended  bool // guarded by mu
	reaped bool // guarded by mu: its number may be another's
}

// spawn starts the process. One goroutine starts it, waits for it and reaps it, on one thread: the kernel kills the process
// when that thread ends (Pdeathsig), which is when the agent is killed. ended is called when the process has ended and
// before it is reaped: what it left in its group is killed by then.
func spawn(path string, argv, env []string, files []*os.File, ended func()) (*child, error) {
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p, err := begin(path, argv, env, files)
		if err != nil {
			started <- err
			return
		}
		c.pid = p.Pid
		started <- nil
		await(p.Pid)
		c.at = time.Now()
		c.kill()
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		ended()
		c.mu.Lock()
		c.state, _ = p.Wait()
		c.reaped = true
		c.mu.Unlock()
		close(c.done)
	}()
	return c, <-started
}

// begin starts the process, and tries again where somebody has the program open for writing: a fork of our own that has not
// come to its exec.
func begin(path string, argv, env []string, files []*os.File) (*os.Process, error) {
	attr := &os.ProcAttr{
		Dir: "/", Env: env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	for try := 0; ; try++ {
		p, err := os.StartProcess(path, argv, attr)
		if try < 10 && errors.Is(err, syscall.ETXTBSY) {
			time.Sleep(30 * time.Millisecond)
			continue
		}
		return p, err
	}
}

// await returns when the process has ended, and leaves it to be reaped: until then its number, and that of its group, is
// nobody else's.
func await(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// kill kills the process and its group, and reports whether the process had not ended by itself. It may be called at any
// time.
func (c *child) kill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = unix.Kill(-c.pid, unix.SIGKILL)
	}
	return !c.ended
}

// ending is the exit status, or the name of the signal. It is called after done.
func (c *child) ending() (code int, signal string) {
	if c.state == nil {
		return -1, "unknown"
	}
	if status, ok := c.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return -1, status.Signal().String()
	}
	return c.state.ExitCode(), ""
}

// direct is the path by which the open program is executed, where there is no shim: what was looked at is what runs. A
// script is executed by its path, because its interpreter opens it again.
func direct(file *os.File, path string, script bool) (string, func(), error) {
	if script {
		return path, func() {}, nil
	}
	const behind = 16 // the descriptors that starting a process may overwrite
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, behind)
	runtime.KeepAlive(file)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), func() { _ = unix.Close(fd) }, nil
}
