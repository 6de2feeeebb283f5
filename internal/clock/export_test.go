package clock

import "time"

// Stepped is s as a process has it that began while the wall clock was by so much ahead of now's.
func Stepped(s *Steady, by time.Duration) *Steady {
	out := *s
	out.base = s.base.Add(by)
	return &out
}
