//go:build unix

package scan_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/scan"
)

// read is what a log's visit sees.
func read(t *testing.T, s scan.Source, since time.Time) ([]string, error) {
	t.Helper()
	var all []string
	err := scan.Log(t.Context(), s, since, func(line []byte) error {
		all = append(all, string(line))
		return nil
	})
	return all, err
}

func logFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLogOfAFile(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 28, 12, 0, 0, 500, time.UTC)
	long := strings.Repeat("x", scan.LogLine+1000)
	for name, tt := range map[string]struct {
		text  string
		bytes int64
		since time.Time
		want  []string
	}{
		"empty":                    {"", 0, noon, nil},
		"no end of the last line":  {"a\nb", 0, time.Time{}, []string{"a", "b"}},
		"Windows, and empty lines": {"a\r\n\r\nb\r\n", 0, time.Time{}, []string{"a", "", "b"}},
		"hostile bytes":            {"a\x00\xff\x1b[31m\nb", 0, time.Time{}, []string{"a\x00\xff\x1b[31m", "b"}},
		"the end, from a line on":  {"first\nsecond\nthird\n", 14, time.Time{}, []string{"second", "third"}},
		"the end, within a line":   {"first\nsecond\nthird\n", 12, time.Time{}, []string{"third"}},
		"the end of one line":      {"first, which is long", 4, time.Time{}, nil},
		"a long line":              {long + "\nb\n", 0, time.Time{}, []string{long[:scan.LogLine], strings.Repeat("x", 4096+1000), "b"}},
		"younger ones": {
			"no time\n2026-11-28T11:59:59Z old\n  of the old\n{\"time\":\"2026-11-28T13:00:00.25+01:00\"} new\n  of the new\n2026-11-28 11:00:00,123+0000 old", 0, noon,
			[]string{"no time", `{"time":"2026-11-28T13:00:00.25+01:00"} new`, "  of the new"},
		},
		"without a zone it is no time": {"2026-11-28 11:00:00 a", 0, noon, []string{"2026-11-28 11:00:00 a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, scan.Source{File: logFile(t, tt.text), Bytes: tt.bytes}, tt.since)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %.200q, %v, want %.200q", got, err, tt.want)
			}
		})
	}
}

func TestLogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		source scan.Source
		want   string
	}{
		"nothing":         {scan.Source{}, "one of them"},
		"two":             {scan.Source{File: pipe, Unit: "a"}, "one of them"},
		"no file":         {scan.Source{File: filepath.Join(dir, "none")}, "no such file"},
		"a directory":     {scan.Source{File: dir}, "no regular file"},
		"a pipe":          {scan.Source{File: pipe}, "no regular file"},
		"an option":       {scan.Source{Unit: "--root=/"}, "no name of a unit"},
		"a pattern":       {scan.Source{Unit: "*"}, "no name of a unit"},
		"no journalctl":   {scan.Source{Unit: "a", Journalctl: filepath.Join(dir, "none")}, "no such file"},
		"no absolute one": {scan.Source{Command: []string{"cat"}}, "absolute path"},
		"exit status":     {scan.Source{Command: []string{"/bin/sh", "-c", "echo a; exit 7"}}, "exit status 7"},
		"a flood":         {scan.Source{Command: []string{"/bin/sh", "-c", "while :; do echo aaaaaaaaaaaaaaaa; done"}, Bytes: 1000}, "more than 1000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(t, tt.source, time.Time{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLogOfAProgram(t *testing.T) {
	t.Parallel()
	got, err := read(t, scan.Source{Command: []string{"/bin/sh", "-c", `echo "$HOME $GIVEN"; echo b >&2`}, Env: []string{"GIVEN=given"}}, time.Time{})
	if err != nil || !slices.Equal(got, []string{" given"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLogOfAUnit(t *testing.T) {
	t.Parallel()
	journalctl := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(journalctl, []byte("#!/bin/sh\nfor word; do echo \"$word\"; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := read(t, scan.Source{Unit: "orders@1.service", Journalctl: journalctl}, time.Unix(1_790_000_000, 0))
	want := []string{"--unit=orders@1.service", "--no-pager", "--quiet", "--all", "--output=cat", "--lines=100000", "--since=@1790000000"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestLogEndsWithItsVisitor(t *testing.T) {
	t.Parallel()
	path := logFile(t, strings.Repeat("line\n", 1000))
	enough := errors.New("enough")
	n := 0
	if err := scan.Log(t.Context(), scan.Source{File: path}, time.Time{}, func([]byte) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("got %v after %d lines, want the visitor's word after one", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	err := scan.Log(ctx, scan.Source{File: path}, time.Time{}, func([]byte) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("got %v after %d lines, want the context's end after one", err, n)
	}
	began := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = scan.Log(ctx, scan.Source{Command: []string{"/bin/sleep", "60"}}, time.Time{}, func([]byte) error { return nil })
	if err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("got %v after %s, want an end", err, time.Since(began))
	}
}
