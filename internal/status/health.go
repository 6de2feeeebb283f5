// Package status tells what the running agent knows of itself and of the providers: /livez, /readyz, /health,
// /health/<provider>, /metrics. It is read only, binds where it is told, checks Host, and holds no state of its own.
package status

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Verdict is the word at the root of every health answer.
type Verdict string

// The verdicts. HTTP 503 goes with Unhealthy only.
const (
	Healthy   Verdict = "healthy"
	Degraded  Verdict = "degraded"
	Unhealthy Verdict = "unhealthy"
)

// Health is the body of /health. Its root is the agent's own state; Services is the state of the providers.
type Health struct {
	Status    Verdict            `json:"status"`
	Version   string             `json:"version"`
	Instance  string             `json:"instance"`
	Location  string             `json:"location,omitempty"`
	Control   string             `json:"control,omitempty"` // the path of the control socket
	StartedAt time.Time          `json:"started_at"`
	Now       time.Time          `json:"now"`
	Ready     bool               `json:"ready"`
	Problems  []Problem          `json:"problems,omitempty"`
	Process   Process            `json:"process"`
	Schedule  Schedule           `json:"schedule"`
	Store     Store              `json:"store"`
	Config    Config             `json:"config"`
	Budget    []Budget           `json:"budget,omitempty"`
	Breakers  map[string]string  `json:"breakers,omitempty"` // provider → closed, open, half_open
	Checks    []Check            `json:"checks"`
	Alerts    []Alert            `json:"alerts,omitempty"` // that are open, the most severe first, at most MostAlerts
	Exporters []Exporter         `json:"exporters"`
	Heartbeat *Heartbeat         `json:"heartbeat,omitempty"` // nil: off
	Plugins   []Plugin           `json:"plugins,omitempty"`
	Sandbox   []string           `json:"sandbox_lacks,omitempty"` // what this host does not offer to hold plugins and programs, in sentences
	Services  map[string]Service `json:"services"`
}

// Problem is one thing that is wrong with the agent, and what a person does about it.
type Problem struct {
	Part   string  `json:"part"` // store, schedule, clock, config, exporter NAME, check NAME, plugin NAME, listener, heartbeat
	Status Verdict `json:"status"`
	What   string  `json:"what"`
	Hint   string  `json:"hint,omitempty"`
}

// Process is what the agent takes from its host; 0 is what could not be read.
type Process struct {
	CPU        float64 `json:"cpu_seconds"`  // user and system, since the start
	Memory     int64   `json:"memory_bytes"` // resident
	Goroutines int     `json:"goroutines"`
	Files      int     `json:"file_descriptors"`
}

// Schedule is the state of the scheduler.
type Schedule struct {
	LastTick   time.Time `json:"last_tick"`
	Scheduled  int64     `json:"scheduled"`
	Done       int64     `json:"done"`
	Skipped    int64     `json:"skipped"`
	Missed     int64     `json:"missed"`
	Running    int       `json:"running"`
	ClockSteps int64     `json:"clock_steps"`
	Clock      string    `json:"clock,omitempty"` // what the host's clocks did last: a step, a suspension
	ClockAt    time.Time `json:"clock_at,omitzero"`
	Abandoned  int       `json:"abandoned_runs"`
	Overdue    []string  `json:"overdue,omitempty"` // checks without a result for three intervals
}

// Store is the state of the store.
type Store struct {
	OK           bool   `json:"ok"`
	Problem      string `json:"problem,omitempty"`
	WayOut       string `json:"way_out,omitempty"` // of the problem
	Records      int64  `json:"records"`
	Bytes        int64  `json:"bytes"`
	RingRecords  int64  `json:"ring_records,omitempty"`
	RingDropped  int64  `json:"ring_dropped,omitempty"`
	Expired      int64  `json:"expired,omitempty"`
	CorruptMoved string `json:"corrupt_moved,omitempty"`
}

// Config is the state of the configuration.
type Config struct {
	Path       string    `json:"path"`
	LoadedAt   time.Time `json:"loaded_at"`
	ReloadOK   bool      `json:"reload_ok"`
	ReloadedAt time.Time `json:"reloaded_at,omitzero"` // of the last attempt
	Error      string    `json:"error,omitempty"`      // of the last attempt
}

// Budget is one limit and what of it is spent, reservations included.
type Budget struct {
	Window   string  `json:"window"`
	LimitUSD float64 `json:"limit_usd"`
	SpentUSD float64 `json:"spent_usd"`
}

// Check is the last final result of one check.
type Check struct {
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`
	Provider string        `json:"provider,omitempty"`
	Status   checks.Status `json:"status"`
	Cause    checks.Cause  `json:"cause,omitempty"`
	Blame    checks.Blame  `json:"blame,omitempty"`
	Summary  string        `json:"summary,omitempty"`
	LastRun  time.Time     `json:"last_run,omitzero"`
	NextRun  time.Time     `json:"next_run,omitzero"`
	Took     float64       `json:"took,omitempty"` // seconds
	Overdue  bool          `json:"overdue,omitempty"`
}

// MostAlerts is how many open alerts are listed.
const MostAlerts = 100

// Alert is one that is open.
type Alert struct {
	Rule      string            `json:"rule"`
	State     checks.AlertState `json:"state"`
	Severity  checks.Severity   `json:"severity"`
	Since     time.Time         `json:"since"`
	Summary   string            `json:"summary,omitempty"`
	Muted     string            `json:"muted,omitempty"` // why nobody is told
	Incident  string            `json:"incident,omitempty"`
	Commander string            `json:"commander,omitempty"`
}

// Exporter is the state of one exporter's delivery.
type Exporter struct {
	Name       string           `json:"name"`
	Kind       string           `json:"kind"`
	Queue      int64            `json:"queue"`     // records not yet delivered
	QueueAge   float64          `json:"queue_age"` // seconds, of the oldest of them
	Sent       int64            `json:"sent"`
	Rejected   map[string]int64 `json:"rejected,omitempty"`
	Expired    map[string]int64 `json:"expired,omitempty"`
	Held       bool             `json:"held,omitempty"`
	Stuck      bool             `json:"stuck,omitempty"`   // an attempt has outlived its deadline
	Problem    string           `json:"problem,omitempty"` // why it is held or retried; empty while all is well
	WayOut     string           `json:"way_out,omitempty"` // of the problem
	NextTry    time.Time        `json:"next_try,omitzero"`
	LastSentAt time.Time        `json:"last_sent_at,omitzero"`
}

// Heartbeat is the state of the dead man's switch.
type Heartbeat struct {
	Every         float64   `json:"every"` // seconds
	LastSentAt    time.Time `json:"last_sent_at,omitzero"`
	Withheld      string    `json:"withheld,omitempty"` // the part of the agent for which nothing is sent now
	Why           string    `json:"why,omitempty"`      // about that
	Problem       string    `json:"problem,omitempty"`  // why the last try failed; empty while all is well
	Sent          int64     `json:"sent"`
	Failed        int64     `json:"failed"`
	WithheldCount int64     `json:"withheld_count"`
}

// Plugin is the state of one plugin of the configuration.
type Plugin struct {
	Name       string    `json:"name"`
	Version    string    `json:"version,omitempty"`
	State      string    `json:"state"` // stopped, starting, configuring, ready, draining, backoff, quarantined, unusable
	Kinds      []string  `json:"kinds,omitempty"`
	Path       string    `json:"path,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`
	PID        int       `json:"pid,omitempty"`
	Since      time.Time `json:"since,omitzero"`         // when it became ready
	Memory     int64     `json:"memory_bytes,omitempty"` // resident
	Restarts   int64     `json:"restarts,omitempty"`
	Abandoned  int       `json:"abandoned_runs,omitempty"`
	LogDropped int64     `json:"log_lines_dropped,omitempty"`
	Instances  int       `json:"instances,omitempty"` // checks and exporters that it serves
	Problem    string    `json:"problem,omitempty"`   // why it is not ready; empty while all is well
	Hint       string    `json:"hint,omitempty"`
	Note       string    `json:"note,omitempty"` // what people should not forget of it
	NextTry    time.Time `json:"next_try,omitzero"`
	LastExit   string    `json:"last_exit,omitempty"`  // how its process last ended
	LastLines  []string  `json:"last_lines,omitempty"` // what it wrote last before that
	Plain      bool      `json:"without_mtls,omitempty"`
}

// Service is a provider in the checklist's shape. The names of its fields are the checklist's.
type Service struct {
	Status    Verdict `json:"status"`
	Provider  string  `json:"provider"`
	LatencyMs int64   `json:"latencyMs"`
	Model     string  `json:"model,omitempty"`
	Error     string  `json:"error,omitempty"`
}

// Observation is what is known of one check of a provider.
type Observation struct {
	Report  *checks.Report // the last final one; nil where there was none yet
	Paid    bool           // it uses the API as the application does
	Overdue bool
}

// Judge gives a provider's verdict from its checks: unhealthy when every check that uses the API as the application does
// has failed or may not run for failures (the breaker), healthy only when every check was seen to be well, degraded
// in between. Missing data is never healthy.
func Judge(provider string, seen []Observation) Service {
	service := Service{Status: Healthy, Provider: provider}
	tally := tally{}
	for i := range seen {
		tally.add(&service, &seen[i])
	}
	service.Status = tally.verdict()
	if service.Status != Healthy && service.Error == "" {
		service.Error = "no result yet"
	}
	return service
}

type tally struct {
	total, well       int
	paid, paidDown    int
	others, otherDown int
}

func (t *tally) add(service *Service, o *Observation) {
	t.total++
	r := o.Report
	down := r != nil && !o.Overdue && (r.Status == checks.Failed || r.Status == checks.Skipped && r.Cause == checks.CauseBreakerOpen)
	if o.Paid {
		t.paid++
	} else {
		t.others++
	}
	switch {
	case r == nil:
		return
	case o.Overdue:
		service.note("overdue: " + r.Check)
	case r.Status == checks.OK:
		t.well++
	default:
		service.note(string(r.Cause) + ": " + r.Summary)
	}
	if down && o.Paid {
		t.paidDown++
	}
	if down && !o.Paid {
		t.otherDown++
	}
	if model := r.Facts["model"]; model != "" && (o.Paid || service.Model == "") {
		service.Model = model
	}
	if r.Status.Reached() && (o.Paid || service.LatencyMs == 0) {
		service.LatencyMs = r.Took.Milliseconds()
	}
}

func (t *tally) verdict() Verdict {
	switch {
	case t.paid > 0 && t.paidDown == t.paid, t.paid == 0 && t.others > 0 && t.otherDown == t.others:
		return Unhealthy
	case t.total > 0 && t.well == t.total:
		return Healthy
	}
	return Degraded
}

func (s *Service) note(text string) {
	if s.Error == "" {
		s.Error = text
	}
}
