//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/sandbox/shim"
)

type ended struct {
	out, err string
	code     int
}

// start starts the shim with the program on descriptor 4 and returns the pipe to it.
func start(t *testing.T, program string) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	path, argv := sandbox.Shim()
	cmd := exec.CommandContext(t.Context(), path, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Env = []string{}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(program, unix.O_PATH|unix.O_CLOEXEC, 0) // as internal/executable has it
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{read, file}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = read.Close(), file.Close()
	return cmd, write
}

func wait(t *testing.T, cmd *exec.Cmd) ended {
	t.Helper()
	if err := cmd.Wait(); err != nil {
		if _, exit := errors.AsType[*exec.ExitError](err); !exit {
			t.Fatal(err)
		}
	}
	return ended{fmt.Sprint(cmd.Stdout), fmt.Sprint(cmd.Stderr), cmd.ProcessState.ExitCode()}
}

func run(t *testing.T, program string, c sandbox.Command) ended {
	t.Helper()
	cmd, w := start(t, program)
	if err := errors.Join(c.Send(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	return wait(t, cmd)
}

func sh(text string, p sandbox.Policy) sandbox.Command {
	return sandbox.Command{Argv: []string{"sh", "-c", text}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Policy: p}
}

func TestTheShimBecomesTheProgram(t *testing.T) {
	t.Parallel()
	got := run(t, "/bin/sh", sh(`echo "$0 $#" "$(pwd)"; cat /proc/self/oom_score_adj; ulimit -c; ulimit -n; ls /proc/self/fd; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; env`,
		sandbox.Policy{Files: 99, Memory: 100}))
	for _, want := range []string{"sh 0 /\n500\n0\n99\n0\n1\n2\n3\n", "NoNewPrivs:\t1\n", "GOMEMLIMIT=80\n"} { // 3 is the folder that ls reads
		if !strings.Contains(got.out, want) {
			t.Errorf("got %+v, want %q in it", got, want)
		}
	}
	if got.code != 0 || got.err != "" || strings.Contains(got.out, "HOME=") {
		t.Errorf("got %+v", got)
	}
}

// A script on a descriptor is read by its interpreter from that descriptor.
func TestAScript(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$1 ran by ${0##*/}\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := run(t, path, sandbox.Command{Argv: []string{"script", "it"}}); got.out != "it ran by 4\n" || got.code != 0 {
		t.Errorf("got %+v", got)
	}
}

// A Python plugin is one file: an archive with #! before it, which Python opens more than once.
func TestAPythonArchive(t *testing.T) {
	t.Parallel()
	dir, archive := t.TempDir(), filepath.Join(t.TempDir(), "plugin")
	code := "import socket, sys, json, ssl\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1] + '/s')\nprint('bound', len(ssl.create_default_context().get_ca_certs()) >= 0)\n"
	if err := os.WriteFile(filepath.Join(dir, "__main__.py"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), python(t), "-m", "zipapp", "-p", python(t), "-o", archive, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sockets := t.TempDir()
	got := run(t, archive, sandbox.Command{Argv: []string{"plugin", sockets}, Policy: sandbox.Policy{Write: []string{sockets}}})
	if got.out != "bound True\n" || got.code != 0 || got.err != "" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatAPolicyAllows(t *testing.T) {
	t.Parallel()
	if sandbox.Look().Landlock == 0 {
		t.Skip("this kernel has no Landlock")
	}
	dir := t.TempDir()
	for _, name := range []string{"read", "write", "neither"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), os.WriteFile(filepath.Join(dir, name, "f"), []byte("text\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p := sandbox.Policy{Read: []string{dir + "/read", dir + "/absent"}, Write: []string{dir + "/write"}}
	for command, allowed := range map[string]bool{
		"cat " + dir + "/read/f":                       true,
		"cat " + dir + "/write/f":                      true,
		"cat " + dir + "/neither/f":                    false,
		"echo x >>" + dir + "/read/f":                  false,
		"echo x >>" + dir + "/write/f":                 true,
		"echo x >>" + dir + "/neither/f":               false,
		"mkdir " + dir + "/write/d":                    true,
		"mkdir " + dir + "/read/d":                     false,
		"mkdir " + dir + "/d":                          false,
		"rm " + dir + "/read/f":                        false,
		"mv " + dir + "/write/f " + dir + "/neither/g": false,
		"ls " + dir:                  false,
		"ls " + dir + "/read":        true,
		"cat /etc/passwd /etc/hosts": true,
		"cat /etc/shadow || cat /etc/fstab || cat /etc/motd": false,
		"ls /root /home": false,
		"echo x >/dev/null; head -c 1 /dev/urandom": true,
		"echo x >/dev/stderr":                       true,
		"echo x >/tmp/windsock-sandbox-test":        false,
		"echo 0 >/proc/self/oom_score_adj":          false,
		"chmod 777 " + dir + "/neither":             false,
		"ulimit -c unlimited":                       false,
	} {
		// what may not be there is forbidden in a copy of its own
		if got := run(t, "/bin/sh", sh(command, p)); (got.code == 0) != allowed {
			t.Errorf("%s: got %+v, want it allowed: %v", command, got, allowed)
		}
	}
}

func TestTheNetworkOfAPolicy(t *testing.T) {
	t.Parallel()
	if !sandbox.Look().Seccomp {
		t.Skip("no seccomp for this kernel or architecture")
	}
	const socket = `import socket,sys; socket.socket(getattr(socket, sys.argv[1])); socket.socketpair()`
	for family, p := range map[string]sandbox.Policy{"AF_INET": {}, "AF_UNIX": {Network: sandbox.NetworkNone}} {
		if got := run(t, python(t), sandbox.Command{Argv: []string{"python3", "-c", socket, family}, Policy: p}); got.code != 0 {
			t.Errorf("%s with %q: got %+v, want a socket", family, p.Network, got)
		}
	}
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"} {
		got := run(t, python(t), sandbox.Command{Argv: []string{"python3", "-c", socket, family}, Policy: sandbox.Policy{Network: sandbox.NetworkNone}})
		if got.code == 0 || !strings.Contains(got.err, "PermissionError") {
			t.Errorf("%s: got %+v, want no socket", family, got)
		}
	}
}

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	return path
}

func TestTheAgentThinksBetterOfIt(t *testing.T) {
	t.Parallel()
	cmd, w := start(t, "/bin/sh")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, cmd); got != (ended{}) {
		t.Errorf("got %+v, want a quiet end", got)
	}
	cmd, w = start(t, "/bin/sh")
	if _, err := w.Write([]byte("argv=sh\x00")); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if got := wait(t, cmd); got.code != shim.ExitSetup || !strings.Contains(got.err, "cannot be read") {
		t.Errorf("got %+v, want half a command refused", got)
	}
}

func TestFaultsOfTheShimAreExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		program, want string
		c             sandbox.Command
	}{
		"a missing interpreter": {write("a", "#!/nonexistent\n"), "interpreter or its loader is missing", sandbox.Command{}},
		"no program":            {write("b", "text"), "cannot be executed: executing the program: exec format error", sandbox.Command{}},
		"a missing folder":      {"/bin/true", "could not be confined, and was not started: entering the folder: no such file", sandbox.Command{Dir: "/nonexistent"}},
		"a missing cgroup":      {"/bin/true", "joining the cgroup: no such file", sandbox.Command{Policy: sandbox.Policy{Cgroup: "/nonexistent"}}},
	} {
		got := run(t, tc.program, tc.c)
		if sentence, ours := sandbox.Explain(got.code, got.err); !ours || !strings.Contains(sentence, tc.want) {
			t.Errorf("%s: got %+v, %q, want %q", name, got, sentence, tc.want)
		}
	}
	for _, own := range []ended{{code: 126}, {code: 1, err: shim.Prefix + "x"}, {code: 127, err: "sh: not found\n"}} {
		if sentence, ours := sandbox.Explain(own.code, own.err); ours || sentence != "" {
			t.Errorf("%+v: got %q, want it the program's own", own, sentence)
		}
	}
}

func TestCommandsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]sandbox.Command{
		"a relative path": {Policy: sandbox.Policy{Read: []string{"x"}}},
		"a network":       {Policy: sandbox.Policy{Network: "some"}},
		"a NUL":           {Env: []string{"A=\x00argv=x"}},
		"too much":        {Argv: []string{strings.Repeat("x", shim.MaxSpec)}},
	} {
		var b bytes.Buffer
		if err := c.Send(&b); err == nil || b.Len() > 0 {
			t.Errorf("%s: got %v and %d bytes, want it refused", name, err, b.Len())
		}
	}
}

func TestSomebodyTypesTheVerb(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{shim.Verb}, {shim.Verb, "x"}} {
		out, err := exec.CommandContext(context.Background(), self, args...).CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != shim.ExitTyped || bytes.Count(out, []byte("\n")) != 1 {
			t.Errorf("got %q, %v, want one line and status 2", out, err)
		}
	}
}

func TestAFailureIsReportedToASocket(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]syscall.Errno{"/bin/true": 0, "/etc/passwd": syscall.EACCES} {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
		file, err := os.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		path, argv := sandbox.Shim()
		cmd := exec.CommandContext(t.Context(), path, argv[1:]...)
		cmd.ExtraFiles = []*os.File{theirs, file}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = theirs.Close(), file.Close()
		if err := (sandbox.Command{Argv: []string{"x"}}).Send(ours); err != nil {
			t.Fatal(err)
		}
		err = sandbox.Report(ours)
		if (want == 0) != (err == nil) || want != 0 && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", program, err, want)
		}
		_, _ = cmd.Wait(), ours.Close()
	}
}
