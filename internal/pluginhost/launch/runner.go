package launch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// lingering is how long the plugin's pipes are read after its end: only a grandchild that cannot be killed holds them for
// longer.
const lingering = 250 * time.Millisecond

// plugged is a plugin's process as go-plugin sees it, a runner.Runner, and everything that has to be cleared away behind
// it.
type plugged struct {
	program  Program
	log      *slog.Logger
	file     *os.File // the program; the shim executes this descriptor
	spec     *os.File // our end of the pipe on which the shim waits; nil without it
	digest   chan error
	out      *stdout
	err      *stderr
	gate     *gate
	identity *identity  // the agent's; nil without certificates
	requests []string   // of go-plugin: the environment that it adds
	bare     []*os.File // the descriptors of a process without a shim, which cannot be started before its time

	mu      sync.Mutex
	child   *child // guarded by mu; nil until it is there
	killed  bool   // guarded by mu: it is not to be started any more
	forced  bool   // guarded by mu: the agent ended it
	sockets string // guarded by mu: the plugin's own folder
	note    string // guarded by mu: the file that says which session is the plugin's; "" where there is none
	oom     bool   // guarded by mu: the kernel ended it for its memory
}

var _ runner.Runner = (*plugged)(nil)

// prepare opens the program, makes certificate and pipes and, where there is a shim, starts it: it waits for its orders while
// the program is read.
func prepare(p Program, log *slog.Logger) (*plugged, error) {
	file, err := p.open()
	if err != nil {
		return nil, err
	}
	r := &plugged{program: p, log: log, file: file, digest: make(chan error, 1), gate: newGate()}
	go func() { r.digest <- p.digest(file) }()
	if p.MTLS {
		r.identity, err = newIdentity(time.Now())
	}
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		<-r.digest //nolint:errcheck // nobody needs it any more
		_ = file.Close()
		return nil, fault(Ours, "starting it: %v", err).because(err)
	}
	return r, nil
}

// begin makes the pipes and starts the shim.
func (r *plugged) begin() (err error) {
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(ours)
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	theirs = append(theirs, null)
	for range 2 {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		ours, theirs = append(ours, read), append(theirs, write)
	}
	r.out = newStdout(ours[0], r.judge, r.log)
	r.err = newStderr(ours[1], r.gate, r.program.Scrub)
	if r.program.Unsandboxed {
		r.bare, theirs = theirs, nil
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	ours, theirs = append(ours, write), append(theirs, read)
	r.spec = write
	path, argv := sandbox.Shim()
	return r.spawn(path, argv, []string{}, append(theirs[:4:4], r.file))
}

// spawn starts the process and the readers of its pipes.
func (r *plugged) spawn(path string, argv, env []string, files []*os.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errors.New("stopped before it was started")
	}
	child, err := spawn(path, argv, env, files, r.ended)
	if err != nil {
		return err
	}
	r.child = child
	r.note, err = noteSession(r.program.Sockets, child.pid)
	if err != nil {
		r.log.Warn("what the plugin starts will not be found by the next agent", "error", err)
	}
	go r.out.pump()
	go r.err.pump()
	return nil
}

// ended is called when the process has ended and before it is reaped.
func (r *plugged) ended() {
	if g := r.program.Cgroup; g != nil {
		oom := g.OOMKills() > 0
		if err := g.Kill(); err != nil {
			r.log.Warn("what the plugin left behind was not killed", "error", err)
		}
		r.mu.Lock()
		r.oom = oom
		r.mu.Unlock()
	}
	r.sweep()
	by := time.Now().Add(lingering)
	_ = r.out.pipe.SetReadDeadline(by)
	_ = r.err.pipe.SetReadDeadline(by)
}

// sweep kills what is left of the plugin's session, which it cannot leave, and, where there are no seccomp filters, what has
// left it: its environment still has the folder that no two plugins share.
func (r *plugged) sweep() {
	r.mu.Lock()
	folder, note, child := r.sockets, r.note, r.child
	r.mu.Unlock()
	n, all := process.EndSession(child.pid)
	if folder != "" && r.program.Cgroup == nil {
		n += process.Sweep("PLUGIN_UNIX_SOCKET_DIR="+folder, child.pid)
	}
	if n > 0 {
		r.log.Warn("plugin left processes behind, which were killed", "count", n)
	}
	if !all {
		r.log.Warn("plugin left processes behind that could not be killed; the agent tries again at its next start")
	} else if note != "" {
		_ = os.Remove(note)
	}
}

// kill ends the process and its group, and one that has not been started never is.
func (r *plugged) kill() {
	r.mu.Lock()
	child := r.child
	r.killed = true
	r.mu.Unlock()
	if r.program.Cgroup != nil && child != nil {
		_ = r.program.Cgroup.Kill()
	}
	if child != nil && child.kill() {
		r.mu.Lock()
		r.forced = true
		r.mu.Unlock()
	}
}

// current is the process; nil where none was started.
func (r *plugged) current() *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.child
}

// finish waits until the process is gone, and clears away what is left of it, with what go-plugin could not remove of its
// folder. Somebody has ended it.
func (r *plugged) finish() {
	if r.spec != nil {
		_ = r.spec.Close()
	}
	if child := r.current(); child != nil {
		<-child.done
		_ = r.err.out.Close()
		<-r.out.done
		<-r.err.done
	}
	closeAll(append(r.bare, r.out.pipe, r.err.pipe, r.file))
	if r.program.Cgroup != nil {
		if err := r.program.Cgroup.Remove(); err != nil {
			r.log.Warn("the plugin's control group was not removed", "error", err)
		}
	}
	r.mu.Lock()
	folder := r.sockets
	r.mu.Unlock()
	if folder == "" {
		return
	}
	if err := removeLeft(folder); err != nil {
		r.log.Warn("the plugin's folder was not removed", "error", err)
	}
}

// accept is go-plugin's RunnerFunc. It must not fail: go-plugin would forget the folder that it has just made.
func (r *plugged) accept(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
	r.mu.Lock()
	r.sockets = dir
	r.mu.Unlock()
	r.requests = cmd.Env
	return r, nil
}

// Start lets the program run once its digest is right.
func (r *plugged) Start(context.Context) error {
	if err := <-r.digest; err != nil {
		return err
	}
	p := r.program
	// What go-plugin asks for comes last, and wins.
	env := append([]string{"TMPDIR=" + r.sockets}, append(slices.Clip(p.Env), r.requests...)...)
	if r.identity != nil {
		env = append(env, r.identity.env)
	}
	if p.Unsandboxed {
		return r.startDirect(env)
	}
	c := sandbox.Command{Argv: []string{p.Path}, Env: env, Dir: "/", Policy: p.Policy}
	c.Policy.Write = append(slices.Clip(c.Policy.Write), r.sockets)
	c.Policy.Session = true
	if p.Cgroup != nil {
		c.Policy.Cgroup = p.Cgroup.Dir()
	}
	err := c.Send(r.spec)
	_ = r.spec.Close()
	if err != nil && !errors.Is(err, syscall.EPIPE) { // a shim that has ended says why
		return fault(Refused, "%v", err).because(err)
	}
	return nil
}

// startDirect starts the program without a shim.
func (r *plugged) startDirect(env []string) error {
	defer closeAll(r.bare)
	head := make([]byte, 2)
	_, _ = r.file.ReadAt(head, 0)
	path, release, err := direct(r.file, r.program.Path, string(head) == "#!")
	if err != nil {
		return fault(Ours, "keeping it open: %v", err).because(err)
	}
	defer release()
	if err := r.spawn(path, []string{r.program.Path}, env, r.bare); err != nil {
		return fault(Refused, "%v", err).because(err)
	}
	return nil
}

// Diagnose adds nothing to go-plugin's errors.
func (r *plugged) Diagnose(context.Context) string { return "" }

// Stdout is the handshake.
func (r *plugged) Stdout() io.ReadCloser { return r.out }

// Stderr is the plugin's log, as much of it as may be logged.
func (r *plugged) Stderr() io.ReadCloser { return r.err.out }

// Name is the logger's.
func (r *plugged) Name() string { return pluginLog }

// ID is the process id; never empty, because go-plugin would not clear up behind it.
func (r *plugged) ID() string {
	if c := r.current(); c != nil {
		return strconv.Itoa(c.pid)
	}
	return "none"
}

// Wait waits until the process was reaped.
func (r *plugged) Wait(context.Context) error {
	if c := r.current(); c != nil {
		<-c.done
	}
	return nil
}

// Kill kills the process and its group. go-plugin calls it at once where there is no handshake: a plugin that has closed its
// output is given a moment to end by itself, so that its own end can be told.
func (r *plugged) Kill(context.Context) error {
	if child := r.current(); child != nil {
		select {
		case <-child.done:
		case <-time.After(lingering / 2):
		case <-r.out.done:
			select {
			case <-child.done:
			case <-time.After(lingering):
			}
		}
	}
	r.kill()
	return nil
}

// PluginToHost accepts the socket of the plugin's own folder and nothing else: a plugin could send the agent anywhere.
func (r *plugged) PluginToHost(network, address string) (string, string, error) {
	return network, address, r.judgeAddress(network, address)
}

// HostToPlugin is not used: there is no broker.
func (r *plugged) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
