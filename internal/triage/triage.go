// Package triage is the runbook's decision tree: the steps in the order in which they are told, and what follows from what
// was found at each. It is pure: it looks at nothing itself, has no clock, and runs no command.
package triage

import (
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// Verdict is what came of one step.
type Verdict string

// The verdicts.
const (
	OK       Verdict = "ok"
	Degraded Verdict = "degraded" // it works, but slowly, not for long, or not as announced
	Wrong    Verdict = "wrong"
	Unknown  Verdict = "unknown" // it was asked, and nobody can tell
	Skipped  Verdict = "skipped" // it was not asked; Detail says why
)

// Name is a step of the tree.
type Name string

// The steps.
const (
	Configuration Name = "configuration"
	Key           Name = "key"
	OwnNetwork    Name = "own_network"
	DNS           Name = "dns"
	Connect       Name = "connect"
	Proxy         Name = "proxy"
	TLS           Name = "tls"
	ModelsList    Name = "models_list"
	Ping          Name = "ping"
	StatusPage    Name = "status_page"
	AppHealth     Name = "app_health"
	AppSmoke      Name = "app_smoke"
	ErrorRate     Name = "error_rate"
	AppLog        Name = "app_log"
	Alerts        Name = "alerts"
	Breaker       Name = "breaker"
	Spend         Name = "spend"
	Headroom      Name = "headroom"
	Retirements   Name = "retirements"
)

// Names are the steps in the order of the path.
func Names() []Name {
	return []Name{
		Configuration, Key, OwnNetwork, DNS, Connect, Proxy, TLS, ModelsList, Ping, StatusPage, AppHealth, AppSmoke, ErrorRate, AppLog,
		Alerts, Breaker, Spend, Headroom, Retirements,
	}
}

// Step is one step of the path: what was looked at, and what came of it. No text holds a key, a prompt or an answer.
type Step struct {
	Name     Name         `json:"name"`
	LookedAt string       `json:"looked_at,omitempty"` // a file, an address, a check
	Verdict  Verdict      `json:"verdict"`
	Cause    checks.Cause `json:"cause,omitempty"`
	Blame    checks.Blame `json:"blame,omitempty"`
	Detail   string       `json:"detail"`          // one line
	Notes    []string     `json:"notes,omitempty"` // what was seen on the way
	Took     float64      `json:"took,omitempty"`  // seconds
	// Missed says of a step without a verdict that it was asked for: nobody may take it for good.
	Missed bool `json:"-"`
}

// Alert is one that fires in the running agent.
type Alert struct {
	Rule     string
	Severity checks.Severity
	Blame    checks.Blame
	Cause    checks.Cause // "" where nobody told
	Traffic  bool         // it is about the application's own traffic, not about our probes
	Summary  string
}

// Walk is the whole path.
type Walk struct {
	Steps       []Step  // in the order of Names; a step that is missing was skipped
	Alerts      []Alert // that fire and are not muted, the most severe first
	Free        bool    // the paid ping was left out by who asked
	Interrupted bool    // it was stopped before its end
}

// Step is the step of a name; one that was not made is skipped.
func (w *Walk) Step(name Name) Step {
	if at := slices.IndexFunc(w.Steps, func(s Step) bool { return s.Name == name }); at >= 0 {
		return w.Steps[at]
	}
	return Step{Name: name, Verdict: Skipped}
}

// Class says where the fault is, in one word.
type Class string

// The classes. What is wrong with the team's own application, host or configuration is Ours.
const (
	Ours       Class = "ours"
	Account    Class = "account"
	Network    Class = "network"
	Provider   Class = "provider"
	Nobody     Class = "nobody"
	CannotTell Class = "cannot_tell"
)

// ClassOf is the class of a blame.
func ClassOf(blame checks.Blame) Class {
	switch blame {
	case checks.BlameAccount:
		return Account
	case checks.BlameNetwork, checks.BlameLocal:
		return Network
	case checks.BlameProvider:
		return Provider
	case checks.BlameOurs, checks.BlameConfig, checks.BlameApplication:
		return Ours
	case checks.BlameNone, checks.BlameSkipped:
		return CannotTell
	}
	return CannotTell
}

// Conclusion is what follows.
type Conclusion struct {
	Class    Class
	Cause    checks.Cause // "" where nothing is wrong, or nobody can tell
	Blame    checks.Blame
	Branch   runbook.Branch
	Severity checks.Severity // "" where nothing is wrong
	Why      string          // one sentence
	Signals  Signals
	Also     []string // what else was found, each with its step
}
