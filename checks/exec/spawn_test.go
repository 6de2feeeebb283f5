//go:build linux

package exec_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/exec"
	"github.com/windsock-monitor/windsock/internal/spawn"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

func spawner(t *testing.T, dirs ...string) checks.Spawner {
	t.Helper()
	s, err := spawn.New(spawn.Options{Directories: dirs, Write: dirs}) // the scripts tell the tests how far they came
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scripted makes a plugin of a shell script, with the params beside argv, and returns its path.
func scripted(t *testing.T, body, params string) (checktest.Case, string) {
	t.Helper()
	dir := spawntest.Dir(t)
	path := spawntest.Script(t, dir, "check_it", body)
	return checktest.Case{Params: fmt.Sprintf("argv: [%q]\n%s", path, params), Env: checks.Env{Spawn: spawner(t, dir)}}, path
}

// hung is a plugin that ignores SIGTERM, and whose child, in a session of its own, keeps its output open.
func hung(t *testing.T) checktest.Case {
	t.Helper()
	c, path := scripted(t, `trap '' TERM
setsid sleep 300 &
echo "$TOKEN"; : > $0.begun; sleep 300; sleep 300`, "secret_env: {TOKEN: k}\n")
	reached := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := os.Stat(path + ".begun"); err == nil {
				close(reached)
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	c.Reached = reached
	return c
}

func TestTheKindPassesTheSuite(t *testing.T) {
	const talkative = `echo "OK with $TOKEN | '$TOKEN'=1;2;3 t=5ms"; echo "$TOKEN" >&2; printf 'x:%s' "$TOKEN" | base64 -w 0; echo "|more=$TOKEN"; exit `
	checktest.Run(t, exec.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			c, _ := scripted(t, talkative+"0", "secret_env: {TOKEN: k}\n")
			return c
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			c, _ := scripted(t, talkative+"2", "secret_env: {TOKEN: k}\n")
			return c
		},
		Hung: hung,
		Refused: map[string]string{
			"no program": "env: {A: b}", "a relative path": "argv: [check_http]", "a credential as an argument": "argv: [/p, --password=x]",
			"an unknown meaning": "{argv: [/p], timeout_means: ok}",
		},
		Grace: 30 * time.Second,
	})
}

// Each way in which a plugin can misbehave ends within the timeout, in bounded memory, with a cause and evidence, and
// leaves no process, no descriptor and no goroutine behind.
func TestPluginsThatMisbehave(t *testing.T) {
	const begun = "echo $$ >$0.new; mv $0.new $0.pid; "
	const setsid = `setsid sh -c 'echo $$ >$0.n; mv $0.n $0.child; trap "" TERM; while :; do sleep 300; done' $0 & while ! [ -e $0.child ]; do sleep 0.01; done; `
	for name, tc := range map[string]struct {
		body     string
		hangs    bool // its time is over when it has begun
		status   checks.Status
		cause    checks.Cause
		evidence string
	}{
		"a gigabyte":                       {begun + "exec head -c 1073741824 /dev/zero", false, checks.Unknown, checks.CauseResponseTooLarge, "stopped: flood"},
		"a gigabyte on standard error":     {begun + "echo OK; head -c 1073741824 /dev/zero >&2", false, checks.Unknown, checks.CauseResponseTooLarge, "stopped: flood"},
		"hangs":                            {begun + "echo OK; sleep 300; exit 0", true, checks.Unknown, checks.CauseTimeout, "stopped: deadline"},
		"forks and hangs":                  {setsid + begun + "wait", true, checks.Unknown, checks.CauseTimeout, "left_behind"},
		"forks, and its child hangs":       {begun + setsid + "echo OK", false, checks.OK, "", "left_behind"},
		"ignores SIGTERM":                  {"trap '' TERM; " + begun + "while :; do sleep 1; done", true, checks.Unknown, checks.CauseTimeout, "signal: killed"},
		"closes its output and hangs":      {begun + "exec >&- 2>&-; sleep 300", true, checks.Unknown, checks.CauseTimeout, "stopped: deadline"},
		"ends at once without a word":      {begun + "exit 0", false, checks.Unknown, checks.CauseMalformed, "exit status 0"},
		"invalid UTF-8":                    {begun + `printf 'OK \377\376 \355\240\200 fine|\377=1 a\200=2ms\n'`, false, checks.OK, "", "perfdata"},
		"a hundred thousand values":        {begun + `echo "OK|"; exec awk 'BEGIN { printf "|"; for (i = 0; i < 100000; i++) printf "value%d=%d ", i, i }'`, false, checks.OK, "", "beyond the bound"},
		"a long line without an end of it": {begun + `printf OK; head -c 100000 /dev/zero | tr '\0' ' '; exit 2`, false, checks.Failed, checks.CauseAssertion, "only its first"},
		"eats its own group":               {begun + "kill -9 0", false, checks.Error, checks.CauseInternal, "signal: killed"},
		"a core dump":                      {begun + "ulimit -c unlimited 2>/dev/null; kill -SEGV $$; sleep 1", false, checks.Error, checks.CauseInternal, "signal"},
		"a program that it lacks":          {begun + "no_such_program", false, checks.Error, checks.CauseConfig, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			c, path := scripted(t, tc.body, "")
			c.Env.Timeout, c.Env.Log = time.Minute, slog.New(slog.DiscardHandler)
			check, err := exec.Kind().New(checktest.Decoder(c.Params, ""), c.Env)
			if err != nil {
				t.Fatal(err)
			}
			descriptors := spawntest.Descriptors(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx := newExpiring(t)
			if tc.hangs {
				go func() { spawntest.Await(t, path+".pid"); close(ctx.done) }()
			}
			r, err := check.Run(ctx)
			runtime.ReadMemStats(&after)
			if err != nil {
				r.Status, r.Summary = checks.Error, err.Error()
			}
			if r.Status != tc.status || r.Cause != tc.cause || !strings.Contains(fmt.Sprint(r.Evidence), tc.evidence) {
				t.Errorf("got %s %q (%s), evidence %v, want %s %q and %q", r.Status, r.Cause, r.Summary, r.Evidence, tc.status, tc.cause, tc.evidence)
			}
			if err := checktest.Valid(r); err != nil {
				t.Error(err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("%d bytes were allocated, want at most 8 MiB", grown)
			}
			if now := spawntest.Descriptors(t); now > descriptors {
				t.Errorf("%d descriptors before, %d after", descriptors, now)
			}
			gone(t, path)
		})
	}
}

// expiring is a context of a minute whose deadline comes when done is closed: machines are slow at times.
type expiring struct {
	context.Context
	done chan struct{}
}

func newExpiring(t *testing.T) expiring {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return expiring{ctx, make(chan struct{})}
}

func (e expiring) Done() <-chan struct{} { return e.done }

func (e expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// gone waits until nothing of the plugin's groups is left.
func gone(t *testing.T, path string) {
	t.Helper()
	spawntest.Await(t, path+".pid")
	written, err := filepath.Glob(path + ".[pc]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range written {
		spawntest.Gone(t, spawntest.Await(t, file)...)
	}
}

// A program that cannot be started is an error of ours with the file's name in it, whatever is wrong with it.
func TestProgramsThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	faults := map[string]func(path string) error{
		"missing":        func(string) error { return nil },
		"a_directory":    func(path string) error { return os.Mkdir(path, 0o700) },
		"not_executable": func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600) },
		"world_writable": func(path string) error {
			spawntest.Script(t, dir, filepath.Base(path), "")
			return os.Chmod(path, 0o777)
		},
		"a_link_out":        func(path string) error { return os.Symlink("/bin/true", path) },
		"bad_interpreter":   func(path string) error { spawntest.Write(t, dir, filepath.Base(path), "#!/no/such\n"); return nil },
		"no_program_at_all": func(path string) error { spawntest.Write(t, dir, filepath.Base(path), "OK\n"); return nil },
	}
	for name, prepare := range faults {
		path := filepath.Join(dir, name)
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		check, err := exec.Kind().New(checktest.Decoder("argv: ["+path+"]", ""), checks.Env{Spawn: spawner(t, dir)})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err == nil || r.Cause != checks.CauseConfig || !strings.Contains(err.Error(), path) || len(r.Evidence) != 1 {
			t.Errorf("%s: got %+v, %v, want error config with the path", name, r, err)
		}
	}
}
