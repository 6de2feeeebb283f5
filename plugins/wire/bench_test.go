package wire_test

import (
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/windsock-monitor/windsock/checks"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// typicalBatch is 500 reports as a check of an HTTP target makes them.
func typicalBatch() []checks.Record {
	out := make([]checks.Record, 500)
	for i := range out {
		out[i] = checks.OfReport(&checks.Report{
			ID: "01J" + strconv.Itoa(i), Check: "login", Kind: "shop/login", Location: "paris", Labels: map[string]string{"team": "a"},
			ScheduledAt: noon(), StartedAt: noon(), Took: 1500, Timeout: 5000, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
			Result: checks.Result{
				Status: checks.OK, Summary: "200 in 12ms", Phases: []checks.Phase{{Name: checks.PhaseConnect, Took: 12}, {Name: checks.PhaseTLS, Took: 13}},
				Measurements: []checks.Measurement{{Name: "http.status", Value: 200}, {Name: "http.size", Value: 1234, Unit: "By"}},
			},
		})
	}
	return out
}

func perRecord(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/record")
}

// The whole way of a batch but for the socket: 100,000 records a second are 10 µs each.
func BenchmarkBatchThereAndBack(b *testing.B) {
	batch := typicalBatch()
	b.ReportAllocs()
	for b.Loop() {
		data, err := proto.Marshal(&pluginv1.ExportRequest{Records: wire.RecordsToProto(batch)})
		if err != nil {
			b.Fatal(err)
		}
		var request pluginv1.ExportRequest
		if err := proto.Unmarshal(data, &request); err != nil {
			b.Fatal(err)
		}
		if _, err := wire.RecordsFromProto(request.GetRecords()); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b)
}

func BenchmarkRecordsToProto(b *testing.B) {
	batch := typicalBatch()
	b.ReportAllocs()
	for b.Loop() {
		wire.RecordsToProto(batch)
	}
	perRecord(b)
}

func BenchmarkRecordsFromProto(b *testing.B) {
	batch := wire.RecordsToProto(typicalBatch())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.RecordsFromProto(batch); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b)
}

func BenchmarkResultFromProto(b *testing.B) {
	p := wire.ResultToProto(fullResult())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ResultFromProto(p); err != nil {
			b.Fatal(err)
		}
	}
}
