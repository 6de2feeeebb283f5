package launch

import (
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// Exit is how a process ended.
type Exit struct {
	At     time.Time
	Code   int      // exit status; -1 where a signal ended it
	Signal string   // as "killed"; "" where it exited
	Killed bool     // by the agent
	Memory bool     // it had used up its memory
	Panic  string   // the first line of a panic, of those that are kept
	Shim   string   // why it could not be started, where that is so
	Stderr []string // the last lines
}

// String is one line for a person.
func (e Exit) String() string {
	how := fmt.Sprintf("exit status %d", e.Code)
	switch {
	case e.At.IsZero():
		return "running"
	case e.Shim != "":
		return e.Shim
	case e.Memory:
		how = "killed, because it had used up its memory"
	case e.Signal != "":
		how = "signal: " + e.Signal
	}
	if e.Panic != "" {
		how += ": " + e.Panic
	}
	return how
}

// exit reads how the process ended; the zero Exit where it has not, or never was.
func (r *plugged) exit() Exit {
	child := r.current()
	if child == nil {
		return Exit{}
	}
	select {
	case <-child.done:
	default:
		return Exit{}
	}
	<-r.err.done
	text := r.program.Scrub(r.err.ring.text())
	code, signal := child.ending()
	r.mu.Lock()
	e := Exit{At: child.at, Code: code, Signal: signal, Killed: r.forced, Memory: r.oom && signal != ""}
	r.mu.Unlock()
	// Again, because making the lines printable joins what control characters kept apart.
	e.Panic = r.program.Scrub(panicOf(text))
	e.Stderr = lines(text, tailLines)
	for i, line := range e.Stderr {
		e.Stderr[i] = r.program.Scrub(line)
	}
	if !r.program.Unsandboxed && code > 0 {
		if sentence, ours := sandbox.Explain(code, text); ours {
			e.Shim = sentence
		}
	}
	return e
}

// panicOf is the line with which a program in Go begins its last words.
func panicOf(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return clip(strings.TrimSpace(line), maxQuoted)
		}
	}
	return ""
}
