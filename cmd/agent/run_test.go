package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/secret"
)

// SIGTERM before the agent is up is no failure: a service manager would count it as one.
func TestStopDuringTheStartIsWell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "schedules.yaml")
	text := "providers: {mistral: {api_key: {env: KEY}}}\nchecks: [{name: models, kind: models, schedule: '@every 1m'}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	p := process{scrubber: secret.NewScrubber(), stderr: &stderr, stdout: &stderr, getenv: func(name string) string {
		return map[string]string{"STATE_DIRECTORY": filepath.Join(dir, "state")}[name]
	}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	cmd := newRun(p)
	cmd.SetContext(ctx)
	if err := run(cmd, p, path, false); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if !strings.Contains(stderr.String(), "stopped") {
		t.Errorf("the log says %q, want that it stopped", stderr.String())
	}
}
