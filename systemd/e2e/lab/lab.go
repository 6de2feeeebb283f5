//go:build (e2e || packages) && linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Machine is one life of a release.
type Machine struct {
	Base    string        `json:"base"`    // its tree, of Base; never written to
	Share   string        `json:"share"`   // a folder of this machine, read-only at /e2e
	Command []string      `json:"command"` // what is run inside as root, as a service, once it has booted
	Limit   time.Duration `json:"limit"`   // of the whole life

	// Computer boots the tree, one of BaseWithKernel, on an emulated computer with its own kernel, clock, and controllers of
	// control groups, in the place of a container. It takes twenty times as long.
	Computer bool `json:"computer"`
}

// boot is the word by which a program runs itself as the keeper of a machine.
const boot = "windsock-e2e-boot"

// ended is how the machine says that the command is over.
const ended = "machine: the command ended with "

// errNoEnd is a machine that went away before its command had ended.
var errNoEnd = errors.New("the machine ended before its command did")

// Run boots the machine, writes what the command prints to out as it comes, and returns the command's exit code. An error
// says that the machine did not boot, or did not live to the command's end: then the code means nothing. The program that
// calls it must have called Keep first.
func Run(ctx context.Context, m Machine, out io.Writer) (code int, err error) {
	if err := Check(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.Limit)
	defer cancel()
	group, err := newGroup()
	if err != nil {
		return 0, err
	}
	defer group.remove()
	spec, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("describing the machine: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding this program: %w", err)
	}
	// the sign of a parent's death is that of its thread
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	keeper := exec.CommandContext(ctx, self, boot, string(spec)) //nolint:gosec // itself
	keeper.Cancel = func() error { return keeper.Process.Signal(syscall.SIGTERM) }
	keeper.WaitDelay = 10 * time.Second
	var problem bytes.Buffer
	watched := &watch{to: out, code: -1}
	keeper.Stdout, keeper.Stderr = watched, &problem
	keeper.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig: syscall.SIGTERM, UseCgroupFD: true, CgroupFD: int(group.dir.Fd()),
	}
	err = keeper.Run()
	switch {
	case watched.code >= 0:
		return watched.code, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("the machine was ended after %s: %w: %s", m.Limit, ctx.Err(), &problem)
	}
	return 0, fmt.Errorf("%w: %w: %s", errNoEnd, errors.Join(err), &problem)
}

// watch passes on what a machine prints, but for the line that says the exit code.
type watch struct {
	to   io.Writer
	part []byte // a line whose end has not come
	code int
}

// Write implements io.Writer.
func (w *watch) Write(data []byte) (int, error) {
	w.part = append(w.part, data...)
	for {
		line, rest, whole := bytes.Cut(w.part, []byte("\n"))
		if !whole {
			return len(data), nil
		}
		w.part = rest
		if word, ok := strings.CutPrefix(string(line), ended); ok {
			_, _ = fmt.Sscanf(word, "%d", &w.code)
			continue
		}
		if _, err := w.to.Write(append(line, '\n')); err != nil {
			return 0, err
		}
	}
}

// group is the machine's own control group: two that shared one would end each other's services.
type group struct {
	path string
	dir  *os.File
}

const groupPrefix = "windsock-e2e-"

// cgroups is where this machine has its control groups of version 2.
func cgroups() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("looking for control groups: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1], nil
		}
	}
	return "", errors.New("booting a release needs control groups of version 2, and none are mounted here")
}

func newGroup() (*group, error) {
	root, err := cgroups()
	if err != nil {
		return nil, err
	}
	sweep(root)
	path, err := os.MkdirTemp(root, fmt.Sprintf("%s%d-", groupPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	dir, err := os.Open(path) //nolint:gosec // made above
	if err != nil {
		return nil, fmt.Errorf("opening the control group: %w", err)
	}
	return &group{path, dir}, nil
}

// sweep removes the empty groups of processes that were killed.
func sweep(root string) {
	for _, path := range abandoned(root) {
		removeTree(path)
	}
}

// abandoned are the folders that processes which are gone have left in a folder: their names have the process's number.
func abandoned(in string) []string {
	left, _ := filepath.Glob(filepath.Join(in, groupPrefix+"*"))
	return slices.DeleteFunc(left, func(path string) bool {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(path), groupPrefix+"%d-", &pid)
		return err != nil || syscall.Kill(pid, 0) == nil
	})
}

// Shared makes a folder for what machines share, which the caller removes, and removes those of callers that were killed.
func Shared() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	for _, path := range abandoned(cache) {
		if err := os.RemoveAll(path); err != nil {
			return "", fmt.Errorf("removing what a run that was killed left: %w", err)
		}
	}
	dir, err := os.MkdirTemp(cache, fmt.Sprintf("%s%d-", groupPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a folder to share: %w", err)
	}
	return dir, os.Chmod(dir, 0o755) //nolint:gosec // the user of a service reads it too
}

func (g *group) remove() {
	_ = g.dir.Close()
	_ = os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0o600)
	for range 100 { // until the kernel has let go of what was killed
		if removeTree(g.path) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeTree removes a control group with all below it, and reports whether it is gone.
func removeTree(path string) bool {
	below, _ := os.ReadDir(path)
	for _, entry := range below {
		if entry.IsDir() {
			removeTree(filepath.Join(path, entry.Name()))
		}
	}
	err := syscall.Rmdir(path)
	return err == nil || errors.Is(err, syscall.ENOENT)
}
