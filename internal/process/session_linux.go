package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ending is how long a session is being ended: what it holds may fork while it is killed.
const ending = 2 * time.Second

// Session is a session that the agent began with a program that cannot leave it (sandbox.Policy.Session). What it is called
// by is nobody else's while a process is in it.
type Session struct {
	Leader int    `json:"leader"`
	Boot   string `json:"boot"`  // the id of the kernel's boot
	Began  string `json:"began"` // when the leader did, in the kernel's ticks
}

// SessionOf describes the session of a leader that was not reaped yet.
func SessionOf(leader int) (Session, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Session{}, fmt.Errorf("reading the id of this boot: %w", err)
	}
	began := beginning(leader)
	if began == "" {
		return Session{}, fmt.Errorf("process %d cannot be looked at", leader)
	}
	return Session{leader, strings.TrimSpace(string(boot)), began}, nil
}

// EndSession kills every process of the session but its leader, who was not reaped yet, until there is none or two seconds
// are over. It returns how many there were, and whether none is left. They have ended when it returns.
func EndSession(leader int) (killed int, all bool) {
	return endAll(func(pid int) bool { return pid != leader && in(pid, leader) })
}

// EndLeft is EndSession, with the leader, for a session that an agent before has begun and could not end. It spares everybody
// where the session cannot be the same any more, and every process that is not our user's, or that no agent confined.
func (s Session) EndLeft() (killed int, all bool) {
	now, err := SessionOf(os.Getpid())
	own, _ := unix.Getsid(0)
	if err != nil || now.Boot != s.Boot || s.Leader == own {
		return 0, true
	}
	if began := beginning(s.Leader); began != "" && began != s.Began {
		return 0, true // the number has become another's
	}
	return endAll(func(pid int) bool { return in(pid, s.Leader) && confined(pid) })
}

func endAll(meant func(pid int) bool) (killed int, all bool) {
	for until := time.Now().Add(ending); ; {
		n := end(meant) + chase(meant)
		killed += n
		if n == 0 || time.Now().After(until) {
			return killed, n == 0
		}
	}
}

// chase kills, for some milliseconds, what is meant of the processes that came last, and returns how many that were. A program
// that forks and ends, again and again, is gone before a list of all processes has come to it.
func chase(meant func(pid int) bool) (killed int) {
	const rounds, before, ahead = 200, 4, 16 // a round takes about 20 µs; a process lives longer that forks
	for range rounds {
		last := lastPID()
		for pid := max(last-before, 2); pid < last+ahead; pid++ {
			if fd, hit := strike(pid, meant); hit {
				_ = unix.Close(fd)
				killed++
			}
		}
	}
	return killed
}

// in reports whether a process is in the session. One that has ended is, until it is reaped.
func in(pid, session int) bool {
	got, err := unix.Getsid(pid)
	return err == nil && got == session
}

// beginning is when a process began; "" where there is none.
func beginning(pid int) string {
	const at = 22 - 3 // of proc(5); what follows the name begins with the third
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name may hold anything
	if err != nil || len(fields) <= at {
		return ""
	}
	return fields[at]
}

// confined reports whether a process is our user's, filtered, and without a way to rights: as the shim leaves a program.
func confined(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	want := map[string]string{"Uid:": strconv.Itoa(os.Getuid()), "NoNewPrivs:": "1", "Seccomp:": "2"}
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		if len(words) > 1 && want[words[0]] == words[1] {
			delete(want, words[0])
		}
	}
	return len(want) == 0
}
