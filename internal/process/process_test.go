//go:build linux

package process_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs a script of the shell, whose output is kept up to 1000 bytes.
func command(t *testing.T, body string, args ...string) process.Command {
	t.Helper()
	path := spawntest.Script(t, spawntest.Dir(t), "program", body)
	keep := process.Bounds{Keep: 1000}
	return process.Command{Path: path, Argv: append([]string{path}, args...), Env: []string{"PATH=/usr/bin:/bin"}, Stdout: keep, Stderr: keep}
}

func run(t *testing.T, c process.Command) process.End {
	t.Helper()
	end, err := process.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func TestAProgramEndsAsItWill(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body, out, err, signal string
		code                   int
	}{
		"well":                {body: "echo out; echo err >&2", out: "out\n", err: "err\n"},
		"with a status":       {body: "exit 7", code: 7},
		"by a signal":         {body: "kill -9 $$", code: -1, signal: "killed"},
		"without input":       {body: "cat; echo end", out: "end\n"},
		"in /":                {body: "pwd", out: "/\n"},
		"with arguments":      {body: `printf '%s,' "$@"`, out: "a b,$HOME,;id,"},
		"with its own output": {body: "exec >&-; exec 2>&-; exit 3", code: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := run(t, command(t, tc.body, "a b", "$HOME", ";id"))
			if string(end.Stdout.Text) != tc.out || string(end.Stderr.Text) != tc.err || end.Code != tc.code || end.Signal != tc.signal {
				t.Errorf("got %q, %q, %d, %q, want %+v", end.Stdout.Text, end.Stderr.Text, end.Code, end.Signal, tc)
			}
			if end.Stopped != process.StopNone || end.Stdout.Cut || end.Took <= 0 {
				t.Errorf("got %+v", end)
			}
		})
	}
}

// The program sees three descriptors, though the agent's parent has left one open, and leads a session of its own.
func TestNothingIsInherited(t *testing.T) {
	inherited, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(inherited) }()
	t.Setenv("WINDSOCK_TEST_LEAK", "canary")
	keep := process.Bounds{Keep: 1000}
	end := run(t, process.Command{Path: "/bin/ls", Argv: []string{"ls", "/proc/self/fd"}, Stdout: keep})
	if got := string(end.Stdout.Text); got != "0\n1\n2\n3\n" { // 3 is the folder itself
		t.Errorf("got the descriptors %q, want three and that of ls", got)
	}
	end = run(t, command(t, `env; while [ $(ulimit -c) != 0 ] || [ $(ulimit -f) = unlimited ]; do sleep 0.01; done; set -- $(cat /proc/$$/stat); echo "$1 $5 $6 $7"`))
	text := string(end.Stdout.Text)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if strings.Contains(text, "canary") || !strings.Contains(text, "PATH=/usr/bin:/bin") {
		t.Errorf("got the environment %q", text)
	}
	last := strings.Fields(lines[len(lines)-1])
	if len(last) != 4 || last[0] != last[1] || last[0] != last[2] || last[3] != "0" {
		t.Errorf("got pid, group, session and terminal %v, want one number and no terminal", last)
	}
}

func TestAProgramThatIgnoresTheDeadlineIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body  string
		grace time.Duration
		code  int
	}{
		"it ends when asked":      {"sleep 300 & trap 'exit 5' TERM; echo $! $$ >$1.new; mv $1.new $1; while :; do sleep 0.01; done", time.Minute, 5},
		"it ignores SIGTERM":      {"trap '' TERM; sleep 300 & echo $! $$ >$1.new; mv $1.new $1; wait; wait", 10 * time.Millisecond, -1},
		"it is not asked":         {"trap '' TERM; sleep 300 & echo $! $$ >$1.new; mv $1.new $1; wait", 0, -1},
		"it closes its output":    {"exec >&- 2>&-; trap '' TERM; echo $$ >$1.new; mv $1.new $1; exec sleep 300", 10 * time.Millisecond, -1},
		"it is stopped":           {"echo $$ >$1.new; mv $1.new $1; kill -STOP $$", 10 * time.Millisecond, -1},
		"its children ignore it ": {"(trap '' TERM; exec sleep 300) & echo $! $$ >$1.new; mv $1.new $1; exec sleep 300", time.Minute, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			c := command(t, tc.body, pids)
			c.Grace = tc.grace
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { spawntest.Await(t, pids); cancel() }()
			end, err := process.Run(ctx, c)
			if err != nil || end.Stopped != process.StopCancelled || end.Code != tc.code {
				t.Errorf("got %+v, %v, want code %d", end, err, tc.code)
			}
			spawntest.Gone(t, spawntest.Await(t, pids)...)
		})
	}
}

func TestTheDeadlineIsToldFromACancellation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	end, err := process.Run(ctx, command(t, "echo begun; exec sleep 300"))
	if errors.Is(err, context.DeadlineExceeded) {
		return // a slow machine: it was over before it began
	}
	if err != nil || end.Stopped != process.StopDeadline || end.Signal != "killed" {
		t.Errorf("got %+v, %v, want the deadline", end, err)
	}
}

// A child with the pipe in its hands, in a session of its own, holds nobody up and does not stay.
func TestWhatAProgramLeavesBehind(t *testing.T) {
	t.Parallel()
	const mark = "TEST_RUN=of-what-a-program-leaves-behind"
	setsid := `setsid sh -c 'echo $$ >$0.new; mv $0.new $0; exec sleep 300' $1 & while ! [ -e $1 ]; do sleep 0.01; done; `
	for name, tc := range map[string]struct {
		body, mark string
		left       int
	}{
		"a child in the group":                   {"sleep 300 & echo $! >$1.new; mv $1.new $1; echo out", "", 0},
		"a child in another session":             {setsid + "echo out", mark + "1", 1},
		"two, one without the pipe":              {setsid + "setsid sleep 300 >/dev/null 2>&1 & echo out", mark + "2", 2},
		"one, and the program hangs until it is": {"echo out; " + setsid + "kill -9 $$", mark + "3", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			c := command(t, tc.body, pids)
			c.Mark = tc.mark
			if tc.mark != "" {
				c.Env = append(c.Env, tc.mark)
			}
			end := run(t, c)
			if string(end.Stdout.Text) != "out\n" || end.Left < tc.left {
				t.Errorf("got %+v, want at least %d left behind", end, tc.left)
			}
			spawntest.Gone(t, spawntest.Await(t, pids)...)
		})
	}
}

// Without a mark a daemon in a session of its own stays, and does not hold Run up though it holds the pipe.
func TestADaemonWithoutAMarkStays(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	end := run(t, command(t, `setsid sh -c 'echo $$ >$0.new; mv $0.new $0; exec sleep 300' $1 & while ! [ -e $1 ]; do sleep 0.01; done; echo out`, pids))
	if string(end.Stdout.Text) != "out\n" || end.Code != 0 {
		t.Errorf("got %+v", end)
	}
	for _, pid := range spawntest.Await(t, pids) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("the daemon is gone: %v", err)
		}
		spawntest.Gone(t, pid)
	}
}

func TestOutputIsBoundedInMemory(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		stop process.Stop
	}{
		"a gigabyte":                 {"exec head -c 1073741824 /dev/zero", process.StopFlood},
		"without end, though asked":  {"trap '' TERM; yes; yes", process.StopFlood},
		"on standard error":          {"exec yes >&2", process.StopFlood},
		"more than kept, and an end": {"head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2", process.StopNone},
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, tc.body)
			c.Stdout.Most, c.Stderr.Most, c.Grace = 1<<20, 1<<20, time.Minute
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			end := run(t, c)
			runtime.ReadMemStats(&after)
			if end.Stopped != tc.stop || !end.Stdout.Cut && !end.Stderr.Cut || len(end.Stdout.Text)+len(end.Stderr.Text) > 2000 {
				t.Errorf("got %v, %d and %d bytes, want %q and at most 1000 each", end.Stopped, len(end.Stdout.Text), len(end.Stderr.Text), tc.stop)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%d bytes were allocated, want less than a megabyte", grown)
			}
		})
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	missing := command(t, "")
	missing.Path = "/nonexistent"
	bad := command(t, "")
	bad.Path = spawntest.Write(t, spawntest.Dir(t), "bad", "#!/nonexistent/interpreter\n")
	for name, c := range map[string]process.Command{"missing": missing, "a bad interpreter": bad} {
		if end, err := process.Run(t.Context(), c); !errors.Is(err, fs.ErrNotExist) || end.Took != 0 {
			t.Errorf("%s: got %+v, %v, want an error and nothing else", name, end, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "ran")
	if _, err := process.Run(ctx, command(t, ": > $1", mark)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran though its context had ended")
	}
}

// An open program runs whatever has taken its name since.
func TestAnOpenProgramIsWhatRuns(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	binary, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	path := spawntest.Write(t, dir, "program", string(binary))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	spawntest.Script(t, dir, "program", "echo another")
	end := run(t, process.Command{Path: path, File: f, Argv: []string{path, "the same"}, Stdout: process.Bounds{Keep: 100}})
	if got := string(end.Stdout.Text); got != "the same\n" {
		t.Errorf("got %q, want the program that was opened", got)
	}
}

// confined is a command that the shim holds to the policy.
func confined(t *testing.T, c process.Command, p sandbox.Policy) process.Command {
	t.Helper()
	f, err := os.Open(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	p.Read = append(p.Read, filepath.Dir(c.Path))
	c.File, c.ByPath, c.Confine = f, true, &p
	return c
}

func TestAConfinedProgramEndsAsAnyOther(t *testing.T) {
	t.Parallel()
	end := run(t, confined(t, command(t, `echo "$0" "$@" "${#LARGE}"; echo err >&2; exit 7`, "a b"), sandbox.Policy{}))
	if !strings.HasSuffix(string(end.Stdout.Text), "/program a b 0\n") || string(end.Stderr.Text) != "err\n" || end.Code != 7 {
		t.Errorf("got %+v", end)
	}
	large := confined(t, command(t, `echo "${#A} ${#H}"; set -- $(cat /proc/$$/stat); [ "$1 $1 0" = "$5 $6 $7" ] && pwd`), sandbox.Policy{})
	for name := range strings.SplitSeq("ABCDEFGH", "") { // more than a socket holds
		large.Env = append(large.Env, name+"="+strings.Repeat("x", 100_000))
	}
	if end = run(t, large); string(end.Stdout.Text) != "100000 100000\n/\n" {
		t.Errorf("got %q, %q, want all of the environment, a session of its own and /", end.Stdout.Text, end.Stderr.Text)
	}
	slow := confined(t, command(t, `trap '' TERM; (trap '' TERM; exec sleep 300) & sleep 300; sleep 300`), sandbox.Policy{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	slow.Grace = time.Millisecond
	if end, err := process.Run(ctx, slow); err != nil || end.Stopped != process.StopDeadline {
		t.Errorf("got %+v, %v, want it stopped at the deadline, in the shim or after it", end, err)
	}
}

func TestConfinedProgramsThatCannotBegin(t *testing.T) {
	t.Parallel()
	text := command(t, "")
	if err := os.WriteFile(text.Path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := command(t, "")
	huge.Env = []string{"A=" + strings.Repeat("x", 200_000)}
	for name, tc := range map[string]struct {
		c     process.Command
		p     sandbox.Policy
		want  error
		words string
	}{
		"no program":                 {c: text, want: syscall.ENOEXEC},
		"more than the kernel takes": {c: huge, want: syscall.E2BIG},
		"a cgroup that is not there": {c: command(t, ""), p: sandbox.Policy{Cgroup: "/nonexistent"}, words: "confining it: joining the cgroup: no such file"},
		"a policy that is none":      {c: command(t, ""), p: sandbox.Policy{Network: "x"}, words: "want any or none"},
	} {
		end, err := process.Run(t.Context(), confined(t, tc.c, tc.p))
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: got %+v, %v, want %v with %q", name, end, err, tc.want, tc.words)
		}
		if tc.want == nil && errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v says that the program is missing", name, err)
		}
	}
}

func TestNothingLeaks(t *testing.T) {
	good, bad := command(t, "echo x; sleep 300 &"), command(t, "")
	tame, wild := confined(t, good, sandbox.Policy{}), confined(t, command(t, ""), sandbox.Policy{Cgroup: "/nonexistent"})
	bad.Path = "/nonexistent"
	round := func() {
		run(t, good)
		if _, err := process.Run(t.Context(), bad); err == nil {
			t.Error("started what is not there")
		}
		run(t, tame)
		if _, err := process.Run(t.Context(), wild); err == nil {
			t.Error("confined what cannot be")
		}
	}
	round()
	before := spawntest.Descriptors(t)
	for range 20 {
		round()
	}
	if after := spawntest.Descriptors(t); after > before {
		t.Errorf("%d descriptors, and %d after 80 runs", before, after)
	}
}

func BenchmarkRun(b *testing.B) {
	file, err := os.Open("/bin/true")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for name, policy := range map[string]*sandbox.Policy{"free": nil, "confined": {}} {
		b.Run(name, func(b *testing.B) {
			keep := process.Bounds{Keep: 64 << 10}
			c := process.Command{File: file, Argv: []string{"true"}, Env: []string{"RUN=x"}, Stdout: keep, Stderr: keep, Mark: "RUN=x", Confine: policy}
			b.ReportAllocs()
			for b.Loop() {
				if end, err := process.Run(b.Context(), c); err != nil || end.Code != 0 || !bytes.Equal(end.Stdout.Text, nil) {
					b.Fatal(end, err)
				}
			}
		})
	}
}
