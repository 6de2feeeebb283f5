package agent

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/status"
)

// SpendSteps are the steps that the spend of the last hour crosses, look by look; 0 where it crosses none.
func SpendSteps(looks ...float64) []float64 {
	var watch hourSpend
	var out []float64
	for _, usd := range looks {
		step, above := watch.crosses(usd)
		if !above {
			step = 0
		}
		out = append(out, step)
	}
	return out
}

// Stalled is why an exporter's records do not move, "" where they do.
func Stalled(e *status.Exporter) string { return stalled(e) }

// CutMeasurements is what of a snapshot's measurements goes into its record, and how many do not.
func CutMeasurements(all []checks.Measurement) ([]checks.Measurement, int) {
	s := &snapshotting{out: all}
	over := s.cut()
	return s.out, over
}

// StateDirAmong is StateDir on a host that has these directories only.
func StateDirAmong(cfg *config.Config, getenv func(string) string, dirs ...string) (string, error) {
	return stateDir(cfg, getenv, func(dir string) bool { return slices.Contains(dirs, dir) })
}

// ControlPathAmong is ControlPath on a host that has these directories only.
func ControlPathAmong(cfg *config.Config, getenv func(string) string, dirs ...string) (string, error) {
	return controlPath(cfg, getenv, func(dir string) bool { return slices.Contains(dirs, dir) })
}

// Loop is one that the watchdog asks for.
type Loop struct {
	Ask    func()
	Turned func() time.Time
}

// Feeding returns a function that makes one look of the watchdog at loops, and reports whether it would be fed.
func Feeding(loops ...Loop) (look func() bool) {
	var f feeding
	var all []loop
	for _, l := range loops {
		all = append(all, loop{"a loop", l.Ask, l.Turned})
	}
	return func() bool {
		if f.stuck(all) != nil {
			return false
		}
		f.asked = time.Now()
		for _, l := range all {
			l.ask()
		}
		return true
	}
}

// SayStarting tells n that the start goes on until the function that comes back is called.
func SayStarting(n Notifier, dir string) (end func()) {
	a := &Agent{o: Options{Notify: n, Config: &config.Config{Scrubber: secret.NewScrubber()}}, started: time.Now()}
	return a.sayStarting(dir)
}
