package ruletest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// Result is what became of one test.
type Result struct {
	Name     string    `json:"name"`
	Line     int       `json:"line"`
	OK       bool      `json:"ok"`
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is one expectation that was not met. Want and Got are alerts, one a line.
type Failure struct {
	Line int      `json:"line"`
	What string   `json:"what"` // "alerts at 5m0s", "transitions"
	Want []string `json:"want"`
	Got  []string `json:"got"`
}

// world is one test while it runs.
type world struct {
	test    *prepared
	setup   Setup
	engine  *alerts.Engine
	records []checks.Record   // that a restart looks back at
	states  map[string][]byte // as the store keeps them
	now     map[string]checks.Alert
	told    []told
	result  Result
}

// told is a transition that people may be told of.
type told struct {
	at    time.Duration
	alert checks.Alert
}

// run lets the time of the test pass: at each second the engine looks, as the agent lets it.
func (t *prepared) run(ctx context.Context, setup Setup) (Result, error) {
	w := &world{test: t, setup: setup, states: map[string][]byte{}, now: map[string]checks.Alert{}, result: Result{Name: t.name, Line: t.line}}
	var err error
	if w.engine, err = alerts.New(setup.Rules, setup.Checks, t.start); err != nil {
		return w.result, fmt.Errorf("the rules: %w", err)
	}
	next, asked := 0, 0
	for at := time.Duration(0); at < t.end+time.Second; at += time.Second {
		if err := ctx.Err(); err != nil {
			return w.result, fmt.Errorf("at %s of the test: %w", at, err)
		}
		for ; next < len(t.events) && t.events[next].at <= at; next++ {
			asked = w.ask(asked, t.events[next].at-1)
			if err := w.happens(&t.events[next]); err != nil {
				return w.result, err
			}
		}
		asked = w.ask(asked, at-1)
		w.take(at, w.engine.Step(t.start.Add(at), nil))
		asked = w.ask(asked, at)
	}
	w.compareTold()
	w.result.OK = len(w.result.Failures) == 0
	return w.result, nil
}

func (w *world) happens(e *event) error {
	now := w.test.start.Add(e.at)
	switch {
	case e.restart:
		return w.restart(e.at)
	case e.report != nil:
		report := *e.report
		report.ID = fmt.Sprintf("run-%d", len(w.records)+1)
		w.records = append(w.records, checks.OfReport(&report))
		w.take(e.at, w.engine.Step(now, &report))
	default:
		w.take(e.at, w.engine.Observe(now, e.points))
	}
	return nil
}

// restart is a process that ends, and another that takes over what is stored.
func (w *world) restart(at time.Duration) error {
	now := w.test.start.Add(at)
	engine, err := alerts.New(w.setup.Rules, w.setup.Checks, now)
	if err != nil {
		return fmt.Errorf("the rules: %w", err)
	}
	w.engine = engine
	w.take(at, engine.Restore(now, maps.Clone(w.states)))
	from := now.Add(-engine.Since())
	for _, record := range w.records {
		if !record.At.Before(from) {
			engine.Warm(record)
		}
	}
	return nil
}

// take keeps what the engine says. A change of who is muted alone is no transition to a test.
func (w *world) take(at time.Duration, some []alerts.Transition) {
	for _, t := range some {
		id := t.Alert.Fingerprint
		before, known := w.now[id]
		if !known || t.Alert.State != before.State || t.Alert.Severity != before.Severity {
			w.told = append(w.told, told{at, t.Alert})
		}
		w.now[id] = t.Alert
		w.states[id] = t.State
		if t.State == nil {
			delete(w.states, id)
		}
		if t.Alert.State == checks.AlertResolved {
			delete(w.now, id)
		}
	}
}

// ask compares what is expected up to a time, and returns what is to be asked next.
func (w *world) ask(next int, until time.Duration) int {
	for ; next < len(w.test.expect) && w.test.expect[next].At <= until; next++ {
		e := &w.test.expect[next]
		w.take(e.At, w.engine.Step(w.test.start.Add(e.At), nil))
		w.compare(e)
	}
	return next
}

// compare holds the alerts of some rules against those that are expected: each of them is one, and there is no other.
func (w *world) compare(e *expected) {
	var got []checks.Alert
	for _, a := range w.engine.Alerts() {
		if len(e.Rules) == 0 || slices.Contains(e.Rules, a.Rule) {
			got = append(got, a)
		}
	}
	if paired(e.Alerts, got) {
		return
	}
	f := Failure{Line: e.line, What: "alerts at " + e.At.String()}
	for i := range e.Alerts {
		f.Want = append(f.Want, e.Alerts[i].String())
	}
	for i := range got {
		f.Got = append(f.Got, shown(&got[i]))
	}
	slices.Sort(f.Want)
	slices.Sort(f.Got)
	w.result.Failures = append(w.result.Failures, f)
}

// paired reports whether each alert that is wanted is another one of those there are, and none is left. One that fits two
// leaves the place to another that fits only there.
func paired(want []alert, got []checks.Alert) bool {
	if len(want) != len(got) {
		return false
	}
	by := make([]int, len(got)) // which want has it, from 1
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool {
		for j := range got {
			if tried[j] || !want[i].is(&got[j]) {
				continue
			}
			tried[j] = true
			if by[j] == 0 || place(by[j]-1, tried) {
				by[j] = i + 1
				return true
			}
		}
		return false
	}
	for i := range want {
		if !place(i, make([]bool, len(got))) {
			return false
		}
	}
	return true
}

func (a *alert) is(got *checks.Alert) bool {
	return a.Rule == got.Rule && (a.State == "" || a.State == got.State) && (a.Severity == "" || a.Severity == got.Severity) &&
		within(a.Labels, got.Labels) && (a.Muted == nil || *a.Muted == (got.Muted != ""))
}

// within reports whether all labels that are wanted are there. One that is wanted empty is not.
func within(want, got map[string]string) bool {
	for key, value := range want {
		if got[key] != value {
			return false
		}
	}
	return true
}

// compareTold holds the transitions of the test against those that are expected, one by one.
func (w *world) compareTold() {
	list := w.test.told
	if list == nil {
		return
	}
	var got []told
	for _, t := range w.told {
		if len(list.rules) == 0 || slices.Contains(list.rules, t.alert.Rule) {
			got = append(got, t)
		}
	}
	same := len(got) == len(list.transitions)
	for i := 0; same && i < len(got); i++ {
		same = list.transitions[i].is(&got[i])
	}
	if same {
		return
	}
	f := Failure{Line: list.line, What: "transitions"}
	for i := range list.transitions {
		f.Want = append(f.Want, list.transitions[i].String())
	}
	for i := range got {
		f.Got = append(f.Got, got[i].at.String()+" "+shown(&got[i].alert))
	}
	w.result.Failures = append(w.result.Failures, f)
}

func (t *transition) is(got *told) bool {
	return (t.At == nil || *t.At == got.at) && t.Rule == got.alert.Rule && t.State == got.alert.State &&
		(t.Severity == "" || t.Severity == got.alert.Severity) && within(t.Labels, got.alert.Labels)
}

// String is what is wanted, in the words of shown.
func (a *alert) String() string {
	text := words(a.Rule, string(a.State), string(a.Severity), braces(a.Labels))
	switch {
	case a.Muted == nil:
		return text
	case *a.Muted:
		return text + " muted"
	}
	return text + " not muted"
}

func (t *transition) String() string {
	at := "at any time"
	if t.At != nil {
		at = t.At.String()
	}
	return words(at, t.Rule, string(t.State), string(t.Severity), braces(t.Labels))
}

// shown is an alert for a person.
func shown(a *checks.Alert) string {
	text := words(a.Rule, string(a.State), string(a.Severity), braces(a.Labels))
	if a.Muted != "" {
		text += " muted: " + a.Muted
	}
	return text
}

func words(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

func braces(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	parts := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", key, labels[key]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
