package secret_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

const canary = "canary-9f3c2b7a1d5e4f60"

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // it may be read-only
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
}

func newSecret(t *testing.T, o secret.Options, refs ...secret.Ref) checks.Secret {
	t.Helper()
	s, err := secret.NewResolver(o).Secret(refs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(path string) secret.Ref { return secret.Ref{File: path} }

// refused checks the error and that no value is in it.
func refused(t *testing.T, s checks.Secret, want string) {
	t.Helper()
	value, err := s.Reveal(t.Context())
	if value != "" || !errors.Is(err, checks.ErrNoSecret) {
		t.Fatalf("got %q, %v, want ErrNoSecret", value, err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the value is in the error %q", err)
	}
}

func TestFileIsReadAsItStands(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"no newline":                  {canary, canary},
		"one newline is cut":          {canary + "\n", canary},
		"one CRLF is cut":             {canary + "\r\n", canary},
		"a second newline is kept":    {canary + "\n\n", canary + "\n"},
		"other white space is kept":   {" " + canary + " \n", " " + canary + " "},
		"a lone return is kept":       {canary + "\r", canary + "\r"},
		"several lines are one value": {"-----BEGIN-----\nabc\n", "-----BEGIN-----\nabc"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			write(t, path, tt.text, 0o600)
			got, err := newSecret(t, secret.Options{}, file(path)).Reveal(t.Context())
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestFileModes(t *testing.T) {
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o640: "", 0o440: "", 0o700: "",
		0o644: "everybody read", 0o604: "everybody read",
		0o620: "others write", 0o602: "others write", 0o666: "others write",
	} {
		t.Run(fmt.Sprintf("%04o", mode), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			write(t, path, canary, mode)
			s := newSecret(t, secret.Options{}, file(path))
			if want != "" {
				refused(t, s, want)
				return
			}
			if got, err := s.Reveal(t.Context()); got != canary || err != nil {
				t.Errorf("got %q, %v, want the value", got, err)
			}
		})
	}
}

func TestFileOfAnotherUserIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, canary, 0o600)
	err := os.Chown(path, 54321, 54321)
	s := newSecret(t, secret.Options{}, file(path))
	if err != nil { // only root can give a file away: then it is ours, and good
		if got, err := s.Reveal(t.Context()); got != canary || err != nil {
			t.Errorf("got %q, %v, want the value", got, err)
		}
		return
	}
	refused(t, s, "owned by user 54321")
	if err := os.Chown(path, os.Geteuid(), os.Getegid()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("after the owner was mended: got %q, %v, want the value", got, err)
	}
}

func TestFilesThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	huge, empty, zero, newline := filepath.Join(dir, "huge"), filepath.Join(dir, "empty"), filepath.Join(dir, "zero"), filepath.Join(dir, "newline")
	write(t, huge, strings.Repeat(canary, 5000), 0o600)
	write(t, empty, "", 0o600)
	write(t, newline, "\n", 0o600)
	write(t, zero, canary+"\x00", 0o600)
	dangling, loop := filepath.Join(dir, "dangling"), filepath.Join(dir, "loop")
	for to, at := range map[string]string{"nowhere": dangling, "loop": loop} {
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ path, want string }{
		"a directory":             {dir, "not a regular file"},
		"a file of 115 kB":        {huge, "want at most 65536"},
		"an empty file":           {empty, "empty"},
		"nothing but a newline":   {newline, "empty"},
		"a zero byte":             {zero, "not text"},
		"a dangling link":         {dangling, "no such file"},
		"a link to itself":        {loop, "too many levels"},
		"a device":                {os.DevNull, "not a regular file"},
		"an absent file":          {filepath.Join(dir, "absent"), "no such file"},
		"below a file":            {filepath.Join(empty, "key"), "no such file"},
		"a path of 5000 letters":  {"/" + strings.Repeat("x", 5000), "file name too long"},
		"a file of the processes": {"/proc/self/mem", ""},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, newSecret(t, secret.Options{}, file(tt.path)), tt.want)
		})
	}
}

func TestLinksAreFollowedAndTheirTargetIsJudged(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	write(t, good, canary, 0o600)
	write(t, bad, canary, 0o644)
	for _, name := range []string{"good", "bad"} {
		if err := os.Symlink(name, filepath.Join(dir, "to-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := newSecret(t, secret.Options{}, file(filepath.Join(dir, "to-good"))).Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("got %q, %v, want the value", got, err)
	}
	refused(t, newSecret(t, secret.Options{}, file(filepath.Join(dir, "to-bad"))), "everybody read")
}

func TestFirstPresentWins(t *testing.T) {
	creds, dir := t.TempDir(), t.TempDir()
	env := map[string]string{"KEY": "from-env-12345", "CREDENTIALS_DIRECTORY": creds}
	key := filepath.Join(dir, "key")
	s := newSecret(t, secret.Options{Getenv: func(k string) string { return env[k] }},
		secret.Ref{Credential: "key"}, file(key), secret.Ref{Env: "KEY"})
	if got := s.Used(); got != s.Where() {
		t.Errorf("got %q as the place that was used, want all of them before the first value", got)
	}
	want := func(want, from string) {
		t.Helper()
		if got, err := s.Reveal(t.Context()); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if got := s.Used(); got != from {
			t.Errorf("got %q as the place that was used, want %q", got, from)
		}
	}
	want("from-env-12345", "env KEY")
	write(t, key, "from-file-12345", 0o600)
	want("from-file-12345", "file "+key)
	write(t, filepath.Join(creds, "key"), "from-cred-12345", 0o400)
	want("from-cred-12345", "credential key")
	write(t, filepath.Join(creds, "key"), canary, 0o644)
	refused(t, s, "everybody read") // there, and not to be trusted: no older key in its stead
	for _, path := range []string{key, filepath.Join(creds, "key")} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	env["KEY"] = ""
	refused(t, s, "credential key: absent: no such file; file "+key+": absent: no such file; env KEY: absent: not set, or empty")
	env["KEY"] = "from-env-again"
	want("from-env-again", "env KEY")
	if got := s.Where(); got != "credential key, file "+key+", env KEY" {
		t.Errorf("got %q", got)
	}
}

func TestNoCredentialsDirectory(t *testing.T) {
	refused(t, newSecret(t, secret.Options{}, secret.Ref{Credential: "key"}), "$CREDENTIALS_DIRECTORY is not set")
}

func TestReferencesAreCheckedWithoutTouchingAFile(t *testing.T) {
	for name, tt := range map[string]struct {
		ref  secret.Ref
		want string
	}{
		"nothing":                  {secret.Ref{}, "exactly one"},
		"two":                      {secret.Ref{Env: "A", File: "/b"}, "exactly one"},
		"a credential with a path": {secret.Ref{Credential: "../etc/passwd"}, "plain file name"},
		"a credential that hides":  {secret.Ref{Credential: ".."}, "plain file name"},
		"a relative file":          {secret.Ref{File: "key"}, "absolute"},
		"a relative command":       {secret.Ref{Command: []string{"vault", "read"}}, "no search path"},
		"a name that is an assign": {secret.Ref{Env: "A=b"}, "environment variable"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := secret.NewResolver(secret.Options{}).Secret(tt.ref); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := secret.NewResolver(secret.Options{}).Secret(); err == nil {
		t.Error("no source at all was taken")
	}
}

// A reader sees the old value or the new one, and never a part of either.
func TestRotationByRenameIsNeverSeenHalfWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	values := map[string]bool{}
	value := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 4000+i) }
	for i := range 200 {
		values[value(i)] = true
	}
	write(t, path, value(0), 0o600)
	s := newSecret(t, secret.Options{}, file(path))
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				got, err := s.Reveal(t.Context())
				if err != nil || !values[got] {
					t.Errorf("got %d bytes, %v, want one of the values", len(got), err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := 1; i < 200; i++ {
		write(t, path+".new", value(i), 0o600)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
	if got, err := s.Reveal(t.Context()); got != value(199) || err != nil {
		t.Errorf("got %d bytes, %v, want the last value", len(got), err)
	}
}

func TestRenewTellsWhetherTheValueChanged(t *testing.T) {
	value := canary
	reads := 0
	getenv := func(k string) string {
		if k == "KEY" {
			reads++
			return value
		}
		return ""
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSecret(t, secret.Options{Getenv: getenv}, secret.Ref{Env: "KEY"})
		if _, err := s.Reveal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changed, err := s.Renew(t.Context()); changed || err != nil {
			t.Errorf("same value: got %v, %v, want false", changed, err)
		}
		time.Sleep(2 * time.Second)
		value = "another-" + canary
		before := reads
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if changed, err := s.Renew(t.Context()); !changed || err != nil {
					t.Errorf("new value: got %v, %v, want true", changed, err)
				}
			})
		}
		wg.Wait()
		if got := reads - before; got != 1 {
			t.Errorf("50 renewals made %d reads, want 1", got)
		}
		time.Sleep(2 * time.Second)
		value = ""
		if changed, err := s.Renew(t.Context()); changed || !errors.Is(err, checks.ErrNoSecret) {
			t.Errorf("gone: got %v, %v, want ErrNoSecret", changed, err)
		}
	})
}

func TestWarningsAreGivenOnceAndHoldNoValue(t *testing.T) {
	var log bytes.Buffer
	value := canary + " "
	o := secret.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Getenv: func(k string) string {
		if k == "KEY" {
			return value
		}
		return ""
	}}
	s := newSecret(t, o, secret.Ref{Env: "KEY"})
	for range 3 {
		if _, err := s.Reveal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"taken from the environment", "white space"} {
		if got := strings.Count(log.String(), want); got != 1 {
			t.Errorf("%q is in the log %d times, want once: %s", want, got, &log)
		}
	}
	value = "short"
	if _, err := s.Reveal(t.Context()); err != nil || !strings.Contains(log.String(), "too short") {
		t.Errorf("a short value: %v, log %s", err, &log)
	}
	if strings.Contains(log.String(), canary) {
		t.Errorf("the value is in the log: %s", &log)
	}
}

func TestTheAgeOfAFileIsThatOfTheOneThatGaveTheValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	o := secret.Options{Getenv: func(string) string { return canary }}
	s := newSecret(t, o, file(path), secret.Ref{Env: "KEY"})
	if at, known := s.Changed(); known {
		t.Errorf("before the first reading: got %s", at)
	}
	if _, err := s.Reveal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, known := s.Changed(); known {
		t.Errorf("an environment variable: got %s", at)
	}
	for _, want := range []time.Time{time.Unix(1_760_000_000, 0), time.Unix(1_760_086_400, 0)} {
		write(t, path, canary, 0o600)
		if err := os.Chtimes(path, want, want); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Reveal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at, known := s.Changed(); !known || !at.Equal(want) {
			t.Errorf("got %s, %v, want %s", at, known, want)
		}
	}
}

// A credential's file is made when the unit starts: taken for the key's age, it would call every key young.
func TestTheAgeOfACredentialIsNotKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), canary, 0o400)
	s := newSecret(t, secret.Options{CredentialsDirectory: dir}, secret.Ref{Credential: "key"})
	if _, err := s.Reveal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, known := s.Changed(); known {
		t.Errorf("got %s", at)
	}
}
