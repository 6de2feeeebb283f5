package triage

import "github.com/windsock-monitor/windsock/checks"

// Signal is one of the three that decide together.
type Signal string

// The signals.
const (
	Good  Signal = "good"
	Slow  Signal = "degraded" // it works, with something that should not stay
	Bad   Signal = "bad"
	Blind Signal = "unknown" // it was asked, and nobody can tell
	Blank Signal = "not_asked"
)

// Signals are what the provider says of itself, what our own probe sees, and how the application is.
type Signals struct {
	Page  Signal `json:"status_page"`
	Probe Signal `json:"probe"`
	App   Signal `json:"application"`
}

// Matrix is the class that the three signals say together; blame is whose fault the probe's trouble is, where it has one.
// The status page never decides: it lags what users see, and tells of parts that nobody here uses.
func Matrix(s Signals, blame checks.Blame) Class {
	switch s.Probe {
	case Bad, Slow:
		if s.Probe == Slow && s.App == Bad {
			return Ours // what is only slow, or about to end, does not bring an application down
		}
		return ClassOf(blame)
	case Good:
	case Blind, Blank:
		return CannotTell
	}
	switch s.App {
	case Bad, Slow:
		return Ours
	case Blind:
		return CannotTell
	case Good, Blank:
	}
	return Nobody
}

// signals reads the three from the path. probe is what decides for the probe, nil where nothing is wrong with it.
func (w *Walk) signals(probe *Step) Signals {
	return Signals{Page: w.page(), Probe: w.probe(probe), App: w.app()}
}

func (w *Walk) page() Signal {
	switch w.Step(StatusPage).Verdict {
	case OK:
		return Good
	case Degraded, Wrong:
		return Bad
	case Unknown:
		return Blind
	case Skipped:
	}
	return Blank
}

func (w *Walk) probe(decisive *Step) Signal {
	ping, list := w.Step(Ping), w.Step(ModelsList)
	switch {
	case decisive != nil && decisive.Verdict == Wrong && !w.serves(decisive):
		return Bad
	case decisive != nil:
		return Slow
	case ping.Verdict == OK, ping.Verdict == Degraded, w.Free && list.Verdict == OK:
		return Good
	}
	return Blind
}

// serves reports whether the provider answers conversations although step is wrong: then less than everything is down.
func (w *Walk) serves(step *Step) bool {
	return step.Name == ModelsList && w.answered()
}

// app is how the application is: by its own routes first, and by what is measured of it.
func (w *Walk) app() Signal {
	steps := []Step{w.Step(AppHealth), w.Step(AppSmoke), w.Step(ErrorRate), w.Step(AppLog)}
	for _, look := range []struct {
		verdict Verdict
		signal  Signal
	}{{Wrong, Bad}, {Degraded, Slow}, {Unknown, Blind}} {
		for i := range steps {
			if steps[i].Verdict == look.verdict {
				return look.signal
			}
		}
	}
	for i := range steps {
		if steps[i].Missed {
			return Blind
		}
	}
	for i := range steps {
		if steps[i].Verdict == OK {
			return Good
		}
	}
	return Blank
}
