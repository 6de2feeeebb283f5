package sandbox

import (
	"fmt"
	"strings"
)

// Offer is what this kernel and this unit let the agent hold programs to.
type Offer struct {
	Landlock int    // the version of its interface; 0 is none
	Seccomp  bool   // system calls can be filtered
	Cgroup   string // the delegated cgroup; "" where there is none
	Why      string // there is none
}

// The versions of Landlock from which on it knows something that a Policy asks for.
const (
	landlockTruncate = 3 // Linux 6.2
	landlockTCP      = 4 // Linux 6.7
	landlockScopes   = 6 // Linux 6.12
)

// Missing says what programs cannot be held to, in sentences; none where everything is there.
func (o Offer) Missing() []string {
	var out []string
	switch {
	case o.Landlock == 0:
		out = append(out, "no Landlock (it comes with Linux 5.13, and the unit's SystemCallFilter must let landlock_create_ruleset, landlock_add_rule and landlock_restrict_self pass): programs can read and change what the agent's user can, signal the agent, and reach every port")
	case o.Landlock < landlockTruncate && !o.Seccomp:
		out = append(out, fmt.Sprintf("Landlock %d, want 3 (Linux 6.2): programs can empty files that they may not write", o.Landlock))
	}
	if o.Landlock > 0 && o.Landlock < landlockTCP {
		out = append(out, fmt.Sprintf("Landlock %d, want 4 (Linux 6.7): a list of ports binds nobody", o.Landlock))
	}
	if o.Landlock > 0 && o.Landlock < landlockScopes {
		out = append(out, fmt.Sprintf("Landlock %d, want 6 (Linux 6.12): programs can signal the agent and connect to abstract sockets", o.Landlock))
	}
	if !o.Seccomp {
		out = append(out, "no seccomp filter for this kernel or architecture: programs without network can use it, and all can change modes, owners and limits of what is the agent's user's")
	}
	if o.Cgroup == "" {
		out = append(out, "no cgroup of its own ("+o.Why+"): memory and processes of programs are bounded by the unit's only")
	}
	return out
}

// String is one line: "Landlock 7, seccomp, cgroup /sys/fs/cgroup/system.slice/windsock.service".
func (o Offer) String() string {
	parts := make([]string, 0, 3)
	if o.Landlock > 0 {
		parts = append(parts, fmt.Sprintf("Landlock %d", o.Landlock))
	} else {
		parts = append(parts, "no Landlock")
	}
	if o.Seccomp {
		parts = append(parts, "seccomp")
	} else {
		parts = append(parts, "no seccomp")
	}
	if o.Cgroup != "" {
		parts = append(parts, "cgroup "+o.Cgroup)
	} else {
		parts = append(parts, "no cgroup ("+o.Why+")")
	}
	return strings.Join(parts, ", ")
}
