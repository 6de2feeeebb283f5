package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cpuTime is the CPU time of another process, user and system, to the nanosecond: clock_gettime(2) on the clock of its pid
// (clock_getcpuclockid(3) makes the number of the clock like this).
func cpuTime(pid int) time.Duration { return clockTime(int32(^pid)<<3 | 2) }

// cpuSplit is the user and system time of a process by /proc, in ticks of 10 ms.
func cpuSplit(pid int) (user, system time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the process's times: %w", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("reading the process's times: %d fields", len(fields))
	}
	ticks := func(s string) time.Duration {
		n, _ := strconv.ParseInt(s, 10, 64)
		return time.Duration(n) * 10 * time.Millisecond
	}
	return ticks(fields[11]), ticks(fields[12]), nil
}

// memory is what a process holds, in bytes.
type memory struct {
	Resident, Anonymous int64
	Peak                int64 // of Resident, since the process began
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("reading the process's memory: %w", err)
	}
	var m memory
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			m.Resident = n << 10
		case "RssAnon":
			m.Anonymous = n << 10
		case "VmHWM":
			m.Peak = n << 10
		}
	}
	return m, nil
}

// written is what a process had the disk write, in bytes, by /proc: what is written again before it reaches the disk counts once.
func written(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("reading what the process wrote: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, is := strings.CutPrefix(line, "write_bytes: "); is {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("reading what the process wrote: no write_bytes in /proc")
}

// spread is the middle and the ends of many durations.
type spread struct {
	N             int
	P50, P99, Max time.Duration
}

func spreadOf(all []time.Duration) spread {
	slices.Sort(all)
	return spread{N: len(all), P50: quantile(all, 0.5), P99: quantile(all, 0.99), Max: quantile(all, 1)}
}

// quantile is of a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// median is of an unsorted list.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}
