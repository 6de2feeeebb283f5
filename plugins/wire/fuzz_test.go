package wire_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func seed(f *testing.F, messages ...proto.Message) {
	f.Helper()
	for _, m := range messages {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// Whatever a plugin sends is an error, or a result that obeys the rules of every check and survives another way.
func FuzzResult(f *testing.F) {
	seed(f, wire.ResultToProto(fullResult()), wire.ResultToProto(checks.Pass("ok")), &pluginv1.Result{
		Status: 99, Cause: "x", Summary: "a\nb", Facts: map[string]string{"a": "\x00"}, Phases: []*pluginv1.Phase{nil},
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pluginv1.Result
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		r, err := wire.ResultFromProto(&p)
		if err != nil {
			if !errors.Is(err, wire.ErrAnswer) {
				t.Errorf("error %v does not wrap ErrAnswer", err)
			}
			return
		}
		if err := checktest.Valid(r); err != nil {
			t.Errorf("the result is not valid: %v", err)
		}
		again, err := wire.ResultFromProto(sent(t, wire.ResultToProto(r)))
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("on another way: %v (-before +after):\n%s", err, diff)
		}
	})
}

func FuzzRecord(f *testing.F) {
	alert := fullAlert()
	seed(f, wire.RecordToProto(fullReport()), wire.RecordToProto(checks.Record{ID: "a", At: noon(), Alert: &alert}),
		wire.RecordToProto(checks.Record{ID: "b", Agent: &checks.Snapshot{Version: "1", StartedAt: noon()}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pluginv1.Record
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		r, err := wire.RecordFromProto(&p)
		if err != nil {
			return
		}
		once, err := wire.RecordFromProto(sent(t, wire.RecordToProto(r)))
		if err != nil {
			t.Fatal(err)
		}
		twice, err := wire.RecordFromProto(sent(t, wire.RecordToProto(once)))
		if diff := cmp.Diff(once, twice, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("on another way: %v (-before +after):\n%s", err, diff)
		}
	})
}

func FuzzOutcome(f *testing.F) {
	const batch = 5
	seed(f, wire.OutcomeToProto(exporters.Outcome{Rejected: []exporters.Rejection{{Index: 4, Reason: "r"}}, State: []byte("s")}, nil),
		wire.OutcomeToProto(exporters.Outcome{}, exporters.Progress(2, []byte("s"), exporters.Retry(errors.New("x"), 1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pluginv1.ExportResponse
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		got, err := wire.OutcomeFromProto(&p, batch)
		if n, _ := exporters.ProgressOf(err); n < 0 || n > batch || exporters.RetryAfter(err) < 0 {
			t.Errorf("progress of %d, retry after %v", n, exporters.RetryAfter(err))
		}
		for _, r := range got.Rejected {
			if r.Index < 0 || r.Index >= batch || r.Reason == "" {
				t.Errorf("rejection %+v", r)
			}
		}
		if errors.Is(err, wire.ErrAnswer) {
			return
		}
		again, errAgain := wire.OutcomeFromProto(sent(t, wire.OutcomeToProto(got, err)), batch)
		if diff := cmp.Diff(got, again); diff != "" || told(err) != told(errAgain) {
			t.Errorf("on another way: %v, %v (-before +after):\n%s", err, errAgain, diff)
		}
	})
}
