package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/status"
)

const (
	firstTurns   = 5 * time.Second  // how long READY waits for loops that do not turn
	startingTold = 10 * time.Second // between two words about a start that takes long
	startingMost = 15 * time.Minute // after which systemd's own limit ends it
)

// loop is one of the agent's loops that must turn for the agent to be alive.
type loop struct {
	name   string
	ask    func()           // to turn
	turned func() time.Time // last
}

// loops are the scheduler's, and one for each exporter. Whether a backend answers is not asked: a loop that waits for one
// turns.
func (a *Agent) loops() []loop {
	a.mu.Lock()
	deliveries := a.gen.deliveries
	a.mu.Unlock()
	out := []loop{{"the scheduler", a.scheduler.Ask, func() time.Time { return a.scheduler.Stats().LastTick }}}
	for _, d := range deliveries {
		out = append(out, loop{"the delivery to " + d.name, d.worker.Ask, d.worker.Turned})
	}
	return out
}

// feeding is what the agent's own loop knows of the watchdog.
type feeding struct {
	asked   time.Time // when every loop was asked to turn
	starved bool      // one of them did not, and that was logged
}

// stuck is the first loop that has not turned since all were asked to, nil where all have.
func (f *feeding) stuck(loops []loop) *loop {
	i := slices.IndexFunc(loops, func(l loop) bool { return l.turned().Before(f.asked) })
	if i < 0 {
		return nil
	}
	return &loops[i]
}

// feed tells the service manager's watchdog that every loop has turned since it was fed before. Where one has not, nothing
// is said, and the service manager ends the process when it has heard nothing for its period.
func (a *Agent) feed(f *feeding) {
	now, loops := time.Now(), a.loops()
	if l := f.stuck(loops); l != nil {
		if !f.starved {
			a.o.Log.Error("the watchdog is not fed, so that the service manager starts the agent anew: a part of it does not turn", "stuck", l.name, "since", l.turned())
		}
		f.starved = true
		return
	}
	a.o.Notify.Watchdog()
	f.asked, f.starved = now, false
	for _, l := range loops {
		l.ask()
	}
}

// ticks is a ticker that rings only where somebody listens to the service manager.
func (a *Agent) ticks(every time.Duration) *time.Ticker {
	if a.o.Notify != nil && every > 0 {
		return time.NewTicker(every)
	}
	idle := time.NewTicker(time.Hour)
	idle.Stop()
	return idle
}

// tell tells the service manager, where there is one.
func (a *Agent) tell(turn Turn, line string) {
	if a.o.Notify != nil {
		a.o.Notify.Tell(turn, a.o.Config.Scrubber.String(line))
	}
}

// sayStarting tells the service manager that the start goes on, with more time for it, until the function that comes back
// is called. What takes long is the store, which reads a large database through after an end that was not clean.
func (a *Agent) sayStarting(dir string) (end func()) {
	if a.o.Notify == nil {
		return func() {}
	}
	what := "starting: opening the store " + dir
	if info, err := os.Stat(filepath.Join(dir, "windsock.db")); err == nil {
		what += fmt.Sprintf(" (%d MiB)", info.Size()>>20)
	}
	a.tell(Starting, what)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		again := time.NewTicker(startingTold)
		defer again.Stop()
		for range int(startingMost / startingTold) {
			select {
			case <-over:
				return
			case <-again.C:
				a.tell(Starting, fmt.Sprintf("%s, for %s now; after an end that was not clean it is read through", what, time.Since(a.started).Round(time.Second)))
			}
		}
	}()
	return func() { close(over); <-done }
}

// awaitLoops waits until the schedule has begun and every exporter was opened, or the first attempt failed.
func (a *Agent) awaitLoops(ctx context.Context) {
	a.mu.Lock()
	deliveries := a.gen.deliveries
	a.mu.Unlock()
	begun := func() bool {
		opening := slices.ContainsFunc(deliveries, func(d *delivering) bool {
			s := d.worker.Status()
			return !s.Open && s.Failures == 0
		})
		return !opening && !a.scheduler.Stats().LastTick.IsZero()
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for until := time.Now().Add(firstTurns); !begun() && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// backlog is what exporters have not sent, " (collector 120 records)", "" where nothing is left or nobody knows.
func (a *Agent) backlog(ctx context.Context) string {
	states, err := a.deliveryStates(ctx, time.Now())
	if err != nil {
		return ""
	}
	states = slices.DeleteFunc(states, func(e status.Exporter) bool { return e.Queue == 0 })
	var left []string
	for i := range states[:min(len(states), mostNamed+1)] {
		left = append(left, fmt.Sprintf("%s %d records", states[i].Name, states[i].Queue))
	}
	if len(left) == 0 {
		return ""
	}
	return " (" + strings.Join(left, ", ") + ")"
}
