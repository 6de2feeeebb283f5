package triage

import (
	"fmt"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// words is a step as people call it.
func words(name Name) string {
	switch name {
	case OwnNetwork:
		return "own network"
	case DNS, TLS:
		return strings.ToUpper(string(name))
	case Ping:
		return "paid ping"
	case AppHealth:
		return "application health"
	case AppSmoke:
		return "application smoke test"
	case AppLog:
		return "application log"
	case Configuration, Key, Connect, Proxy, ModelsList, StatusPage, ErrorRate, Alerts, Breaker, Spend, Headroom, Retirements:
	}
	return strings.ReplaceAll(string(name), "_", " ")
}

// Words is a step as people call it.
func (s *Step) Words() string { return words(s.Name) }

// wellWords says what "all is well" rests on.
func (w *Walk) wellWords() string {
	text := "all that was looked at is well"
	var but []string
	if w.Step(Ping).Verdict == Skipped {
		but = append(but, "no conversation was tried: a models list can stay good while every call fails")
	}
	if w.app() == Blank {
		but = append(but, "the application was not looked at (--app)")
	}
	if w.page() == Bad {
		but = append(but, "the status page announces something that is not seen from here")
	}
	if len(but) > 0 {
		text += "; " + strings.Join(but, "; ")
	}
	return text
}

// blindWords says why nobody can tell.
func (w *Walk) blindWords() string {
	var without []string
	for _, name := range []Name{Configuration, Key, ModelsList, Ping, AppHealth, AppSmoke, ErrorRate, AppLog, Alerts} {
		s := w.Step(name)
		unsaid := s.Verdict == Unknown || s.Missed || s.Verdict == Skipped && s.Cause != checks.CauseNone
		if unsaid {
			without = append(without, words(name)+": "+s.Detail)
		}
	}
	if len(without) == 0 {
		return "too little could be looked at"
	}
	return "too little is known: " + strings.Join(without, "; ")
}

// also tells what else is not well.
func (w *Walk) also(c *Conclusion, probe *Step) []string {
	var out []string
	for i := range w.Steps {
		s := &w.Steps[i]
		told := probe != nil && s.Name == probe.Name && strings.HasPrefix(c.Why, words(s.Name)) || strings.HasPrefix(c.Why, words(s.Name)+": "+s.Detail)
		told = told || s.Name == Ping && s.Cause == c.Cause || s.Name == Alerts
		if (s.Verdict == Wrong || s.Verdict == Degraded) && !told {
			out = append(out, fmt.Sprintf("%s: %s", words(s.Name), s.Detail))
		}
	}
	for i := range w.Alerts {
		a := &w.Alerts[i]
		if !strings.Contains(c.Why, "alert "+a.Rule+" fires") {
			out = append(out, fmt.Sprintf("alert %s (%s) fires: %s", a.Rule, a.Severity, a.Summary))
		}
	}
	return out
}
