//go:build (e2e || packages) && linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Keep is the first thing that a program which boots machines does: where it was started by Run to keep one, it does so and
// returns true and the exit code with which to end.
func Keep(args []string) (kept bool, code int) {
	if len(args) != 3 || args[1] != boot {
		return false, 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var m Machine
	err := json.Unmarshal([]byte(args[2]), &m)
	if err == nil {
		err = m.keep(ctx, os.Stdout) //nolint:forbidigo // a program of its own
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err) //nolint:forbidigo // a program of its own
		return true, 1
	}
	return true, 0
}

// pipe is where the machine's command prints.
const pipe = "/.machine"

// keep is PID 1 of a namespace: when it ends, everything in the machine does, and its mounts go with it.
func (m *Machine) keep(ctx context.Context, out io.Writer) error {
	root, err := m.mount()
	if err != nil {
		return err
	}
	console := &tail{}
	machine, said, err := m.assemble(root, console)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	if err := machine.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", machine.Path, err)
	}
	over, printed := make(chan error, 1), make(chan struct{})
	go func() { over <- machine.Wait() }()
	go func() { defer close(printed); relay(said, out) }()
	select {
	case <-printed: // the end of this process ends the rest
		return nil
	case <-ctx.Done():
		return fmt.Errorf("told to end; the console ends:\n%s", console)
	case err := <-over:
		return fmt.Errorf("%s ended: %w; the console ends:\n%s", machine.Path, errors.Join(err), console)
	}
}

// assemble is the machine, ready to be started, and what its command will print.
func (m *Machine) assemble(root string, console *tail) (*exec.Cmd, io.ReadCloser, error) {
	if m.Computer {
		return m.computer(root, console)
	}
	if err := syscall.Mkfifo(root+pipe, 0o600); err != nil {
		return nil, nil, fmt.Errorf("making the machine's pipe: %w", err)
	}
	said, err := os.OpenFile(root+pipe, os.O_RDWR, 0) //nolint:gosec // made above
	if err != nil {
		return nil, nil, fmt.Errorf("opening the machine's pipe: %w", err)
	}
	if err := m.furnish(root, pipe); err != nil {
		return nil, nil, errors.Join(err, said.Close())
	}
	nspawn := exec.Command("systemd-nspawn", "--quiet", "--boot", "--directory="+root, "--machine=windsock-e2e", //nolint:gosec,noctx // our own words; it ends with this process
		"--register=no", "--keep-unit", "--console=pipe", "--timezone=off", "--resolv-conf=off", "--private-network",
		"--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self", "--bind-ro="+m.Share+":/e2e")
	nspawn.Env = append(nspawn.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	nspawn.Stdout, nspawn.Stderr = console, console
	return nspawn, said, nil
}

// relay copies lines until that which says the end.
func relay(from io.Reader, to io.Writer) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		line = strings.ReplaceAll(line, "\r", "") // a serial line's
		if _, failed := io.WriteString(to, line); failed != nil || err != nil || strings.HasPrefix(line, ended) {
			return
		}
	}
}

// mount lays the machine's root over its base, in memory.
func (m *Machine) mount() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	at := filepath.Join(cache, "machine")          // the same for all: each sees its own
	if err := os.MkdirAll(at, 0o755); err != nil { //nolint:gosec // what is mounted there says who may
		return "", fmt.Errorf("making the mount point: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mounting /proc: %w", err)
	}
	if err := syscall.Mount("windsock-e2e", at, "tmpfs", 0, "size=6g,mode=755"); err != nil {
		return "", fmt.Errorf("mounting memory: %w", err)
	}
	up, work, root := at+"/up", at+"/work", at+"/root"
	for _, dir := range []string{up, work, root} {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the root of a system
			return "", fmt.Errorf("laying the root: %w", err)
		}
	}
	if err := syscall.Mount("windsock-e2e", root, "overlay", 0, "lowerdir="+m.Base+",upperdir="+up+",workdir="+work); err != nil {
		return "", fmt.Errorf("laying the root over %s: %w", m.Base, err)
	}
	return root, nil
}

// masked is what a machine without hardware, network and terminal has no use for.
func masked() []string {
	return []string{
		"serial-getty@ttyS0.service", "getty@tty1.service", "console-getty.service", "container-getty@0.service", "kmod-static-nodes.service",
		"systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service",
	}
}

// furnish puts into the root what the machine needs to run its command and to print to a file of it.
func (m *Machine) furnish(root, to string) error {
	const units = "/etc/systemd/system/"
	for _, unit := range masked() {
		if err := os.Symlink("/dev/null", root+units+unit); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("masking %s: %w", unit, err)
		}
	}
	script := "#!/bin/sh\n\"$@\"\necho \"" + ended + "$?\"\n"
	service := fmt.Sprintf("[Unit]\nDescription=the command of this machine\nAfter=basic.target dbus.socket\n"+
		"[Service]\nExecStart=/bin/sh /.command %s\nStandardOutput=file:%s\nStandardError=file:%s\nLogLevelMax=emerg\n", quoted(m.Command), to, to)
	wants := root + units + "multi-user.target.wants"
	if err := os.MkdirAll(wants, 0o755); err != nil { //nolint:gosec // as systemd makes it
		return fmt.Errorf("making %s: %w", wants, err)
	}
	for path, text := range map[string]string{"/etc/machine-id": "", "/.command": script, units + "machine-command.service": service} {
		if err := os.WriteFile(root+path, []byte(text), 0o644); err != nil { //nolint:gosec // as units are
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	if err := os.Symlink("../machine-command.service", wants+"/machine-command.service"); err != nil {
		return fmt.Errorf("enabling the command: %w", err)
	}
	return nil
}

func quoted(words []string) string {
	var b strings.Builder
	for _, word := range words {
		fmt.Fprintf(&b, " %q", strings.ReplaceAll(strings.ReplaceAll(word, "%", "%%"), "$", "$$"))
	}
	return strings.TrimSpace(b.String())
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

// Write implements io.Writer.
func (t *tail) Write(data []byte) (int, error) {
	const most = 8 << 10
	t.kept = append(t.kept, data...)
	t.kept = bytes.Clone(t.kept[max(0, len(t.kept)-most):])
	return len(data), nil
}

func (t *tail) String() string { return string(t.kept) }
