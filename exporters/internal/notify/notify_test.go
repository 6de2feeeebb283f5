package notify_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/notify"
)

// people are a Sender by hand. They remember the keys of what they heard, as a receiver of idempotency keys does.
type people struct {
	answer func(m notify.Message) error // nil: they hear everything
	heard  []notify.Message
	keys   map[string]bool
	ref    int
}

func (p *people) Send(_ context.Context, m notify.Message) ([]byte, error) {
	if p.answer != nil {
		if err := p.answer(m); err != nil {
			return nil, err
		}
	}
	if p.keys == nil {
		p.keys = map[string]bool{}
	}
	if !p.keys[m.Key] {
		p.heard = append(p.heard, m)
	}
	p.keys[m.Key] = true
	p.ref++
	return fmt.Append(nil, p.ref), nil
}

func build(t *testing.T, params notify.Params, p *people, state []byte) *notify.Notifier {
	t.Helper()
	n, err := notify.New(params, exporters.Env{Name: "team", State: state}, p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// epoch is in the past, so that Refresh, which knows the time, comes after the records.
func epoch() time.Time { return time.Now().Add(-24 * time.Hour).Truncate(time.Second) }

func record(seq int, at time.Time, a checks.Alert) checks.Record {
	a.At = at
	if a.Severity == "" {
		a.Severity = checks.P2
	}
	return checks.Record{ID: fmt.Sprintf("%08d", seq), At: at, Alert: &a}
}

func says(messages []notify.Message) string {
	var all []string
	for _, m := range messages {
		var names []string
		for _, a := range m.Alerts {
			names = append(names, a.Fingerprint)
		}
		all = append(all, string(m.Kind)+" "+strings.Join(names, "+"))
	}
	return strings.Join(all, ", ")
}

func TestWhatGoesIntoOneMessage(t *testing.T) {
	at := epoch()
	of := func(fingerprint, incident string, state checks.AlertState) checks.Alert {
		return checks.Alert{Rule: "r-" + fingerprint, Fingerprint: fingerprint, State: state, Incident: incident, Labels: map[string]string{"provider": fingerprint[:1]}}
	}
	firing, resolved := checks.AlertFiring, checks.AlertResolved
	for name, tt := range map[string]struct {
		by     []string
		alerts []checks.Alert
		want   string
	}{
		"alerts of an incident":              {nil, []checks.Alert{of("a1", "i", firing), of("b1", "i", firing)}, "opened a1+b1"},
		"not of another":                     {nil, []checks.Alert{of("a1", "i", firing), of("b1", "j", firing), of("a2", "i", firing)}, "opened a1+a2, opened b1"},
		"each alone without an incident":     {nil, []checks.Alert{of("a1", "", firing), of("a2", "", firing)}, "opened a1, opened a2"},
		"by a label":                         {[]string{"provider"}, []checks.Alert{of("a1", "i", firing), of("a2", "j", firing), of("b1", "i", firing)}, "opened a1+a2, opened b1"},
		"an end does not overtake its start": {nil, []checks.Alert{of("a1", "i", firing), of("a1", "i", resolved), of("a2", "i", firing)}, "opened a1+a2, resolved a1"},
		"a start does not overtake an end":   {nil, []checks.Alert{of("a1", "i", firing), of("a1", "i", resolved), of("a1", "i", firing)}, "opened a1, resolved a1, opened a1"},
		"the group of the start is kept":     {nil, []checks.Alert{of("a1", "i", firing), of("a1", "j", resolved)}, "opened a1, resolved a1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &people{}
			params := notify.Defaults()
			params.GroupBy = tt.by
			n := build(t, params, p, nil)
			var batch []checks.Record
			for i, a := range tt.alerts {
				batch = append(batch, record(i, at.Add(time.Duration(i)*time.Second), a))
			}
			if _, err := n.Export(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if got := says(p.heard); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhichAlertsAreTold(t *testing.T) {
	a := checks.Alert{
		Rule: "high-latency", Fingerprint: "f", State: checks.AlertFiring, Severity: checks.P2, Blame: checks.BlameProvider,
		Labels: map[string]string{"team": "platform", "check": "chat-small"},
	}
	for name, tt := range map[string]struct {
		match map[string]notify.Values
		want  bool
	}{
		"all, without a match":            {nil, true},
		"the severity":                    {map[string]notify.Values{"severity": {"P1", "P2"}}, true},
		"another severity":                {map[string]notify.Values{"severity": {"P1"}}, false},
		"a label":                         {map[string]notify.Values{"team": {"platform"}}, true},
		"a label and another severity":    {map[string]notify.Values{"team": {"platform"}, "severity": {"P1"}}, false},
		"not a label":                     {map[string]notify.Values{"team": {"!search"}}, true},
		"not this label":                  {map[string]notify.Values{"team": {"!platform"}}, false},
		"an expression over the whole":    {map[string]notify.Values{"check": {"~chat-.*"}}, true},
		"an expression over a part only":  {map[string]notify.Values{"check": {"~chat"}}, false},
		"not an expression":               {map[string]notify.Values{"check": {"!~emb.*"}}, true},
		"one of a list, and not another":  {map[string]notify.Values{"check": {"chat-small", "!chat-large"}}, true},
		"a label that it does not have":   {map[string]notify.Values{"env": {"prod"}}, false},
		"not a label that it has not":     {map[string]notify.Values{"env": {"!dev"}}, true},
		"the rule":                        {map[string]notify.Values{"rule": {"high-latency"}}, true},
		"whose fault it is":               {map[string]notify.Values{"blame": {"provider"}}, true},
		"neither of several that are not": {map[string]notify.Values{"rule": {"!a", "!high-latency"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &people{}
			params := notify.Defaults()
			params.Match = tt.match
			n := build(t, params, p, nil)
			if _, err := n.Export(t.Context(), []checks.Record{record(1, epoch(), a)}); err != nil {
				t.Fatal(err)
			}
			if got := len(p.heard) == 1; got != tt.want {
				t.Errorf("told: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLabelsThatBecomeAlikeAreAlwaysTheSame(t *testing.T) {
	for range 50 {
		got := notify.Labels(&checks.Alert{Rule: "r", Severity: checks.P1, Labels: map[string]string{"a.b": "1", "a_b": "2", "a-b": "3"}})
		if got["a_b"] != "3" {
			t.Fatalf("a_b is %q, want that of the first by name", got["a_b"])
		}
	}
}

func TestAnAcknowledgementIsToldWhereRemindersAreNot(t *testing.T) {
	p, at := &people{}, epoch()
	params := notify.Defaults()
	params.Reminders = false
	n := build(t, params, p, nil)
	opens := checks.Alert{Rule: "a", Fingerprint: "a", Severity: checks.P1, State: checks.AlertFiring, Incident: "i"}
	reminder, taken := opens, opens
	reminder.Reminder, taken.Reminder, taken.Commander = true, true, "ada"
	for i, a := range []checks.Alert{opens, reminder, taken, taken} {
		if _, err := n.Export(t.Context(), []checks.Record{record(i, at.Add(time.Duration(i)*time.Minute), a)}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := says(p.heard), "opened a, reminder a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMessageSaysWhatWasToldBeforeAndWhatIsOpen(t *testing.T) {
	p, at := &people{}, epoch()
	n := build(t, notify.Defaults(), p, nil)
	alert := func(f string, s checks.Severity, state checks.AlertState) checks.Alert {
		return checks.Alert{Rule: f, Fingerprint: f, Severity: s, State: state, Incident: "i"}
	}
	reminder := alert("b", checks.P3, checks.AlertFiring)
	reminder.Reminder = true
	for i, a := range []checks.Alert{
		alert("a", checks.P2, checks.AlertFiring), alert("b", checks.P3, checks.AlertFiring), alert("b", checks.P1, checks.AlertFiring),
		reminder, alert("a", checks.P2, checks.AlertResolved), alert("b", checks.P1, checks.AlertResolved),
	} {
		if _, err := n.Export(t.Context(), []checks.Record{record(i, at.Add(time.Duration(i)*time.Minute), a)}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := says(p.heard), "opened a, opened b, changed b, reminder b, resolved a, resolved b"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if m := p.heard[2]; m.Before[0].Severity != checks.P3 || len(m.Open) != 2 || m.Open[0].Fingerprint != "b" || string(m.Ref) != "2" {
		t.Errorf("changed: before %s, open %v, ref %s; want P3, b first of two, and the reference of the message before", m.Before[0].Severity, m.Open, m.Ref)
	}
	if m := p.heard[5]; len(m.Open) != 0 || string(m.Ref) != "5" {
		t.Errorf("the last end: open %v, ref %s; want nothing, and the reference of the message before", m.Open, m.Ref)
	}
	again := alert("a", checks.P2, checks.AlertFiring)
	if _, err := n.Export(t.Context(), []checks.Record{record(9, at.Add(time.Hour), again)}); err != nil || p.heard[6].Ref != nil {
		t.Errorf("%v, ref %s; want none for what begins anew", err, p.heard[6].Ref)
	}
}

func TestHostileAlertsAreCleaned(t *testing.T) {
	p := &people{}
	n := build(t, notify.Defaults(), p, nil)
	labels := map[string]string{"\xff": "\xff"}
	for i := range 200 {
		labels[fmt.Sprint("l", i)] = strings.Repeat("é", 9000)
	}
	outcome, err := n.Export(t.Context(), []checks.Record{record(1, epoch(), checks.Alert{
		Rule: "\xff", Fingerprint: "f\xff", State: checks.AlertFiring, Value: math.NaN(), Threshold: math.Inf(1), Labels: labels,
	})})
	if err != nil || len(p.heard) != 1 || len(outcome.State) == 0 {
		t.Fatalf("%v, %d messages, %d bytes of state; want it told and known", err, len(p.heard), len(outcome.State))
	}
	again := build(t, notify.Defaults(), p, outcome.State)
	if _, err := again.Refresh(t.Context(), nil); err != nil || len(p.heard) != 2 || p.heard[1].Kind != notify.Resolved {
		t.Errorf("%v, %s; want its end by the state", err, says(p.heard))
	}
}

func TestAnEndThatIsAlwaysRefusedIsGivenUp(t *testing.T) {
	p, at := &people{}, epoch()
	n := build(t, notify.Defaults(), p, nil)
	a := checks.Alert{Fingerprint: "f", State: checks.AlertFiring}
	if _, err := n.Export(t.Context(), []checks.Record{record(1, at, a)}); err != nil {
		t.Fatal(err)
	}
	tries := 0
	p.answer = func(notify.Message) error { tries++; return exporters.Poison(errors.New("status 400")) }
	a.State = checks.AlertResolved
	outcome, err := n.Export(t.Context(), []checks.Record{record(2, at.Add(time.Minute), a)})
	if err != nil || len(outcome.Rejected) != 1 {
		t.Fatalf("%+v, %v, want it rejected", outcome, err)
	}
	for range 20 {
		if _, err := n.Refresh(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if tries != 5 {
		t.Errorf("%d attempts, want 5", tries)
	}
}

func TestAnOpeningThatWasLostIsToldByRefreshOnce(t *testing.T) {
	p, at := &people{}, epoch()
	n := build(t, notify.Defaults(), p, nil)
	fires := record(1, at, checks.Alert{Fingerprint: "f", State: checks.AlertFiring})
	hushed := record(2, at, checks.Alert{Fingerprint: "g", State: checks.AlertFiring, Muted: "silence/1"})
	for range 3 {
		if _, err := n.Refresh(t.Context(), []checks.Alert{*fires.Alert, *hushed.Alert}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Export(t.Context(), []checks.Record{fires}); err != nil { // it was not lost, only late
		t.Fatal(err)
	}
	if got := says(p.heard); got != "opened f" {
		t.Errorf("got %q, want it opened once", got)
	}
}

// world is an engine, a store, delivery and people, of whom any may fail at any time.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	params notify.Params
	people *people
	n      *notify.Notifier
	now    time.Time
	seq    int
	open   map[string]checks.Alert // as the engine knows it
	queue  []checks.Record
	state  []byte // as committed
	killed bool   // the process is once ended between an export and its commit
	dead   bool   // it was
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 7)), params: notify.Defaults(), people: &people{}, open: map[string]checks.Alert{},
	}
	w.params.Match = map[string]notify.Values{"severity": {"P1", "P2"}}
	w.people.answer = func(notify.Message) error {
		switch w.rand.IntN(6) {
		case 0:
			return exporters.Retry(errors.New("status 500"), 0)
		case 1:
			return exporters.Hold(errors.New("status 401"))
		}
		return nil
	}
	w.n = build(t, w.params, w.people, nil)
	return w
}

// judge makes a transition of one alert.
func (w *world) judge() {
	fingerprint := string(rune('a' + w.rand.IntN(6)))
	w.seq++
	time.Sleep(time.Second)
	w.now = time.Now()
	a, open := w.open[fingerprint]
	switch {
	case !open:
		a = checks.Alert{
			Rule: fingerprint, Fingerprint: fingerprint, State: checks.AlertFiring, Severity: []checks.Severity{checks.P1, checks.P2, checks.P3}[w.rand.IntN(3)],
			Since: w.now, Incident: strconv.Itoa(w.rand.IntN(3)), Previous: checks.AlertPending,
		}
	case w.rand.IntN(2) == 0:
		a.Previous, a.State = a.State, checks.AlertResolved
	default:
		a.Previous, a.State = a.State, []checks.AlertState{checks.AlertFiring, checks.AlertNoData}[w.rand.IntN(2)]
		a.Severity = min(a.Severity, []checks.Severity{checks.P1, checks.P2, checks.P3}[w.rand.IntN(3)])
		a.Reminder = w.rand.IntN(3) == 0
	}
	a.Muted = ""
	if w.rand.IntN(4) == 0 {
		a.Muted = "silence/1"
	}
	a.At = w.now
	if a.State.Open() {
		w.open[fingerprint] = a
	} else {
		delete(w.open, fingerprint)
	}
	w.queue = append(w.queue, record(w.seq, w.now, a))
}

// deliver exports a batch as the delivery worker does.
func (w *world) deliver() {
	batch := w.queue[:min(len(w.queue), 1+w.rand.IntN(8))]
	outcome, err := w.n.Export(w.t.Context(), batch)
	if w.killed && !w.dead && w.rand.IntN(10) == 0 {
		w.dead = true
		w.restart()
		return
	}
	n, state := len(batch), outcome.State
	if err != nil {
		n, state = exporters.ProgressOf(err)
	}
	w.queue = w.queue[n:]
	w.commit(state)
}

func (w *world) commit(state []byte) {
	if state != nil {
		w.state = slices.Clone(state)
	}
}

func (w *world) restart() { w.n = build(w.t, w.params, w.people, w.state) }

func (w *world) refresh() error {
	open := make([]checks.Alert, 0, len(w.open))
	for _, a := range w.open {
		open = append(open, a)
	}
	state, err := w.n.Refresh(w.t.Context(), open)
	w.commit(state)
	return err
}

func (w *world) step(lossy bool) {
	switch w.rand.IntN(12) {
	case 0, 1, 2, 3:
		w.judge()
	case 4:
		w.restart()
	case 5:
		if lossy {
			_ = w.refresh()
		}
	case 6:
		if n := len(w.queue); lossy && n > 0 { // the store drops its oldest
			w.queue = w.queue[1+w.rand.IntN(n):]
		}
	default:
		if len(w.queue) > 0 {
			w.deliver()
		}
	}
}

// settle lets everything work, and ends all alerts.
func (w *world) settle() {
	w.people.answer = nil
	for len(w.queue) > 0 {
		w.deliver()
	}
	clear(w.open)
	if err := w.refresh(); err != nil {
		w.t.Fatal(err)
	}
}

// pairs holds that whatever was opened is ended once, before it is opened again, and that nothing else is ended. Where a
// process was killed with what it had said in its head, the same may be said twice. (Where the record of that is lost too,
// nobody is left who knows, and its end is not told: that is not tried here.)
func (w *world) pairs(seed uint64) {
	w.t.Helper()
	open := map[string]bool{}
	for i, m := range w.people.heard {
		for _, a := range m.Alerts {
			begins := m.Kind == notify.Opened
			if known := open[a.Fingerprint]; known == begins && !w.killed {
				w.t.Fatalf("seed %d: message %d says %s of %s, open is %v: %s", seed, i, m.Kind, a.Fingerprint, known, says(w.people.heard))
			}
			open[a.Fingerprint] = m.Kind != notify.Resolved
		}
	}
	for fingerprint, still := range open {
		if still {
			w.t.Fatalf("seed %d: %s was never ended: %s", seed, fingerprint, says(w.people.heard))
		}
	}
}

func TestWhateverFailsEachThingToldIsEndedOnce(t *testing.T) {
	told := 0
	for seed := range uint64(240) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			lossy := seed%3 == 1
			w.killed = seed%3 == 2
			for range 150 {
				w.step(lossy)
			}
			w.settle()
			w.pairs(seed)
			told += len(w.people.heard)
		})
	}
	if told < 240*5 {
		t.Errorf("only %d messages in all: the test tests nothing", told)
	}
}

// TestAClockThatIsSetBackKeepsNobodyInTheDark: what was told while the clock was a day ahead holds nothing up.
func TestAClockThatIsSetBackKeepsNobodyInTheDark(t *testing.T) {
	ahead, now := time.Now().Add(24*time.Hour), time.Now().Add(-time.Minute)
	a := func(state checks.AlertState, severity checks.Severity) checks.Alert {
		return checks.Alert{Rule: "r", Fingerprint: "a", State: state, Severity: severity}
	}
	p := &people{}
	n := build(t, notify.Defaults(), p, nil)
	export := func(seq int, at time.Time, of checks.Alert) {
		t.Helper()
		if _, err := n.Export(t.Context(), []checks.Record{record(seq, at, of)}); err != nil {
			t.Fatal(err)
		}
	}
	export(1, ahead, a(checks.AlertFiring, checks.P2))
	export(2, ahead, a(checks.AlertFiring, checks.P1)) // the same moment: known
	export(3, now, a(checks.AlertFiring, checks.P1))
	export(4, now.Add(time.Second), a(checks.AlertResolved, checks.P1))
	export(5, ahead.Add(time.Minute), a(checks.AlertFiring, checks.P2))
	if _, err := n.Refresh(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	export(6, now.Add(3*time.Second), a(checks.AlertFiring, checks.P2))
	if got, want := says(p.heard), "opened a, changed a, resolved a, opened a, resolved a, opened a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestADrillIsMarkedAndToldApart(t *testing.T) {
	at := epoch()
	of := func(fingerprint, drill string) checks.Alert {
		a := checks.Alert{Rule: "api-down", Fingerprint: fingerprint, State: checks.AlertFiring, Incident: "i", Summary: "it is down"}
		if drill != "" {
			a.Labels = map[string]string{checks.LabelDrill: drill}
		}
		return a
	}
	for _, by := range [][]string{nil, {"severity"}, {"all"}} {
		p := &people{}
		params := notify.Defaults()
		params.GroupBy = by
		n := build(t, params, p, nil)
		if _, err := n.Export(t.Context(), []checks.Record{record(1, at, of("a", "")), record(2, at, of("b", "5xx")), record(3, at, of("c", ""))}); err != nil {
			t.Fatal(err)
		}
		if got, want := says(p.heard), "opened a+c, opened b"; got != want {
			t.Fatalf("grouped by %v: got %q, want %q", by, got, want)
		}
		for i, want := range []string{"it is down", "DRILL it is down"} {
			if got := notify.Annotations(&p.heard[i].Alerts[0], "")["summary"]; got != want {
				t.Errorf("grouped by %v: got the summary %q, want %q", by, got, want)
			}
		}
		if got := notify.Labels(&p.heard[1].Alerts[0])["drill"]; got != "5xx" {
			t.Errorf("got the label %q, want 5xx", got)
		}
	}
}
