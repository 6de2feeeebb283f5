package incident_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/incident"
)

// friday is a Friday, ten o'clock UTC.
func friday() time.Time { return time.Date(2026, 5, 8, 10, 0, 0, 0, time.UTC) }

func targets() []incident.Target {
	return []incident.Target{
		{Name: "app", Kind: "app"},
		{Name: "hello", Kind: "chat", Provider: "mistral"},
		{Name: "emb", Kind: "embeddings", Provider: "mistral"},
		{Name: "other", Kind: "chat", Provider: "other"},
		{Name: "query", Kind: "prometheus"},
	}
}

// desk is a book with its clock, and all that came of it.
type desk struct {
	*incident.Book

	t     *testing.T
	now   time.Time
	out   []incident.Outcome
	state map[string][]byte
}

func newDesk(t *testing.T, targets []incident.Target) *desk {
	t.Helper()
	d := &desk{Book: incident.New(), t: t, now: friday(), state: map[string][]byte{}}
	d.Configure(targets, incident.Options{Entropy: rand.NewChaCha8([32]byte{})})
	return d
}

func (d *desk) took(out incident.Outcome) incident.Outcome {
	d.out = append(d.out, out)
	for key, data := range out.States {
		if data == nil {
			delete(d.state, key)
		} else {
			d.state[key] = data
		}
	}
	return out
}

func (d *desk) step(after time.Duration, changed ...*checks.Alert) incident.Outcome {
	d.t.Helper()
	d.now = d.now.Add(after)
	return d.took(d.Step(d.now, changed))
}

func (d *desk) saw(after time.Duration, check string, status checks.Status) incident.Outcome {
	d.now = d.now.Add(after)
	return d.took(d.Saw(d.now, &checks.Report{
		ID: "R", Check: check, Final: true, StartedAt: d.now, Result: checks.Result{Status: status, Summary: "what it said"},
	}))
}

// alert is a transition into a state; the name is that of the rule, or "rule/which of it".
func alert(name string, state, previous checks.AlertState, change ...func(*checks.Alert)) *checks.Alert {
	rule, rest, _ := strings.Cut(name, "/")
	a := &checks.Alert{
		Rule: rule, Fingerprint: "f-" + rule + rest, State: state, Previous: previous, Severity: checks.P2,
		Blame: checks.BlameProvider, Labels: map[string]string{"provider": "mistral"}, Summary: rule + " is bad",
	}
	for _, c := range change {
		c(a)
	}
	return a
}

func fires(name string, change ...func(*checks.Alert)) *checks.Alert {
	return alert(name, checks.AlertFiring, checks.AlertPending, change...)
}

func resolves(name string, change ...func(*checks.Alert)) *checks.Alert {
	return alert(name, checks.AlertResolved, checks.AlertFiring, change...)
}

func severity(s checks.Severity) func(*checks.Alert) {
	return func(a *checks.Alert) { a.Severity = s }
}
func blame(b checks.Blame) func(*checks.Alert) { return func(a *checks.Alert) { a.Blame = b } }
func muted(by string) func(*checks.Alert)      { return func(a *checks.Alert) { a.Muted = by } }
func labels(pairs ...string) func(*checks.Alert) {
	return func(a *checks.Alert) {
		a.Labels = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			a.Labels[pairs[i]] = pairs[i+1]
		}
	}
}

func TestWhichAlertsBelongTogether(t *testing.T) {
	t.Parallel()
	none := labels()
	tests := map[string]struct {
		first, second *checks.Alert
		apart         time.Duration
		together      bool
	}{
		"same provider, same blame":             {fires("a"), fires("b"), 0, true},
		"network and provider are one side":     {fires("a", blame(checks.BlameNetwork)), fires("b"), 0, true},
		"account and provider are two":          {fires("a", blame(checks.BlameAccount)), fires("b"), 0, false},
		"two providers":                         {fires("a"), fires("b", labels("provider", "other")), 0, false},
		"one without a provider, blamed alike":  {fires("a"), fires("b", labels("check", "query")), 0, true},
		"same provider, one without blame":      {fires("a"), fires("b", blame("")), 0, true},
		"neither provider nor blame":            {fires("a", none, blame("")), fires("b", none, blame("")), 0, false},
		"the same check, neither is blamed":     {fires("a", labels("check", "query"), blame("")), fires("b", labels("check", "query"), blame("")), 0, true},
		"one of a rule beside another":          {fires("a/1", none, blame("")), fires("a/2", none, blame("")), 0, true},
		"our own beside the provider's":         {fires("a"), fires("b", none, blame(checks.BlameOurs)), 0, false},
		"a task for the next day in an outage":  {fires("a"), fires("b", severity(checks.P4)), 0, false},
		"a lesser one in an outage":             {fires("a"), fires("b", severity(checks.P3)), 3 * time.Hour, true},
		"an outage soon after a lesser one":     {fires("a", severity(checks.P3)), fires("b"), time.Minute, true},
		"an outage long after a lesser one":     {fires("a", severity(checks.P3)), fires("b"), 2 * time.Hour, false},
		"an outage that lasts":                  {fires("a"), fires("b"), 30 * time.Hour, true},
		"explained, whatever it is":             {fires("a"), fires("b", labels("provider", "other"), severity(checks.P4), muted("alert/f-a")), 0, true},
		"explained by a rule's name":            {fires("a"), fires("b", muted("explained by a")), 0, true},
		"silenced":                              {fires("a"), fires("b", muted("silence/a")), 0, false},
		"in maintenance":                        {fires("a"), fires("b", muted("maintenance/a")), 0, false},
		"resolved without having been in there": {fires("a"), alert("b", checks.AlertResolved, checks.AlertPending), 0, false},
		"not yet firing":                        {fires("a"), alert("b", checks.AlertPending, ""), 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, targets())
			d.step(0, tt.first)
			d.step(tt.apart, tt.second)
			if tt.first.Incident == "" {
				t.Fatal("the first alert is in no incident")
			}
			if got := tt.first.Incident == tt.second.Incident; got != tt.together {
				t.Errorf("together: %v, want %v (%+v)", got, tt.together, d.List())
			}
		})
	}
}

func TestWhatExplainsComesFirstThoughItIsToldLast(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	slow, down := fires("slow", muted("alert/f-down"), blame("")), fires("down", severity(checks.P1))
	d.step(0, slow, down)
	if slow.Incident == "" || slow.Incident != down.Incident {
		t.Errorf("incidents %q and %q, want one", slow.Incident, down.Incident)
	}
}

func TestAMutedAlertGetsItsIncidentWhenTheMuteEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	out := d.step(0, fires("down", muted("silence/x")))
	if len(d.List()) != 0 || len(out.Events) != 1 || out.Events[0].Incident != "" {
		t.Fatalf("a muted alert opened %+v, %+v", d.List(), out.Events)
	}
	a := alert("down", checks.AlertFiring, checks.AlertFiring)
	d.step(time.Minute, a)
	if len(d.List()) != 1 || a.Incident != d.List()[0].ID {
		t.Errorf("got %+v", d.List())
	}
}

func TestTheSeverityIsTheWorstItHad(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("slow"))
	a := fires("down", severity(checks.P1))
	d.step(10*time.Minute, a)
	d.step(time.Minute, resolves("down", severity(checks.P1)))
	got := d.List()[0]
	if got.Severity != checks.P1 || got.Title != "down is bad" || !got.RespondBy.Equal(friday().Add(25*time.Minute)) {
		t.Errorf("got %s %q, respond by %s", got.Severity, got.Title, got.RespondBy)
	}
	if !a.RespondBy.Equal(got.RespondBy) {
		t.Errorf("the alert says %s", a.RespondBy)
	}
	if n := d.Count(); n[checks.P1] != 1 || len(n) != 1 {
		t.Errorf("counts %v", n)
	}
}

func TestTheTimeToRespond(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	monday := friday().AddDate(0, 0, 3)
	tests := map[string]struct {
		severity checks.Severity
		options  incident.Options
		at       time.Time
		want     time.Time
	}{
		"a quarter of an hour":          {checks.P1, incident.Options{}, friday(), friday().Add(15 * time.Minute)},
		"an hour":                       {checks.P2, incident.Options{}, friday(), friday().Add(time.Hour)},
		"four hours":                    {checks.P3, incident.Options{}, friday(), friday().Add(4 * time.Hour)},
		"Monday after Friday":           {checks.P4, incident.Options{}, friday(), monday.Add(7 * time.Hour)},
		"Monday after Sunday":           {checks.P4, incident.Options{}, friday().AddDate(0, 0, 2), monday.Add(7 * time.Hour)},
		"Tuesday after Monday":          {checks.P4, incident.Options{}, monday, monday.AddDate(0, 0, 1).Add(7 * time.Hour)},
		"in the team's zone":            {checks.P4, incident.Options{Timezone: paris}, friday(), monday.Add(5 * time.Hour)},
		"Sunday night is Monday there":  {checks.P4, incident.Options{Timezone: paris}, friday().AddDate(0, 0, 2).Add(13 * time.Hour), monday.AddDate(0, 0, 1).Add(5 * time.Hour)},
		"over the change of the clocks": {checks.P4, incident.Options{Timezone: paris}, time.Date(2026, 10, 23, 10, 0, 0, 0, time.UTC), time.Date(2026, 10, 26, 16, 0, 0, 0, time.UTC)},
		"as configured":                 {checks.P2, incident.Options{RespondIn: map[checks.Severity]time.Duration{checks.P2: time.Minute}}, friday(), friday().Add(time.Minute)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := incident.New()
			b.Configure(targets(), tt.options)
			a := fires("x", severity(tt.severity))
			b.Step(tt.at, []*checks.Alert{a})
			if !a.RespondBy.Equal(tt.want) {
				t.Errorf("respond by %s, want %s", a.RespondBy, tt.want)
			}
		})
	}
}

// reminders runs the book on in steps and returns when it reminded, and whether the time was over.
func (d *desk) reminders(over, step time.Duration) (at []time.Duration) {
	for began := d.now; d.now.Sub(began) < over; {
		for _, r := range d.step(step).Reminders {
			if !r.Reminder || r.State != r.Previous || r.Incident == "" || !r.At.Equal(d.now) {
				d.t.Errorf("a reminder that is none: %+v", r)
			}
			at = append(at, d.now.Sub(friday()))
		}
	}
	return at
}

func TestRemindersComeOnceBeforeAndOnceWhenItIsMissed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("slow"), fires("down", severity(checks.P1)))
	got := d.reminders(2*time.Hour, time.Second)
	if want := []time.Duration{10 * time.Minute, 15 * time.Minute}; !slices.Equal(got, want) {
		t.Errorf("reminded at %v, want %v", got, want)
	}
	last := d.out[len(d.out)-1]
	if len(last.Events) != 0 {
		t.Errorf("it goes on: %v", last.Events)
	}
}

func TestRemindersOfATaskWaitForTheMorning(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("old", severity(checks.P4)))
	got := d.reminders(5*24*time.Hour, time.Minute)
	if want := []time.Duration{71 * time.Hour, 79 * time.Hour}; !slices.Equal(got, want) { // Monday, nine and five o'clock
		t.Errorf("reminded at %v, want %v", got, want)
	}
}

func TestNobodyIsRemindedOfWhatIsAcknowledgedResolvedOrMuted(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*desk){
		"acknowledged": func(d *desk) {
			if _, err := d.Ack(d.now, "down", "Ada", ""); err != nil {
				d.t.Error(err)
			}
		},
		"resolved": func(d *desk) { d.step(0, resolves("down")) },
		"hushed": func(d *desk) {
			d.Hush([]checks.Alert{*fires("down", muted("silence/x")), *fires("other")})
		},
		"muted": func(d *desk) { d.step(0, alert("down", checks.AlertFiring, checks.AlertFiring, muted("silence/x"))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, targets())
			d.step(0, fires("down"))
			prepare(d)
			if got := d.reminders(3*time.Hour, time.Minute); len(got) != 0 {
				t.Errorf("reminded at %v", got)
			}
		})
	}
}

func TestWhatGetsWorseHasItsOwnTimeToRespond(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("slow"))
	got := d.reminders(2*time.Hour, time.Minute)
	d.step(0, fires("down", severity(checks.P1)))
	got = append(got, d.reminders(time.Hour, time.Minute)...)
	want := []time.Duration{40 * time.Minute, time.Hour, 130 * time.Minute, 135 * time.Minute}
	if !slices.Equal(got, want) {
		t.Errorf("reminded at %v, want %v", got, want)
	}
}

func TestAcknowledging(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	a := fires("api-down")
	d.step(0, a)
	for _, target := range []string{a.Incident, "api-down", "f-api-down"} {
		out, err := d.Ack(d.now, target, "Ada", "on it")
		if err != nil || len(out.Events) != 1 || out.Events[0].Text != "Ada acknowledged: on it" || out.Events[0].Incident != a.Incident {
			t.Errorf("%s: %+v, %v", target, out, err)
		}
		if r := out.Reminders; len(r) != 1 || r[0].Rule != "api-down" || !r[0].Reminder || r[0].Commander != "Ada" {
			t.Errorf("%s: those who were told hear %+v, want that Ada answers", target, r)
		}
	}
	next := alert("api-down", checks.AlertNoData, checks.AlertFiring)
	d.step(time.Minute, next)
	if next.Commander != "Ada" {
		t.Errorf("commander %q", next.Commander)
	}
	for target, want := range map[string]string{
		"api-dwn": `no open incident has the id "api-dwn" or an open alert of that rule or fingerprint; did you mean "api-down"?`,
		"zzz":     `no open incident has the id "zzz" or an open alert of that rule or fingerprint`,
	} {
		if _, err := d.Ack(d.now, target, "Ada", ""); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := d.Ack(d.now, "api-down", "", ""); err == nil {
		t.Error("nobody acknowledged")
	}
	if _, err := incident.New().Ack(d.now, "api-down", "Ada", ""); err == nil || !strings.Contains(err.Error(), "no incident is open") {
		t.Errorf("got %v", err)
	}
}

func TestAnIncidentIsOverWhenTheApplicationHasBeenWell(t *testing.T) {
	t.Parallel()
	open := func(d *desk) bool { return len(d.List()) > 0 }
	t.Run("the application's own path", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, targets())
		d.step(0, fires("down"))
		d.saw(0, "app", checks.Failed)
		d.step(time.Minute, resolves("down"))
		d.step(time.Hour)
		if !open(d) {
			t.Fatal("closed, though nobody looked at the application since")
		}
		d.saw(0, "hello", checks.OK)
		d.saw(0, "app", checks.OK)
		d.saw(4*time.Minute, "app", checks.Failed)
		d.step(2 * time.Minute)
		if !open(d) {
			t.Fatal("closed, though the application failed")
		}
		d.saw(0, "app", checks.Degraded)
		d.saw(0, "hello", checks.Failed)
		d.saw(0, "app", checks.Skipped)
		d.step(5*time.Minute - 1)
		if !open(d) {
			t.Fatal("closed before the window was over")
		}
		out := d.step(1)
		if open(d) || !out.Changed || len(d.state) != 0 {
			t.Fatalf("still open, or states are kept: %v", d.state)
		}
		last := out.Events[len(out.Events)-1]
		if last.Kind != incident.EventClosed || last.Closed == nil || last.Closed.ClosedAt.IsZero() || len(last.Closed.Alerts) != 1 {
			t.Errorf("the last event is %+v", last)
		}
	})
	t.Run("without one, the chat probes of the provider", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, targets()[1:])
		d.step(0, fires("down"))
		d.step(time.Minute, resolves("down"))
		d.saw(0, "other", checks.Failed)
		d.saw(0, "hello", checks.OK)
		d.step(5 * time.Minute)
		if open(d) {
			t.Error("still open")
		}
	})
	t.Run("without any, the alerts alone", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, nil)
		d.step(0, fires("down"))
		d.step(time.Minute, resolves("down"))
		d.step(5*time.Minute - 1)
		if !open(d) {
			t.Fatal("closed at once")
		}
		d.step(0, alert("down", checks.AlertFiring, checks.AlertResolved))
		d.step(time.Hour)
		if !open(d) {
			t.Fatal("closed while an alert fires")
		}
	})
}

func TestWhichChecksAreConcerned(t *testing.T) {
	t.Parallel()
	names := func(d *desk) []string { return slices.Sorted(maps.Keys(d.Concerned())) }
	d := newDesk(t, targets())
	if out := d.step(0, fires("down", labels("provider", "mistral", "check", "query"))); !out.Changed {
		t.Error("nothing changed")
	}
	if got, want := names(d), []string{"app", "emb", "hello", "query"}; !slices.Equal(got, want) {
		t.Errorf("concerned: %v, want %v", got, want)
	}
	d = newDesk(t, targets())
	d.step(0, fires("dear", severity(checks.P3)))
	if got := names(d); len(got) != 0 {
		t.Errorf("what is not urgent concerns %v", got)
	}
}

func TestAVerdictThatChangedIsAnEventOfItsIncident(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.Recall(&checks.Report{Check: "hello", Final: true, Result: checks.Result{Status: checks.OK}})
	if out := d.saw(0, "hello", checks.OK); len(out.Events) != 0 {
		t.Errorf("events of no change: %v", out.Events)
	}
	d.step(0, fires("down"))
	out := d.saw(0, "hello", checks.Failed)
	if len(out.Events) != 1 || out.Events[0].Incident != d.List()[0].ID || out.Events[0].Text != "hello: failed, was ok: what it said" {
		t.Errorf("got %+v", out.Events)
	}
	if out := d.saw(0, "emb", checks.Failed); len(out.Events) != 0 {
		t.Errorf("events of a first run: %v", out.Events)
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, targets())
	d.step(0, fires("down"), fires("key", blame(checks.BlameAccount)), fires("late", severity(checks.P4)))
	d.step(time.Minute, fires("slow", muted("alert/f-down")), resolves("key", blame(checks.BlameAccount)))
	d.took(ack(t, d, "late"))
	d.reminders(50*time.Minute, time.Minute)

	after := incident.New()
	after.Configure(targets(), incident.Options{})
	d.state["rubbish"], d.state["x/y"] = []byte("{"), []byte("null")
	if out := after.Restore(d.now, d.state); !out.Changed {
		t.Error("nothing changed")
	}
	got, want := after.List(), d.List()
	if len(got) != len(want) {
		t.Fatalf("%d incidents, want %d", len(got), len(want))
	}
	for i := range want {
		if g, w := got[i], want[i]; g.ID != w.ID || g.Severity != w.Severity || len(g.Alerts) != len(w.Alerts) ||
			g.Commander != w.Commander || g.Reminded != w.Reminded || !g.RespondBy.Equal(w.RespondBy) || !g.QuietAt.Equal(w.QuietAt) {
			t.Errorf("got %+v\nwant %+v", g, w)
		}
	}
	back := fires("down")
	after.Step(d.now, []*checks.Alert{back})
	if i, ok := d.Get(back.Incident); !ok || i.Title != "down is bad" {
		t.Errorf("the alert came into %q", back.Incident)
	}
}

func ack(t *testing.T, d *desk, target string) incident.Outcome {
	t.Helper()
	out, err := d.Ack(d.now, target, "Ada", "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatTheEngineDoesNotKnowIsOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.step(0, fires("a"), fires("b"))
	d.took(d.Reconcile(d.now, []checks.Alert{*fires("a")}))
	i := d.List()[0]
	if len(i.Alerts) != 2 || !i.Alerts[0].State.Open() || i.Alerts[1].State != checks.AlertResolved {
		t.Errorf("got %+v", i.Alerts)
	}
	d.took(d.Reconcile(d.now, nil))
	d.step(5 * time.Minute)
	if len(d.List()) != 0 {
		t.Error("still open")
	}
}

// TestWhateverHappens drives books with random alerts and reports, restarts among them.
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &world{desk: newDesk(t, targets()), states: map[string]checks.AlertState{}, incidentOf: map[string]string{}, reminded: map[string]int{}, opened: map[string]bool{}, closed: map[string]bool{}}
		for range 200 {
			w.turn(r)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		w.end()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type world struct {
	*desk

	states         map[string]checks.AlertState
	incidentOf     map[string]string // of open alerts
	reminded       map[string]int
	opened, closed map[string]bool
}

func (w *world) turn(r *rand.Rand) {
	w.now = w.now.Add(time.Duration(r.Int64N(int64(4 * time.Minute))))
	switch r.IntN(8) {
	case 0:
		w.check(w.saw(0, []string{"app", "hello", "other"}[r.IntN(3)], []checks.Status{checks.OK, checks.OK, checks.Failed}[r.IntN(3)]), nil)
	case 1:
		w.check(w.step(0), nil)
	case 2:
		before := w.List()
		w.Book = incident.New()
		w.Configure(targets(), incident.Options{})
		w.took(w.Restore(w.now, w.state))
		if len(before) != len(w.List()) {
			w.t.Errorf("a restart made %d incidents of %d", len(w.List()), len(before))
		}
	case 3:
		if list := w.List(); len(list) > 0 {
			w.took(ack(w.t, w.desk, list[0].ID))
		}
	default:
		var batch []*checks.Alert
		for range 1 + r.IntN(3) {
			batch = append(batch, w.transition(r))
		}
		w.check(w.step(0, batch...), batch)
	}
}

// transition is one that an engine could tell.
func (w *world) transition(r *rand.Rand) *checks.Alert {
	n := r.IntN(8)
	name := string(rune('a' + n))
	previous := w.states[name]
	state := []checks.AlertState{checks.AlertPending, checks.AlertFiring, checks.AlertResolved, checks.AlertNoData}[r.IntN(4)]
	if previous.Open() && state == checks.AlertPending {
		state = checks.AlertResolved
	}
	w.states[name] = state
	a := alert(name, state, previous, severity([]checks.Severity{checks.P1, checks.P2, checks.P3, checks.P4}[n%4]),
		labels("provider", []string{"mistral", "other", ""}[n%3]), blame([]checks.Blame{checks.BlameProvider, checks.BlameNetwork, checks.BlameAccount, ""}[n%4]))
	if !state.Open() || r.IntN(4) > 0 {
		return a
	}
	a.Muted = []string{"silence/x", "alert/f-a", "alert/f-b"}[r.IntN(3)]
	return a
}

func (w *world) check(out incident.Outcome, batch []*checks.Alert) {
	for _, e := range out.Events {
		if e.Kind == incident.EventOpened {
			if w.opened[e.Incident] {
				w.t.Errorf("%s opened twice", e.Incident)
			}
			w.opened[e.Incident] = true
		}
		if e.Kind != incident.EventClosed {
			continue
		}
		if !w.opened[e.Incident] || w.closed[e.Incident] {
			w.t.Errorf("%s closed, but is not open", e.Incident)
		}
		w.closed[e.Incident] = true
		for _, a := range e.Closed.Alerts {
			if a.State.Open() {
				w.t.Errorf("%s closed over an open alert", e.Incident)
			}
		}
	}
	for _, rem := range out.Reminders {
		if rem.Muted != "" || !rem.State.Open() {
			w.t.Errorf("a reminder of nothing: %+v", rem)
		}
	}
	for _, a := range batch {
		w.checkAlert(a)
	}
	if len(w.opened)-len(w.closed) != len(w.List()) {
		w.t.Errorf("opened %d, closed %d, open %d", len(w.opened), len(w.closed), len(w.List()))
	}
}

func (w *world) checkAlert(a *checks.Alert) {
	if a.State.Open() && a.Muted == "" && a.Incident == "" {
		w.t.Errorf("%s is open and in no incident", a.Rule)
	}
	if a.Incident != "" && (!w.opened[a.Incident] || a.RespondBy.IsZero()) {
		w.t.Errorf("%s is in %q, respond by %s", a.Rule, a.Incident, a.RespondBy)
	}
	if before := w.incidentOf[a.Rule]; before != "" && a.Incident != before {
		w.t.Errorf("%s went from %q to %q while it was open", a.Rule, before, a.Incident)
	}
	delete(w.incidentOf, a.Rule)
	if a.State.Open() && a.Incident != "" {
		w.incidentOf[a.Rule] = a.Incident
	}
}

// end resolves everything and has the application be well: nothing may stay open, and nothing be kept.
func (w *world) end() {
	for name, state := range w.states {
		if state.Open() {
			w.step(0, resolves(name))
		}
	}
	for _, after := range []time.Duration{time.Second, 6 * time.Minute} {
		w.saw(after, "app", checks.OK)
		w.saw(0, "hello", checks.OK)
	}
	w.step(6 * time.Minute)
	if len(w.List()) != 0 || len(w.state) != 0 {
		w.t.Errorf("left open: %+v, kept: %d", w.List(), len(w.state))
	}
}

func TestTheSameEntropyMakesTheSameIDs(t *testing.T) {
	t.Parallel()
	ids := func() string {
		b := incident.New()
		b.Configure(nil, incident.Options{Entropy: bytes.NewReader(bytes.Repeat([]byte{7}, 1000))})
		return b.NewID(friday()) + b.NewID(friday()) + b.NewID(friday().Add(time.Hour))
	}
	if first, second := ids(), ids(); first != second {
		t.Errorf("%s, then %s", first, second)
	}
}

func TestAClockThatIsSetBackKeepsNoIncidentOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, []incident.Target{{Name: "chat", Kind: "chat", Provider: "mistral"}})
	d.step(0, fires("down"))
	d.step(time.Minute, resolves("down"))
	d.step(-24 * time.Hour)
	for range 6 {
		d.saw(time.Minute, "chat", checks.OK)
	}
	if got := d.List(); len(got) != 0 {
		t.Errorf("open after six good minutes: %+v, want none", got)
	}
}
