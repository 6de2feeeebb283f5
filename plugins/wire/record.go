package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// The messages of one record lie in one piece of memory: a batch has thousands of them.
type (
	reportRecord struct {
		record                 pluginv1.Record
		payload                pluginv1.Record_Report
		report                 pluginv1.Report
		result                 pluginv1.Result
		at, scheduled, started timestamppb.Timestamp
		took, timeout          durationpb.Duration
	}
	alertRecord struct {
		record  pluginv1.Record
		payload pluginv1.Record_Alert
		alert   pluginv1.Alert
		at      timestamppb.Timestamp
		own     alertTimes
	}
	alertTimes struct{ since, at, respondBy timestamppb.Timestamp }
)

// RecordToProto is the record on the wire. What is not UTF-8 is replaced and what is not finite left out, as in the JSON form.
func RecordToProto(r checks.Record) *pluginv1.Record {
	switch r.Type() {
	case checks.TypeReport:
		p := new(reportRecord)
		p.record.Id, p.record.At, p.record.Payload = valid(r.ID), putTime(&p.at, r.At), &p.payload
		p.payload.Report = &p.report
		p.put(r.Report)
		return &p.record
	case checks.TypeAlert:
		p := new(alertRecord)
		p.record.Id, p.record.At, p.record.Payload = valid(r.ID), putTime(&p.at, r.At), &p.payload
		p.payload.Alert = &p.alert
		putAlert(&p.alert, &p.own, r.Alert)
		return &p.record
	case checks.TypeAgent:
		s := r.Agent
		return &pluginv1.Record{
			Id: valid(r.ID), At: putTime(new(timestamppb.Timestamp), r.At),
			Payload: &pluginv1.Record_Agent{Agent: &pluginv1.AgentState{
				Version: valid(s.Version), Location: valid(s.Location), StartedAt: putTime(new(timestamppb.Timestamp), s.StartedAt),
				Measurements: MeasurementsToProto(s.Measurements),
			}},
		}
	}
	return &pluginv1.Record{Id: valid(r.ID), At: putTime(new(timestamppb.Timestamp), r.At)}
}

func (p *reportRecord) put(r *checks.Report) {
	out := &p.report
	out.Check, out.Kind, out.Provider, out.Location = valid(r.Check), valid(r.Kind), valid(r.Provider), valid(r.Location)
	out.Labels, out.Trigger = validMap(r.Labels), valid(string(r.Trigger))
	out.ScheduledAt, out.StartedAt = putTime(&p.scheduled, r.ScheduledAt), putTime(&p.started, r.StartedAt)
	out.Took, out.Timeout = putDuration(&p.took, r.Took), putDuration(&p.timeout, r.Timeout)
	out.Attempt, out.Final, out.Slots = small(r.Attempt), r.Final, small(r.Slots)
	out.Result = &p.result
	putResult(&p.result, &r.Result)
}

// RecordsToProto are the records of a batch on the wire.
func RecordsToProto(batch []checks.Record) []*pluginv1.Record {
	out := make([]*pluginv1.Record, len(batch))
	for i := range batch {
		out[i] = RecordToProto(batch[i])
	}
	return out
}

// AlertToProto is the alert on the wire.
func AlertToProto(a *checks.Alert) *pluginv1.Alert {
	out := new(pluginv1.Alert)
	putAlert(out, new(alertTimes), a)
	return out
}

// AlertsToProto are alerts on the wire.
func AlertsToProto(all []checks.Alert) []*pluginv1.Alert {
	out := make([]*pluginv1.Alert, len(all))
	for i := range all {
		out[i] = AlertToProto(&all[i])
	}
	return out
}

func putAlert(out *pluginv1.Alert, times *alertTimes, a *checks.Alert) {
	out.Rule, out.Fingerprint = valid(a.Rule), valid(a.Fingerprint)
	out.State, out.Previous = valid(string(a.State)), valid(string(a.Previous))
	out.Severity, out.Blame = valid(string(a.Severity)), valid(string(a.Blame))
	out.Since, out.At, out.RespondBy = putTime(&times.since, a.Since), putTime(&times.at, a.At), putTime(&times.respondBy, a.RespondBy)
	out.Value, out.Threshold = tame(a.Value), tame(a.Threshold)
	out.Labels, out.Muted, out.Reminder = validMap(a.Labels), valid(a.Muted), a.Reminder
	out.Summary, out.Diagnosis, out.Impact, out.Action = valid(a.Summary), valid(a.Diagnosis), valid(a.Impact), valid(a.Action)
	out.Commander, out.Runbook, out.Incident = valid(a.Commander), valid(a.Runbook), valid(a.Incident)
}

// tame is v, the largest number for an infinity, and 0 for NaN, as in the JSON form.
func tame(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 0):
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}

// RecordFromProto reads a record. One of a type that this version does not know has no payload: its Type is "". Causes and
// triggers that this version does not know stay as they are.
func RecordFromProto(p *pluginv1.Record) (checks.Record, error) {
	at, err := timeOf("a record's time", p.GetAt())
	if err != nil {
		return checks.Record{}, err
	}
	out := checks.Record{ID: p.GetId(), At: at}
	switch payload := p.GetPayload().(type) {
	case *pluginv1.Record_Report:
		out.Report, err = reportFrom(out.ID, payload.Report)
	case *pluginv1.Record_Alert:
		var a checks.Alert
		a, err = AlertFromProto(payload.Alert)
		out.Alert = &a
	case *pluginv1.Record_Agent:
		out.Agent = &checks.Snapshot{
			Version: payload.Agent.GetVersion(), Location: payload.Agent.GetLocation(),
			Measurements: MeasurementsFromProto(payload.Agent.GetMeasurements()),
		}
		out.Agent.StartedAt, err = timeOf("the agent's start", payload.Agent.GetStartedAt())
	}
	if err != nil {
		return checks.Record{}, fmt.Errorf("record %q: %w", Line(out.ID), err)
	}
	return out, nil
}

// RecordsFromProto reads a batch.
func RecordsFromProto(batch []*pluginv1.Record) ([]checks.Record, error) {
	out := make([]checks.Record, len(batch))
	for i, p := range batch {
		var err error
		if out[i], err = RecordFromProto(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func reportFrom(id string, p *pluginv1.Report) (*checks.Report, error) {
	r := &checks.Report{
		ID: id, Check: p.GetCheck(), Kind: p.GetKind(), Provider: p.GetProvider(), Location: p.GetLocation(), Labels: p.GetLabels(),
		Trigger: checks.Trigger(p.GetTrigger()), Attempt: int(p.GetAttempt()), Final: p.GetFinal(), Slots: int(p.GetSlots()),
	}
	var err error
	if r.ScheduledAt, err = timeOf("scheduled_at", p.GetScheduledAt()); err != nil {
		return nil, err
	}
	if r.StartedAt, err = timeOf("started_at", p.GetStartedAt()); err != nil {
		return nil, err
	}
	if r.Took, err = DurationFromProto("took", p.GetTook()); err != nil {
		return nil, err
	}
	if r.Timeout, err = DurationFromProto("timeout", p.GetTimeout()); err != nil {
		return nil, err
	}
	r.Result, err = readResult(p.GetResult())
	return r, err
}

// AlertFromProto reads an alert.
func AlertFromProto(p *pluginv1.Alert) (checks.Alert, error) {
	a := checks.Alert{
		Rule: p.GetRule(), Fingerprint: p.GetFingerprint(), State: checks.AlertState(p.GetState()), Previous: checks.AlertState(p.GetPrevious()),
		Severity: checks.Severity(p.GetSeverity()), Blame: checks.Blame(p.GetBlame()), Value: p.GetValue(), Threshold: p.GetThreshold(),
		Labels: p.GetLabels(), Summary: p.GetSummary(), Diagnosis: p.GetDiagnosis(), Impact: p.GetImpact(), Action: p.GetAction(),
		Muted: p.GetMuted(), Reminder: p.GetReminder(), Commander: p.GetCommander(), Runbook: p.GetRunbook(), Incident: p.GetIncident(),
	}
	var err error
	if a.Since, err = timeOf("since", p.GetSince()); err != nil {
		return checks.Alert{}, err
	}
	if a.At, err = timeOf("at", p.GetAt()); err != nil {
		return checks.Alert{}, err
	}
	if a.RespondBy, err = timeOf("respond_by", p.GetRespondBy()); err != nil {
		return checks.Alert{}, err
	}
	return a, nil
}

// AlertsFromProto reads the alerts of a refresh.
func AlertsFromProto(all []*pluginv1.Alert) ([]checks.Alert, error) {
	out := make([]checks.Alert, len(all))
	for i, p := range all {
		var err error
		if out[i], err = AlertFromProto(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// RecordTypeToProto is the type on the wire; unspecified for one that the protocol does not know.
func RecordTypeToProto(t checks.RecordType) pluginv1.RecordType {
	switch t {
	case checks.TypeReport:
		return pluginv1.RecordType_RECORD_TYPE_REPORT
	case checks.TypeAlert:
		return pluginv1.RecordType_RECORD_TYPE_ALERT
	case checks.TypeAgent:
		return pluginv1.RecordType_RECORD_TYPE_AGENT
	}
	return pluginv1.RecordType_RECORD_TYPE_UNSPECIFIED
}

// RecordTypeFromProto reads a type; "" for one that this version does not know.
func RecordTypeFromProto(t pluginv1.RecordType) checks.RecordType {
	switch t {
	case pluginv1.RecordType_RECORD_TYPE_REPORT:
		return checks.TypeReport
	case pluginv1.RecordType_RECORD_TYPE_ALERT:
		return checks.TypeAlert
	case pluginv1.RecordType_RECORD_TYPE_AGENT:
		return checks.TypeAgent
	case pluginv1.RecordType_RECORD_TYPE_UNSPECIFIED:
		return ""
	}
	return ""
}
