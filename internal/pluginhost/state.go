package pluginhost

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

// The states of a plugin.
const (
	Stopped     = "stopped"     // nothing needs it
	Starting    = "starting"    // until it has said what it is
	Configuring = "configuring" // until its instances are made
	Ready       = "ready"
	Draining    = "draining"    // its calls come to an end
	Backoff     = "backoff"     // it failed, and is tried again soon
	Quarantined = "quarantined" // it failed too often, or is not what was locked
)

// The reasons of a restart.
const (
	ReasonCrash     = "crash"
	ReasonHealth    = "health"    // it did not answer
	ReasonDisk      = "disk"      // its own folder held too much
	ReasonAbandoned = "abandoned" // too many runs did not come back
	ReasonSecret    = "secret"    // one has changed, and the plugin wants a new process for it
	ReasonAsked     = "asked"     // by an operator, or its entry changed
	ReasonStart     = "start"     // it did not become ready
)

// Call is what calls are counted by.
type Call struct {
	Method string // "Run"
	Code   string // of gRPC: "OK", "DeadlineExceeded"
}

// State is where a plugin stands. Counts are of the host's life.
type State struct {
	Name, Version string
	State         string
	Path, SHA256  string
	Kinds         []string
	PID           int       // 0 where there is no process
	Since         time.Time // when it became ready
	RSS           int64     // bytes
	Instances     int
	Restarts      map[string]int64 // by reason
	Problem       string           // why it is not ready, and what is wrong with its instances; "" while all is well
	NextTry       time.Time        // of a plugin that failed; zero: none, before somebody restarts it or changes its entry
	LastExit      launch.Exit
	Abandoned     int   // runs that did not come back
	LogDropped    int64 // lines
	Guest         bool  // somebody else started it, in a debugger
	Faults        int64 // answers that broke the protocol
	Calls         map[Call]int64
}

// resident is how much memory a process has.
func resident(pid int) int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
