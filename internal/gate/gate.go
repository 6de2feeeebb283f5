// Package gate decides of a rollout that is watched: samples → promote, roll back, or too little to say. It is pure: no clock,
// no lock, no log, no I/O. What nobody vouches for is never good in it.
package gate

import (
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Role is what a sample is for.
type Role string

// The roles.
const (
	Candidate     Role = "candidate"      // what is being rolled out
	Baseline      Role = "baseline"       // the stable deployment, sampled side by side
	Before        Role = "before"         // a run of the same check before the rollout
	Traffic       Role = "traffic"        // what the application measures now
	TrafficBefore Role = "traffic_before" // what it measured before the rollout
)

// Sample is one run as the gate sees it. Times are seconds, money is US dollars, zero is none.
type Sample struct {
	ID      string             `json:"id"` // of the record
	Round   int                `json:"round,omitempty"`
	Role    Role               `json:"role"`
	Check   string             `json:"check"`
	For     string             `json:"for,omitempty"` // the watched check that a baseline is of
	Kind    string             `json:"kind"`
	At      time.Time          `json:"at"`
	Status  checks.Status      `json:"status"`
	Cause   checks.Cause       `json:"cause,omitempty"`
	Blame   checks.Blame       `json:"blame,omitempty"`
	Summary string             `json:"summary,omitempty"`
	Took    float64            `json:"took,omitempty"`
	TTFT    float64            `json:"time_to_first_token,omitempty"`
	CostUSD float64            `json:"cost_usd,omitempty"`
	Values  map[string]float64 `json:"values,omitempty"` // of a traffic sample, by the names below; what is missing is not zero
}

// The values of traffic samples.
const (
	ErrorShare      = "error_share"
	SpendPerRequest = "spend_per_request"
)

// Of makes a sample of a report.
func Of(r *checks.Report, role Role, round int) Sample {
	s := Sample{
		ID: r.ID, Round: round, Role: role, Check: r.Check, Kind: r.Kind, At: r.At().UTC().Round(0), Status: r.Status, Cause: r.Cause, Blame: r.Blame,
		Summary: r.Summary, Took: r.Took.Seconds(),
	}
	if r.Blame == checks.BlameNone {
		s.Blame = r.Cause.Blame()
	}
	for _, p := range r.Phases {
		if p.Name == checks.PhaseFirstToken {
			s.TTFT = p.Took.Seconds()
		}
	}
	if r.Usage != nil {
		s.CostUSD = r.Usage.Cost.USD()
	}
	return s
}

// Counted is the status that the gate counts. A run that failed for a reason that is ours says nothing about the rollout: our
// own network, an application that wants credentials which the gate was not given, a Prometheus that could not be asked. Nor
// does one that never got as far as the application's host: no name, no route, no way through the proxy. Whether the host that
// asks or the rollout is to blame for that, nobody here can tell.
func (s Sample) Counted() checks.Status {
	refused := []checks.Cause{checks.CauseAuth, checks.CauseForbidden}
	way := []checks.Cause{checks.CauseDNS, checks.CauseConnect, checks.CauseProxy}
	switch {
	case s.Status != checks.Failed:
		return s.Status
	case s.Blame == checks.BlameOurs, s.Blame == checks.BlameLocal:
		return checks.Unknown
	case s.Kind == "app" && s.Blame == checks.BlameNetwork && slices.Contains(way, s.Cause):
		return checks.Unknown
	case s.Kind == "app" && s.Blame == checks.BlameConfig && slices.Contains(refused, s.Cause):
		return checks.Unknown
	case s.Kind == "app" && s.Cause == checks.CauseUnexpectedRedirect: // to a login, to https: it was asked in the wrong way
		return checks.Unknown
	case s.Kind == "prometheus" && s.Cause != checks.CauseAssertion:
		return checks.Unknown
	}
	return checks.Failed
}

// good reports whether the run was answered, well or too slowly.
func (s Sample) good() bool { return s.Status == checks.OK || s.Status == checks.Degraded }

// Watched is a check that a promotion needs.
type Watched struct {
	Check      string `json:"check"`
	Kind       string `json:"kind"`
	SideBySide bool   `json:"side_by_side,omitempty"` // its baseline is sampled with it, and is needed
}

// Alert is an alert that is open in the running agent, of severity P1 or P2.
type Alert struct {
	Rule        string          `json:"rule"`
	Fingerprint string          `json:"fingerprint"`
	Severity    checks.Severity `json:"severity"`
	Since       time.Time       `json:"since"`
	Summary     string          `json:"summary,omitempty"`
	New         bool            `json:"new"` // it was not open when the gate began
}

// Evidence is what was seen.
type Evidence struct {
	Watched       []Watched
	Samples       []Sample // in the order in which they came
	Rounds        int      // that the plan foresees
	Alerts        []Alert  // each once
	AlertsAsked   bool     // an agent runs, whose alerts count
	AlertsKnown   bool     // and it answered when it was asked last
	TrafficAsked  []string // the values of traffic that are needed
	Interrupted   bool     // somebody ended the gate before its time
	InterruptedBy string
}

// Limits is what is allowed.
type Limits struct {
	MaxFailed     int     // failed runs in all
	MaxErrorShare float64 // of the judged runs, and of the application's requests
	// ErrorShareHolds is that MaxErrorShare counts for runs too where the allowed failures would be more of them.
	ErrorShareHolds bool
	MaxDegraded     float64 // share of the answered runs
	Slower          float64 // p95 of now over p95 of the baseline
	Slack           float64 // seconds that a p95 may be above its baseline whatever the factor says
	Dearer          float64 // spend of now over that of the baseline
	P95Without      float64 // seconds: the p95 of a duration where there is no baseline
	P95Most         float64 // seconds, beside a baseline too; 0 is no limit
	TTFTWithout     float64 // seconds: as P95Without for the time to the first token
	TTFTMost        float64
	SpendMost       float64 // US dollars of a run; 0 is no limit
	MinSamples      int     // answered runs of each watched check; at least 1
	MinBaseline     int     // answered runs of a baseline; with fewer there is none
	AbortAfter      int     // failed runs of one check in a row that end the gate; 0 is never
}

// Defaults are the limits where nobody says otherwise, for a plan of so many rounds: four fifths of them must be answered.
func Defaults(rounds int) Limits {
	const least = 3
	return Limits{
		MaxErrorShare: 0.05, Slower: 1.5, Slack: 0.1, Dearer: 1.5, P95Without: 5, TTFTWithout: 2,
		MinSamples: max(min(rounds, least), (rounds*4+4)/5), MinBaseline: max(1, min(rounds, least)), AbortAfter: 3,
	}
}

// Decision is what to do with the rollout.
type Decision string

// The decisions.
const (
	Promote   Decision = "promote"
	RollBack  Decision = "roll_back"
	Undecided Decision = "undecided"
)

// Outcome is what became of one criterion.
type Outcome string

// The outcomes.
const (
	Pass    Outcome = "pass"
	Fail    Outcome = "fail"
	Unknown Outcome = "unknown"
)

// The names of criteria.
const (
	CriterionData     = "answered_runs"
	CriterionFailed   = "failed_runs"
	CriterionErrors   = "error_share"
	CriterionDegraded = "degraded_share"
	CriterionP95      = "p95_duration"
	CriterionTTFT     = "p95_time_to_first_token"
	CriterionSpend    = "spend_per_run"
	CriterionTraffic  = "traffic_error_share"
	CriterionRequest  = "traffic_spend_per_request"
	CriterionAlerts   = "alerts"
)

// Criterion is one question and its answer.
type Criterion struct {
	Name     string   `json:"name"`
	Check    string   `json:"check,omitempty"`
	Outcome  Outcome  `json:"outcome"`
	Value    *float64 `json:"value,omitempty"` // absent: nobody knows, which is not zero
	Limit    *float64 `json:"limit,omitempty"`
	Baseline *float64 `json:"baseline,omitempty"`
	Unit     string   `json:"unit,omitempty"`
	Detail   string   `json:"detail"`
	Evidence []string `json:"evidence,omitempty"` // ids of records, or fingerprints of alerts
}

// Verdict is the decision with its reasons.
type Verdict struct {
	Decision Decision    `json:"decision"`
	Reasons  []string    `json:"reasons"`
	Criteria []Criterion `json:"criteria"`
}
