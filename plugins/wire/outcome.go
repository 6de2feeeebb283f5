package wire

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// OutcomeToProto is what Export said of a batch, on the wire.
func OutcomeToProto(o exporters.Outcome, err error) *pluginv1.ExportResponse {
	out := &pluginv1.ExportResponse{Disposition: disposition(err), State: o.State, RejectedPoints: max(o.RejectedPoints, 0)}
	for _, r := range o.Rejected {
		out.Rejections = append(out.Rejections, &pluginv1.Rejection{Index: small(r.Index), Reason: reason(r.Reason, "no reason given")})
	}
	if err != nil {
		done, state := exporters.ProgressOf(err)
		out.DoneFirst, out.State = small(done), state
		out.Message, out.RetryAfter = why(err)
	}
	return out
}

func disposition(err error) pluginv1.Disposition {
	switch {
	case err == nil:
		return pluginv1.Disposition_DISPOSITION_DONE
	case exporters.IsHold(err):
		return pluginv1.Disposition_DISPOSITION_HOLD
	case exporters.IsSplit(err):
		return pluginv1.Disposition_DISPOSITION_SPLIT
	case exporters.IsPoison(err):
		return pluginv1.Disposition_DISPOSITION_POISON
	}
	return pluginv1.Disposition_DISPOSITION_RETRY
}

func why(err error) (message string, retryAfter *durationpb.Duration) {
	return reason(err.Error(), "no reason given"), DurationToProto(max(exporters.RetryAfter(err), 0))
}

func reason(text, otherwise string) string {
	if text = Line(text); text != "" {
		return text
	}
	return otherwise
}

// OutcomeFromProto reads what a plugin says of a batch of so many records. The error is made by the functions of exporters,
// or wraps ErrAnswer where the answer breaks the protocol; that is a retry of the whole batch, as any other error is.
func OutcomeFromProto(p *pluginv1.ExportResponse, batch int) (exporters.Outcome, error) {
	if err := validResponse(p, batch); err != nil {
		return exporters.Outcome{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	after, err := DurationFromProto("retry_after", p.GetRetryAfter())
	if err != nil {
		return exporters.Outcome{}, err
	}
	out := exporters.Outcome{RejectedPoints: p.GetRejectedPoints()}
	for _, r := range p.GetRejections() {
		out.Rejected = append(out.Rejected, exporters.Rejection{Index: int(r.GetIndex()), Reason: Line(r.GetReason())})
	}
	err = errorOf(p.GetDisposition(), p.GetMessage(), after)
	if err == nil {
		out.State = p.GetState()
		return out, nil
	}
	if n := int(p.GetDoneFirst()); n > 0 || p.GetState() != nil {
		err = exporters.Progress(n, p.GetState(), err)
	}
	return out, err
}

func validResponse(p *pluginv1.ExportResponse, batch int) error {
	switch {
	case p == nil:
		return errors.New("there is no answer")
	case len(p.GetState()) > MaxState:
		return fmt.Errorf("a state of %d bytes, want at most %d", len(p.GetState()), MaxState)
	case p.GetDoneFirst() < 0 || int(p.GetDoneFirst()) > batch:
		return fmt.Errorf("done_first is %d in a batch of %d records", p.GetDoneFirst(), batch)
	case p.GetRejectedPoints() < 0:
		return fmt.Errorf("rejected_points is %d, want no less than 0", p.GetRejectedPoints())
	case len(p.GetRejections()) > batch:
		return fmt.Errorf("%d rejections in a batch of %d records", len(p.GetRejections()), batch)
	case len(p.GetRejections()) == 0:
		return nil
	}
	seen := make(map[int32]bool, len(p.GetRejections()))
	for _, r := range p.GetRejections() {
		switch {
		case r.GetIndex() < 0 || int(r.GetIndex()) >= batch:
			return fmt.Errorf("record %d is rejected in a batch of %d records", r.GetIndex(), batch)
		case seen[r.GetIndex()]:
			return fmt.Errorf("record %d is rejected twice", r.GetIndex())
		case Line(r.GetReason()) == "":
			return fmt.Errorf("record %d is rejected without a reason", r.GetIndex())
		}
		seen[r.GetIndex()] = true
	}
	return nil
}

func errorOf(d pluginv1.Disposition, message string, after time.Duration) error {
	err := errors.New(reason(message, "the plugin gave no reason"))
	switch d {
	case pluginv1.Disposition_DISPOSITION_DONE:
		return nil
	case pluginv1.Disposition_DISPOSITION_HOLD:
		return exporters.Hold(err)
	case pluginv1.Disposition_DISPOSITION_SPLIT:
		return exporters.Split(err)
	case pluginv1.Disposition_DISPOSITION_POISON:
		return exporters.Poison(err)
	case pluginv1.Disposition_DISPOSITION_UNSPECIFIED, pluginv1.Disposition_DISPOSITION_RETRY:
		return exporters.Retry(err, after)
	}
	return exporters.Retry(err, after)
}

// RefreshToProto is what Refresh said, on the wire: done, retry or hold.
func RefreshToProto(state []byte, err error) *pluginv1.RefreshResponse {
	out := &pluginv1.RefreshResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE, State: state}
	if err != nil {
		if out.Disposition = pluginv1.Disposition_DISPOSITION_RETRY; exporters.IsHold(err) {
			out.Disposition = pluginv1.Disposition_DISPOSITION_HOLD
		}
		out.Message, out.RetryAfter = why(err)
	}
	return out
}

// RefreshFromProto reads what a plugin says of a refresh, as OutcomeFromProto does. The state counts with every error but one
// that wraps ErrAnswer, where it is nil.
func RefreshFromProto(p *pluginv1.RefreshResponse) (state []byte, err error) {
	if p == nil || len(p.GetState()) > MaxState {
		return nil, fmt.Errorf("%w: no answer, or a state of %d bytes, want at most %d", ErrAnswer, len(p.GetState()), MaxState)
	}
	after, err := DurationFromProto("retry_after", p.GetRetryAfter())
	if err != nil {
		return nil, err
	}
	switch d := p.GetDisposition(); d {
	case pluginv1.Disposition_DISPOSITION_DONE, pluginv1.Disposition_DISPOSITION_HOLD:
		return p.GetState(), errorOf(d, p.GetMessage(), after)
	case pluginv1.Disposition_DISPOSITION_SPLIT, pluginv1.Disposition_DISPOSITION_POISON:
		return nil, fmt.Errorf("%w: a refresh is answered by %s, want done, retry or hold", ErrAnswer, d)
	case pluginv1.Disposition_DISPOSITION_UNSPECIFIED, pluginv1.Disposition_DISPOSITION_RETRY:
		return p.GetState(), errorOf(pluginv1.Disposition_DISPOSITION_RETRY, p.GetMessage(), after)
	}
	return p.GetState(), errorOf(pluginv1.Disposition_DISPOSITION_RETRY, p.GetMessage(), after)
}

// Wants are the types of record that an exporter asks for, on the wire; nil where it wants all of them.
func Wants(e exporters.Exporter) []pluginv1.RecordType {
	selective, ok := e.(exporters.Selective)
	if !ok {
		return nil
	}
	var out []pluginv1.RecordType
	for _, t := range []checks.RecordType{checks.TypeReport, checks.TypeAlert, checks.TypeAgent} {
		if selective.Wants(t) {
			out = append(out, RecordTypeToProto(t))
		}
	}
	return out
}
