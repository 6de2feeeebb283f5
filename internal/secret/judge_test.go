//go:build linux

package secret_test

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// TestReader is no test of its own: as a process with a file to read and one to write it is the reader of another user.
func TestReader(t *testing.T) {
	if flag.NArg() < 2 {
		return
	}
	var refs []secret.Ref
	for _, name := range flag.Args()[2:] {
		refs = append(refs, secret.Ref{Credential: name})
	}
	s := newSecret(t, secret.Options{}, append(refs, file(flag.Arg(0)))...)
	said, err := s.Reveal(t.Context())
	if err != nil {
		said += err.Error()
	}
	if err := os.WriteFile(flag.Arg(1), []byte(said), 0o600); err != nil {
		t.Fatal(err)
	}
}

// stranger is a user and a group that no system has.
const stranger = 54321

// readAs returns what the user stranger gets of the credentials, else of the file: the value, or the error.
func readAs(t *testing.T, reader, path string, credentials ...string) string {
	t.Helper()
	said := filepath.Join(filepath.Dir(reader), "said")
	write(t, said, "", 0o600)
	own(t, said, stranger, stranger, 0o600)
	cmd := exec.CommandContext(t.Context(), reader, append([]string{"-test.run=^TestReader$", path, said}, credentials...)...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// open makes a folder that everybody can enter, with the test's own binary in it.
func open(t *testing.T) (dir, reader string) {
	t.Helper()
	dir = t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	reader = filepath.Join(dir, "reader")
	write(t, reader, string(data), 0o755)
	return dir, reader
}

func TestARefusedFileComesWithTheCommandThatMendsIt(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	dir, reader := open(t)
	for name, tt := range map[string]struct {
		uid, gid int
		mode     os.FileMode
		want     string // after the path; "" is the value
		mend     string
	}{
		"as it should be":                  {0, stranger, 0o640, "", ""},
		"the agent's own":                  {stranger, stranger, 0o600, "", ""},
		"everybody reads root's":           {0, 0, 0o644, "mode 0644 lets everybody read it", "chown root:54321 PATH && chmod 0640 PATH"},
		"everybody reads the agent's own":  {stranger, 0, 0o604, "mode 0604 lets everybody read it", "chmod 0600 PATH"},
		"the group writes":                 {0, stranger, 0o660, "mode 0660 lets others write it", "chown root:54321 PATH && chmod 0640 PATH"},
		"another's":                        {12345, stranger, 0o640, "owned by user 12345, not by root or user 54321", "chown root:54321 PATH && chmod 0640 PATH"},
		"root's alone":                     {0, 0, 0o600, "permission denied", "chown root:54321 PATH && chmod 0640 PATH"},
		"the group's bit is not set":       {0, stranger, 0o600, "permission denied", "chown root:54321 PATH && chmod 0640 PATH"},
		"of another group, as it could be": {0, 0, 0o640, "permission denied", "chown root:54321 PATH && chmod 0640 PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if strings.Contains(name, "'") {
				path = filepath.Join(dir, "the key's")
			}
			write(t, path, canary, 0o600)
			own(t, path, tt.uid, tt.gid, tt.mode)
			got := readAs(t, reader, path)
			if tt.want == "" {
				if got != canary {
					t.Errorf("got %q, want the value", got)
				}
				return
			}
			word := path
			if strings.Contains(path, "'") {
				word = `'` + strings.ReplaceAll(path, "'", `'\''`) + `'`
			}
			want := "file " + path + ": " + tt.want + "; run: " + strings.ReplaceAll(tt.mend, "PATH", word)
			if !strings.HasSuffix(got, want) || strings.Contains(got, canary) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			runAsRoot(t, strings.ReplaceAll(strings.ReplaceAll(tt.mend, "PATH", word), "root:54321", "0:54321"))
			if got := readAs(t, reader, path); got != canary {
				t.Errorf("after its command: got %q, want the value", got)
			}
		})
	}
}

func own(t *testing.T, path string, uid, gid int, mode os.FileMode) {
	t.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func runAsRoot(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

func TestAFolderInWhichTheFileCouldBeExchanged(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give folders away
	}
	for name, tt := range map[string]struct {
		uid, gid int
		mode     os.FileMode
		want     string // "" is the value
		mend     string
	}{
		"root's, for the agent's group":     {0, stranger, 0o750, "", ""},
		"the agent's group writes":          {0, stranger, 0o770, "", ""},
		"everybody writes, with the sticky": {0, 0, 0o777 | os.ModeSticky, "", ""},
		"the agent's own":                   {stranger, stranger, 0o700, "", ""},
		"everybody writes":                  {0, 0, 0o777, "everybody can exchange the file: mode 0777 of DIR", "chmod o-w DIR"},
		"another group writes":              {0, 12345, 0o775, "a group that is not the agent's can exchange the file: mode 0775 of DIR", "chmod g-w DIR"},
		"another's":                         {12345, 12345, 0o755, "the folder DIR belongs to user 12345, who could exchange the file; move it, or", "chown root DIR"},
		"another's, with the sticky":        {12345, 12345, 0o777 | os.ModeSticky, "the folder DIR belongs to user 12345, who could exchange the file; move it, or", "chown root DIR"},
		"nobody else may enter":             {0, 0, 0o700, "permission denied", "chown root:54321 DIR && chmod 0750 DIR"},
		"the agent's own, without x":        {stranger, stranger, 0o600, "permission denied", "chmod u+x DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			outer, reader := open(t)
			dir := filepath.Join(outer, "keys")
			path, within := filepath.Join(dir, "key"), filepath.Join(dir, "deep", "key")
			if err := os.MkdirAll(filepath.Dir(within), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{path, within} {
				write(t, path, canary, 0o600)
				own(t, path, 0, stranger, 0o640)
			}
			own(t, dir, tt.uid, tt.gid, tt.mode)
			link := filepath.Join(outer, "link")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{path, within, link} {
				got := readAs(t, reader, path)
				want := canary
				if tt.want != "" {
					want = "file " + path + ": " + strings.ReplaceAll(tt.want+"; run: "+tt.mend, "DIR", dir)
					want = strings.ReplaceAll(want, "or; run", "or run")
				}
				if path == link && tt.want == "permission denied" {
					continue // what a link leads to is not told
				}
				if !strings.HasSuffix(got, want) {
					t.Errorf("%s\ngot  %q\nwant %q", path, got, want)
				}
			}
			if tt.mend == "" {
				return
			}
			runAsRoot(t, strings.ReplaceAll(strings.ReplaceAll(tt.mend, "DIR", dir), "root:54321", "0:54321"))
			if got := readAs(t, reader, path); got != canary {
				t.Errorf("after its command: got %q, want the value", got)
			}
		})
	}
}

// What stands in a home or a folder of the system's is closed for a reason: nobody is told to open it.
func TestNobodyIsToldToOpenAHome(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat("/root")
	if err != nil || info.Mode().Perm()&0o001 != 0 {
		t.Skip("the home of root is open here")
	}
	_, reader := open(t)
	got := readAs(t, reader, "/root/a-key-of-nobody")
	if strings.Contains(got, "chown") || strings.Contains(got, "chmod") || !strings.Contains(got, "/root is not for the agent to enter") {
		t.Errorf("got %q", got)
	}
}

// The folder is looked at again when it was refused, though the file has not changed.
func TestAFolderThatIsMendedIsSeen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	write(t, path, canary, 0o600)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := newSecret(t, secret.Options{}, file(path))
	refused(t, s, "everybody can exchange the file")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("got %q, %v, want the value", got, err)
	}
}

func TestWhatAUnitCannotSeeIsSaid(t *testing.T) {
	inUnit := func(k string) string { return map[string]string{"INVOCATION_ID": "1"}[k] }
	for path, want := range map[string]string{
		"/home/nobody-of-this-name/key":    "ProtectHome=",
		"/run/user/1000/nothing/key":       "ProtectHome=",
		"/tmp/windsock-no-such-file":       "PrivateTmp= has a /tmp and",
		"/var/tmp/windsock-no-such-file":   "PrivateTmp= has a /tmp and",
		"/etc/windsock-no-such-file":       "absent: no such file",
		"/homework/windsock-no-such-file":  "absent: no such file",
		"/tmpfiles/windsock-no-such-files": "absent: no such file",
	} {
		refused(t, newSecret(t, secret.Options{Getenv: inUnit}, file(path)), want)
		var log bytes.Buffer
		s := newSecret(t, secret.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, file(path))
		if _, err := s.Reveal(t.Context()); !errors.Is(err, checks.ErrNoSecret) || strings.Contains(err.Error(), "unit") {
			t.Errorf("outside of a unit: got %v", err)
		}
	}
}

// Texts are cut where they are shown: what can be mended stands before what is merely not there.
func TestWhatCanBeMendedComesFirst(t *testing.T) {
	if os.Geteuid() != 0 {
		return // root reads everything, and makes what another user cannot
	}
	dir, reader := open(t)
	path := filepath.Join(dir, "key")
	write(t, path, canary, 0o600)
	got := readAs(t, reader, path, "absent")
	if denied, absent := strings.Index(got, "permission denied"), strings.Index(got, "absent"); denied < 0 || absent < denied {
		t.Errorf("got %q", got)
	}
}
