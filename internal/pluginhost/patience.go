package pluginhost

import (
	"slices"
	"time"
)

const (
	maxCrashes    = 5 // in Times.CrashWindow
	maxHandshakes = 3 // in a row
)

// failure is a way not to be ready.
type failure uint8

const (
	absent    failure = iota // its file cannot be run: nothing was started
	unfit                    // it was started, and did not become ready
	crashed                  // it was ready, and ended by itself or was ended because it did not answer
	different                // it is not what was locked
)

// patience decides when a plugin that failed is tried again. It is pure: the caller tells the time, and keeps calls apart.
type patience struct {
	times      Times
	tries      int         // failures since it was steady
	handshakes int         // of them in a row that were unfit
	crashes    []time.Time // in the window
	halfOpen   bool        // the last attempt was one of quarantine
}

// verdict is what becomes of a plugin that failed.
type verdict struct {
	quarantined bool
	never       bool          // it is not tried again by itself
	wait        time.Duration // before the next attempt: any time up to it in backoff, exactly it in quarantine
}

// failed takes note of a failure after the plugin was ready for a time.
func (p *patience) failed(how failure, now time.Time, ready time.Duration) verdict {
	if ready >= p.times.Steady {
		p.tries, p.handshakes, p.halfOpen = 0, 0, false
	}
	p.tries++
	switch how {
	case different:
		return verdict{quarantined: true, never: true}
	case unfit:
		p.handshakes++
	case crashed:
		p.handshakes = 0
		p.crashes = append(p.crashes, now)
	case absent:
	}
	p.crashes = slices.DeleteFunc(p.crashes, func(at time.Time) bool { return now.Sub(at) > p.times.CrashWindow })
	if p.halfOpen || how != absent && (p.handshakes >= maxHandshakes || len(p.crashes) >= maxCrashes) {
		p.halfOpen = true
		return verdict{quarantined: true, wait: p.times.HalfOpen}
	}
	wait := p.times.Backoff
	for range min(p.tries, 20) - 1 {
		wait = min(2*wait, p.times.MaxBackoff)
	}
	return verdict{wait: wait}
}

// forget makes it a plugin that never failed.
func (p *patience) forget() { *p = patience{times: p.times} }
