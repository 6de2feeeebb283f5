package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// profileVariable names the file of a CPU profile. Only a binary that was built with the tag windsock_profile reads it.
const profileVariable = "WINDSOCK_CPU_PROFILE"

const profileTag = "windsock_profile"

// build makes the agent as `make build` does and returns where it is.
func build(ctx context.Context, dir string, profile bool) (string, error) {
	path := filepath.Join(dir, "windsock")
	args := []string{"build", "-trimpath", "-o", path}
	if profile {
		args = append(args, "-tags", profileTag)
	} else {
		args = append(args, "-ldflags", "-s -w")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/windsock-monitor/windsock/cmd/agent")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w: %s", err, out)
	}
	return path, nil
}

// plan is what the agent is to do.
type plan struct {
	Checks    int
	Every     time.Duration
	Kind      string // chat, stream, models
	Timeout   time.Duration
	Exporters []string // otel, prometheus, stdout
	Replay    bool
	Shipped   bool // concurrency as it is shipped, not as wide as the load needs
}

// configuration writes the schedules.yaml of a plan.
func configuration(p plan, dir string, target hello, sink string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "state_dir: %q\nlisten: %q\nlocation: bench\n", filepath.Join(dir, "state"), listen(p))
	fmt.Fprintf(&b, "providers:\n  target:\n    base_url: %s\n    api_key: [{file: %q}]\n    breaker: {failures: 1000}\n", target.Address, filepath.Join(dir, "key"))
	b.WriteString("budget: {per_hour: 100000, per_day: 100000}\n")
	if target.CAFile != "" {
		fmt.Fprintf(&b, "network: {ca_file: %q}\n", target.CAFile)
	}
	if !p.Shipped {
		fmt.Fprintf(&b, "concurrency: {global: %d, per_host: %d}\n", max(64, p.Checks), max(16, p.Checks))
	}
	if len(p.Exporters) > 0 {
		b.WriteString("exporters:\n")
	}
	for _, kind := range p.Exporters {
		with := ""
		if kind == "otel" {
			with = fmt.Sprintf(", with: {endpoint: %q}", sink)
		}
		age := ""
		if p.Replay {
			age = ", replay: true, max_age: 48h"
		}
		fmt.Fprintf(&b, "  - {name: %s, kind: %s%s%s}\n", kind, kind, age, with)
	}
	kind, with := p.Kind, "model: mistral-small-latest"
	switch p.Kind {
	case "chat":
		with += ",stream: false"
	case "stream":
		kind = "chat"
	case "models":
		with = "expect: [mistral-small-latest]"
	}
	timeout := ""
	if p.Timeout > 0 {
		timeout = fmt.Sprintf(",timeout: %s", p.Timeout)
	}
	b.WriteString("checks:\n")
	for i := range p.Checks { // one line each: a file has a bound
		fmt.Fprintf(&b, "- {name: c%d,kind: %s,schedule: \"@every %gs\"%s,with: {%s}}\n", i, kind, p.Every.Seconds(), timeout, with)
	}
	return b.String()
}

func listen(p plan) string {
	if slices.Contains(p.Exporters, "prometheus") {
		return "127.0.0.1:0"
	}
	return ""
}

// prepare writes what the agent needs into dir.
func prepare(p plan, dir string, target hello, sink string) error {
	err := os.WriteFile(filepath.Join(dir, "key"), []byte("benchmark-key-0123456789\n"), 0o600)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "schedules.yaml"), []byte(configuration(p, dir, target, sink)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("preparing the agent: %w", err)
	}
	return nil
}

// agentProcess is the agent as it runs.
type agentProcess struct {
	cmd     *exec.Cmd
	log     *strings.Builder
	logged  chan struct{}
	started time.Time
}

// startAgent runs the agent in dir and waits until it says that it has started.
func startAgent(ctx context.Context, binary, dir, profile string) (*agentProcess, error) {
	cmd := exec.CommandContext(ctx, binary, "run", "--config", filepath.Join(dir, "schedules.yaml"))
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin"}
	if profile != "" {
		cmd.Env = append(cmd.Env, profileVariable+"="+profile)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting the agent: %w", err)
	}
	a := &agentProcess{cmd: cmd, log: &strings.Builder{}, logged: make(chan struct{}), started: time.Now()}
	ready := make(chan struct{})
	go a.read(pipe, ready)
	select {
	case <-ready:
		a.started = time.Now()
		return a, nil
	case <-a.logged:
		return nil, fmt.Errorf("the agent ended at once: %w: %s", cmd.Wait(), a.log)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), cmd.Wait())
	}
}

// read keeps the start of the agent's log.
func (a *agentProcess) read(pipe io.Reader, ready chan<- struct{}) {
	defer close(a.logged)
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if a.log.Len() < 64<<10 {
			a.log.WriteString(lines.Text() + "\n")
		}
		if ready != nil && strings.Contains(lines.Text(), "agent started") {
			close(ready)
			ready = nil
		}
	}
	_, _ = io.Copy(io.Discard, pipe)
}

func (a *agentProcess) pid() int { return a.cmd.Process.Pid }

// stop has the agent drain and end.
func (a *agentProcess) stop() error {
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	<-a.logged
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("the agent ended badly: %w: %s", err, a.log)
	}
	return nil
}
