package plugintest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// records makes records of the types that the kind wants, in turn, oldest first.
func (s *suite) records(n int, k *kind) []*pluginv1.Record {
	types := k.Records
	if len(types) == 0 {
		types = []string{"report", "alert", "agent"}
	}
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(n) * time.Second)
	out := make([]*pluginv1.Record, 0, n)
	for i := range n {
		out = append(out, record(types[i%len(types)], at.Add(time.Duration(i)*time.Second)))
	}
	return out
}

func record(typ string, at time.Time) *pluginv1.Record {
	r := &pluginv1.Record{Id: ulid.MustNew(ulid.Timestamp(at), rand.Reader).String(), At: timestamppb.New(at)}
	switch typ {
	case "alert":
		r.Payload = &pluginv1.Record_Alert{Alert: alert(at)}
	case "agent":
		r.Payload = &pluginv1.Record_Agent{Agent: &pluginv1.AgentState{
			Version: "0.0.0-conformance", Location: "conformance", StartedAt: timestamppb.New(at.Add(-time.Hour)),
			Measurements: []*pluginv1.Measurement{{Name: "windsock.runs", Value: 12, Attributes: map[string]string{"status": "ok"}}},
		}}
	default:
		r.Payload = &pluginv1.Record_Report{Report: report(at)}
	}
	return r
}

func report(at time.Time) *pluginv1.Report {
	return &pluginv1.Report{
		Check: "shop", Kind: "http", Provider: "mistral", Location: "conformance", Labels: map[string]string{"team": "shop", "city": "Zürich"},
		ScheduledAt: timestamppb.New(at), StartedAt: timestamppb.New(at.Add(time.Millisecond)), Took: durationpb.New(120 * time.Millisecond),
		Timeout: durationpb.New(10 * time.Second), Trigger: "schedule", Attempt: 1, Final: true, Slots: 1,
		Result: &pluginv1.Result{
			Status: pluginv1.Status_STATUS_FAILED, Cause: "server", Blame: "provider", Summary: "status 503, want 200 – naïve ☂",
			Measurements: []*pluginv1.Measurement{{Name: "probe.http.duration", Value: 0.12, Unit: "s", Attributes: map[string]string{"phase": "first_byte"}}},
			Phases:       []*pluginv1.Phase{{Name: "connect", Took: durationpb.New(3 * time.Millisecond)}},
			Steps:        []*pluginv1.Step{{Name: "status", Detail: "503"}},
			Facts:        map[string]string{"request_id": "r-1"},
			Usage:        &pluginv1.Usage{Model: "mistral-small-latest", PromptTokens: 12, CompletionTokens: 3, CostPicoUsd: 1_500_000, PriceKnown: true, PriceDate: "2026-11-01"},
		},
	}
}

func alert(at time.Time) *pluginv1.Alert {
	return &pluginv1.Alert{
		Rule: "api-down", Fingerprint: "0011223344556677", State: "firing", Previous: "pending", Severity: "P1", Blame: "provider",
		Since: timestamppb.New(at.Add(-time.Minute)), At: timestamppb.New(at), Value: 3, Threshold: 2, Labels: map[string]string{"provider": "mistral"},
		Summary: "3 runs in a row failed", Diagnosis: "the provider answers 503", Impact: "chat is down", Action: "look at its status page", Runbook: "api-down",
	}
}

// heavy makes records of a certain size in all, and at most so many of them.
func (s *suite) heavy(bytes, most int, k *kind) []*pluginv1.Record {
	var out []*pluginv1.Record
	size := 0
	for len(out) < most {
		r := s.records(1, k)[0]
		if report := r.GetReport(); report != nil {
			for i := range 30 {
				report.Result.Facts[fmt.Sprintf("fact_%d", i)] = strings.Repeat("x", 500)
			}
		}
		if size+proto.Size(r)+8 > bytes {
			return out
		}
		size += proto.Size(r) + 8
		out = append(out, r)
	}
	return out
}

// grease adds fields that no version knows to a message and to all within it.
func grease(m proto.Message) { greaseMessage(m.ProtoReflect()) }

func greaseMessage(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				greaseMessage(v.List().Get(i).Message())
			}
		default:
			greaseMessage(v.Message())
		}
		return true
	})
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 18_001, protowire.VarintType), 1)
	unknown = protowire.AppendString(protowire.AppendTag(unknown, 18_002, protowire.BytesType), "grease")
	m.SetUnknown(append(m.GetUnknown(), unknown...))
}

// fromTheFuture are records as a later version may send them: a payload, a status, words and a type that nobody knows.
func (s *suite) fromTheFuture(k *kind) []*pluginv1.Record {
	records := s.records(3, k)
	for _, r := range records {
		if report := r.GetReport(); report != nil {
			report.Trigger, report.Result.Status, report.Result.Cause, report.Result.Blame = "moon", 77, "sun_spots", "sun"
		}
		if alert := r.GetAlert(); alert != nil {
			alert.State, alert.Severity = "dreaming", "P0"
		}
	}
	last := s.records(1, k)[0]
	last.Payload = nil
	last.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 90, protowire.BytesType), "a payload of a later version"))
	return append(records, last)
}
