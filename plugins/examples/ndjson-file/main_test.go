package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/windsock-monitor/windsock/plugins/plugintest"
)

// The plugin is built as its author would, and asked as the agent does.
func TestThePluginConforms(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ndjson")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, said)
	}
	plugintest.Conform(t, path, "conformance.json")
}
