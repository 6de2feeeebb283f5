package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// TestTheOldKeyIsShownToBeDenied types the commands of a rotation, as docs/runbook/key-rotation.md has them, against a provider that
// revokes the old key: the new one is accepted before, the old one is refused after, and no key is seen.
func TestTheOldKeyIsShownToBeDenied(t *testing.T) {
	const before, made = "old-key-canary-4711", "new-key-canary-0815"
	t.Chdir(t.TempDir())
	keys := map[string]bool{before: true, made: true}
	sim := simulator.New(simulator.Options{Keys: keys, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	provider := httptest.NewServer(sim.Handler())
	defer provider.Close()
	if err := os.WriteFile("key-of-the-application", []byte(before+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said, all bytes.Buffer
	out := io.MultiWriter(&said, &all)
	run := func(line string) int {
		line = strings.NewReplacer("PATH_OF_THE_KEY", "key-of-the-application", "https://api.mistral.ai", provider.URL).Replace(line)
		if words := strings.Fields(line); words[0] == "windsock" {
			return windsock(process{args: words[1:], stdin: strings.NewReader(""), stdout: out, stderr: out, getenv: func(string) string { return "" }})
		}
		sh := exec.CommandContext(t.Context(), "sh", "-c", line)
		sh.Stdin, sh.Stdout, sh.Stderr = strings.NewReader(made+" \r\n"), out, out
		if err := sh.Run(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		return 0
	}
	got := map[string]int{}
	for _, c := range (runbook.Setting{}).Rotation() {
		switch {
		case strings.HasPrefix(c.Line, "kubectl"), strings.Contains(c.Line, " gate "): // not of this test
		case strings.Contains(c.Line, "check old-key"):
			sim.Revoke(before)
			said.Reset()
			got["old key"] = run(c.Line)
		case strings.Contains(c.Line, "check new-key"):
			got["both keys, before the old one is revoked"] = run(c.Line)
		default:
			run(c.Line)
		}
	}
	want := map[string]int{"both keys, before the old one is revoked": exitWell, "old key": exitBadNews}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exit codes (-want +got):\n%s\n%s", diff, all.String())
	}
	if text := said.String(); !strings.Contains(text, "401") || !strings.Contains(text, "auth") {
		t.Errorf("no 401 and no auth in\n%s", text)
	}
	if strings.Contains(all.String(), "canary") {
		t.Errorf("a key was shown:\n%s", all.String())
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 1 {
		t.Errorf("%v: %d files are left, want the application's key alone", err, len(left))
	}
	if key, err := os.ReadFile("key-of-the-application"); err != nil || string(key) != made {
		t.Errorf("%v: the application has not the new key", err)
	}
}
