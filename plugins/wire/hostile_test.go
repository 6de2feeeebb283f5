package wire_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func number(value float64) []*pluginv1.Measurement {
	return []*pluginv1.Measurement{{Name: "a", Value: value}}
}

func TestResultThatBreaksTheProtocol(t *testing.T) {
	ok := pluginv1.Status_STATUS_OK
	failed := pluginv1.Status_STATUS_FAILED
	for name, c := range map[string]struct {
		result *pluginv1.Result
		want   string
	}{
		"none":                 {nil, "there is no result"},
		"ok with a cause":      {&pluginv1.Result{Status: ok, Cause: "timeout"}, `status ok has cause "timeout"`},
		"failed, but skipped":  {&pluginv1.Result{Status: failed, Cause: "maintenance"}, `does not go with cause "maintenance"`},
		"skipped, but timeout": {&pluginv1.Result{Status: pluginv1.Status_STATUS_SKIPPED, Cause: "timeout"}, `does not go with cause "timeout"`},
		"not a number":         {&pluginv1.Result{Status: ok, Measurements: number(math.NaN())}, "want a finite number"},
		"infinite":             {&pluginv1.Result{Status: ok, Measurements: number(math.Inf(-1))}, "want a finite number"},
		"a nil measurement":    {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{nil}}, `measurement ""`},
		"a name in capitals":   {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{{Name: "Shop"}}}, "lower-case dotted name"},
		"a unit of novels":     {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{{Name: "a", Unit: strings.Repeat("u", 33)}}}, "unit"},
		"one series twice": {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{
			{Name: "a", Attributes: map[string]string{"x": "1", "y": "2"}}, {Name: "a", Attributes: map[string]string{"y": "2", "x": "1"}},
		}}, "is there twice"},
		"an attribute of novels": {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{
			{Name: "a", Attributes: map[string]string{"x": strings.Repeat("v", 129)}},
		}}, "has attribute"},
		"too many attributes":    {&pluginv1.Result{Status: ok, Measurements: []*pluginv1.Measurement{{Name: "a", Attributes: many(11)}}}, "11 attributes"},
		"too many measurements":  {&pluginv1.Result{Status: ok, Measurements: make([]*pluginv1.Measurement, 201)}, "201 measurements, want at most 200"},
		"too many phases":        {&pluginv1.Result{Status: ok, Phases: make([]*pluginv1.Phase, 33)}, "33 phases"},
		"too many steps":         {&pluginv1.Result{Status: ok, Steps: make([]*pluginv1.Step, 201)}, "201 steps"},
		"too many facts":         {&pluginv1.Result{Status: ok, Facts: many(33)}, "33 facts"},
		"a fact without a name":  {&pluginv1.Result{Status: ok, Facts: map[string]string{"": "x"}}, `fact ""`},
		"a nil phase":            {&pluginv1.Result{Status: ok, Phases: []*pluginv1.Phase{nil}}, `phase ""`},
		"a phase twice":          {&pluginv1.Result{Status: ok, Phases: []*pluginv1.Phase{{Name: "tls"}, {Name: "tls"}}}, `phase "tls"`},
		"time that runs back":    {&pluginv1.Result{Status: ok, Phases: []*pluginv1.Phase{{Name: "tls", Took: &durationpb.Duration{Nanos: -1}}}}, "no duration"},
		"time without end":       {&pluginv1.Result{Status: ok, Phases: []*pluginv1.Phase{{Name: "tls", Took: &durationpb.Duration{Seconds: 300_000_000_000}}}}, "no duration"},
		"time out of its senses": {&pluginv1.Result{Status: ok, Phases: []*pluginv1.Phase{{Name: "tls", Took: &durationpb.Duration{Seconds: 1, Nanos: math.MaxInt32}}}}, "no duration"},
		"a nil step":             {&pluginv1.Result{Status: ok, Steps: []*pluginv1.Step{nil}}, `step ""`},
		"money that comes back":  {&pluginv1.Result{Status: ok, Usage: &pluginv1.Usage{Model: "m", CostPicoUsd: -1}}, "want nothing negative"},
		"cached beyond prompt":   {&pluginv1.Result{Status: ok, Usage: &pluginv1.Usage{Model: "m", CachedTokens: 1}}, "cached tokens within"},
		"usage of no model":      {&pluginv1.Result{Status: ok, Usage: &pluginv1.Usage{}}, `usage of model ""`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.ResultFromProto(c.result)
			if !errors.Is(err, wire.ErrAnswer) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v and error %v, want ErrAnswer with %q", got, err, c.want)
			}
		})
	}
}

func many(n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("k%d", i)] = "v"
	}
	return out
}

func TestResultOfAnotherVersion(t *testing.T) {
	for name, c := range map[string]struct {
		status pluginv1.Status
		cause  string
		want   checks.Status
		cause2 checks.Cause
	}{
		"no status":                 {0, "", checks.Unknown, checks.CauseAssertion},
		"a status of the future":    {99, "timeout", checks.Unknown, checks.CauseTimeout},
		"a negative status":         {-1, "", checks.Unknown, checks.CauseAssertion},
		"failed, without a cause":   {pluginv1.Status_STATUS_FAILED, "", checks.Failed, checks.CauseAssertion},
		"degraded, cause unknown":   {pluginv1.Status_STATUS_DEGRADED, "moon_phase", checks.Degraded, checks.CauseAssertion},
		"error, cause unknown":      {pluginv1.Status_STATUS_ERROR, "moon_phase", checks.Error, checks.CauseInternal},
		"skipped, nobody knows why": {pluginv1.Status_STATUS_SKIPPED, "moon_phase", checks.Unknown, checks.CauseAssertion},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.ResultFromProto(&pluginv1.Result{Status: c.status, Cause: c.cause, Blame: "nobody", Summary: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != c.want || got.Cause != c.cause2 || got.Blame != checks.BlameNone {
				t.Errorf("got %s, %s and blame %q, want %s, %s and none", got.Status, got.Cause, got.Blame, c.want, c.cause2)
			}
		})
	}
}

func TestTextsForPeopleAreCutNotRefused(t *testing.T) {
	long := strings.Repeat("long ", 200)
	got, err := wire.ResultFromProto(&pluginv1.Result{
		Status: pluginv1.Status_STATUS_FAILED, Cause: "server", Summary: "a\n" + long,
		Steps: []*pluginv1.Step{{Name: "dns", Detail: long}}, Facts: map[string]string{"a": long, "b": "", "c": "\x00", "d": "kept"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(got); err != nil {
		t.Error(err)
	}
	if got.Facts["d"] != "kept" || len(got.Facts) != 2 {
		t.Errorf("got facts %q, want a and d", got.Facts)
	}
	if got, err := wire.ResultFromProto(&pluginv1.Result{Status: pluginv1.Status_STATUS_OK}); err != nil || got.Summary == "" {
		t.Errorf("without a summary: got %+v, %v, want one", got, err)
	}
}

func TestRecordWithTimesOutOfTheirSenses(t *testing.T) {
	bad := &timestamppb.Timestamp{Seconds: math.MaxInt64}
	long := &durationpb.Duration{Seconds: math.MinInt64}
	report := func(r *pluginv1.Report) *pluginv1.Record {
		return &pluginv1.Record{Payload: &pluginv1.Record_Report{Report: r}}
	}
	alert := func(a *pluginv1.Alert) *pluginv1.Record {
		return &pluginv1.Record{Payload: &pluginv1.Record_Alert{Alert: a}}
	}
	for name, record := range map[string]*pluginv1.Record{
		"at":           {At: bad},
		"scheduled_at": report(&pluginv1.Report{ScheduledAt: bad}),
		"started_at":   report(&pluginv1.Report{StartedAt: bad}),
		"took":         report(&pluginv1.Report{Took: long}),
		"timeout":      report(&pluginv1.Report{Timeout: long}),
		"a phase":      report(&pluginv1.Report{Result: &pluginv1.Result{Phases: []*pluginv1.Phase{{Took: long}}}}),
		"since":        alert(&pluginv1.Alert{Since: bad}),
		"alert at":     alert(&pluginv1.Alert{At: bad}),
		"respond_by":   alert(&pluginv1.Alert{RespondBy: bad}),
		"agent":        {Payload: &pluginv1.Record_Agent{Agent: &pluginv1.AgentState{StartedAt: bad}}},
	} {
		if got, err := wire.RecordsFromProto([]*pluginv1.Record{record}); !errors.Is(err, wire.ErrAnswer) {
			t.Errorf("%s: got %+v, %v, want an error", name, got, err)
		}
	}
	if _, err := wire.AlertsFromProto([]*pluginv1.Alert{{Since: bad}}); !errors.Is(err, wire.ErrAnswer) {
		t.Errorf("an alert of a refresh: got %v, want an error", err)
	}
}

func TestNilIsNoPanic(t *testing.T) {
	if got, err := wire.RecordFromProto(nil); err != nil || got.Type() != "" {
		t.Errorf("got %+v, %v, want a record of nothing", got, err)
	}
	if got, err := wire.RecordFromProto(&pluginv1.Record{Payload: &pluginv1.Record_Report{}}); err != nil || got.Report == nil {
		t.Errorf("got %+v, %v, want an empty report", got, err)
	}
	if got, err := wire.AlertFromProto(nil); err != nil || got.Rule != "" {
		t.Errorf("got %+v, %v, want an empty alert", got, err)
	}
}
