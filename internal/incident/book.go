package incident

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
)

// textLimit is how long the text of an event may be, in bytes.
const textLimit = 400

// Options are the developer's words; the zero value works.
type Options struct {
	CloseAfter time.Duration                     // the application's own path must have been well for so long; 5 minutes
	Timezone   *time.Location                    // of business days; UTC
	RespondIn  map[checks.Severity]time.Duration // 15 minutes, 1 hour, 4 hours, the next business day
	Entropy    io.Reader                         // of ids; the system's
}

// Book holds the open incidents. It is not safe for concurrent use.
type Book struct {
	o       Options
	entropy io.Reader
	targets map[string]Target
	only    string              // the provider, where there is only one
	open    []*open             // oldest first
	byAlert map[string]*open    // by fingerprint
	left    map[string]left     // by fingerprint: of incidents that were closed by hand
	paths   map[string]wellness // of the checks that may end an incident, by name
	ways    map[string][]string // which checks these are, by the incident's provider, as far as they were asked for
	verdict map[string]checks.Status
	renewed bool // Configure was called since the last Step
}

// open is an open incident with its alerts, by fingerprint. Incident.Alerts is empty.
type open struct {
	Incident

	members map[string]checks.Alert
	holdup  string // the check that it waited for when it was looked at last
}

// New makes a book without incidents. Before Configure it knows no checks, and goes by the checklist's times.
func New() *Book {
	b := &Book{byAlert: map[string]*open{}, left: map[string]left{}, paths: map[string]wellness{}, verdict: map[string]checks.Status{}}
	b.Configure(nil, Options{})
	return b
}

// Configure tells the book of the checks that there are and of how incidents are answered. The times to respond of open
// incidents stay.
func (b *Book) Configure(targets []Target, o Options) {
	if o.CloseAfter <= 0 {
		o.CloseAfter = 5 * time.Minute
	}
	if o.Timezone == nil {
		o.Timezone = time.UTC
	}
	if o.Entropy == nil {
		o.Entropy = rand.Reader
	}
	b.o, b.entropy = o, ulid.Monotonic(o.Entropy, 0)
	b.renewed = true
	b.ways = map[string][]string{}
	b.targets = make(map[string]Target, len(targets))
	providers := map[string]bool{}
	for _, t := range targets {
		b.targets[t.Name] = t
		if t.Provider != "" {
			providers[t.Provider] = true
			b.only = t.Provider
		}
	}
	if len(providers) != 1 {
		b.only = ""
	}
	gone := func(name string) bool { _, known := b.targets[name]; return !known }
	maps.DeleteFunc(b.paths, func(name string, _ wellness) bool { return gone(name) })
	maps.DeleteFunc(b.verdict, func(name string, _ checks.Status) bool { return gone(name) })
}

// NewID is a ULID of that time.
func (b *Book) NewID(now time.Time) string {
	id, err := ulid.New(ulid.Timestamp(now), b.entropy)
	if err != nil { // a clock out of its senses, or no entropy
		return ulid.Make().String()
	}
	return id.String()
}

// Event makes a line of the timeline.
func (b *Book) Event(now time.Time, kind EventKind, subject, text string) Event {
	return Event{ID: b.NewID(now), At: now.UTC(), Kind: kind, Subject: subject, Text: clip(text)}
}

// Note is an event about a provider that is none of an alert: of its worst open incident, where it has one. "" is about
// all of the agent.
func (b *Book) Note(now time.Time, kind EventKind, provider, text string) Outcome {
	e := b.Event(now, kind, provider, text)
	var worst *open
	for _, o := range b.open {
		if provider != "" && o.Provider == provider && (worst == nil || worse(o.Severity, worst.Severity)) {
			worst, e.Incident = o, o.ID
		}
	}
	return Outcome{Events: []Event{e}}
}

func clip(text string) string {
	if len(text) <= textLimit {
		return text
	}
	return strings.ToValidUTF8(text[:textLimit], "") + "…"
}

// Step takes the transitions of alerts that came together (none where only the time has moved on), and gives each its
// Incident, RespondBy and Commander in place.
func (b *Book) Step(now time.Time, changed []*checks.Alert) Outcome {
	out := Outcome{Changed: b.renewed && len(b.open) > 0}
	b.renewed = false
	first := inOrder(changed)
	for _, a := range first {
		b.take(now, a, &out)
	}
	b.pass(now, &out)
	return out
}

// inOrder is the transitions with those that explain before those that they explain. Those of one alert keep their order.
func inOrder(changed []*checks.Alert) []*checks.Alert {
	seen := make(map[string]bool, len(changed))
	for _, a := range changed {
		if seen[a.Fingerprint] {
			return changed
		}
		seen[a.Fingerprint] = true
	}
	first := slices.Clone(changed)
	slices.SortStableFunc(first, func(x, y *checks.Alert) int {
		return cmp.Or(cmp.Compare(min(len(x.Muted), 1), min(len(y.Muted), 1)), cmp.Compare(rank(x.Severity), rank(y.Severity)))
	})
	return first
}

// take takes one transition.
func (b *Book) take(now time.Time, a *checks.Alert, out *Outcome) {
	if b.leftOver(now, a, out) {
		return
	}
	home := b.home(now, a)
	if home == nil && (!a.State.Open() || a.Muted != "") {
		if a.State.Open() || a.Previous.Open() {
			out.Events = append(out.Events, b.told(now, a, ""))
		}
		return
	}
	if home != nil && !a.State.Open() && b.byAlert[a.Fingerprint] == nil { // pending, or never more than that
		return
	}
	if home == nil {
		home = b.begin(now, a, out)
	}
	b.join(now, home, a, out)
}

// begin opens an incident for an alert that belongs to none.
func (b *Book) begin(now time.Time, a *checks.Alert, out *Outcome) *open {
	o := &open{members: map[string]checks.Alert{}, Incident: Incident{
		ID: b.NewID(now), OpenedAt: now.UTC(), Provider: b.providerOf(a), Blame: a.Blame, Severity: a.Severity, Title: titleOf(a),
	}}
	o.deadline(&b.o, now)
	b.open = append(b.open, o)
	e := b.Event(now, EventOpened, a.Rule, fmt.Sprintf("incident opened, %s: %s", o.Severity, o.Title))
	e.Incident = o.ID
	out.Events = append(out.Events, e)
	return o
}

func titleOf(a *checks.Alert) string {
	if a.Summary == "" {
		return a.Rule
	}
	return clip(a.Summary)
}

// join makes the transition part of the incident.
func (b *Book) join(now time.Time, o *open, a *checks.Alert, out *Outcome) {
	_, known := o.members[a.Fingerprint]
	if !known {
		o.NewestAt = now.UTC()
		b.byAlert[a.Fingerprint] = o
		out.Changed = true
	}
	if a.State.Open() && worse(a.Severity, o.Severity) {
		o.Severity, o.Title = a.Severity, titleOf(a)
		o.worsen(&b.o, now)
		out.Changed = true
	}
	if o.Provider == "" {
		o.Provider = b.providerOf(a)
	}
	if o.Blame == "" {
		o.Blame = a.Blame
	}
	b.Fill(a)
	o.members[a.Fingerprint] = kept(a)
	o.settle(now)
	out.Events = append(out.Events, b.told(now, a, o.ID))
	b.save(o, a.Fingerprint, out)
}

// kept is the alert as it is remembered: JSON has no word for some numbers.
func kept(a *checks.Alert) checks.Alert {
	k := *a
	for _, v := range []*float64{&k.Value, &k.Threshold} {
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			*v = 0
		}
	}
	return k
}

// Fill tells an alert of the incident that it is in, as Step does.
func (b *Book) Fill(a *checks.Alert) {
	if o := b.byAlert[a.Fingerprint]; o != nil {
		a.Incident, a.RespondBy, a.Commander = o.ID, o.RespondBy, o.Commander
	} else if l, known := b.left[a.Fingerprint]; known {
		a.Incident = l.Incident
	}
}

// Hush tells the book of alerts that are muted otherwise than their last transition said: nobody is reminded of them.
func (b *Book) Hush(alerts []checks.Alert) {
	for i := range alerts {
		a := &alerts[i]
		o := b.byAlert[a.Fingerprint]
		if o == nil {
			continue
		}
		if m, known := o.members[a.Fingerprint]; known {
			m.Muted = a.Muted
			o.members[a.Fingerprint] = m
		}
	}
}

// deadline begins the time to respond.
func (o *open) deadline(opts *Options, now time.Time) {
	o.RespondFrom, o.RespondBy = now.UTC(), opts.respondBy(now, o.Severity).UTC()
	o.Reminded, o.Missed = false, false
}

// worsen shortens the time to respond where nobody has answered yet.
func (o *open) worsen(opts *Options, now time.Time) {
	if o.AckedAt.IsZero() && (o.Missed || opts.respondBy(now, o.Severity).Before(o.RespondBy)) {
		o.deadline(opts, now)
	}
}

// settle notes whether all alerts are resolved.
func (o *open) settle(now time.Time) {
	for _, m := range o.members {
		if m.State.Open() {
			o.QuietAt = time.Time{}
			return
		}
	}
	if o.QuietAt.IsZero() {
		o.QuietAt = now.UTC()
	}
}

// told is the event of a transition.
func (b *Book) told(now time.Time, a *checks.Alert, incident string) Event {
	text := fmt.Sprintf("%s is %s, %s", a.Rule, stateWord(a.State), a.Severity)
	if a.Muted != "" {
		text += " (nobody is told: " + a.Muted + ")"
	}
	if a.Summary != "" {
		text += ": " + a.Summary
	}
	e := b.Event(now, EventAlert, a.Rule, text)
	e.Incident = incident
	return e
}

func stateWord(s checks.AlertState) string {
	if s == checks.AlertNoData {
		return "without data"
	}
	return string(s)
}

// memberKey is where the state of one alert of an incident is kept.
func memberKey(incident, fingerprint string) string { return incident + "/" + fingerprint }

// save has an incident and one of its alerts kept; "" is none of them.
func (b *Book) save(o *open, fingerprint string, out *Outcome) {
	out.keep(o.ID, encode(o.Incident))
	if fingerprint != "" {
		out.keep(memberKey(o.ID, fingerprint), encode(o.members[fingerprint]))
	}
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // nothing of it can fail: what JSON cannot tell is not kept
		return []byte("{}")
	}
	return data
}

// Restore takes over what Outcomes said to keep. It is called once, before Step; what cannot be read is left out.
func (b *Book) Restore(now time.Time, states map[string][]byte) Outcome {
	for _, key := range slices.Sorted(maps.Keys(states)) {
		var i Incident
		if strings.Contains(key, "/") || json.Unmarshal(states[key], &i) != nil || i.ID != key {
			continue
		}
		b.open = append(b.open, &open{Incident: i, members: map[string]checks.Alert{}})
	}
	for key, data := range states {
		b.restoreLeft(key, data)
		id, fingerprint, member := strings.Cut(key, "/")
		at := slices.IndexFunc(b.open, func(o *open) bool { return o.ID == id })
		var a checks.Alert
		if !member || at < 0 || json.Unmarshal(data, &a) != nil || a.Fingerprint != fingerprint {
			continue
		}
		b.open[at].members[fingerprint] = a
		b.byAlert[fingerprint] = b.open[at]
	}
	out := Outcome{Changed: len(b.open) > 0}
	for _, o := range b.open {
		o.settle(now)
	}
	return out
}

// Reconcile takes alerts as resolved that are open in the book but not among those that the engine has: after a loss of
// state nothing would ever end them.
func (b *Book) Reconcile(now time.Time, alerts []checks.Alert) Outcome {
	var out Outcome
	have := map[string]bool{}
	for i := range alerts {
		have[alerts[i].Fingerprint] = alerts[i].State.Open()
	}
	for fingerprint := range b.left {
		if !have[fingerprint] {
			b.forget(fingerprint, &out)
		}
	}
	for _, o := range b.open {
		for fingerprint, m := range o.members {
			if m.State.Open() && !have[fingerprint] {
				m.Previous, m.State, m.At = m.State, checks.AlertResolved, now.UTC()
				o.members[fingerprint] = m
				b.save(o, fingerprint, &out)
			}
		}
		o.settle(now)
		b.save(o, "", &out)
	}
	return out
}

// List is the open incidents, the worst first, then the oldest.
func (b *Book) List() []Incident {
	all := make([]Incident, 0, len(b.open))
	for _, o := range b.open {
		all = append(all, o.view())
	}
	slices.SortStableFunc(all, func(x, y Incident) int { return cmp.Compare(rank(x.Severity), rank(y.Severity)) })
	return all
}

// Get is one open incident.
func (b *Book) Get(id string) (Incident, bool) {
	for _, o := range b.open {
		if o.ID == id {
			return o.view(), true
		}
	}
	return Incident{}, false
}

// view is the incident with its alerts.
func (o *open) view() Incident {
	i := o.Incident
	i.Alerts = slices.SortedFunc(maps.Values(o.members), func(x, y checks.Alert) int {
		return cmp.Or(cmp.Compare(closedness(x), closedness(y)), cmp.Compare(rank(x.Severity), rank(y.Severity)),
			cmp.Compare(min(len(x.Muted), 1), min(len(y.Muted), 1)), x.Since.Compare(y.Since), cmp.Compare(x.Rule, y.Rule),
			cmp.Compare(x.Fingerprint, y.Fingerprint))
	})
	return i
}

func closedness(a checks.Alert) int {
	if a.State.Open() {
		return 0
	}
	return 1
}
