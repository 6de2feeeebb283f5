package agent

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/status"
)

// process is what the agent itself takes from its host. What cannot be read is left at zero: a process without a free
// descriptor cannot count its descriptors.
func process() status.Process {
	p := status.Process{Goroutines: runtime.NumGoroutine()}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		p.CPU = (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds()
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			p.Memory = pages * int64(os.Getpagesize())
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.Files = len(open) - 1 // the directory itself was open
	}
	return p
}

func (s *snapshotting) process(p status.Process) {
	s.total("windsock.process.cpu.time", p.CPU, nil)
	s.gauge("windsock.process.goroutines", float64(p.Goroutines), nil)
	if p.Memory > 0 {
		s.gauge("windsock.process.memory.usage", float64(p.Memory), nil)
	}
	if p.Files > 0 {
		s.gauge("windsock.process.open_file_descriptors", float64(p.Files), nil)
	}
}
