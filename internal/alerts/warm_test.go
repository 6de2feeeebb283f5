package alerts_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// moved is a rule like the built-in one that looks back a day.
func moved() alerts.Rule {
	r := rule(alerts.Condition{Metric: "probe.llm.model.moves", Aggregate: alerts.Sum, Window: over(24 * time.Hour), Op: alerts.Above})
	r.Name = "moved"
	return r
}

func lister(name string) alerts.Check {
	c := kinded(name, "models")
	c.Metrics = []string{"probe.llm.model.moves"}
	return c
}

func withMoves(n float64) func(*checks.Report) {
	return func(r *checks.Report) {
		r.Measurements = []checks.Measurement{{Name: "probe.llm.model.moves", Value: n, Attrs: map[string]string{"alias": "m"}}}
	}
}

func TestNeedsAreThoseOfEachCheck(t *testing.T) {
	t.Parallel()
	hourly := rule(alerts.Condition{Metric: "windsock.store.degraded", Aggregate: alerts.Max, Window: over(time.Hour), Op: alerts.Above})
	hourly.Name = "store"
	only := slow()
	only.Match = []alerts.Matcher{is("check", "a")}
	five := rule(only)
	silent, says := every("silent"), every("says")
	silent.Metrics, says.Metrics = nil, []string{}
	tests := map[string]struct {
		rules []alerts.Rule
		want  map[string]time.Duration
	}{
		"no rules":                                {nil, map[string]time.Duration{}},
		"a day of those that may measure it":      {[]alerts.Rule{moved()}, map[string]time.Duration{"list": 24 * time.Hour, "silent": 24 * time.Hour}},
		"runs, and one more, of those that match": {[]alerts.Rule{five}, map[string]time.Duration{"a": 6 * time.Minute}},
		"the agent's own":                         {[]alerts.Rule{hourly}, map[string]time.Duration{"": time.Hour}},
		"the longest of several": {
			[]alerts.Rule{moved(), five, hourly}, map[string]time.Duration{
				"list": 24 * time.Hour, "silent": 24 * time.Hour, "a": 6 * time.Minute, "": time.Hour,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := alerts.New(test.rules, []alerts.Check{lister("list"), every("a"), silent, says}, start())
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Needs(); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// scheduled is a history in which all checks run by their schedule, and an engine that sees it and never stops.
type scheduled struct {
	*chaos

	twin *alerts.Engine
}

func (s *scheduled) minute() {
	for _, check := range []string{"a", "b", "c", "list"} {
		rep := s.made(check, []rune("oooooooo19ffff9aa")[s.random.IntN(17)], s.random.IntN(2))
		if check == "list" && rep.Status.Reached() && s.random.IntN(2000) == 0 {
			withMoves(1)(rep)
		}
		s.log = append(s.log, checks.OfReport(rep))
		s.w.hear(s.e.Step(s.now, rep))
		s.twin.Step(s.now, rep)
	}
	s.now = s.now.Add(time.Minute)
	s.w.hear(s.e.Step(s.now, nil))
	s.twin.Step(s.now, nil)
}

// restart gives a new engine of each check what it needs, and no more.
func (s *scheduled) restart() {
	e, err := alerts.New(s.rules, s.targets, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	needs := e.Needs()
	s.e = e
	s.w.hear(e.Restore(s.now, maps.Clone(s.w.states)))
	for _, record := range s.log {
		if need, asked := needs[record.Report.Check]; asked && record.At.After(s.now.Add(-need)) {
			e.Warm(record)
		}
	}
}

// TestAStartThatReadsOnlyWhatIsNeededChangesNothing, with a rule that looks back a day among others.
func TestAStartThatReadsOnlyWhatIsNeededChangesNothing(t *testing.T) {
	const minutes, histories = 3000, 4
	told := 0
	for seed := range uint64(histories) {
		c := newChaos(t, seed, false)
		c.rules = append(c.rules, moved())
		for i := range c.targets {
			c.targets[i].Metrics = []string{"probe.llm.model.listed"}
		}
		c.targets = append(c.targets, lister("list"))
		s := &scheduled{chaos: c}
		for _, e := range []**alerts.Engine{&s.e, &s.twin} {
			var err error
			if *e, err = alerts.New(c.rules, c.targets, c.now); err != nil {
				t.Fatal(err)
			}
		}
		for i := range minutes {
			if s.random.IntN(100) == 0 {
				s.restart()
			}
			s.minute()
			got, want := open(s.e), open(s.twin)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, minute %d:\ngot  %q\nwant %q", seed, i, got, want)
			}
			if slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, "moved ") }) {
				told++
			}
		}
	}
	if told < minutes/2 || told > (histories-1)*minutes {
		t.Errorf("in %d of %d minutes an alias had moved: the history shows little", told, histories*minutes)
	}
}

// TestWhereRecordsAreMissing: what a window would need of before the start is not there. m is a run that counts a move, o one
// without, p one that takes three seconds; after comes each minute.
func TestWhereRecordsAreMissing(t *testing.T) {
	t.Parallel()
	hour := func(metric string, a alerts.Aggregate, op alerts.Op, threshold float64) alerts.Condition {
		return alerts.Condition{Metric: metric, Aggregate: a, Window: over(time.Hour), Op: op, Threshold: threshold}
	}
	const moves, duration = "probe.llm.model.moves", "probe.duration"
	tests := map[string]struct {
		when          alerts.Condition
		before, after string
		young, full   string // the alert where none was open, at once and after an hour
		kept, over    string // where one was
	}{
		"a sum that is high stays high":        {hour(moves, alerts.Sum, alerts.Above, 0), "m", "m", "firing", "firing", "firing", "firing"},
		"a sum that is low may have been high": {hour(moves, alerts.Sum, alerts.Above, 0), "m", "o", "", "", "firing", ""},
		"a count that is low says nothing":     {hour(duration, alerts.Count, alerts.Below, 30), "o", "o", "", "", "firing", ""},
		"a sum of a gauge may be too low":      {hour(duration, alerts.Sum, alerts.Below, 30), "o", "p", "", "", "firing", ""},
		"an average is judged as it is":        {hour(duration, alerts.Avg, alerts.Above, 2), "p", "p", "firing", "firing", "firing", "firing"},
		"but ends nothing of before":           {hour(duration, alerts.Avg, alerts.Above, 2), "p", "o", "", "", "firing", ""},
		"a maximum that is low says nothing":   {hour(duration, alerts.Max, alerts.Below, 2), "o", "o", "", "firing", "firing", "firing"},
		"a minimum that is low is low":         {hour(duration, alerts.Min, alerts.Below, 2), "o", "o", "firing", "firing", "firing", "firing"},
		"the last is the last":                 {alerts.Condition{Metric: duration, Op: alerts.Above, Threshold: 2}, "p", "o", "", "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, open := range []bool{false, true} {
				rules := []alerts.Rule{rule(test.when)}
				m := &missing{newRig(t, rules, lister("list")), rules}
				want := [2]string{test.young, test.full}
				if open {
					want = [2]string{test.kept, test.over}
					m.play(test.before)
				}
				m.begin()
				m.play(test.after)
				got := [2]string{m.state(), ""}
				for range 60 {
					m.play(test.after)
				}
				got[1] = m.state()
				if got != want {
					t.Errorf("open before: %v: got %q at once and after an hour, want %q", open, got, want)
				}
			}
		})
	}
}

type missing struct {
	*rig

	rules []alerts.Rule
}

func (m *missing) begin() {
	e, err := alerts.New(m.rules, m.targets, m.now)
	if err != nil {
		m.t.Fatal(err)
	}
	m.e = e
	m.take(e.Restore(m.now, maps.Clone(m.states)))
	e.Missing(m.now)
}

func (m *missing) play(script string) {
	for _, c := range script {
		m.now = m.now.Add(time.Minute)
		rep := m.report("list")
		withMoves(0)(rep)
		switch c {
		case 'm':
			withMoves(1)(rep)
		case 'p':
			rep.StartedAt, rep.Took = m.now.Add(-3*time.Second), 3*time.Second
		}
		m.take(m.e.Step(m.now, rep))
		m.take(m.e.Step(m.now, nil))
	}
}

func (m *missing) state() string {
	for _, a := range m.e.Alerts() {
		return string(a.State)
	}
	return ""
}
