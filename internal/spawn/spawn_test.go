//go:build linux

package spawn_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/spawn"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

const key = "canary-key-4711-abcdef"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSpawner(t *testing.T, o spawn.Options) *spawn.Spawner {
	t.Helper()
	s, err := spawn.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func chmod(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, to, from string) string {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
	return from
}

func mkdir(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return chmod(t, path, mode)
}

// busy is a program that somebody writes.
func busy(t *testing.T, path string) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return path
}

func pipe(t *testing.T, path string) string {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every program here is refused before it runs; none of these faults is the target's.
func TestProgramsThatAreRefused(t *testing.T) {
	t.Parallel()
	dir, outside := spawntest.Dir(t), spawntest.Dir(t)
	write := func(name, text string) string { return spawntest.Write(t, dir, name, text) }
	out := spawntest.Script(t, outside, "out", "")
	const script = "#!/bin/sh\n"
	refused, broken, missing := checks.ErrProgramRefused, checks.ErrProgramBroken, checks.ErrProgramMissing
	for name, tc := range map[string]struct {
		path  string
		want  error
		words string
	}{
		"missing":                        {dir + "/none", missing, "/none"},
		"below a file":                   {write("file", script) + "/q", missing, "/file/q"},
		"outside":                        {out, refused, "in none of the allowed directories"},
		"a longer name":                  {dir + "x/p", refused, "in none of"},
		"two points":                     {dir + "/../p", refused, "shortest form"},
		"relative":                       {"p", refused, "absolute"},
		"a link that ends":               {link(t, dir+"/none", dir+"/ends"), missing, "/ends"},
		"a link in a circle":             {link(t, dir+"/circle", dir+"/circle"), nil, "/circle"},
		"a link that leads out":          {link(t, out, dir+"/leads"), refused, "outside of the allowed"},
		"a folder that leads out":        {link(t, outside, dir+"/folder") + "/out", refused, "outside of the allowed"},
		"a directory":                    {mkdir(t, dir+"/directory", 0o755), broken, "is a directory"},
		"not executable":                 {chmod(t, write("plain", script), 0o644), broken, "not executable (mode 0644)"},
		"world-writable":                 {chmod(t, write("world", script), 0o757), refused, "others can write"},
		"group-writable":                 {chmod(t, write("group", script), 0o775), refused, "(mode 0775)"},
		"in a folder that all can write": {spawntest.Script(t, mkdir(t, dir+"/open", 0o777), "p", ""), refused, "/open\" (mode 0777)"},
		"in a sticky one":                {spawntest.Script(t, mkdir(t, dir+"/sticky", 0o777|os.ModeSticky), "p", ""), refused, "/sticky\" (mode 1777)"},
		"a named pipe":                   {pipe(t, dir+"/pipe"), broken, "not a regular file"},
		"a bad interpreter":              {write("bad", "#! /nonexistent/sh -e\n"), broken, `interpreter "/nonexistent/sh"`},
		"no interpreter":                 {write("no", "#!"), broken, "/no"},
		"a folder that interprets":       {write("interprets", "#!/usr\n"), broken, `interpreter "/usr"`},
		"text":                           {write("text", "echo OK\n"), broken, "with #!"},
		"an empty file":                  {write("empty", ""), broken, "with #!"},
		"another machine's":              {write("machine", "\x7fELF\x01\x02\x01"), broken, "for this machine"},
		"being written":                  {busy(t, write("busy", "\x7fELF")), broken, "text file busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpawner(t, spawn.Options{Directories: []string{dir}})
			ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{tc.path}})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("got %+v, %v, want %v with %q", ended, err, tc.want, tc.words)
			}
			if err != nil && strings.Contains(err.Error(), "/proc/self") {
				t.Errorf("the error %v names a descriptor", err)
			}
		})
	}
}

func TestOwnersOfPrograms(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	dir := spawntest.Dir(t)
	s := newSpawner(t, spawn.Options{Directories: []string{dir}})
	path := spawntest.Script(t, dir, "p", "")
	inner := spawntest.Script(t, mkdir(t, dir+"/d", 0o755), "p", "")
	for _, given := range []string{path, dir + "/d"} {
		if err := os.Chown(given, 54321, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{path, inner} {
		if _, err := s.Spawn(t.Context(), checks.Program{Argv: []string{path}}); !errors.Is(err, checks.ErrProgramRefused) || !strings.Contains(err.Error(), "belongs to user 54321") {
			t.Errorf("%s: got %v, want it refused", path, err)
		}
	}
}

func TestProgramsThatRun(t *testing.T) {
	t.Parallel()
	dir, other := spawntest.Dir(t), spawntest.Dir(t)
	script := spawntest.Script(t, dir, "script", `echo "$0" "$@"; . "${0%/*}/utils.sh"`)
	spawntest.Write(t, dir, "utils.sh", "echo utils\n")
	link(t, script, dir+"/linked")
	link(t, script, other+"/across")
	alias := filepath.Join(filepath.Dir(dir), "alias")
	link(t, dir, alias)
	s := newSpawner(t, spawn.Options{Directories: []string{dir, other, alias, "/usr/bin", "/bin"}})
	for path, want := range map[string]string{
		script:             script + " a b\nutils\n",
		dir + "/linked":    script + " a b\nutils\n", // where utils.sh is
		other + "/across":  script + " a b\nutils\n",
		alias + "/script":  script + " a b\nutils\n",
		"/usr/bin/echo":    "a b\n",
		"/bin/echo":        "a b\n",
		"/usr/bin/dirname": ".\n.\n",
	} {
		ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{path, "a", "b"}})
		if err != nil || ended.Stdout != want || ended.Code != 0 {
			t.Errorf("%s: got %+v, %v, want %q", path, ended, err, want)
		}
	}
}

// A program that is one file under many names sees the name that it was called by, also when it runs from a descriptor.
func TestABinarySeesItsName(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	binary, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	spawntest.Write(t, dir, "one", string(binary))
	link(t, dir+"/one", dir+"/two")
	s := newSpawner(t, spawn.Options{Directories: []string{dir}})
	ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{dir + "/two", "-c", "echo $0; readlink /proc/$$/exe"}})
	if want := dir + "/two\n" + dir + "/one\n"; err != nil || ended.Stdout != want {
		t.Errorf("got %+v, %v, want %q", ended, err, want)
	}
}

func TestTheEnvironmentIsWhatIsAllowed(t *testing.T) {
	t.Parallel()
	own := map[string]string{"TZ": "Europe/Paris", "MISTRAL_API_KEY": key, "EMPTY": "", "LANG": "de_DE"}
	s := newSpawner(t, spawn.Options{
		Directories: []string{"/usr/bin"}, Env: []string{"TZ", "EMPTY"}, Getenv: func(name string) string { return own[name] },
	})
	ended, err := s.Spawn(t.Context(), checks.Program{
		Argv: []string{"/usr/bin/env"}, Env: map[string]string{"A": "1", "TZ": "UTC"},
		Secrets: map[string]checks.Secret{"TOKEN": checktest.Secret("another-secret-value")},
	})
	var names []string
	for line := range strings.Lines(ended.Stdout) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		names = append(names, name)
		if want, ok := map[string]string{"A": "1", "TZ": "UTC", "LANG": "C.UTF-8", "TOKEN": checks.Redacted}[name]; ok && value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	if got := strings.Join(names, " "); err != nil || got != "A LANG PATH TOKEN TZ WINDSOCK_RUN" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSecretsAreTakenOutOfTheOutput(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	known := secret.NewScrubber()
	known.Add("a-key-of-the-agent")
	s := newSpawner(t, spawn.Options{Directories: []string{dir}, Write: []string{dir}, Scrubber: known})
	for name, body := range map[string]string{
		"plain":         `echo "password $PASSWORD is wrong"`,
		"on stderr":     `echo "$PASSWORD" >&2`,
		"base64":        `printf 'user:%s' "$PASSWORD" | base64 -w 0`,
		"the agent's":   `echo a-key-of-the-agent`,
		"cut in two":    `head -c 65526 /dev/zero | tr '\0' .; echo "$PASSWORD"`,
		"cut on stderr": `(head -c 4086 /dev/zero | tr '\0' .; echo "$PASSWORD") >&2`,
	} {
		ended, err := s.Spawn(t.Context(), checks.Program{
			Argv:    []string{spawntest.Script(t, dir, strings.ReplaceAll(name, " ", "_"), body)},
			Secrets: map[string]checks.Secret{"PASSWORD": checktest.Secret(key)},
		})
		text := ended.Stdout + ended.Stderr
		if form := checktest.Leak(text, key); err != nil || form != "" || strings.Contains(text, "a-key-of") || strings.Contains(text, "canary") {
			t.Errorf("%s: got %+v, %v, want no secret (%s)", name, ended, err, form)
		}
	}
	ended, err := s.Spawn(t.Context(), checks.Program{
		Argv:    []string{spawntest.Script(t, dir, "ran", ": > $0.ran")},
		Secrets: map[string]checks.Secret{"PASSWORD": checktest.Secret("")},
	})
	if _, missing := os.Stat(dir + "/ran.ran"); !errors.Is(err, checks.ErrNoSecret) || missing == nil {
		t.Errorf("got %+v, %v, want no run without the secret", ended, err)
	}
}

func TestADaemonDiesWithItsRun(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	path := spawntest.Script(t, dir, "p", `setsid sh -c 'echo $$ >$0.new; mv $0.new $0; exec sleep 300' $0.pid & while ! [ -e $0.pid ]; do sleep 0.01; done; echo OK`)
	s := newSpawner(t, spawn.Options{Directories: []string{dir}, Write: []string{dir}})
	ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{path}})
	if err != nil || ended.Stdout != "OK\n" || ended.Left != 1 {
		t.Errorf("got %+v, %v, want one left behind", ended, err)
	}
	spawntest.Gone(t, spawntest.Await(t, path+".pid")...)
}

func TestTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	dir := spawntest.Dir(t)
	path := spawntest.Script(t, dir, "p", `trap '' TERM; echo begun; : > $0.begun; exec sleep 300`)
	s := newSpawner(t, spawn.Options{Directories: []string{dir}, Write: []string{dir}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { spawntest.Await(t, path+".begun"); cancel() }()
	ended, err := s.Spawn(ctx, checks.Program{Argv: []string{path}, Grace: time.Millisecond})
	if err != nil || ended.Stopped != checks.StopCancelled || ended.Stdout != "begun\n" || ended.Signal != "killed" {
		t.Errorf("got %+v, %v", ended, err)
	}
	if _, err := s.Spawn(ctx, checks.Program{Argv: []string{path}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestDirectoriesThatAllowTooMuch(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/", "", "plugins", "/a/../b", "/a/"} {
		if _, err := spawn.New(spawn.Options{Directories: []string{dir}}); err == nil {
			t.Errorf("%q was taken", dir)
		}
	}
	for _, o := range []spawn.Options{{Read: []string{"etc"}}, {Write: []string{"var"}}} {
		if _, err := spawn.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	s := newSpawner(t, spawn.Options{})
	if _, err := s.Spawn(t.Context(), checks.Program{Argv: []string{"/bin/true"}}); !errors.Is(err, checks.ErrProgramRefused) {
		t.Errorf("got %v, want everything refused", err)
	}
	if _, err := s.Spawn(t.Context(), checks.Program{}); err == nil {
		t.Error("nothing was run without a word")
	}
}

func TestProgramsAreConfined(t *testing.T) {
	t.Parallel()
	if sandbox.Look().Landlock == 0 {
		t.Skip("this kernel has no Landlock")
	}
	dir, read, write, other := spawntest.Dir(t), spawntest.Dir(t), spawntest.Dir(t), spawntest.Dir(t)
	for _, d := range []string{dir, read, write, other} {
		spawntest.Write(t, d, "it", "text\n")
	}
	path := spawntest.Script(t, dir, "p", `(eval "$1") && echo yes`)
	s := newSpawner(t, spawn.Options{Directories: []string{dir}, Read: []string{read}, Write: []string{write}})
	for command, want := range map[string]string{
		"cat " + dir + "/it":             "text\nyes\n",
		"cat " + read + "/it":            "text\nyes\n",
		"cat " + write + "/it":           "text\nyes\n",
		"echo x >" + write + "/new":      "yes\n",
		"cat " + other + "/it":           "",
		"echo x >" + read + "/new":       "",
		"echo x >" + dir + "/new":        "",
		"ls /proc/self/fd | tr -d '\\n'": "0123yes\n", // 3 is the folder itself
	} {
		ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{path, command}})
		if err != nil || ended.Stdout != want || want == "" && !strings.Contains(ended.Stderr, "Permission denied") {
			t.Errorf("%s: got %+v, %v, want %q", command, ended, err, want)
		}
	}
	own := spawntest.Script(t, other, "sh", "echo it ran")
	foreign := spawntest.Write(t, dir, "foreign", "#!"+own+"\n")
	if ended, err := s.Spawn(t.Context(), checks.Program{Argv: []string{foreign}}); !errors.Is(err, checks.ErrProgramBroken) || !strings.Contains(err.Error(), "programs.read") {
		t.Errorf("got %+v, %v, want the way out named", ended, err)
	}
}
