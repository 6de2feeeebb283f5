//go:build linux

package sandbox_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

// another is the user of the agent in tests that root runs too: for root most of what files' modes forbid is void.
const another = 65534

// world is what a hostile program is set upon.
type world struct {
	uid            int
	program, shim  string // the hostile program, and a binary that is a shim
	files          string // the agent's folder
	secret         string // a file in it
	read, write    string // folders that the policy opens
	pid            string // the process that stands for the agent
	address        string // of a secret in its memory
	allowed, other string // TCP ports that are listened on
}

// attempt is something that a program must not be able to do.
type attempt struct {
	verb     string
	args     func(w world) []string
	policy   sandbox.Policy // beside the folders
	landlock int            // the version of Landlock that prevents it; 0 where another does
	seccomp  bool           // seccomp prevents it
	root     bool           // only root could anyway
	walled   bool           // there is nothing to try without the shim
}

func attempts() map[string]attempt {
	secret := func(w world) []string { return []string{w.secret} }
	folder := func(w world) []string { return []string{w.files} }
	both := func(w world) []string { return []string{w.secret, w.write} }
	process := func(w world) []string { return []string{w.pid, w.address} }
	of := func(file string) func(w world) []string {
		return func(w world) []string { return []string{"/proc/" + w.pid + "/" + file} }
	}
	none := func(world) []string { return nil }
	port := func(w world) []string { return []string{w.other} }
	held := sandbox.Policy{Session: true}
	bounded, isolated := sandbox.Policy{Ports: []uint16{}}, sandbox.Policy{Network: sandbox.NetworkNone}
	return map[string]attempt{
		"read a credential, the state, the store or the token": {verb: "read", args: secret, landlock: 1},
		"list the agent's folder":                              {verb: "list", args: folder, landlock: 1},
		"look past the walls by a link":                        {verb: "read by link", args: both, landlock: 1},
		"make a file":                                          {verb: "create", args: folder, landlock: 1},
		"overwrite a file":                                     {verb: "overwrite", args: secret, landlock: 1},
		"empty a file":                                         {verb: "truncate", args: secret, landlock: 1, seccomp: true},
		"empty a file that is opened to be read":               {verb: "empty to read", args: secret, landlock: 1, seccomp: true},
		"empty a file that is opened for nothing":              {verb: "empty by 3", args: secret, landlock: 1, seccomp: true},
		"empty a file by another call":                         {verb: "empty by openat2", args: secret, landlock: 1, seccomp: true},
		"empty a file that may be read":                        {verb: "empty to read", args: func(w world) []string { return []string{w.read + "/secret"} }, landlock: 1, seccomp: true},
		"remove a file":                                        {verb: "remove", args: secret, landlock: 1},
		"make a folder":                                        {verb: "mkdir", args: folder, landlock: 1},
		"make a link":                                          {verb: "symlink", args: folder, landlock: 1},
		"make a socket":                                        {verb: "listen", args: folder, landlock: 1},
		"carry a file off":                                     {verb: "rename", args: both, landlock: 1},
		"give a file another name":                             {verb: "link", args: both, landlock: 1},
		"change a mode":                                        {verb: "chmod", args: secret, seccomp: true},
		"change an owner":                                      {verb: "chown", args: secret, seccomp: true},
		"change an attribute":                                  {verb: "setxattr", args: secret, seccomp: true},
		"mount a file system":                                  {verb: "mount", args: folder, landlock: 1, root: true},
		"read the agent's memory":                              {verb: "memory", args: process, landlock: 1},
		"read it by a call":                                    {verb: "vm_read", args: process, landlock: 1},
		"read the agent's environment":                         {verb: "read", args: of("environ"), landlock: 1},
		"learn what the agent has open":                        {verb: "follow", args: of("fd/0"), landlock: 1},
		"go into the agent's folder by /proc":                  {verb: "list", args: of("cwd/"), landlock: 1},
		"trace the agent":                                      {verb: "ptrace", args: process, landlock: 1},
		"stop the agent":                                       {verb: "stop", args: process, landlock: 6},
		"connect to an abstract socket":                        {verb: "abstract", args: process, landlock: 6},
		"change the agent's limits":                            {verb: "limit", args: process, seccomp: true},
		"slow the agent":                                       {verb: "priority", args: process, seccomp: true},
		"slow all of the user's":                               {verb: "all priorities", args: process, seccomp: true},
		"bind the agent to a processor":                        {verb: "processors", args: process, seccomp: true},
		"raise its own limits":                                 {verb: "raise", args: process, walled: true},
		"be spared by the kernel":                              {verb: "unkillable", args: process, landlock: 1, root: true},
		"connect to a port":                                    {verb: "tcp", args: port, policy: bounded, landlock: 4},
		"connect by multipath TCP":                             {verb: "mptcp", args: port, policy: bounded, seccomp: true},
		"connect by a first message":                           {verb: "fast open", args: port, policy: bounded, seccomp: true},
		"connect without network":                              {verb: "tcp", args: port, policy: isolated, seccomp: true},
		"send without network":                                 {verb: "udp", args: port, policy: isolated, seccomp: true},
		"ask the kernel's network":                             {verb: "netlink", args: port, policy: isolated, seccomp: true},
		"go around the filter":                                 {verb: "io_uring", args: port, seccomp: true},
		"leave its session":                                    {verb: "setsid", policy: held, args: none, seccomp: true},
		"outlive the agent":                                    {verb: "survive", policy: held, args: none, seccomp: true},
		"start a child of the agent":                           {verb: "sibling", policy: held, args: none, seccomp: true},
		"start the agent's binary to be free": {
			verb: "re-exec", args: func(w world) []string { return []string{w.shim, w.secret} }, landlock: 1,
		},
		"use a descriptor of the agent's": {verb: "inherited", args: func(w world) []string { return []string{w.program} }, walled: true},
	}
}

func TestAHostileProgram(t *testing.T) {
	base := build(t)
	offer := sandbox.Look()
	t.Logf("this kernel offers %s", offer)
	for name, uid := range users() {
		w := base
		w.uid = uid
		w.pid, w.address = victim(t, w)
		for what, a := range attempts() {
			t.Run(name+"/"+what, func(t *testing.T) {
				switch {
				case offer.Landlock < a.landlock:
					t.Skipf("Landlock is %d here, and knows this from %d on", offer.Landlock, a.landlock)
				case a.seccomp && !offer.Seccomp:
					t.Skip("no seccomp for this kernel or architecture")
				}
				w := furnish(t, w)
				if !a.walled && (!a.root || uid == 0) {
					control(t, w, a)
				}
				w = furnish(t, w)
				p := a.policy
				p.Files, p.Read, p.Write = 64, []string{w.read, filepath.Dir(w.shim)}, []string{w.write}
				got := set(t, w, &p, a)
				if got.code != 10 {
					t.Errorf("got %+v, want it denied", got)
				}
			})
		}
	}
}

// control makes the attempt without walls: what fails there as well proves nothing.
func control(t *testing.T, w world, a attempt) {
	t.Helper()
	got := set(t, w, nil, a)
	if number, _, _ := strings.Cut(got.out, " "); number == strconv.Itoa(int(syscall.ENOTSUP)) || number == strconv.Itoa(int(syscall.EPROTONOSUPPORT)) || number == strconv.Itoa(int(syscall.ENOSYS)) {
		t.Skipf("this system does not have it: %s", got.out)
	}
	if got.code != 0 {
		t.Errorf("without walls got %+v, want it to succeed", got)
	}
}

// An agent that is not dumpable is closed to programs of its user, also where there is no Landlock.
func TestAnUndumpableAgent(t *testing.T) {
	base := build(t)
	for name, uid := range users() {
		if uid == 0 {
			continue // root may look into everything
		}
		w := base
		w.uid = uid
		w.pid, w.address = victim(t, w, "undumpable")
		for what, a := range attempts() {
			if slices.Contains([]string{"memory", "vm_read", "ptrace", "follow"}, a.verb) || what == "read the agent's environment" {
				if got := set(t, w, nil, a); got.code != 10 {
					t.Errorf("%s/%s: got %+v, want it denied", name, what, got)
				}
			}
		}
	}
}

// What a policy opens stays open within the walls.
func TestAFriendlyProgram(t *testing.T) {
	base := build(t)
	for name, uid := range users() {
		w := base
		w.uid = uid
		w = furnish(t, w)
		port, _ := strconv.Atoi(w.allowed)
		p := sandbox.Policy{Read: []string{w.read}, Write: []string{w.write}, Ports: []uint16{uint16(port)}, Session: true}
		for _, a := range []attempt{
			{verb: "list", args: func(w world) []string { return []string{w.read} }},
			{verb: "create", args: func(w world) []string { return []string{w.write} }},
			{verb: "tcp", args: func(w world) []string { return []string{w.allowed} }},
			{verb: "udp", args: func(w world) []string { return []string{w.other} }},
			{verb: "netlink", args: func(world) []string { return nil }},
			{verb: "die", args: func(world) []string { return nil }},
		} {
			if got := set(t, w, &p, a); got.code != 0 {
				t.Errorf("%s: %s: got %+v, want it to succeed", name, a.verb, got)
			}
		}
	}
}

func TestNoCoreFile(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.HasPrefix(string(pattern), "|") {
		t.Skip("core files are given to a program here, which decides")
	}
	cmd, w := start(t, "/bin/sh")
	dir := t.TempDir()
	c := sh("kill -ABRT $$", sandbox.Policy{Write: []string{dir}})
	c.Dir = dir
	if err := errors.Join(c.Send(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.CoreDump() {
		t.Errorf("got %v, want it aborted without a core file", cmd.ProcessState)
	}
}

// users are those whose agent is tried: the test's own, and another where root runs it.
func users() map[string]int {
	out := map[string]int{"as it is": os.Geteuid()}
	if os.Geteuid() == 0 {
		out = map[string]int{"as root": 0, "as a user": another}
	}
	return out
}

// build builds the hostile program, and listens where it may and may not connect.
func build(t *testing.T) world {
	t.Helper()
	dir := spawntest.Dir(t)
	w := world{program: dir + "/hostile", shim: dir + "/shim"}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", w.program, "./testdata/hostile").CombinedOutput(); err != nil {
		t.Fatalf("building it: %v\n%s", err, out)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	spawntest.Write(t, dir, "shim", string(self))
	for _, port := range []*string{&w.allowed, &w.other} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		_, *port, _ = net.SplitHostPort(listener.Addr().String())
	}
	return w
}

// furnish makes the folders anew, for the user.
func furnish(t *testing.T, w world) world {
	t.Helper()
	dir := spawntest.Dir(t)
	w.files, w.read, w.write = dir+"/files", dir+"/read", dir+"/write"
	w.secret = w.files + "/secret"
	for _, folder := range []string{w.files, w.read, w.write} {
		if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(folder+"/secret", []byte("canary"), 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{folder, folder + "/secret"} {
			if err := os.Chown(path, w.uid, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// victim starts the process that stands for the agent, and ends it with the test.
func victim(t *testing.T, w world, args ...string) (pid, address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, append([]string{"victim"}, args...)...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"KEY=canary"}, "/", as(w.uid)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(cmd.Process.Pid), strings.TrimSpace(line)
}

func as(uid int) *syscall.SysProcAttr {
	if uid == os.Geteuid() {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// set sets the program upon the world, without walls where the policy is nil.
func set(t *testing.T, w world, p *sandbox.Policy, a attempt) ended {
	t.Helper()
	cmd, send := prepare(t, w, p, append([]string{a.verb}, a.args(w)...)...)
	if err := errors.Join(cmd.Start(), send()); err != nil {
		t.Fatal(err)
	}
	return wait(t, cmd)
}

func prepare(t *testing.T, w world, p *sandbox.Policy, args ...string) (cmd *exec.Cmd, send func() error) {
	t.Helper()
	argv := append([]string{"hostile"}, args...)
	var out, stderr strings.Builder
	if p == nil {
		cmd = exec.CommandContext(t.Context(), w.program, args...)
		cmd.Env, cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = []string{}, "/", as(w.uid), &out, &stderr
		return cmd, func() error { return nil }
	}
	path, verb := sandbox.Shim()
	cmd = exec.CommandContext(t.Context(), path, verb[1:]...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = []string{}, "/", as(w.uid), &out, &stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(w.program)
	if err != nil {
		t.Fatal(err)
	}
	extra, err := os.Open(w.program) // a descriptor that the agent forgot to close
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{read, file, extra}
	return cmd, func() error {
		for _, c := range []io.Closer{read, file, extra} {
			_ = c.Close()
		}
		return errors.Join(sandbox.Command{Argv: argv, Policy: *p}.Send(write), write.Close())
	}
}
