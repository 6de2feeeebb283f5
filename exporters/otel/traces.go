package otel

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

const sampled = 1

// spanBuilder turns the runs of a batch into spans: one per run, its phases as children. The ids are a function of the
// record, so that a run that is sent again is the same span.
type spanBuilder struct {
	identity identity
	wanted   bool
}

func (b *spanBuilder) build(batch []checks.Record) []*tracepb.ResourceSpans {
	if !b.wanted {
		return nil
	}
	var spans []*tracepb.Span
	for _, rec := range batch {
		if rec.Report != nil && !rec.Report.StartedAt.IsZero() {
			spans = append(spans, runSpans(rec)...)
		}
	}
	if len(spans) == 0 {
		return nil
	}
	return []*tracepb.ResourceSpans{{
		Resource:   b.identity.wire,
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: b.identity.origin, Spans: spans}},
	}}
}

func runSpans(rec checks.Record) []*tracepb.Span {
	r := rec.Report
	trace, id := ids(rec)
	end := r.StartedAt.Add(max(r.Took, 0))
	root := &tracepb.Span{
		TraceId: trace, SpanId: id, Flags: sampled, Name: exporters.Clean("probe "+r.Kind, maxText),
		Kind:              tracepb.Span_SPAN_KIND_CLIENT,
		StartTimeUnixNano: unixNano(r.StartedAt), EndTimeUnixNano: unixNano(end),
		Attributes: texts(
			"user_agent.synthetic.type", "test", keyRecordID, rec.ID, "check", r.Check, "kind", r.Kind,
			"provider", r.Provider, "location", r.Location, "status", r.Status.String(), "cause", string(r.Cause),
			"blame", string(blame(r)), "error.type", string(r.Cause), "trigger", string(r.Trigger),
		),
		Status: spanStatus(r),
	}
	spans := []*tracepb.Span{root}
	at := r.StartedAt
	for _, p := range r.Phases {
		if p.Name == checks.PhaseFirstToken { // from the start of the request, over the other phases
			root.Events = append(root.Events, &tracepb.Span_Event{
				Name: "first_token", TimeUnixNano: unixNano(earlier(r.StartedAt.Add(p.Took), end)),
			})
			continue
		}
		until := earlier(at.Add(max(p.Took, 0)), end)
		spans = append(spans, &tracepb.Span{
			TraceId: trace, SpanId: childID(rec, string(p.Name)), ParentSpanId: id, Flags: sampled,
			Name: exporters.Clean(string(p.Name), maxText), Kind: tracepb.Span_SPAN_KIND_INTERNAL,
			StartTimeUnixNano: unixNano(at), EndTimeUnixNano: unixNano(until),
			Attributes: texts("user_agent.synthetic.type", "test"),
		})
		at = until
	}
	return spans
}

func spanStatus(r *checks.Report) *tracepb.Status {
	switch r.Status {
	case checks.OK, checks.Degraded:
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK}
	case checks.Failed, checks.Error:
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: exporters.Clean(r.Summary, maxText)}
	case checks.Unknown, checks.Skipped:
	}
	return &tracepb.Status{}
}

// ids are those of the traceparent that the run sent out, so that the server's spans join it; without one they are made
// from the record's id.
func ids(rec checks.Record) (trace, span []byte) {
	if trace, span, ok := parseTraceparent(rec.Report.Facts["traceparent"]); ok {
		return trace, span
	}
	sum := sha256.Sum256([]byte("windsock run " + rec.ID))
	return sum[:16], sum[16:24]
}

func childID(rec checks.Record, name string) []byte {
	sum := sha256.Sum256([]byte("windsock phase " + rec.ID + " " + name))
	return sum[:8]
}

// parseTraceparent reads "00-<32 hex>-<16 hex>-<2 hex>" of W3C Trace Context, level 1.
func parseTraceparent(text string) (trace, span []byte, ok bool) {
	parts := strings.Split(text, "-")
	if len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return nil, nil, false
	}
	trace, err := hex.DecodeString(parts[1])
	if err != nil || allZero(trace) {
		return nil, nil, false
	}
	span, err = hex.DecodeString(parts[2])
	if err != nil || allZero(span) {
		return nil, nil, false
	}
	return trace, span, true
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// unixNano is zero for times that the wire cannot carry.
func unixNano(t time.Time) uint64 {
	if t.Unix() <= 0 || t.Year() >= 2262 {
		return 0
	}
	return uint64(t.UnixNano())
}
