package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTheLastWordsGoToStandardError, with a priority for the journal: it forgets the unit of a sender that has ended.
func TestTheLastWordsGoToStandardError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "schedules.yaml")
	if err := os.WriteFile(path, []byte("exporterz: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(stderr.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	code := windsock(process{args: []string{"run", "--config", path}, stdout: stderr, stderr: stderr, getenv: func(name string) string {
		return map[string]string{"JOURNAL_STREAM": fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)}[name]
	}})
	if code != exitConfig {
		t.Errorf("exit code %d, want %d", code, exitConfig)
	}
	text, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if !strings.HasPrefix(lines[0], "<3>windsock: "+path+":1:1: ") || strings.Count(string(text), "<3>") != 1 {
		t.Errorf("standard error has %q, want one error, with the place", lines)
	}
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, "<6>") {
			t.Errorf("%q has no priority", line)
		}
	}
}
