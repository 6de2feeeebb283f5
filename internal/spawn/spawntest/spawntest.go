// Package spawntest makes programs for tests, and looks for what they left behind. It is for tests only.
package spawntest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Dir is a folder that only the test's user can write, whatever the umask.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // others may look
			tb.Fatal(err)
		}
	}
	return dir
}

// Write writes an executable file and returns its path. No process is started meanwhile: it would keep the file open for
// writing, and what is open for writing cannot be executed.
func Write(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o600)
	syscall.ForkLock.RUnlock()
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // a program
		tb.Fatal(err)
	}
	return path
}

// Script writes a program for the shell.
func Script(tb testing.TB, dir, name, body string) string {
	tb.Helper()
	return Write(tb, dir, name, "#!/bin/sh\n"+body+"\n")
}

// Await waits until the file is there, and returns the numbers in it, one a line. The program renames it into place.
func Await(tb testing.TB, path string) []int {
	tb.Helper()
	for {
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		if err == nil {
			var out []int
			for field := range strings.FieldsSeq(string(data)) {
				n, err := strconv.Atoi(field)
				if err != nil {
					tb.Fatal(err)
				}
				out = append(out, n)
			}
			return out
		}
		if tb.Context().Err() != nil {
			tb.Fatalf("%s did not come", path)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Gone waits until no process runs that has one of the numbers, or is in the process group or the session of one. The
// test's own deadline ends the wait. One that has ended and is not collected yet is gone.
func Gone(tb testing.TB, pids ...int) {
	tb.Helper()
	until := time.Now().Add(time.Minute)
	for _, pid := range pids {
		for len(alive(tb, pid)) > 0 {
			if time.Now().After(until) {
				tb.Fatalf("of %d there are still the processes %v", pid, alive(tb, pid))
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

func alive(tb testing.TB, leader int) []string {
	tb.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		_, after, found := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after) // state, parent, group, session
		if err != nil || !found || len(fields) < 4 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		if of := strconv.Itoa(leader); e.Name() == of || fields[2] == of || fields[3] == of {
			out = append(out, e.Name()+" "+fields[0])
		}
	}
	return out
}

// Descriptors counts the descriptors of this process.
func Descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}
