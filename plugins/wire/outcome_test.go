package wire_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// told is all that delivery asks of an error.
func told(err error) string {
	if err == nil {
		return "done"
	}
	n, state := exporters.ProgressOf(err)
	return fmt.Sprintf("%v hold=%t split=%t poison=%t after=%v done=%d state=%q nil=%t",
		err, exporters.IsHold(err), exporters.IsSplit(err), exporters.IsPoison(err), exporters.RetryAfter(err), n, state, state == nil)
}

func TestOutcomeRoundTrip(t *testing.T) {
	why := errors.New("status 503")
	for name, c := range map[string]struct {
		outcome exporters.Outcome
		err     error
	}{
		"done":                    {},
		"done with a state":       {outcome: exporters.Outcome{State: []byte("s"), RejectedPoints: 3}},
		"done with an empty one":  {outcome: exporters.Outcome{State: []byte{}}},
		"done with rejections":    {outcome: exporters.Outcome{Rejected: []exporters.Rejection{{Index: 4, Reason: "too old"}, {Index: 0, Reason: "bad"}}}},
		"retry":                   {err: exporters.Retry(why, 0)},
		"retry later":             {err: exporters.Retry(why, 1500*time.Millisecond)},
		"hold":                    {err: exporters.Hold(why)},
		"split":                   {err: exporters.Split(why)},
		"poison":                  {err: exporters.Poison(why)},
		"any error":               {err: why},
		"progress before a retry": {err: exporters.Progress(3, []byte("s"), exporters.Retry(why, time.Second))},
		"progress before a hold":  {err: exporters.Progress(3, nil, exporters.Hold(why))},
		"progress of state only":  {err: exporters.Progress(0, []byte{}, exporters.Hold(why))},
		"progress with rejections": {
			outcome: exporters.Outcome{Rejected: []exporters.Rejection{{Index: 1, Reason: "bad"}}}, err: exporters.Progress(2, nil, why),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.OutcomeFromProto(sent(t, wire.OutcomeToProto(c.outcome, c.err)), 5)
			if diff := cmp.Diff(c.outcome, got); diff != "" {
				t.Errorf("the outcome changed on its way (-want +got):\n%s", diff)
			}
			if got, want := told(err), told(c.err); got != want {
				t.Errorf("got error %s, want %s", got, want)
			}
		})
	}
}

func TestOutcomeThatBreaksTheProtocol(t *testing.T) {
	rejected := func(all ...*pluginv1.Rejection) *pluginv1.ExportResponse {
		return &pluginv1.ExportResponse{Disposition: pluginv1.Disposition_DISPOSITION_DONE, Rejections: all}
	}
	one := func(index int32) *pluginv1.Rejection { return &pluginv1.Rejection{Index: index, Reason: "bad"} }
	for name, c := range map[string]struct {
		response *pluginv1.ExportResponse
		want     string
	}{
		"none":                       {nil, "there is no answer"},
		"a rejection past the end":   {rejected(one(3)), "record 3 is rejected in a batch of 3"},
		"a negative one":             {rejected(one(-1)), "record -1 is rejected"},
		"one twice":                  {rejected(one(1), one(1)), "record 1 is rejected twice"},
		"more than there are":        {rejected(one(0), one(1), one(2), one(0)), "4 rejections in a batch of 3"},
		"one without a reason":       {rejected(&pluginv1.Rejection{Index: 1, Reason: "\n"}), "without a reason"},
		"a nil one, twice":           {rejected(nil, nil), "without a reason"},
		"further than its batch":     {&pluginv1.ExportResponse{DoneFirst: 4}, "done_first is 4"},
		"backwards":                  {&pluginv1.ExportResponse{DoneFirst: math.MinInt32}, "done_first is"},
		"fewer points than none":     {&pluginv1.ExportResponse{RejectedPoints: -1}, "rejected_points is -1"},
		"a state of a gigantic size": {&pluginv1.ExportResponse{State: make([]byte, wire.MaxState+1)}, "want at most 1048576"},
		"a wish for the past":        {&pluginv1.ExportResponse{RetryAfter: &durationpb.Duration{Seconds: -1}}, "retry_after is no duration"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.OutcomeFromProto(c.response, 3)
			if !errors.Is(err, wire.ErrAnswer) || !strings.Contains(err.Error(), c.want) || told(err) != told(errors.New(err.Error())) {
				t.Errorf("got %+v and %v, want ErrAnswer with %q, read as a retry", got, err, c.want)
			}
		})
	}
}

func TestDispositionOfTheFutureIsARetry(t *testing.T) {
	for _, d := range []pluginv1.Disposition{0, 99, -1} {
		_, err := wire.OutcomeFromProto(&pluginv1.ExportResponse{Disposition: d}, 1)
		if err == nil || errors.Is(err, wire.ErrAnswer) || exporters.IsHold(err) || exporters.IsSplit(err) || exporters.IsPoison(err) {
			t.Errorf("disposition %d: got %v, want a retry", d, err)
		}
		if _, err := wire.RefreshFromProto(&pluginv1.RefreshResponse{Disposition: d}); err == nil || exporters.IsHold(err) {
			t.Errorf("disposition %d of a refresh: got %v, want a retry", d, err)
		}
	}
}

func TestRefreshRoundTrip(t *testing.T) {
	why := errors.New("status 503")
	for name, c := range map[string]struct {
		state []byte
		err   error
	}{
		"done":                 {},
		"done with a state":    {state: []byte("s")},
		"retry with a state":   {state: []byte("s"), err: exporters.Retry(why, time.Second)},
		"hold":                 {err: exporters.Hold(why)},
		"an error of no class": {err: why},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := wire.RefreshFromProto(sent(t, wire.RefreshToProto(c.state, c.err)))
			if string(state) != string(c.state) || (state == nil) != (c.state == nil) || told(err) != told(c.err) {
				t.Errorf("got %q and %s, want %q and %s", state, told(err), c.state, told(c.err))
			}
		})
	}
}

func TestRefreshThatBreaksTheProtocol(t *testing.T) {
	for name, response := range map[string]*pluginv1.RefreshResponse{
		"none":                nil,
		"a gigantic state":    {State: make([]byte, wire.MaxState+1)},
		"a split":             {Disposition: pluginv1.Disposition_DISPOSITION_SPLIT},
		"poison":              {Disposition: pluginv1.Disposition_DISPOSITION_POISON},
		"a wish for the past": {RetryAfter: &durationpb.Duration{Nanos: -1}},
	} {
		if state, err := wire.RefreshFromProto(response); !errors.Is(err, wire.ErrAnswer) || state != nil {
			t.Errorf("%s: got %q and %v, want ErrAnswer", name, state, err)
		}
	}
}

type choosy struct{ exporters.Exporter }

func (choosy) Wants(t checks.RecordType) bool { return t != checks.TypeReport }

func TestWants(t *testing.T) {
	want := []pluginv1.RecordType{pluginv1.RecordType_RECORD_TYPE_ALERT, pluginv1.RecordType_RECORD_TYPE_AGENT}
	if got := wire.Wants(choosy{}); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := wire.Wants(struct{ exporters.Exporter }{}); got != nil {
		t.Errorf("got %v of one that takes everything, want none", got)
	}
}
