package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/sandbox/shim"
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
func start(ctx context.Context, c Command, files []*os.File) (*child, error) {
	ch := &child{ended: make(chan struct{}), done: make(chan struct{}), state: make(chan *os.ProcessState, 1)}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		launch := begin
		if c.Confine != nil {
			launch = func(c Command, files []*os.File) (*os.Process, error) { return confine(ctx, c, files) }
		}
		p, err := launch(c, files)
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
		Dir: cmp.Or(c.Dir, "/"), Env: c.Env, Files: files,
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

// confine starts the program by the shim. It returns when the program has begun, or failed to: a shim that fails is reaped
// here. Where the context ends meanwhile the process is returned as it is, to be ended as any.
func confine(ctx context.Context, c Command, files []*os.File) (*os.Process, error) {
	ours, theirs, err := socket()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ours.Close() }()
	defer func() { _ = theirs.Close() }()
	closeOnExec()
	path, argv := sandbox.Shim()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: append(files[:3:3], theirs, c.File),
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, fmt.Errorf("starting the shim that confines it: %v", err) //nolint:errorlint // no fault of the program
	}
	_ = theirs.Close()
	stop := context.AfterFunc(ctx, func() { _ = ours.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	command := sandbox.Command{Argv: c.Argv, Env: c.Env, Policy: *c.Confine}
	if c.ByPath {
		command.Path = c.Path
	}
	err = command.Send(ours)
	if err == nil || errors.Is(err, unix.EPIPE) { // the shim failed before it had read all
		err = sandbox.Report(ours)
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return p, nil
	}
	_ = p.Kill()
	_, _ = p.Wait()
	if e, ok := errors.AsType[*sandbox.StartError](err); ok && e.Code == shim.ExitSetup {
		return nil, fmt.Errorf("confining it: %s", e.Text) // no fault of the program
	}
	return nil, err
}

// socket makes the two ends of what the shim is spoken to by.
func socket() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a socket to the shim: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "shim"), os.NewFile(uintptr(pair[1]), "agent"), nil
}

// executable is the path to execute. An open program is executed through /proc: what was looked at is what runs. Its
// descriptor is moved behind those that starting a process may overwrite.
func executable(c Command, files []*os.File) (path string, release func(), err error) {
	if c.File == nil || c.ByPath {
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
