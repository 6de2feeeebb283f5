package plugintest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// searchPath is the agent's for plugins.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// The time that a start and a stop may take.
const (
	startLimit = 10 * time.Second
	stopLimit  = 2 * time.Second
)

// process is one process of the plugin, and the connection to it. It is started without confinement, so that what the
// case looks at is the plugin's own doing.
type process struct {
	clients

	cmd     *exec.Cmd
	pid     int // of the plugin, which is not that of cmd under a mock host
	dir     string
	line    handshake
	took    time.Duration // until the line was there
	stdout  *capture
	stderr  *capture
	stdio   *capture // what a plugin with the library prints after the handshake
	pipes   []*os.File
	readers sync.WaitGroup
	said    sync.WaitGroup // the readers of standard output and standard error
	exited  chan struct{}
	code    int // once exited is closed: -1 after a signal
	cancel  context.CancelFunc
}

// startOptions are the differences between starts.
type startOptions struct {
	noCookie bool
	noCert   bool
	host     []string // a command that starts the plugin, and says its pid on descriptor 3; none: the suite does
}

func (s *suite) environment(dir string, o startOptions) []string {
	env := map[string]string{
		"PATH": searchPath, "LANG": "C.UTF-8",
		"PLUGIN_PROTOCOL_VERSIONS": "1", "PLUGIN_UNIX_SOCKET_DIR": dir,
	}
	if !o.noCookie {
		env[wire.CookieKey] = wire.CookieValue
	}
	if !o.noCert {
		env["PLUGIN_CLIENT_CERT"] = s.identity.pem
	}
	maps.Copy(env, s.o.Config.Env)
	out := make([]string, 0, len(env))
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// spawn starts the process and reads what it prints.
func (s *suite) spawn(ctx context.Context, o startOptions) (p *process, err error) {
	p = &process{exited: make(chan struct{}), stdout: newCapture(), stderr: newCapture(), stdio: newCapture()}
	defer func() {
		if err != nil {
			p.closePipes()
			_ = os.RemoveAll(p.dir)
		}
	}()
	if p.dir, err = launch.TempSockets(); err != nil {
		return nil, fmt.Errorf("making a folder for the socket: %w", err)
	}
	argv := append(slices.Clone(o.host), s.o.Path)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it lives until its case ends it, with patience
	p.cancel = cancel
	p.cmd = exec.CommandContext(running, argv[0], argv[1:]...) //nolint:gosec // the plugin that is tested
	p.cmd.Env, p.cmd.Dir = s.environment(p.dir, o), "/"
	p.cmd.SysProcAttr = ownGroup()
	outRead, outWrite, err := p.pipe()
	if err != nil {
		return p, err
	}
	errRead, errWrite, err := p.pipe()
	if err != nil {
		return p, err
	}
	pidRead, pidWrite, err := p.pipe()
	if err != nil {
		return p, err
	}
	p.cmd.Stdout, p.cmd.Stderr = outWrite, errWrite
	if o.host != nil {
		p.cmd.ExtraFiles = []*os.File{pidWrite}
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		cancel()
		return p, fmt.Errorf("starting %q: %w", s.o.Path, err)
	}
	for _, end := range []*os.File{outWrite, errWrite, pidWrite} {
		_ = end.Close()
	}
	p.said.Go(func() { p.stdout.drain(outRead) })
	p.said.Go(func() { p.stderr.drain(errRead) })
	go p.reap()
	p.pid = p.cmd.Process.Pid
	if o.host != nil {
		if _, err := fmt.Fscan(pidRead, &p.pid); err != nil {
			return p, fmt.Errorf("the mock host did not start the plugin: %w", err)
		}
	}
	select {
	case <-p.stdout.line:
	case <-p.exited:
		p.settle()
	case <-time.After(startLimit):
	case <-ctx.Done():
	}
	p.took = time.Since(began)
	return p, nil
}

func (p *process) pipe() (read, write *os.File, err error) {
	if read, write, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	p.pipes = append(p.pipes, read, write)
	return read, write, nil
}

func (p *process) closePipes() {
	for _, end := range p.pipes {
		_ = end.Close()
	}
}

// reap waits for the end of the process. The pipes are files: a child that holds them delays nothing.
func (p *process) reap() {
	_ = p.cmd.Wait()
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.exited)
}

// connect reads the handshake and dials.
func (s *suite) connect(ctx context.Context, p *process) error {
	first, there := p.stdout.first()
	switch {
	case there:
	case p.ended(0):
		return fmt.Errorf("it ended with %s before the handshake%s, want a line on standard output", p.ending(), p.lastWords())
	default:
		return fmt.Errorf("no line on standard output within %s%s", startLimit, p.lastWords())
	}
	var err error
	if p.line, err = readHandshake(first); err != nil {
		return err
	}
	conn, err := dial(s.identity, p.line)
	if err != nil {
		return err
	}
	p.clients = clientsOf(conn)
	ctx = context.WithoutCancel(ctx) // it ends with the connection
	p.readers.Go(func() { followStdio(ctx, p.conn, p.stdio) })
	return nil
}

// ended waits for the end of the process.
func (p *process) ended(most time.Duration) bool {
	if most == 0 {
		// What it printed last may still be on its way; an end that is there is there.
		most = 10 * time.Millisecond
	}
	select {
	case <-p.exited:
		return true
	case <-time.After(most):
		return false
	}
}

// ending is how a process ended that did.
func (p *process) ending() string {
	if p.code >= 0 {
		return fmt.Sprintf("exit code %d", p.code)
	}
	return p.cmd.ProcessState.String()
}

// lastWords is the end of what it said on standard error, for a reason.
func (p *process) lastWords() string {
	lines := strings.Split(strings.TrimSpace(string(p.stderr.bytes())), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return fmt.Sprintf(" (it said %q)", clip(last))
	}
	return ""
}

// end kills the process and its group, and waits for all that was started with it.
func (p *process) end() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if p.cmd.Process != nil {
		killGroup(p.cmd.Process.Pid)
		p.cancel()
		<-p.exited
	}
	p.closePipes()
	p.said.Wait()
	p.readers.Wait()
	_ = os.RemoveAll(p.dir)
}

// settle waits for what an ended process printed last. A child of it that holds the pipes does not hold it up.
func (p *process) settle() {
	done := make(chan struct{})
	p.readers.Go(func() {
		p.said.Wait()
		close(done)
	})
	select {
	case <-done:
	case <-time.After(stopLimit):
	}
}

// printed is how many bytes it printed.
func (p *process) printed() int64 { return p.stdout.size() + p.stderr.size() + p.stdio.size() }

// inDir reports whether the socket stands directly in the folder that the plugin was told of.
func (p *process) inDir() bool { return filepath.Dir(p.line.address) == p.dir }

// capture keeps the beginning of what was printed, and never holds up who prints. Its methods are safe for concurrent use.
type capture struct {
	line  chan struct{} // closed at the end of the first line
	mu    sync.Mutex    // guards what follows
	kept  []byte
	total int64
}

const maxKept = 4 << 20

func newCapture() *capture { return &capture{line: make(chan struct{})} }

// Write keeps what there is room for. It takes all.
func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := slices.Contains(c.kept, '\n')
	c.kept = append(c.kept, b[:min(len(b), maxKept-len(c.kept))]...)
	c.total += int64(len(b))
	if !had && slices.Contains(c.kept, '\n') {
		close(c.line)
	}
	return len(b), nil
}

func (c *capture) drain(from *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		_, _ = c.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.kept)
}

func (c *capture) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// first is the first line, once it has ended.
func (c *capture) first() (string, bool) {
	line, _, ended := strings.Cut(string(c.bytes()), "\n")
	return line, ended
}

func clip(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
