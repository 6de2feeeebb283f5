//go:build !linux

package process

import (
	"context"
	"os"
)

// child is a program that runs. The agent's home is Linux; elsewhere, where it is tried out, there are no groups and no
// limits, nothing is confined, and an open program is executed by its path.
type child struct {
	process *os.Process
	ended   chan struct{}
	state   *os.ProcessState // complete when ended is closed
}

func start(_ context.Context, c Command, files []*os.File) (*child, error) {
	p, err := os.StartProcess(c.Path, c.Argv, &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files})
	if err != nil {
		return nil, err
	}
	ch := &child{process: p, ended: make(chan struct{})}
	go func() {
		ch.state, _ = p.Wait()
		close(ch.ended)
	}()
	return ch, nil
}

func (c *child) terminate() { c.kill() }

func (c *child) kill() { _ = c.process.Kill() }

func (c *child) clear(string) int { return 0 }

func (c *child) reap() (code int, signal string) {
	if c.state == nil || !c.state.Exited() {
		return -1, "killed"
	}
	return c.state.ExitCode(), ""
}
