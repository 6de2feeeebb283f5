//go:build !linux

package launch

import (
	"os"
	"time"
)

// child is the process. The agent's home is Linux; elsewhere, where it is tried out, there are no groups and no limits.
type child struct {
	pid     int
	process *os.Process
	done    chan struct{}
	state   *os.ProcessState
	at      time.Time
}

func spawn(path string, argv, env []string, files []*os.File, ended func()) (*child, error) {
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Dir: "/", Env: env, Files: files})
	if err != nil {
		return nil, err
	}
	c := &child{pid: p.Pid, process: p, done: make(chan struct{})}
	go func() {
		c.state, _ = p.Wait()
		c.at = time.Now()
		ended()
		close(c.done)
	}()
	return c, nil
}

func (c *child) kill() bool { return c.process.Kill() == nil }

func (c *child) ending() (code int, signal string) {
	if c.state == nil || !c.state.Exited() {
		return -1, "killed"
	}
	return c.state.ExitCode(), ""
}

func direct(_ *os.File, path string, _ bool) (string, func(), error) { return path, func() {}, nil }
