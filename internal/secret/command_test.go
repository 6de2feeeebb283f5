//go:build linux

package secret_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// script writes a program and returns the command that runs it.
func script(t *testing.T, body string, args ...string) secret.Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	write(t, path, "#!/bin/sh\n"+body+"\n", 0o700)
	return secret.Ref{Command: append([]string{path}, args...)}
}

func TestNamedPipeDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, newSecret(t, secret.Options{}, file(path)), "not a regular file")
}

func TestGroupReadableFileIsUsedWithAWarning(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give a file to a group that it is not in
	}
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, canary, 0o640)
	if err := os.Chown(path, 0, 54321); err != nil {
		t.Fatal(err)
	}
	s := newSecret(t, secret.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, file(path))
	if got, err := s.Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("got %q, %v, want the value", got, err)
	}
	if !strings.Contains(log.String(), "a group that is not the agent's") {
		t.Errorf("got log %q, want the warning", &log)
	}
}

func TestCommand(t *testing.T) {
	t.Run("its output is the value, and is kept", func(t *testing.T) {
		count := filepath.Join(t.TempDir(), "count")
		s := newSecret(t, secret.Options{}, script(t, `echo run >> "$1"; echo `+canary, count))
		for range 3 {
			if got, err := s.Reveal(t.Context()); got != canary || err != nil {
				t.Fatalf("got %q, %v, want the value", got, err)
			}
		}
		if changed, err := s.Renew(t.Context()); changed || err != nil {
			t.Errorf("got %v, %v, want no change", changed, err)
		}
		if got, err := os.ReadFile(count); string(got) != "run\nrun\n" || err != nil {
			t.Errorf("got %q, %v, want two runs", got, err)
		}
	})
	t.Run("its environment is clean", func(t *testing.T) {
		t.Setenv("WINDSOCK_TEST_LEAK", canary)
		getenv := func(k string) string { return map[string]string{"HOME": "/home/agent", "OTHER": canary}[k] }
		s := newSecret(t, secret.Options{Getenv: getenv}, secret.Ref{Command: []string{"/usr/bin/env"}})
		got, err := s.Reveal(t.Context())
		if err != nil || strings.Contains(got, canary) || !strings.Contains(got, "HOME=/home/agent") {
			t.Errorf("got %q, %v, want PATH, LANG and HOME only", got, err)
		}
	})
	t.Run("there is no shell", func(t *testing.T) {
		s := newSecret(t, secret.Options{}, secret.Ref{Command: []string{"/bin/echo", "$HOME;", "id"}})
		if got, err := s.Reveal(t.Context()); got != "$HOME; id" || err != nil {
			t.Errorf("got %q, %v, want the words as they are", got, err)
		}
	})
}

func TestCommandsThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		ref  secret.Ref
		want string
	}{
		"exit 1, and the key on standard error":  {script(t, "echo "+canary+" >&2; exit 1"), "exit status 1"},
		"exit 1, and the key on standard output": {script(t, "echo "+canary+"; exit 1"), "exit status 1"},
		"nothing":                                {script(t, "exit 0"), "empty"},
		"a flood":                                {script(t, "exec yes "+canary), "more than 65536 bytes"},
		"a signal":                               {script(t, "kill -9 $$"), "ended by a signal"},
		"binary":                                 {script(t, `printf '\377\376'`), "not text"},
		"no such program":                        {secret.Ref{Command: []string{"/nonexistent/program"}}, "absent"},
		"not a program":                          {secret.Ref{Command: []string{"/etc/passwd"}}, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, newSecret(t, secret.Options{}, tt.ref), tt.want) })
	}
}

func TestCommandThatFailedIsNotStartedAgainAtOnce(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	s := newSecret(t, secret.Options{}, script(t, `echo run >> "$1"; exit 3`, count))
	for range 5 {
		refused(t, s, "exit status 3")
	}
	if got, err := os.ReadFile(count); string(got) != "run\n" || err != nil {
		t.Errorf("got %q, %v, want one run", got, err)
	}
}

// The program hangs with a child of its own; both are gone when the caller's time is up.
func TestCommandThatHangsDiesWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	s := newSecret(t, secret.Options{}, script(t, `sleep 300 & echo $! > "$1.new"; echo $$ >> "$1.new"; mv "$1.new" "$1"; wait`, pids))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if _, err := os.Stat(pids); err == nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if value, err := s.Reveal(ctx); value != "" || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %q, %v, want context.Canceled", value, err)
	}
	data, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		for alive(pid) {
			if t.Context().Err() != nil {
				t.Fatalf("process %d lives", pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// alive reports whether the process runs; one that only waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// A program that ends but leaves a child with the pipe open gives its value and holds nobody up.
func TestCommandThatLeavesAChildBehind(t *testing.T) {
	s := newSecret(t, secret.Options{}, script(t, "sleep 300 & echo "+canary))
	if got, err := s.Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("got %q, %v, want the value", got, err)
	}
}

func TestWaitingForAReaderEndsWithTheContext(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	s := newSecret(t, secret.Options{}, script(t, `: > "$1"; exec sleep 300`, started))
	first, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Reveal(first); done <- err }()
	for {
		if _, err := os.Stat(started); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	second, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Reveal(second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline of the second reader", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, checks.ErrNoSecret) {
		t.Errorf("got %v, want context.Canceled and nothing said about the secret", err)
	}
}
