package pluginhost

import (
	"context"
	"sync"
)

// limiter bounds the calls at the same time. The bound goes down where the plugin says that it has too much to do, and up
// again slowly.
type limiter struct {
	mu      sync.Mutex
	most    int             // guarded by mu
	now     int             // guarded by mu: the bound that holds, at least 1
	inside  int             // guarded by mu
	good    int             // guarded by mu: calls since the bound changed
	waiting []chan struct{} // guarded by mu: first come, first served
}

func (l *limiter) set(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.now, l.good = most, most, 0
	l.wake()
}

// enter waits for a place, until ctx ends.
func (l *limiter) enter(ctx context.Context) error {
	l.mu.Lock()
	if l.inside < l.now && len(l.waiting) == 0 {
		l.inside++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	l.inside-- // the turn came at this very moment
	l.wake()
	return ctx.Err()
}

// leave gives the place back. overloaded says that the plugin had too much to do.
func (l *limiter) leave(overloaded bool) {
	const patience = 16 // calls for each one that is allowed
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
	switch {
	case overloaded:
		l.now, l.good = max(1, l.now/2), 0
	case l.now < l.most:
		if l.good++; l.good >= patience*l.now {
			l.now++
			l.good = 0
		}
	}
	l.wake()
}

// wake lets in who waits; mu is held.
func (l *limiter) wake() {
	for l.inside < l.now && len(l.waiting) > 0 {
		l.inside++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}
