package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Before is how long before an incident its records and its timeline begin: what was deployed, what moved, what failed first.
const Before = 30 * time.Minute

// mostRefs is how many records are named as evidence.
const mostRefs = 20

// Seen is what the records of an incident's time and checks tell.
type Seen struct {
	Records  int            `json:"records"` // that were read
	Runs     int            `json:"runs"`    // final ones, from its beginning to its end; those that were skipped are none
	Failed   int            `json:"failed"`
	Degraded int            `json:"degraded"`
	Unknown  int            `json:"unknown"` // could not tell, or our own fault
	Skipped  int            `json:"skipped"`
	Checks   []CheckSeen    `json:"checks,omitempty"` // by name
	Cause    checks.Cause   `json:"cause,omitempty"`  // that of most failed runs; "" where none failed
	Blame    checks.Blame   `json:"blame,omitempty"`
	Kind     string         `json:"kind,omitempty"` // of the check that named it first
	Named    *Ref           `json:"named,omitempty"`
	Began    time.Time      `json:"began_at,omitzero"` // of the first run that was not well, without a good one of its check before it fired
	Spend    checks.PicoUSD `json:"-"`
	SpendUSD float64        `json:"spend_usd"` // of the checks
	Traffic  *Traffic       `json:"traffic,omitempty"`
	Refs     []Ref          `json:"evidence,omitempty"` // the first run of each check and verdict that was not well
	MoreRefs int            `json:"more_evidence,omitempty"`
}

// CheckSeen is how one check fared.
type CheckSeen struct {
	Check    string               `json:"check"`
	Runs     int                  `json:"runs"`
	Failed   int                  `json:"failed"`
	Degraded int                  `json:"degraded,omitempty"`
	Causes   map[checks.Cause]int `json:"causes,omitempty"` // of those that were not well
}

// Ref names a record.
type Ref struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"`
	Check   string        `json:"check"`
	Status  checks.Status `json:"status"`
	Cause   checks.Cause  `json:"cause,omitempty"`
	Summary string        `json:"summary,omitempty"`
}

// Traffic is what the application's own metrics say of requests that failed. A number that is nil is not known.
type Traffic struct {
	Failed   *float64 `json:"failed_requests,omitempty"`
	Requests *float64 `json:"requests,omitempty"`
	CostUSD  *float64 `json:"cost_usd,omitempty"`
	CostHour *float64 `json:"cost_usd_per_hour_at_most,omitempty"`
	Covered  float64  `json:"covered,omitempty"` // seconds of the incident that Failed is of
	Source   string   `json:"source"`            // who said so
}

// Viewer makes a Seen of records, in any order.
type Viewer struct {
	in      *Incident
	now     time.Time
	names   map[string]bool // of checks; empty: all
	beside  map[string]bool // of checks that see something of it, and are none that failed
	read    int
	reports []*checks.Report
}

// NewViewer views the records of an incident. names are the checks that concern it; none are all. Of those in beside only what
// they measured counts, and not how they fared.
func NewViewer(now time.Time, in *Incident, names, beside []string) *Viewer {
	v := &Viewer{in: in, now: now, names: map[string]bool{}, beside: map[string]bool{}}
	for _, name := range names {
		v.names[name] = true
	}
	for _, name := range beside {
		v.beside[name] = !v.names[name]
	}
	return v
}

// Wants reports whether a record is of the incident.
func (v *Viewer) Wants(r *checks.Record) bool {
	switch {
	case r.Alert != nil:
		return r.Alert.Incident == v.in.ID
	case r.Report != nil:
		return len(v.names) == 0 || v.names[r.Report.Check] || v.beside[r.Report.Check]
	}
	return false
}

// Add takes a record; what the incident does not want is passed over.
func (v *Viewer) Add(r *checks.Record) {
	if !v.Wants(r) {
		return
	}
	v.read++
	if r.Report != nil && (r.Report.Trigger == checks.TriggerDrill) == (v.in.Drill() != "") {
		v.reports = append(v.reports, r.Report)
	}
}

// Seen is what came of it.
func (v *Viewer) Seen() *Seen {
	slices.SortStableFunc(v.reports, func(a, b *checks.Report) int { return a.At().Compare(b.At()) })
	s := &Seen{Records: v.read, Began: v.began()}
	from, to := v.in.OpenedAt, v.end()
	if !s.Began.IsZero() {
		from = s.Began
	}
	by, told := map[string]*CheckSeen{}, map[string]bool{}
	for _, r := range v.reports {
		if r.At().Before(from) || r.At().After(to) || v.beside[r.Check] {
			continue
		}
		s.refer(r, told)
		if r.Usage != nil {
			s.Spend = s.Spend.Plus(r.Usage.Cost)
		}
		if r.Final {
			s.count(r, by)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		s.Checks = append(s.Checks, *by[name])
	}
	s.SpendUSD = s.Spend.USD()
	s.Traffic = v.traffic(from, to)
	s.blame(slices.DeleteFunc(slices.Clone(v.reports), func(r *checks.Report) bool {
		return r.Status != checks.Failed || r.Cause == checks.CauseNone || !v.explains(r) || r.At().Before(from) || r.At().After(to) || v.beside[r.Check]
	}))
	return s
}

func (v *Viewer) end() time.Time {
	if v.in.Open() {
		return v.now
	}
	return v.in.ClosedAt
}

// explains reports whether a failed run may be what the incident is: one that is blamed on another side is another trouble of
// the same time. Where one of the two is blamed on nobody it may be.
func (v *Viewer) explains(r *checks.Report) bool {
	of, to := side(v.in.Blame), side(cmp.Or(r.Blame, r.Cause.Blame()))
	return of == "" || to == "" || of == to
}

// began is when the first of the checks that were not well when the incident was opened began to be that.
func (v *Viewer) began() (first time.Time) {
	streaks := map[string]time.Time{}
	for _, r := range v.reports {
		switch {
		case r.At().After(v.in.OpenedAt), v.beside[r.Check]:
		case well(r.Status):
			delete(streaks, r.Check)
		case r.Status == checks.Failed && v.explains(r) && streaks[r.Check].IsZero():
			streaks[r.Check] = r.At().UTC()
		}
	}
	for _, at := range streaks {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

func (s *Seen) count(r *checks.Report, by map[string]*CheckSeen) {
	if r.Status == checks.Skipped {
		s.Skipped++
		return
	}
	c := by[r.Check]
	if c == nil {
		c = &CheckSeen{Check: r.Check}
		by[r.Check] = c
	}
	s.Runs, c.Runs = s.Runs+1, c.Runs+1
	switch r.Status {
	case checks.Failed:
		s.Failed, c.Failed = s.Failed+1, c.Failed+1
	case checks.Degraded:
		s.Degraded, c.Degraded = s.Degraded+1, c.Degraded+1
	case checks.Unknown, checks.Error:
		s.Unknown++
	case checks.OK, checks.Skipped:
		return
	}
	if r.Cause != checks.CauseNone {
		if c.Causes == nil {
			c.Causes = map[checks.Cause]int{}
		}
		c.Causes[r.Cause]++
	}
}

// refer names the first run of each check, status and cause that was not well.
func (s *Seen) refer(r *checks.Report, told map[string]bool) {
	key := r.Check + "/" + r.Status.String() + "/" + string(r.Cause)
	if r.Status == checks.OK || r.Status == checks.Skipped || told[key] {
		return
	}
	told[key] = true
	if len(s.Refs) == mostRefs {
		s.MoreRefs++
		return
	}
	s.Refs = append(s.Refs, refOf(r))
}

func refOf(r *checks.Report) Ref {
	return Ref{r.ID, r.At().UTC(), r.Check, r.Status, r.Cause, r.Summary}
}

// blame takes the cause that most of the failed runs have; of two, the one that was seen first.
func (s *Seen) blame(failed []*checks.Report) {
	counts, first := map[checks.Cause]int{}, map[checks.Cause]*checks.Report{}
	for _, r := range failed {
		counts[r.Cause]++
		if first[r.Cause] == nil {
			first[r.Cause] = r
		}
	}
	causes := slices.SortedFunc(maps.Keys(counts), func(a, b checks.Cause) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), first[a].At().Compare(first[b].At()), cmp.Compare(a, b))
	})
	if len(causes) == 0 {
		return
	}
	r := first[causes[0]]
	s.Cause, s.Blame, s.Kind = r.Cause, cmp.Or(r.Blame, r.Cause.Blame()), r.Kind
	ref := refOf(r)
	s.Named = &ref
}

// The measurements of the traffic layer that count requests, per minute each, and the one of its cost.
func perMinute() []string {
	return []string{"query.errors_5xx", "query.errors_429", "query.errors_401"}
}

const costHour = "query.cost_hour"

// longestRate is the longest time that a rate is taken to have lasted: after a longer gap nobody knows.
const longestRate = 5 * time.Minute

// traffic adds up the rates that the application's metrics showed, each for the time since the run before. Nil: no run
// measured them, so that nobody knows.
func (v *Viewer) traffic(from, to time.Time) *Traffic {
	out := Traffic{Source: "the application's metrics (5xx, 429, 401), as checks of kind prometheus saw them"}
	last := map[string]time.Time{}
	for _, r := range v.reports {
		rate, cost := ratesOf(r)
		if r.At().After(to) || !r.Final || rate == nil && cost == nil {
			continue
		}
		since := last[r.Check]
		last[r.Check] = r.At()
		if r.At().After(from) {
			out.add(r.At().Sub(later(since, from)), rate, cost)
		}
	}
	if out.Failed == nil && out.CostHour == nil {
		return nil
	}
	return &out
}

// add counts a rate that is taken to have lasted so long.
func (t *Traffic) add(lasted time.Duration, rate, cost *float64) {
	if rate != nil {
		lasted = min(lasted, longestRate)
		sum := *rate * lasted.Minutes()
		if t.Failed != nil {
			sum += *t.Failed
		}
		t.Failed, t.Covered = &sum, t.Covered+lasted.Seconds()
	}
	if cost != nil && (t.CostHour == nil || *cost > *t.CostHour) {
		t.CostHour = cost
	}
}

// Countable reports whether a number can be one of requests or of dollars: none is negative, endless or beyond all measure.
func Countable(value float64) bool { return value >= 0 && value < 1e15 }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ratesOf is how many requests failed per minute and what an hour cost, as far as a report says.
func ratesOf(r *checks.Report) (rate, cost *float64) {
	names := perMinute()
	for _, m := range r.Measurements {
		switch {
		case !Countable(m.Value):
		case m.Name == costHour:
			value := m.Value
			cost = &value
		case slices.Contains(names, m.Name):
			sum := m.Value
			if rate != nil {
				sum += *rate
			}
			rate = &sum
		}
	}
	return rate, cost
}

// Concerned is the checks that concern an incident, sorted: those of its provider, of the path that ends it, those that
// its alerts name, and those whose verdicts its timeline tells.
func Concerned(in *Incident, timeline []Event, targets []Target) []string {
	b := New()
	b.Configure(targets, Options{})
	o := &open{Incident: *in, members: map[string]checks.Alert{}}
	for i := range in.Alerts {
		o.members[in.Alerts[i].Fingerprint] = in.Alerts[i]
	}
	names := map[string]bool{}
	for _, t := range targets {
		if b.concerns(o, t) {
			names[t.Name] = true
		}
	}
	for i := range in.Alerts {
		if name := in.Alerts[i].Labels["check"]; name != "" {
			names[name] = true
		}
	}
	for i := range timeline {
		if e := &timeline[i]; e.Kind == EventVerdict && e.Incident == in.ID {
			names[e.Subject] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Beside is the checks that see something of an incident without being concerned by it, sorted: the application's metrics, what
// the provider says of itself, and the way there. Those of another provider see nothing of it.
func Beside(in *Incident, targets []Target) []string {
	var names []string
	for _, t := range targets {
		sees := slices.Contains([]string{"prometheus", "spend", "status_page", "egress", "models"}, t.Kind)
		if sees && (t.Provider == "" || in.Provider == "" || t.Provider == in.Provider) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}
