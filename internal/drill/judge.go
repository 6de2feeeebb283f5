package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// act is what has come of one alert that is wanted.
type act struct {
	want *wanted
	dead func(exporter string) bool // while the fault lasts
	lost func(exporter string) bool // and after it

	transitions []checks.Alert
	fired       *checks.Alert // the first that is as severe and blamed as is wanted
	told        map[string]heard
	certain     bool // something is wrong that no quicker machine would make right
}

// look takes in what has happened; it reports whether the alert fired as it is wanted.
func (a *act) look(st *stage, t0 time.Time) bool {
	a.transitions = st.seen.of(a.want.Rule, t0)
	if a.fired == nil {
		for i := range a.transitions {
			if t := &a.transitions[i]; t.State == checks.AlertFiring && a.severe(t) && a.blamed(t) {
				a.fired = t
				break
			}
		}
	}
	if a.fired == nil {
		return false
	}
	a.told = map[string]heard{}
	for name, s := range st.sinks {
		if h, ok := s.told(a.said(), a.want.severity, t0); ok {
			a.told[name] = h
		}
	}
	return true
}

// said is by which words people know it.
func (a *act) said() said {
	words := said{rule: a.want.Rule}
	for i := range a.transitions {
		words.summaries = append(words.summaries, a.transitions[i].Summary)
	}
	return words
}

func (a *act) severe(t *checks.Alert) bool {
	return len(a.want.severity) == 0 || slices.Contains(a.want.severity, t.Severity)
}

func (a *act) blamed(t *checks.Alert) bool {
	return len(a.want.Blame) == 0 || slices.Contains(a.want.Blame, t.Blame)
}

// done reports whether every route that there is has told it, or has had its time.
func (a *act) done(st *stage) bool {
	if a.fired == nil {
		return false
	}
	if time.Since(a.fired.At) > toTell {
		return true
	}
	for name, s := range st.sinks {
		if _, ok := a.told[name]; !ok && !a.dead(name) && s.takes(a.fired) {
			return false
		}
	}
	return true
}

// over reports whether the alert has ended, and every route that told it has told that.
func (a *act) over(st *stage) bool {
	if a.fired == nil || a.want.Lasting {
		return true
	}
	a.transitions = st.seen.of(a.want.Rule, a.fired.At)
	at, ended := a.end()
	if !ended {
		return false
	}
	for name := range a.told {
		if st.sinks[name].tellsEnds() && !st.sinks[name].ended(a.said(), at) {
			return false
		}
	}
	return true
}

// end is when the last alert of the rule ended; false where one is open.
func (a *act) end() (time.Time, bool) {
	open := map[string]bool{}
	var at time.Time
	for i := range a.transitions {
		t := &a.transitions[i]
		open[t.Fingerprint] = t.State.Open()
		if !t.State.Open() {
			at = t.At
		}
	}
	for _, is := range open {
		if is {
			return time.Time{}, false
		}
	}
	return at, !at.IsZero()
}

// judge says how it came out, and what is missing.
func (a *act) judge(st *stage, t0, t1 time.Time) (Told, []string) {
	out := Told{Rule: a.want.Rule, Wanted: a.want.words()}
	if a.fired == nil {
		return out, []string{a.whyNot(st, t0, &out)}
	}
	out.Fired, out.Severity, out.Blame = true, a.fired.Severity, a.fired.Blame
	took := st.natural(a.fired.At.Sub(t0)) + st.setting.sooner[a.want.Rule]
	out.ToDetect = seconds(took)
	var missing []string
	if took > a.want.Within {
		missing = append(missing, fmt.Sprintf("%s fired after %s, want within %s", a.want.Rule, short(took.Round(time.Second)), short(a.want.Within)))
	}
	a.transitions = st.seen.of(a.want.Rule, a.fired.At)
	routes, last, wrong := a.routes(st)
	out.Routes = routes
	missing = append(missing, wrong...)
	if !last.IsZero() {
		out.ToNotify = seconds(max(last.Sub(a.fired.At), 0))
	}
	if a.want.Lasting {
		return out, missing
	}
	at, ended := a.end()
	if !ended {
		return out, append(missing, a.want.Rule+" did not end when the fault had")
	}
	out.ToResolve = seconds(st.natural(max(at.Sub(t1), 0)))
	return out, missing
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// can reports whether the rule can be as severe as is wanted.
func (w *wanted) can() bool {
	able := func(s checks.Severity) bool { return len(w.severity) == 0 || slices.Contains(w.severity, s) }
	return able(w.rule.Severity) || slices.ContainsFunc(w.rule.Escalations, func(up alerts.Escalation) bool { return able(up.Severity) })
}

// words are what is wanted, for people.
func (w *wanted) words() string {
	var parts []string
	if len(w.severity) > 0 {
		var all []string
		for _, s := range w.severity {
			all = append(all, string(s))
		}
		parts = append(parts, strings.Join(all, " or "))
	}
	if len(w.Blame) > 0 {
		var all []string
		for _, b := range w.Blame {
			all = append(all, string(b))
		}
		parts = append(parts, "blame "+strings.Join(all, " or "))
	}
	return strings.Join(append(parts, "within "+short(w.Within)), ", ")
}

// whyNot says why the alert did not fire as it is wanted.
func (a *act) whyNot(st *stage, t0 time.Time, out *Told) string {
	var worst *checks.Alert
	for i := range a.transitions {
		if t := &a.transitions[i]; t.State.Open() && (worst == nil || t.Severity < worst.Severity) {
			worst = t
		}
	}
	if worst != nil {
		out.Fired, out.Severity, out.Blame = true, worst.Severity, worst.Blame
		a.certain = !a.want.can()
		return fmt.Sprintf("%s fired as %s, blame %s, want %s", a.want.Rule, worst.Severity, orNone(worst.Blame), a.want.words())
	}
	saw := st.seen.saw(t0)
	if len(saw) == 0 {
		return a.want.Rule + " never fired: no check saw anything wrong"
	}
	return a.want.Rule + " never fired: the checks saw " + strings.Join(saw[:min(len(saw), 8)], ", ")
}

func orNone(b checks.Blame) string {
	if b == checks.BlameNone {
		return "nobody"
	}
	return string(b)
}

// routes says of each exporter whether it told the alert, when the last did, and what is missing.
func (a *act) routes(st *stage) (all []Route, last time.Time, missing []string) {
	people := false
	var silent []string
	for _, name := range st.order {
		r, wrong := a.route(st, name)
		all = append(all, r)
		if wrong != "" {
			missing = append(missing, wrong)
		}
		if r.Told {
			people = people || r.People
			last = latest(last, a.told[name].at)
		} else if r.People {
			silent = append(silent, name+" ("+r.Kind+"): "+r.Why)
		}
	}
	if a.want.people && !people && len(a.want.Routes) == 0 && len(missing) == 0 {
		a.certain = a.certain || len(a.want.severity) == 1 // none of its transitions would be selected
		missing = append(missing, fmt.Sprintf("nobody was told of %s, %s: %s", a.want.Rule, a.fired.Severity, strings.Join(silent, "; ")))
	}
	return all, last, missing
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// route is one exporter, and what is wrong with it.
func (a *act) route(st *stage, name string) (r Route, wrong string) {
	s := st.sinks[name]
	r = Route{Exporter: name, Kind: s.kind, People: s.people}
	h, told := a.told[name]
	switch {
	case told:
		at, over := a.end()
		r.Told, r.Marked, r.Resolved = true, h.marked, over && s.ended(a.said(), at)
		if !r.Resolved && !a.want.Lasting && st.sinks[name].tellsEnds() {
			wrong = fmt.Sprintf("the end of %s was not told by %s (%s)", a.want.Rule, name, s.kind)
		}
	case a.dead(name):
		r.Why = "it is what the scenario has refuse"
	default:
		var should bool
		if r.Why, should = a.unheard(st, name); should {
			wrong = fmt.Sprintf("%s was not told by %s (%s): %s", a.want.Rule, name, s.kind, r.Why)
			a.certain = a.certain || a.lost(name)
		}
	}
	return r, wrong
}

// unheard says why an exporter did not tell the alert, and whether it should have.
func (a *act) unheard(st *stage, name string) (why string, wrong bool) {
	named := slices.Contains(a.want.Routes, name)
	problem := st.problems[name]
	switch {
	case st.sinks[name].people && a.fired.Muted != "":
		return "muted: " + a.fired.Muted, true
	case !st.sinks[name].takes(a.fired):
		a.certain = a.certain || named
		return fmt.Sprintf("its match does not select %s of severity %s", a.want.Rule, a.fired.Severity), named
	case problem != "":
		a.certain = a.certain || st.sinks[name].refusal() != ""
		return problem, true
	case st.sinks[name].nameless(a.fired.At):
		return "what came says neither the rule nor the summary of the alert: see its template", true
	}
	return "nothing came", true
}
