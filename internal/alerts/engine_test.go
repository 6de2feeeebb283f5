package alerts_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

func start() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

// every is a check of the chat kind that runs each minute.
func every(name string) alerts.Check {
	return alerts.Check{
		Name: name, Kind: "chat", Provider: "mistral", Location: "paris", Paid: true, Interval: time.Minute,
		Labels: map[string]string{"team": "platform"}, Metrics: []string{"probe.llm.model.listed"},
	}
}

func kinded(name, kind string) alerts.Check {
	c := every(name)
	c.Kind = kind
	return c
}

// rig drives an engine and keeps what it said.
type rig struct {
	t       *testing.T
	e       *alerts.Engine
	now     time.Time
	targets []alerts.Check
	said    []string
	last    []alerts.Transition
	states  map[string][]byte
}

func newRig(t *testing.T, rules []alerts.Rule, targets ...alerts.Check) *rig {
	t.Helper()
	if len(targets) == 0 {
		targets = []alerts.Check{every("a")}
	}
	e, err := alerts.New(rules, targets, start())
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, e: e, now: start(), targets: targets, states: make(map[string][]byte)}
}

func (r *rig) take(all []alerts.Transition) {
	r.last = all
	for _, tr := range all {
		text := fmt.Sprintf("%s %s", tr.Alert.Rule, tr.Alert.State)
		if tr.Alert.Previous == tr.Alert.State {
			text += " again"
		}
		if tr.Alert.Severity != checks.P2 {
			text += " " + string(tr.Alert.Severity)
		}
		if tr.Alert.Muted != "" {
			text += " (" + tr.Alert.Muted + ")"
		}
		r.said = append(r.said, text)
		r.states[tr.Alert.Fingerprint] = tr.State
		if tr.State == nil {
			delete(r.states, tr.Alert.Fingerprint)
		}
	}
}

// wait lets time pass, with a tick each second.
func (r *rig) wait(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(time.Second)
		r.take(r.e.Step(r.now, nil))
	}
}

func (r *rig) report(check string) *checks.Report {
	c := every(check)
	if i := slices.IndexFunc(r.targets, func(c alerts.Check) bool { return c.Name == check }); i >= 0 {
		c = r.targets[i]
	}
	return &checks.Report{
		ID: "01", Check: check, Kind: c.Kind, Provider: c.Provider, Location: c.Location, Labels: c.Labels, ScheduledAt: r.now.Add(-time.Second),
		StartedAt: r.now.Add(-time.Second), Took: time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: checks.Pass("fine"),
	}
}

func (r *rig) run(check string, change func(*checks.Report)) {
	rep := r.report(check)
	if change != nil {
		change(rep)
	}
	r.take(r.e.Step(r.now, rep))
}

// runs makes one run a minute: o is ok, a digit is ok after so many seconds, f failed with a 5xx, a with a 401, k was skipped, m was missed,
// e is an error of ours, u is unknown, and a dot is a minute without anything.
func (r *rig) runs(check, script string) {
	for _, c := range script {
		r.wait(time.Minute)
		if c != '.' {
			r.run(check, outcome(c))
		}
	}
}

func outcome(c rune) func(*checks.Report) {
	return func(rep *checks.Report) {
		switch c {
		case 'f':
			rep.Result = checks.Fail(checks.CauseServer, "status 500, want 200")
		case 'a':
			rep.Result = checks.Fail(checks.CauseAuth, "status 401, want 200")
		case 'k', 'm':
			rep.Result = checks.Skip(checks.CauseBreakerOpen, "not run")
			if c == 'm' {
				rep.Cause = checks.CauseMissed
			}
			rep.StartedAt, rep.Took = time.Time{}, 0
		case 'e':
			rep.Result = checks.Result{Status: checks.Error, Cause: checks.CauseInternal}
		case 'u':
			rep.Result = checks.Undetermined(checks.CauseInternal, "who knows")
		case 'o':
		default:
			end := rep.At()
			rep.Took = time.Duration(c-'0') * time.Second
			rep.StartedAt = end.Add(-rep.Took)
		}
	}
}

func (r *rig) want(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.said, want) {
		r.t.Errorf("got  %q\nwant %q", r.said, want)
	}
}

func is(attr string, values ...string) alerts.Matcher { return alerts.Matcher{Attr: attr, In: values} }

func runs(n int) alerts.Window { return alerts.Window{Runs: n} }

func over(d time.Duration) alerts.Window { return alerts.Window{Time: d} }

// down is three failures in a row.
func down() alerts.Condition {
	return alerts.Condition{
		Metric: "probe.failures", Match: []alerts.Matcher{is("blame", "provider", "network")}, Aggregate: alerts.Sum, Window: runs(3),
		Op: alerts.Above, Threshold: 2.5,
	}
}

func slow() alerts.Condition {
	return alerts.Condition{Metric: "probe.duration", Aggregate: alerts.P95, Window: runs(5), Op: alerts.Above, Threshold: 5, MinSamples: 3}
}

func rule(when alerts.Condition) alerts.Rule {
	return alerts.Rule{Name: "r", Layer: alerts.LayerProbe, Severity: checks.P2, When: when}
}

func TestStatesFollowTheRule(t *testing.T) {
	gauge := func(a alerts.Aggregate, w alerts.Window, op alerts.Op, threshold float64) alerts.Condition {
		return alerts.Condition{Metric: "probe.duration", Aggregate: a, Window: w, Op: op, Threshold: threshold}
	}
	last := gauge("", alerts.Window{}, alerts.Above, 5)
	tests := map[string]struct {
		rule   func(*alerts.Rule)
		when   alerts.Condition
		script string
		want   []string
	}{
		"three failures in a row fire, and one good run resolves": {when: down(), script: "offffo", want: []string{"r firing", "r resolved"}},
		"two failures and a good run between do not fire":         {when: down(), script: "ffoffof"},
		"a skipped slot is no run":                                {when: down(), script: "ffkkf", want: []string{"r firing"}},
		"a failure of the account is not the provider's":          {when: down(), script: "ffaff"},
		"our own error says nothing of the target":                {when: down(), script: "ffeufeueo", want: []string{"r firing", "r resolved"}},
		"the last run decides where nothing else is said":         {when: last, script: "6661", want: []string{"r firing", "r resolved"}},
		"with fewer samples than asked for nothing fires":         {when: slow(), script: "99"},
		"with samples enough it fires":                            {when: slow(), script: "999", want: []string{"r firing"}},
		"skipped slots leave a firing alert as it is":             {when: gauge(alerts.Max, over(2*time.Minute), alerts.Above, 5), script: "9kkkkk", want: []string{"r firing"}},
		"a window of time without a sample says nothing":          {when: gauge(alerts.Max, over(2*time.Minute), alerts.Above, 5), script: "9.....", want: []string{"r firing"}},
		"a window of time lets old samples go": {
			when: gauge(alerts.Max, over(150*time.Second), alerts.Above, 5), script: "91111", want: []string{"r firing", "r resolved"},
		},
		"a condition that holds long enough fires": {
			rule: func(r *alerts.Rule) { r.For = 2 * time.Minute }, when: last, script: "6661", want: []string{"r pending", "r firing", "r resolved"},
		},
		"a condition that stops before is told as resolved": {
			rule: func(r *alerts.Rule) { r.For = 150 * time.Second }, when: last, script: "6611", want: []string{"r pending", "r resolved"},
		},
		"an alert is kept for a while": {
			rule: func(r *alerts.Rule) { r.KeepFiringFor = 150 * time.Second }, when: last, script: "6161111", want: []string{"r firing", "r resolved"},
		},
		"absence is told, and that it is over": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = over(150 * time.Second) }, when: last, script: "o...o", want: []string{"r no_data", "r resolved"},
		},
		"absence from the start is told": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = alerts.Window{Intervals: 3} }, when: last, script: "....", want: []string{"r no_data"},
		},
		"errors of ours are no sign of life": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = alerts.Window{Intervals: 3} }, when: last, script: "oeueu", want: []string{"r no_data"},
		},
		"slots that the agent missed are no sign of life": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = alerts.Window{Intervals: 3} }, when: last, script: "ommmm", want: []string{"r no_data"},
		},
		"slots that were skipped on purpose are one": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = alerts.Window{Intervals: 3} }, when: last, script: "okkkkk",
		},
		"what fired has no data, and fires on": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = over(150 * time.Second) }, when: last, script: "9...9o",
			want: []string{"r firing", "r no_data", "r firing", "r resolved"},
		},
		"what fired has no data, and is over then": {
			rule: func(r *alerts.Rule) { r.AbsentAfter = over(150 * time.Second) }, when: last, script: "9...o",
			want: []string{"r firing", "r no_data", "r resolved"},
		},
		"all of several must hold": {
			when: alerts.Condition{All: []alerts.Condition{last, down()}}, script: "9fff", want: nil,
		},
		"any of several is enough": {
			when: alerts.Condition{Any: []alerts.Condition{last, down()}}, script: "o9fffo", want: []string{"r firing", "r resolved", "r firing", "r resolved"},
		},
		"a counter's sum over a time goes back to nothing": {
			when: alerts.Condition{
				Metric: "probe.failures", Match: []alerts.Matcher{is("cause", "auth")}, Aggregate: alerts.Sum, Window: over(150 * time.Second), Op: alerts.Above,
			},
			script: "oaooo", want: []string{"r firing", "r resolved"},
		},
		"skipped slots are counted over a time": {
			when: alerts.Condition{
				Metric: "probe.skips", Match: []alerts.Matcher{is("reason", "breaker_open")}, Aggregate: alerts.Sum, Window: over(150 * time.Second), Op: alerts.Above,
			},
			script: "okooo", want: []string{"r firing", "r resolved"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			made := rule(test.when)
			if test.rule != nil {
				test.rule(&made)
			}
			r := newRig(t, []alerts.Rule{made})
			r.runs("a", test.script)
			r.want(test.want...)
		})
	}
}

func TestAlertSaysWhatItIs(t *testing.T) {
	made := rule(down())
	made.Labels, made.Runbook = map[string]string{"team": "sre"}, "api-down"
	made.Impact, made.Action = "chat is down in {{.Labels.location}}", "look"
	r := newRig(t, []alerts.Rule{made})
	r.runs("a", "fff")
	if len(r.last) != 1 {
		t.Fatalf("got %d transitions, want 1", len(r.last))
	}
	a := r.last[0].Alert
	if got, want := a.Summary, "sum of probe.failures over 3 runs is 3, above 2.5"; got != want {
		t.Errorf("got summary %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(a.Labels), "map[check:a kind:chat location:paris provider:mistral team:sre]"; got != want {
		t.Errorf("got labels %s, want %s", got, want)
	}
	got := fmt.Sprintf("%g %g %s, %s, %s, %s", a.Value, a.Threshold, a.Blame, a.Runbook, a.Impact, a.Action)
	if want := "3 2.5 provider, api-down, chat is down in paris, look"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !a.Since.Equal(r.now) || !a.Opens() {
		t.Errorf("got since %s, opens %t, want since %s, opens true", a.Since, a.Opens(), r.now)
	}
}
