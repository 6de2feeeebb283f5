package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The target, the backend, the floor and the control are processes of their own, so that nobody's CPU is counted for
// another. They are this program, started with a role in its environment.
const (
	roleVariable  = "WINDSOCK_BENCHMARK_ROLE"
	orderVariable = "WINDSOCK_BENCHMARK_ORDER" // JSON
)

const (
	roleTarget  = "target"
	roleSink    = "sink"
	roleFloor   = "floor"
	roleControl = "control"
)

// order is what a process is told.
type order struct {
	Delay   time.Duration // target: before each answer
	TLS     bool          // target
	Target  hello         // floor
	Checks  int           // floor
	Every   time.Duration // floor
	Timeout time.Duration // floor
}

// hello is the first line that a process says.
type hello struct {
	Address string // where it serves
	Pages   string // where its numbers are
	CAFile  string // target: the certificate that it serves with
}

func play(ctx context.Context, role string, out io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(orderVariable)), &o); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	switch role {
	case roleTarget:
		return runTarget(ctx, o, out)
	case roleSink:
		return runSink(ctx, out)
	case roleFloor:
		return runFloor(ctx, o, out)
	case roleControl:
		return runControl(ctx, out)
	}
	return fmt.Errorf("no role %q", role)
}

func say(out io.Writer, h hello) error { return json.NewEncoder(out).Encode(h) }

// child is a process that was started.
type child struct {
	hello

	cmd    *exec.Cmd
	output *bufio.Reader
}

// launch starts this program in a role and waits for its first line.
func launch(ctx context.Context, role string, o order) (*child, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing the order of the %s: %w", role, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, orderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return begin(cmd, role)
}

func begin(cmd *exec.Cmd, role string) (*child, error) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	c := &child{cmd: cmd, output: bufio.NewReader(pipe)}
	line, err := c.output.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.hello)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the %s: %w", role, err), c.stop())
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end and waits for it.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, c.output)
	return c.cmd.Wait()
}

// end is stop for a process that says JSON at its end.
func (c *child) end(into any) error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	err := json.NewDecoder(c.output).Decode(into)
	_, _ = io.Copy(io.Discard, c.output)
	return errors.Join(err, c.cmd.Wait())
}

// ask reads one of the process's pages.
func (c *child) ask(ctx context.Context, page string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Pages+page, nil)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", page, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", page, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("reading %s: %w", page, err)
	}
	return nil
}
