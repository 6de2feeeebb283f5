package plugintest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// footprint is what a process takes.
type footprint struct {
	files, threads int
	memory         int64 // bytes that are resident
}

// measure reads the footprint of a process.
func measure(pid int) (footprint, error) {
	var f footprint
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return f, fmt.Errorf("counting descriptors: %w", err)
	}
	f.files = len(entries)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return f, fmt.Errorf("reading the memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "Threads":
			f.threads = int(n)
		case "VmRSS":
			f.memory = n << 10
		}
	}
	return f, nil
}

// exposed is what other processes can read of one: its arguments and its environment.
func exposed(pid int) map[string][]byte {
	out := map[string][]byte{}
	for what, name := range map[string]string{"its arguments": "cmdline", "its environment": "environ"} {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)); err == nil {
			out[what] = data
		}
	}
	return out
}

// isZombie reports whether a process has ended and is not reaped: in a container without an init nobody does.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}
