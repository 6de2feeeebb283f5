// Package lint finds alert rules that cannot do what they were written for: those that can never fire at the cadence of
// their checks, on metrics that nobody measures, with units mistaken, shadowed by others. It is pure: it reads rules and
// what is known of the checks, and does no I/O.
//
// A finding is true of the engine of package alerts: of a rule that it says cannot fire, no schedule of runs makes an alert.
// It does not find every such rule. What runs beside the schedule, by hand or while an incident is open, does not count.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the rule does not do what it was written for
	Warning Severity = "warning" // it works, and perhaps not as it was meant
	Note    Severity = "note"    // a built-in rule has nothing to look at here
)

// Kind is what a finding is about.
type Kind string

// The kinds.
const (
	CannotFire Kind = "cannot_fire"  // the condition can never hold
	Nobody     Kind = "nobody_emits" // no check measures the metric
	NoMatch    Kind = "no_match"     // no check or sample is selected
	Window     Kind = "short_window" // a window or an absence shorter than the checks' cadence
	Units      Kind = "units"        // a number that was perhaps meant in another unit
	Shadowed   Kind = "shadowed"     // never fires without another rule
	Runbook    Kind = "runbook"      // nobody is told what to do
)

// Finding is one thing that is wrong with a rule.
type Finding struct {
	Rule     string
	Field    string // where, as the rule is written: when.all.1.window; "name" is the rule as a whole
	Kind     Kind
	Severity Severity
	Text     string // what was found and what was wanted
	Hint     string // the nearest right word, or what to write instead; may be ""
	Other    string // the rule in whose shadow it is
}

// Input is what is looked at.
type Input struct {
	Rules  []alerts.Rule
	Checks []alerts.Check
	Absent map[string]string // metrics of the agent's own that it does not measure, and why
	// Given reports whether a field of a rule is written in the file; nil: all of the rules that are not built in.
	Given func(rule, field string) bool
	// Bare reports whether a number of a rule is written without a unit; nil: all are.
	Bare func(rule, field string) bool
}

// Lint finds what is wrong with rules, in their order. Built-in rules that the file does not change are only noted where
// they cannot fire.
func Lint(in Input) []Finding {
	l := &linter{Input: in}
	l.learn()
	for i := range in.Rules {
		l.rule(&in.Rules[i])
	}
	l.shadows()
	order := make(map[string]int, len(in.Rules))
	for i := range in.Rules {
		order[in.Rules[i].Name] = i
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(order[a.Rule], order[b.Rule]) })
	return l.found
}

// linter looks at the rules of one configuration.
type linter struct {
	Input

	found   []Finding
	shipped map[string]*alerts.Rule // the built-in rules as they ship
	names   []string                // of metrics that somebody measures or may measure
	pairs   int                     // of rules that were held against each other
}

func (l *linter) learn() {
	builtin := alerts.Builtin()
	l.shipped = make(map[string]*alerts.Rule, len(builtin))
	for i := range builtin {
		l.shipped[builtin[i].Name] = &builtin[i]
	}
	l.names = l.measured()
}

// given reports whether the file writes a field of the rule.
func (l *linter) given(r *alerts.Rule, field string) bool {
	if l.Given == nil {
		return !r.Builtin
	}
	return l.Given(r.Name, field)
}

// own reports whether the rule's condition is the file's.
func (l *linter) own(r *alerts.Rule) bool { return !r.Builtin || l.given(r, "when") }

func (l *linter) bare(r *alerts.Rule, field string) bool {
	return l.Bare == nil || l.Bare(r.Name, field)
}

func (l *linter) add(r *alerts.Rule, f Finding) {
	f.Rule = r.Name
	l.found = append(l.found, f)
}

// rule looks at one rule by itself.
func (l *linter) rule(r *alerts.Rule) {
	v := &view{linter: l, rule: r, groups: alerts.Grouping(r)}
	when := v.condition(&r.When, "when")
	v.verdict(when)
	if !l.own(r) {
		return
	}
	for i := range r.Escalations {
		v.escalation(i, when)
	}
	v.absence()
	v.runbook()
}

// view is one rule that is looked at.
type view struct {
	*linter

	rule   *alerts.Rule
	groups []string // by which there is one alert each
}

// verdict says what the condition comes to.
func (v *view) verdict(when reach) {
	waits := when.no == nil && when.hold > 0 && v.rule.For >= when.hold
	switch {
	case !v.own(v.rule):
		v.builtin(when)
	case when.no != nil && v.rule.AbsentAfter.IsZero():
		v.tell(when.faults, Error)
	case when.no != nil: // what it tells is that nothing comes: but from somebody it must come
		v.tell(slices.DeleteFunc(when.faults, func(f fault) bool { return f.kind != Nobody && f.kind != NoMatch }), Error)
	case waits && v.rule.AbsentAfter.IsZero():
		v.tell(when.faults, Warning)
		v.tell([]fault{v.neverLong(when)}, Error)
	default:
		v.tell(when.faults, Warning)
	}
	if v.own(v.rule) || v.given(v.rule, string(v.rule.When.Op)) {
		v.tell(when.odd, Warning)
	}
}

// builtin notes what a built-in rule has nothing to look at for. A threshold of the file's own is the file's fault.
func (v *view) builtin(when reach) {
	if when.no == nil || !v.rule.AbsentAfter.IsZero() {
		return
	}
	f := *when.no
	field := strings.TrimPrefix(f.field, "when.")
	severity := Note
	if v.given(v.rule, field) {
		f.field, severity = field, Error
	} else {
		f.field = "name"
	}
	v.tell([]fault{f}, severity)
}

// tell makes findings of faults. One that is wrong by itself is an error wherever it stands.
func (v *view) tell(faults []fault, severity Severity) {
	for _, f := range faults {
		graded := severity
		if f.always && severity != Note {
			graded = Error
		}
		field := f.field
		if rest, ok := strings.CutPrefix(field, "when."); ok && !v.given(v.rule, "when") && v.given(v.rule, rest) {
			field = rest
		}
		v.add(v.rule, Finding{Field: field, Kind: f.kind, Severity: graded, Text: f.text, Hint: f.hint})
	}
}

// escalation looks at one of the rule's escalations: it must be able to hold beside the condition.
func (v *view) escalation(i int, when reach) {
	e := &v.rule.Escalations[i]
	field := "escalate." + itoa(i) + ".when"
	worse := v.condition(&e.When, field)
	v.tell(worse.faults, Warning)
	v.tell(worse.odd, Warning)
	if worse.no == nil && when.no == nil {
		if key, apart := apart(when.keys, worse.keys); apart {
			v.tell([]fault{v.disjoint(field, key, when.keys[key], worse.keys[key])}, Warning)
		}
	}
}

func (v *view) runbook() {
	switch text := v.rule.Runbook; {
	case text == "":
		v.add(v.rule, Finding{
			Field: "name", Kind: Runbook, Severity: Warning, Text: "the rule " + v.rule.Name + " has no runbook: who is woken by it is not told what to do",
			Hint: "give `runbook:`, a URL or the name of a page or a built-in rule, such as high-latency",
		})
	case strings.Contains(text, "://"):
	case !slices.Contains(pagesOfRunbook(), text):
		v.add(v.rule, Finding{
			Field: "runbook", Kind: Runbook, Severity: Warning, Text: "no built-in text is called " + quote(text),
			Hint: or(near(text, pagesOfRunbook()), "give a URL, or one of the names in docs/runbook/README.md"),
		})
	}
}
