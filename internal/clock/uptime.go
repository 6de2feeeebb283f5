package clock

import "time"

// Uptime is the clock that begins with the host, counts its sleep, and is never set. In a bubble of testing/synctest it
// goes with the bubble's time.
type Uptime struct {
	base       time.Time
	up, asleep time.Duration
}

// NewUptime reads where the clock stands.
func NewUptime() Uptime { return Uptime{base: time.Now(), up: SinceBoot(), asleep: Suspended()} }

// At is the clock's reading at a moment that time.Now returned; zero where nobody knows when the host was booted.
func (u Uptime) At(now time.Time) time.Duration {
	if u.up == 0 {
		return 0
	}
	return u.up + now.Sub(u.base) + Suspended() - u.asleep
}
