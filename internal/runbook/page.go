package runbook

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Branch is an end of the decision tree, and the name of its page: docs/runbook/<branch>.md.
type Branch string

// The branches.
const (
	Key           Branch = "auth-failure"  // 401: the key was refused
	Forbidden     Branch = "forbidden"     // 403: the key is good, the model is not allowed
	Payment       Branch = "payment"       // 402
	NoAllowance   Branch = "no-allowance"  // 429 for ever: the plan allows no requests
	RateLimited   Branch = "rate-limited"  // 429
	Capacity      Branch = "capacity"      // the provider is full
	Server        Branch = "server-errors" // 5xx
	Timeout       Branch = "timeout"       // connected, and no answer in time; slow answers
	BadAnswer     Branch = "bad-answer"    // streams that stall or end early, empty, malformed and wrong answers
	ModelGone     Branch = "model-gone"    // retired, not found
	BadRequest    Branch = "bad-request"   // 400, 422
	Configuration Branch = "configuration" // ours: the file, a key that is absent
	LocalNetwork  Branch = "local-network" // a reference host fails too
	DNS           Branch = "dns"
	Connect       Branch = "connect"
	Proxy         Branch = "proxy"
	TLS           Branch = "tls"
	Application   Branch = "application" // the provider is well, the application is not
	Cost          Branch = "cost"        // what is spent, or a budget that stopped us
	Nobody        Branch = "nobody"      // everything that was looked at is well
	CannotTell    Branch = "cannot-tell" // too little could be looked at
)

// Page is what to do at one end of the tree. Branch.Page fills it in.
type Page struct {
	Branch   Branch
	Title    string          // "The key was refused"
	Means    string          // one or two sentences: what is known, and what it means for users
	Blame    checks.Blame    // whose fault it is as a rule
	Severity checks.Severity // what it is as a rule when users are concerned
	// Actions are the next three, in order. None of them changes anything by itself.
	Actions     []Action
	Mitigations []Mitigation // temporary ones, the least invasive first
	Commands    []Command    // more that is of use
	Escalate    string       // to whom and when, one sentence
	Over        string       // when it is over, one sentence
	Items       []string     // action items that a postmortem begins with
	Related     []string     // rules of alerts whose page this is
}

// Action is one thing to do. Command is a line for a shell, "" where there is none.
type Action struct{ Text, Command string }

// Command is a line for a shell, printed and never run. Changes says that it changes something.
type Command struct {
	What, Line string
	Changes    bool
}

// Mitigation is a temporary change. It always has a way back and an end.
type Mitigation struct {
	What    string
	Command string        // "" where it is done in the application
	Revert  string        // the command, or the words, that take it back
	Expires time.Duration // after which it must be looked at again
}
