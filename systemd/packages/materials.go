package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// materials writes the bill of materials of a binary, in CycloneDX 1.6, from the build information in the binary: every module
// that is linked, with its checksum and the licences that were found in it. arch is what it was built for: the tool would
// name the machine that it runs on.
func (r *release) materials(ctx context.Context, binary, arch, target string) error {
	gomod, err := r.tool(ctx, "cyclonedx-gomod")
	if err != nil {
		return err
	}
	raw := target + ".raw"
	defer os.Remove(raw)                                                                                                               //nolint:errcheck // the tool's own form
	cmd := exec.CommandContext(ctx, gomod, "bin", "-json", "-output-version", "1.6", "-licenses", "-std", "-noserial", "-notimestamp", //nolint:gosec // a tool of ours
		"-version", "v"+r.version, "-output", raw, binary)
	cmd.Env = append(slices.Clone(r.environ), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOOS=linux", "GOARCH="+arch) // all is in the module cache: it was just linked
	if _, err := output(cmd); err != nil {
		return err
	}
	data, err := os.ReadFile(raw) //nolint:gosec // as above
	if err != nil {
		return err
	}
	var bill map[string]any
	if err := json.Unmarshal(data, &bill); err != nil {
		return fmt.Errorf("the bill of materials: %w", err)
	}
	metadata, ok := bill["metadata"].(map[string]any)
	if !ok {
		return errors.New("the bill of materials has no metadata")
	}
	metadata["timestamp"] = r.date.Format(time.RFC3339)
	tools, _ := metadata["tools"].([]any)
	for _, tool := range tools {
		if tool, ok := tool.(map[string]any); ok {
			delete(tool, "hashes") // of the tool's file, which is another one where another compiler built it
		}
	}
	data, err = json.MarshalIndent(bill, "", "  ")
	if err != nil {
		return err
	}
	return write(target, append(data, '\n'), 0o644, r.date)
}
