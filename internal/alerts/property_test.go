package alerts_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// told is what somebody who hears every transition knows of an alert.
type told struct {
	state    checks.AlertState
	severity checks.Severity
	muted    string
	opened   bool
}

// witness hears every transition and says what is wrong with it.
type witness struct {
	t      *testing.T
	known  map[string]told
	states map[string][]byte
	opens  int
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	return &witness{t: t, known: map[string]told{}, states: map[string][]byte{}}
}

func (w *witness) hear(all []alerts.Transition) {
	w.t.Helper()
	for i := range all {
		a := &all[i].Alert
		was := w.known[a.Fingerprint]
		if a.Previous != was.state {
			w.t.Errorf("%s: got previous %q, want %q", a.Rule, a.Previous, was.state)
		}
		switch {
		case a.Opens() && was.opened:
			w.t.Errorf("%s: opens twice", a.Rule)
		case a.Closes() && !was.opened:
			w.t.Errorf("%s: closes what did not open", a.Rule)
		case was.opened && a.State.Open() && a.Severity > was.severity:
			w.t.Errorf("%s: severity falls from %s to %s", a.Rule, was.severity, a.Severity)
		case a.State != checks.AlertResolved && all[i].State == nil, a.State == checks.AlertResolved && all[i].State != nil:
			w.t.Errorf("%s: got %d bytes of state for %s", a.Rule, len(all[i].State), a.State)
		}
		if a.Opens() {
			w.opens++
		}
		w.states[a.Fingerprint] = all[i].State
		if a.State == checks.AlertResolved {
			delete(w.known, a.Fingerprint)
			delete(w.states, a.Fingerprint)
			continue
		}
		w.known[a.Fingerprint] = told{a.State, a.Severity, a.Muted, a.State.Open()}
	}
}

// agrees compares what was heard with what the engine has, and sees that nobody who should be told is not.
func (w *witness) agrees(e *alerts.Engine) {
	w.t.Helper()
	now := map[string]checks.AlertState{}
	for _, a := range e.Alerts() {
		now[a.Fingerprint] = a.State
		if k := w.known[a.Fingerprint]; a.State.Open() && k.muted != "" && a.Muted == "" {
			w.t.Errorf("%s: it is not muted any more (%s), and nobody was told", a.Rule, k.muted)
		}
	}
	heard := map[string]checks.AlertState{}
	for fingerprint, k := range w.known {
		heard[fingerprint] = k.state
	}
	if !maps.Equal(now, heard) {
		w.t.Errorf("got alerts %v, heard of %v", now, heard)
	}
}

// randomRules are rules of many shapes, some of them left out.
func randomRules(random *rand.Rand, timed bool) []alerts.Rule {
	last := alerts.Condition{Metric: "probe.duration", Op: alerts.Above, Threshold: float64(2 + random.IntN(4))}
	refused := alerts.Condition{
		Metric: "probe.failures", Match: []alerts.Matcher{is("cause", "auth")}, Aggregate: alerts.Sum, Window: over(5 * time.Minute), Op: alerts.Above,
	}
	shared := down()
	shared.Share = &alerts.Share{Of: []string{"check"}}
	most := shared
	most.Share = &alerts.Share{Of: []string{"check"}, AtLeast: 0.6}
	listed := alerts.Condition{Metric: "probe.llm.model.listed", Op: alerts.Equals, Threshold: 0}
	rules := []alerts.Rule{
		{
			Name: "down", Severity: checks.P2, When: shared, GroupBy: []string{"provider"}, Escalations: []alerts.Escalation{{Severity: checks.P1, When: most}},
			Inhibits: &alerts.Inhibition{Rules: []string{"slow", "last*"}, Equal: []string{"provider"}},
		},
		{Name: "slow", Severity: checks.P2, When: slow(), Inhibits: &alerts.Inhibition{Rules: []string{"down"}}},
		{Name: "last", Severity: checks.P3, When: last},
		{Name: "refused", Severity: checks.P1, When: refused},
		{Name: "both", Severity: checks.P3, When: alerts.Condition{All: []alerts.Condition{last, refused}}},
		{Name: "either", Severity: checks.P3, When: alerts.Condition{Any: []alerts.Condition{last, refused, down()}}},
		{Name: "gone", Severity: checks.P3, When: listed},
	}
	if timed {
		for i := range rules {
			rules[i].For = []time.Duration{0, 0, time.Minute, 3 * time.Minute}[random.IntN(4)]
			rules[i].KeepFiringFor = []time.Duration{0, 0, 2 * time.Minute}[random.IntN(3)]
			rules[i].AbsentAfter = []alerts.Window{{}, {}, {Intervals: 3}, over(4 * time.Minute)}[random.IntN(4)]
		}
	}
	return slices.DeleteFunc(rules, func(alerts.Rule) bool { return timed && random.IntN(6) == 0 })
}

// chaos is a history at random, and what is remembered of it.
type chaos struct {
	*rig
	w      *witness
	random *rand.Rand
	rules  []alerts.Rule
	log    []checks.Record
	mutes  []alerts.Mute
	whole  bool // the store has all of the log that a window can hold; runs come more seldom here than their schedule says
}

func newChaos(t *testing.T, seed uint64, timed bool) *chaos {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	rules := randomRules(random, timed)
	return &chaos{rig: newRig(t, rules, every("a"), every("b"), kinded("c", "embeddings")), w: newWitness(t), random: random, rules: rules}
}

func (c *chaos) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(time.Second)
		c.w.hear(c.e.Step(c.now, nil))
	}
}

func (c *chaos) made(check string, what rune, listed int) *checks.Report {
	rep := c.report(check)
	outcome(what)(rep)
	if listed < 2 && rep.Status.Reached() {
		rep.Measurements = []checks.Measurement{{Name: "probe.llm.model.listed", Value: float64(listed), Attrs: map[string]string{"model": "m"}}}
	}
	return rep
}

func (c *chaos) anything() *checks.Report {
	return c.made([]string{"a", "b", "c"}[c.random.IntN(3)], []rune("ooo19fffffaakmeu")[c.random.IntN(16)], c.random.IntN(4))
}

func (c *chaos) step() {
	switch n := c.random.IntN(40); {
	case n < 24:
		rep := c.anything()
		c.log = append(c.log, checks.OfReport(rep))
		c.w.hear(c.e.Step(c.now, rep))
	case n < 33:
		c.pass(time.Duration(c.random.IntN(90)) * time.Second)
	case n == 33:
		c.pass(time.Duration(c.random.IntN(900)) * time.Second)
	case n == 34:
		c.now = c.now.Add(time.Duration(c.random.IntN(1200)) * time.Second) // down
		c.restart()
	case n == 35:
		c.restart()
	case n == 36:
		c.reload()
	default:
		c.mute()
	}
}

func (c *chaos) restart() {
	e, err := alerts.New(c.rules, c.targets, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	c.e = e
	all := e.Restore(c.now, maps.Clone(c.w.states))
	for _, record := range c.log {
		if c.whole || record.At.After(c.now.Add(-e.Since())) {
			e.Warm(record)
		}
	}
	c.w.hear(all)
	c.w.hear(e.Mute(c.now, c.mutes))
}

func (c *chaos) reload() {
	c.rules = randomRules(c.random, true)
	c.targets = slices.DeleteFunc([]alerts.Check{every("a"), every("b"), kinded("c", "embeddings")}, func(alerts.Check) bool {
		return c.random.IntN(5) == 0
	})
	e, err := alerts.New(c.rules, c.targets, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	c.w.hear(e.Replace(c.now, c.e))
	c.e = e
}

func (c *chaos) mute() {
	c.mutes = nil
	for i := range c.random.IntN(3) {
		c.mutes = append(c.mutes, alerts.Mute{
			ID: fmt.Sprintf("silence/%d", i), Reason: "work", Match: []alerts.Matcher{is("rule", []string{"down", "slow", "last", "either"}[c.random.IntN(4)])},
			From: c.now.Add(time.Duration(c.random.IntN(60)-30) * time.Second), Until: c.now.Add(time.Duration(c.random.IntN(300)) * time.Second),
		})
	}
	c.w.hear(c.e.Mute(c.now, c.mutes))
}

// TestEveryOpeningIsClosedOnce whatever comes: reports, outages, restarts, reloads, mutes.
func TestEveryOpeningIsClosedOnce(t *testing.T) {
	opens := 0
	for seed := range uint64(60) {
		c := newChaos(t, seed, true)
		for i := range 400 {
			c.step()
			c.w.agrees(c.e)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
		opens += c.w.opens
		c.mutes = nil
		c.w.hear(c.e.Mute(c.now, nil))
		c.rules = nil
		e, err := alerts.New(nil, c.targets, c.now)
		if err != nil {
			t.Fatal(err)
		}
		c.w.hear(e.Replace(c.now, c.e))
		if len(c.w.known) > 0 || len(c.w.states) > 0 {
			t.Fatalf("seed %d: got %v open after all rules are gone, want none", seed, c.w.known)
		}
	}
	if opens < 1000 {
		t.Errorf("got %d alerts in all, want a thousand: the history is too quiet to show anything", opens)
	}
}

// open are the alerts that people know of.
func open(e *alerts.Engine) []string {
	var out []string
	for _, a := range e.Alerts() {
		if a.State.Open() {
			out = append(out, a.Rule+" "+a.Labels["check"]+a.Labels["provider"]+" "+a.Labels["model"])
		}
	}
	slices.Sort(out)
	return out
}

// TestRestartChangesNothing: of two agents that see the same runs, one is started again and again.
func TestRestartChangesNothing(t *testing.T) {
	for seed := range uint64(60) {
		c := newChaos(t, seed, false)
		c.whole = true
		twin, err := alerts.New(c.rules, c.targets, c.now)
		if err != nil {
			t.Fatal(err)
		}
		both := func(rep *checks.Report) {
			c.log = append(c.log, checks.OfReport(rep))
			c.w.hear(c.e.Step(c.now, rep))
			twin.Step(c.now, rep)
		}
		for i := range 300 {
			switch {
			case i%7 == 6:
				c.restart()
			case i%3 == 2:
				for range c.random.IntN(100) {
					c.pass(time.Second)
					twin.Step(c.now, nil)
				}
			default:
				both(c.anything())
			}
			c.w.agrees(c.e)
			if i%10 != 9 {
				continue
			}
			for _, check := range []string{"a", "b", "c"} { // each has told of itself since
				both(c.made(check, []rune("of9")[c.random.IntN(3)], 1))
			}
			if got, want := open(c.e), open(twin); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d:\ngot  %q\nwant %q", seed, i, got, want)
			}
		}
	}
}

// FuzzRestore reads whatever there is.
func FuzzRestore(f *testing.F) {
	c := newChaos(&testing.T{}, 1, false)
	for range 100 {
		rep := c.anything()
		for _, tr := range c.e.Step(c.now, rep) {
			if tr.State != nil {
				f.Add(tr.Alert.Fingerprint, tr.State)
			}
		}
	}
	f.Add("", []byte("{}"))
	f.Add("x", []byte(`{"v":1,"alert":{"rule":"down","fingerprint":"x","state":"firing","severity":"P1"},"held":[{"leaf":-1},{"leaf":99,"member":"\u0000"}]}`))
	f.Fuzz(func(t *testing.T, fingerprint string, data []byte) {
		r := newRig(t, randomRules(rand.New(rand.NewPCG(1, 7)), false), every("a"))
		w := newWitness(t)
		restored := r.e.Restore(r.now, map[string][]byte{fingerprint: data})
		for _, a := range append(r.e.Alerts(), alertsOf(restored)...) {
			w.known[a.Fingerprint] = told{a.State, a.Severity, a.Muted, a.State.Open()}
			if a.State == checks.AlertResolved {
				delete(w.known, a.Fingerprint)
			}
		}
		for range 4 {
			r.now = r.now.Add(time.Minute)
			rep := r.report("a")
			w.hear(r.e.Step(r.now, rep))
			w.hear(r.e.Step(r.now, nil))
			w.hear(r.e.Observe(r.now, []exporters.Point{{Name: "windsock.store.degraded", Value: 1}}))
		}
		w.agrees(r.e)
	})
}

func alertsOf(all []alerts.Transition) []checks.Alert {
	var out []checks.Alert
	for i := range all {
		out = append(out, all[i].Alert)
	}
	return out
}
