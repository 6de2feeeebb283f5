package agenttest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Peak is the most resident memory that a process has had, in bytes.
func (p *Process) Peak() (int64, error) { return p.memory("VmHWM:") }

// Resident is the process's resident memory, in bytes.
func (p *Process) Resident() (int64, error) { return p.memory("VmRSS:") }

func (p *Process) memory(key string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, fmt.Errorf("reading the process's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the process's memory: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("reading the process's memory: no %s", key)
}

// Slope is the least-squares slope of y over x; 0 where there is no line.
func Slope(x, y []float64) float64 {
	var sx, sy, sxx, sxy float64
	for i := range x {
		sx += x[i]
		sy += y[i]
		sxx += x[i] * x[i]
		sxy += x[i] * y[i]
	}
	n := float64(len(x))
	if spread := n*sxx - sx*sx; spread > 0 {
		return (n*sxy - sx*sy) / spread
	}
	return 0
}
