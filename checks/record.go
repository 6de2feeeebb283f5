package checks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Report is one run (or one slot that was not run) with everything that the pipeline knows about it.
type Report struct {
	ID          string // ULID
	Check       string
	Kind        string
	Provider    string
	Location    string
	Labels      map[string]string
	ScheduledAt time.Time
	StartedAt   time.Time // zero where nothing ran
	Took        time.Duration
	Timeout     time.Duration // the bound that was set; not part of the JSON form where zero
	Trigger     Trigger
	Attempt     int  // 1 is the first run of a slot
	Final       bool // false: a confirming run follows, whose record counts
	Slots       int  // how many schedule slots this record stands for: 1, more where missed slots are told in one, 0 where none
	Result
}

// At is when the report became true: the end of the run, or the slot's time where nothing ran.
func (r *Report) At() time.Time {
	if r.StartedAt.IsZero() {
		return r.ScheduledAt
	}
	return r.StartedAt.Add(r.Took)
}

// Snapshot is the agent's own state, once a minute. Names are those of the catalogue; the values of counters are the
// increments since the snapshot before.
type Snapshot struct {
	Version      string        `json:"version"`
	Location     string        `json:"location,omitempty"`
	StartedAt    time.Time     `json:"started_at"`
	Measurements []Measurement `json:"measurements"`
}

// RecordType tells what a Record holds.
type RecordType string

// The types of record.
const (
	TypeReport RecordType = "report"
	TypeAlert  RecordType = "alert"
	TypeAgent  RecordType = "agent"
)

// Record is what the store keeps and the exporters get: exactly one of Report, Alert and Agent is set. Its JSON form is
// the same in `--output json`, the stdout exporter, the store's export and the webhook: snake_case, RFC 3339 UTC,
// seconds, USD; empty fields are left out.
type Record struct {
	ID     string // ULID; for a report the report's own
	At     time.Time
	Report *Report
	Alert  *Alert
	Agent  *Snapshot
}

// Type is what the record holds; "" where it holds nothing.
func (r Record) Type() RecordType {
	switch {
	case r.Report != nil:
		return TypeReport
	case r.Alert != nil:
		return TypeAlert
	case r.Agent != nil:
		return TypeAgent
	}
	return ""
}

// OfReport makes the record of a report.
func OfReport(r *Report) Record { return Record{ID: r.ID, At: r.At(), Report: r} }

// wireReport is the JSON form of a report.
type wireReport struct {
	Type         RecordType            `json:"type"`
	ID           string                `json:"id"`
	Check        string                `json:"check"`
	Kind         string                `json:"kind"`
	Provider     string                `json:"provider,omitempty"`
	Location     string                `json:"location,omitempty"`
	Labels       map[string]string     `json:"labels,omitempty"`
	ScheduledAt  time.Time             `json:"scheduled_at,omitzero"`
	StartedAt    time.Time             `json:"started_at,omitzero"`
	Took         float64               `json:"took,omitempty"`
	Timeout      float64               `json:"timeout,omitempty"`
	Trigger      Trigger               `json:"trigger,omitempty"`
	Attempt      int                   `json:"attempt,omitempty"`
	Final        bool                  `json:"final"`
	Slots        int                   `json:"slots,omitempty"`
	Status       Status                `json:"status"`
	Cause        Cause                 `json:"cause,omitempty"`
	Blame        Blame                 `json:"blame,omitempty"`
	Summary      string                `json:"summary,omitempty"`
	Phases       map[PhaseName]float64 `json:"phases,omitempty"`
	Measurements []Measurement         `json:"measurements,omitempty"`
	Usage        *wireUsage            `json:"usage,omitempty"`
	Evidence     []Step                `json:"evidence,omitempty"`
	Facts        map[string]string     `json:"facts,omitempty"`
}

type wireUsage struct {
	Model            string  `json:"model"`
	PromptTokens     int64   `json:"prompt_tokens"`
	CachedTokens     int64   `json:"cached_tokens,omitempty"`
	CompletionTokens int64   `json:"completion_tokens"`
	CostUSD          float64 `json:"cost_usd"`
	CostPicoUSD      PicoUSD `json:"cost_pico_usd"`
	PriceKnown       bool    `json:"price_known"`
	PriceDate        string  `json:"price_date,omitempty"`
	Estimated        bool    `json:"estimated,omitempty"`
}

type wireAlert struct {
	Type RecordType `json:"type"`
	ID   string     `json:"id"`
	Alert
}

type wireAgent struct {
	Type RecordType `json:"type"`
	ID   string     `json:"id"`
	At   time.Time  `json:"at"`
	Snapshot
}

// MarshalJSON writes the record's one JSON form.
func (r Record) MarshalJSON() ([]byte, error) {
	switch r.Type() {
	case TypeReport:
		return json.Marshal(toWire(r.Report))
	case TypeAlert:
		a := *r.Alert
		a.Since, a.At = a.Since.UTC(), a.At.UTC()
		a.Value, a.Threshold = finite(a.Value), finite(a.Threshold)
		return json.Marshal(wireAlert{TypeAlert, r.ID, a})
	case TypeAgent:
		s := *r.Agent
		s.StartedAt = s.StartedAt.UTC()
		s.Measurements = finiteOnly(s.Measurements)
		return json.Marshal(wireAgent{TypeAgent, r.ID, r.At.UTC(), s})
	}
	return nil, fmt.Errorf("record %q holds neither report, alert nor agent state", r.ID)
}

// typeOf looks no further where the type stands first, as MarshalJSON puts it: a store is full of records to read.
func typeOf(data []byte) (RecordType, error) {
	for _, t := range []RecordType{TypeReport, TypeAlert, TypeAgent} {
		if bytes.HasPrefix(data, []byte(`{"type":"`+string(t)+`",`)) {
			return t, nil
		}
	}
	var head struct {
		Type RecordType `json:"type"`
	}
	err := json.Unmarshal(data, &head)
	return head.Type, err
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Record) UnmarshalJSON(data []byte) error {
	kind, err := typeOf(data)
	if err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	switch kind {
	case TypeReport:
		var w wireReport
		if err := json.Unmarshal(data, &w); err != nil {
			return fmt.Errorf("reading a report: %w", err)
		}
		*r = OfReport(fromWire(&w))
	case TypeAlert:
		var w wireAlert
		if err := json.Unmarshal(data, &w); err != nil {
			return fmt.Errorf("reading an alert: %w", err)
		}
		*r = Record{ID: w.ID, At: w.At, Alert: &w.Alert}
	case TypeAgent:
		var w wireAgent
		if err := json.Unmarshal(data, &w); err != nil {
			return fmt.Errorf("reading agent state: %w", err)
		}
		*r = Record{ID: w.ID, At: w.At, Agent: &w.Snapshot}
	default:
		return fmt.Errorf("record type %q is not one of report, alert, agent", kind)
	}
	return nil
}

// AsRead is the record of a report as it comes back from its JSON form, without the way through it. It shares what does not
// change on that way, so neither may be written to any more. Text that is not valid UTF-8 stays as it is, while JSON would
// replace it; false for other records.
func (r Record) AsRead() (Record, bool) {
	if r.Report == nil {
		return Record{}, false
	}
	w := toWire(r.Report)
	w.ScheduledAt, w.StartedAt = w.ScheduledAt.Round(0), w.StartedAt.Round(0)
	if len(w.Labels) == 0 {
		w.Labels = nil
	}
	if len(w.Facts) == 0 {
		w.Facts = nil
	}
	if len(w.Evidence) == 0 {
		w.Evidence = nil
	}
	w.Measurements = withoutEmpty(w.Measurements)
	return OfReport(fromWire(w)), true
}

// withoutEmpty leaves out attributes that are none; what needs no change is shared.
func withoutEmpty(all []Measurement) []Measurement {
	if len(all) == 0 {
		return nil
	}
	empty := func(m Measurement) bool { return m.Attrs != nil && len(m.Attrs) == 0 }
	if !slices.ContainsFunc(all, empty) {
		return all
	}
	all = slices.Clone(all)
	for i := range all {
		if empty(all[i]) {
			all[i].Attrs = nil
		}
	}
	return all
}

func toWire(r *Report) *wireReport {
	w := &wireReport{
		Type: TypeReport, ID: r.ID, Check: r.Check, Kind: r.Kind, Provider: r.Provider, Location: r.Location,
		Labels: r.Labels, ScheduledAt: r.ScheduledAt.UTC(), StartedAt: r.StartedAt.UTC(), Took: r.Took.Seconds(),
		Timeout: r.Timeout.Seconds(), Trigger: r.Trigger, Attempt: r.Attempt, Final: r.Final, Slots: r.Slots,
		Status: r.Status, Cause: r.Cause, Blame: r.Blame, Summary: r.Summary, Measurements: finiteOnly(r.Measurements),
		Evidence: r.Evidence, Facts: r.Facts,
	}
	if len(r.Phases) > 0 {
		w.Phases = make(map[PhaseName]float64, len(r.Phases))
		for _, p := range r.Phases {
			w.Phases[p.Name] = p.Took.Seconds()
		}
	}
	if u := r.Usage; u != nil {
		w.Usage = &wireUsage{
			u.Model, u.PromptTokens, u.CachedTokens, u.CompletionTokens, u.Cost.USD(), u.Cost, u.PriceKnown,
			u.PriceDate, u.Estimated,
		}
	}
	return w
}

func fromWire(w *wireReport) *Report {
	r := &Report{
		ID: w.ID, Check: w.Check, Kind: w.Kind, Provider: w.Provider, Location: w.Location, Labels: w.Labels,
		ScheduledAt: w.ScheduledAt, StartedAt: w.StartedAt, Took: seconds(w.Took), Timeout: seconds(w.Timeout),
		Trigger: w.Trigger, Attempt: w.Attempt, Final: w.Final, Slots: w.Slots,
		Result: Result{
			Status: w.Status, Cause: w.Cause, Blame: w.Blame, Summary: w.Summary, Measurements: w.Measurements,
			Evidence: w.Evidence, Facts: w.Facts,
		},
	}
	for _, name := range slices.SortedFunc(maps.Keys(w.Phases), inOrder) {
		r.Phases = append(r.Phases, Phase{name, seconds(w.Phases[name])})
	}
	if u := w.Usage; u != nil {
		r.Usage = &Usage{
			u.Model, u.PromptTokens, u.CachedTokens, u.CompletionTokens, u.CostPicoUSD, u.PriceKnown, u.PriceDate,
			u.Estimated,
		}
	}
	return r
}

// inOrder sorts phases as they happen; those of plugins, which the order does not know, follow by name.
func inOrder(a, b PhaseName) int {
	order := []PhaseName{PhaseResolve, PhaseConnect, PhaseTLS, PhaseFirstByte, PhaseFirstToken, PhaseTransfer}
	place := func(n PhaseName) int {
		if i := slices.Index(order, n); i >= 0 {
			return i
		}
		return len(order)
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

// finiteOnly leaves out what JSON cannot say: one NaN from a plugin must not lose the whole record.
func finiteOnly(all []Measurement) []Measurement {
	bad := func(m Measurement) bool { return math.IsNaN(m.Value) || math.IsInf(m.Value, 0) }
	if !slices.ContainsFunc(all, bad) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), bad)
}

// finite is v, the largest number for an infinity, and 0 for NaN.
func finite(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 0):
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}

// seconds reads a time back. It is exact to the nanosecond up to 40 days.
func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s * float64(time.Second)))
}
