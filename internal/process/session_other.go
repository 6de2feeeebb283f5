//go:build !linux

package process

// Session is a session of Linux; elsewhere, where the agent is tried out, nothing is looked for.
type Session struct {
	Leader int    `json:"leader"`
	Boot   string `json:"boot"`
	Began  string `json:"began"`
}

// SessionOf knows nothing but the leader.
func SessionOf(leader int) (Session, error) { return Session{Leader: leader}, nil }

// EndSession ends nothing.
func EndSession(int) (killed int, all bool) { return 0, true }

// EndLeft ends nothing.
func (Session) EndLeft() (killed int, all bool) { return 0, true }

// Sweep ends nothing.
func Sweep(string, int) int { return 0 }
