package evidence

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/status"
)

// What goes in is named here, field by field. A field that a record gains later stays out until somebody adds it.

// Labels, attributes and facts of records that are kept. All others may hold the words of others.
func keptLabels() []string {
	return []string{checks.LabelDrill, "check", "kind", "provider", "location", "model", "exporter", "resource", "window", "service", "env", "environment", "plugin", "alias"}
}

func keptAttrs() []string {
	return []string{"model", "resource", "window", "phase", "type", "source", "host", "alias", "exporter", "reason", "severity", "status_code"}
}

func keptFacts() []string { return []string{"request_id", "model", "response_model", "finish_reason"} }

// chosen is what of a map is on a list; nil where nothing is.
func chosen(all map[string]string, names []string) map[string]string {
	var out map[string]string
	for _, name := range names {
		if value, there := all[name]; there {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// plainID reports whether a text is what a request may be found by, and no sentence.
func plainID(text string) bool {
	return len(text) <= 128 && strings.IndexFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:", r)
	}) < 0
}

type reportView struct {
	Type         checks.RecordType            `json:"type"`
	ID           string                       `json:"id"`
	Check        string                       `json:"check"`
	Kind         string                       `json:"kind"`
	Provider     string                       `json:"provider,omitempty"`
	Location     string                       `json:"location,omitempty"`
	ScheduledAt  time.Time                    `json:"scheduled_at,omitzero"`
	StartedAt    time.Time                    `json:"started_at,omitzero"`
	Took         float64                      `json:"took,omitempty"`
	Timeout      float64                      `json:"timeout,omitempty"`
	Trigger      checks.Trigger               `json:"trigger,omitempty"`
	Attempt      int                          `json:"attempt,omitempty"`
	Final        bool                         `json:"final"`
	Slots        int                          `json:"slots,omitempty"`
	Status       checks.Status                `json:"status"`
	Cause        checks.Cause                 `json:"cause,omitempty"`
	Blame        checks.Blame                 `json:"blame,omitempty"`
	Summary      string                       `json:"summary,omitempty"`
	Phases       map[checks.PhaseName]float64 `json:"phases,omitempty"`
	Measurements []measurementView            `json:"measurements,omitempty"`
	Usage        *usageView                   `json:"usage,omitempty"`
	Evidence     []stepView                   `json:"evidence,omitempty"`
	Facts        map[string]string            `json:"facts,omitempty"`
}

type measurementView struct {
	Name  string            `json:"name"`
	Value float64           `json:"value"`
	Unit  string            `json:"unit,omitempty"`
	Attrs map[string]string `json:"attrs,omitempty"`
}

type usageView struct {
	Model            string  `json:"model"`
	PromptTokens     int64   `json:"prompt_tokens"`
	CompletionTokens int64   `json:"completion_tokens"`
	CostUSD          float64 `json:"cost_usd"`
	PriceKnown       bool    `json:"price_known"`
}

type stepView struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

type alertView struct {
	Type        checks.RecordType `json:"type,omitempty"`
	ID          string            `json:"id,omitempty"`
	Rule        string            `json:"rule"`
	Fingerprint string            `json:"fingerprint"`
	State       checks.AlertState `json:"state"`
	Previous    checks.AlertState `json:"previous,omitempty"`
	Severity    checks.Severity   `json:"severity"`
	Blame       checks.Blame      `json:"blame,omitempty"`
	Since       time.Time         `json:"since"`
	At          time.Time         `json:"at"`
	Value       float64           `json:"value"`
	Threshold   float64           `json:"threshold"`
	Labels      map[string]string `json:"labels,omitempty"`
	Summary     string            `json:"summary,omitempty"`
	Muted       string            `json:"muted,omitempty"`
	Reminder    bool              `json:"reminder,omitempty"`
	Incident    string            `json:"incident,omitempty"`
}

// Record is what is kept of a report or an alert; nil for anything else.
func Record(r *checks.Record) any {
	switch {
	case r.Report != nil:
		return reportOf(r.Report)
	case r.Alert != nil:
		v := alertOf(r.Alert)
		v.Type, v.ID = checks.TypeAlert, r.ID
		return v
	}
	return nil
}

func reportOf(r *checks.Report) reportView {
	v := reportView{
		Type: checks.TypeReport, ID: r.ID, Check: r.Check, Kind: r.Kind, Provider: r.Provider, Location: r.Location,
		ScheduledAt: r.ScheduledAt.UTC(), StartedAt: r.StartedAt.UTC(), Took: r.Took.Seconds(), Timeout: r.Timeout.Seconds(),
		Trigger: r.Trigger, Attempt: r.Attempt, Final: r.Final, Slots: r.Slots, Status: r.Status, Cause: r.Cause, Blame: r.Blame,
		Summary: r.Summary, Facts: chosen(r.Facts, keptFacts()),
	}
	if id, there := v.Facts["request_id"]; there && !plainID(id) { // a server may write there what it likes
		v.Facts["request_id"] = checks.Redacted
	}
	for _, p := range r.Phases {
		if v.Phases == nil {
			v.Phases = map[checks.PhaseName]float64{}
		}
		v.Phases[p.Name] = p.Took.Seconds()
	}
	for _, m := range r.Measurements {
		v.Measurements = append(v.Measurements, measurementView{m.Name, m.Value, m.Unit, chosen(m.Attrs, keptAttrs())})
	}
	if u := r.Usage; u != nil {
		v.Usage = &usageView{u.Model, u.PromptTokens, u.CompletionTokens, u.Cost.USD(), u.PriceKnown}
	}
	for _, s := range r.Evidence {
		v.Evidence = append(v.Evidence, stepView(s))
	}
	return v
}

func alertOf(a *checks.Alert) alertView {
	return alertView{
		Rule: a.Rule, Fingerprint: a.Fingerprint, State: a.State, Previous: a.Previous, Severity: a.Severity, Blame: a.Blame,
		Since: a.Since.UTC(), At: a.At.UTC(), Value: a.Value, Threshold: a.Threshold, Labels: chosen(a.Labels, keptLabels()),
		Summary: a.Summary, Muted: a.Muted, Reminder: a.Reminder, Incident: a.Incident,
	}
}

type incidentView struct {
	ID        string          `json:"id"`
	Title     string          `json:"title"`
	Severity  checks.Severity `json:"severity"`
	Provider  string          `json:"provider,omitempty"`
	Blame     checks.Blame    `json:"blame,omitempty"`
	OpenedAt  time.Time       `json:"opened_at"`
	QuietAt   time.Time       `json:"quiet_at,omitzero"`
	ClosedAt  time.Time       `json:"closed_at,omitzero"`
	ClosedBy  string          `json:"closed_by,omitempty"`
	Reason    string          `json:"close_reason,omitempty"`
	RespondBy time.Time       `json:"respond_by,omitzero"`
	Missed    bool            `json:"missed,omitempty"`
	Commander string          `json:"commander,omitempty"`
	AckedAt   time.Time       `json:"acked_at,omitzero"`
	Note      string          `json:"note,omitempty"`
	Alerts    []alertView     `json:"alerts,omitempty"`
	Course    incident.Course `json:"course"`
}

// Incident is what is kept of an incident, and how it went.
func Incident(in *incident.Incident, course incident.Course) any {
	v := incidentView{
		ID: in.ID, Title: in.Title, Severity: in.Severity, Provider: in.Provider, Blame: in.Blame, OpenedAt: in.OpenedAt, QuietAt: in.QuietAt,
		ClosedAt: in.ClosedAt, ClosedBy: in.ClosedBy, Reason: in.Reason, RespondBy: in.RespondBy, Missed: in.Missed, Commander: in.Commander,
		AckedAt: in.AckedAt, Note: in.Note, Course: course,
	}
	for i := range in.Alerts {
		v.Alerts = append(v.Alerts, alertOf(&in.Alerts[i]))
	}
	return v
}

type eventView struct {
	ID       string             `json:"id"`
	At       time.Time          `json:"at"`
	Kind     incident.EventKind `json:"kind"`
	Incident string             `json:"incident,omitempty"`
	Subject  string             `json:"subject,omitempty"`
	Text     string             `json:"text"`
	Record   string             `json:"record,omitempty"`
}

// Timeline is what is kept of the timeline, a value for each line.
func Timeline(events []incident.Event) []any {
	out := make([]any, len(events))
	for i := range events {
		e := &events[i]
		out[i] = eventView{e.ID, e.At, e.Kind, e.Incident, e.Subject, e.Text, e.Record}
	}
	return out
}

type findingView struct {
	Subject string     `json:"subject"`
	Level   host.Level `json:"level"`
	Detail  string     `json:"detail"`
	Fix     string     `json:"fix,omitempty"`
}

// Host is what is kept of what was found on the host.
func Host(findings []host.Finding) any {
	out := make([]findingView, len(findings))
	for i, f := range findings {
		out[i] = findingView(f)
	}
	return out
}

type healthView struct {
	Status    status.Verdict    `json:"status"`
	Version   string            `json:"version"`
	Location  string            `json:"location,omitempty"`
	StartedAt time.Time         `json:"started_at"`
	Ready     bool              `json:"ready"`
	Problems  []problemView     `json:"problems,omitempty"`
	Breakers  map[string]string `json:"breakers,omitempty"`
	Budget    []budgetView      `json:"budget,omitempty"`
	Store     storeView         `json:"store"`
	Schedule  scheduleView      `json:"schedule"`
	ReloadOK  bool              `json:"reload_ok"`
	LoadedAt  time.Time         `json:"config_loaded_at,omitzero"`
	Checks    []checkView       `json:"checks,omitempty"`
}

type problemView struct {
	Part   string         `json:"part"`
	Status status.Verdict `json:"status"`
	What   string         `json:"what"`
}

type budgetView struct {
	Window   string  `json:"window"`
	LimitUSD float64 `json:"limit_usd"`
	SpentUSD float64 `json:"spent_usd"`
}

type storeView struct {
	OK          bool   `json:"ok"`
	Problem     string `json:"problem,omitempty"`
	Records     int64  `json:"records"`
	Bytes       int64  `json:"bytes"`
	RingRecords int64  `json:"ring_records,omitempty"`
	RingDropped int64  `json:"ring_dropped,omitempty"`
	Expired     int64  `json:"expired,omitempty"`
}

type scheduleView struct {
	Scheduled int64    `json:"scheduled"`
	Done      int64    `json:"done"`
	Skipped   int64    `json:"skipped"`
	Missed    int64    `json:"missed"`
	Clock     string   `json:"clock,omitempty"`
	Overdue   []string `json:"overdue,omitempty"`
}

type checkView struct {
	Name    string        `json:"name"`
	Kind    string        `json:"kind"`
	Status  checks.Status `json:"status"`
	Cause   checks.Cause  `json:"cause,omitempty"`
	Blame   checks.Blame  `json:"blame,omitempty"`
	LastRun time.Time     `json:"last_run,omitzero"`
	Overdue bool          `json:"overdue,omitempty"`
}

// Health is what is kept of how the running agent is.
func Health(h *status.Health) any {
	v := healthView{
		Status: h.Status, Version: h.Version, Location: h.Location, StartedAt: h.StartedAt, Ready: h.Ready, Breakers: h.Breakers,
		Store:    storeView{h.Store.OK, h.Store.Problem, h.Store.Records, h.Store.Bytes, h.Store.RingRecords, h.Store.RingDropped, h.Store.Expired},
		Schedule: scheduleView{h.Schedule.Scheduled, h.Schedule.Done, h.Schedule.Skipped, h.Schedule.Missed, h.Schedule.Clock, h.Schedule.Overdue},
		ReloadOK: h.Config.ReloadOK, LoadedAt: h.Config.LoadedAt,
	}
	for _, p := range h.Problems {
		v.Problems = append(v.Problems, problemView{p.Part, p.Status, p.What})
	}
	for _, b := range h.Budget {
		v.Budget = append(v.Budget, budgetView(b))
	}
	for i := range h.Checks {
		c := &h.Checks[i]
		v.Checks = append(v.Checks, checkView{c.Name, c.Kind, c.Status, c.Cause, c.Blame, c.LastRun, c.Overdue})
	}
	return v
}

// Exporter is how far one exporter had come.
type Exporter struct {
	Name       string           `json:"name"`
	Kind       string           `json:"kind,omitempty"`
	Queue      int64            `json:"queue"`               // records that it has not delivered
	QueueAge   float64          `json:"queue_age,omitempty"` // seconds, of the oldest of them
	Oldest     time.Time        `json:"oldest_unread,omitzero"`
	Position   int64            `json:"position,omitempty"` // of its cursor
	Sent       int64            `json:"sent,omitempty"`
	Rejected   map[string]int64 `json:"rejected,omitempty"`
	Expired    map[string]int64 `json:"expired,omitempty"`
	Held       bool             `json:"held,omitempty"`
	Problem    string           `json:"problem,omitempty"`
	LastSentAt time.Time        `json:"last_sent_at,omitzero"`
}

// Exporters is what is kept of how the running agent's exporters are.
func Exporters(h *status.Health) []Exporter {
	out := []Exporter{}
	for i := range h.Exporters {
		e := &h.Exporters[i]
		out = append(out, Exporter{
			Name: e.Name, Kind: e.Kind, Queue: e.Queue, QueueAge: e.QueueAge, Sent: e.Sent, Rejected: e.Rejected, Expired: e.Expired,
			Held: e.Held, Problem: e.Problem, LastSentAt: e.LastSentAt,
		})
	}
	return out
}

// Address is a URL without what may be a secret in it: user, password, query and fragment.
func Address(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return checks.Redacted
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
