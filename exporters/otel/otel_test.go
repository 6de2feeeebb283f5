package otel_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/otel"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func ran(id string, at time.Time, result checks.Result) checks.Record {
	return checks.OfReport(&checks.Report{
		ID: id, Check: "chat-small", Kind: "chat", Provider: "mistral", Location: "par1", StartedAt: at.Add(-time.Second),
		ScheduledAt: at.Add(-time.Second), Took: time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true,
		Slots: 1, Result: result,
	})
}

// protocols runs a test over both, with the `with:` section that leads to the backend.
func protocols(t *testing.T, test func(t *testing.T, b *backend, with string)) {
	t.Helper()
	t.Run("over http/protobuf", func(t *testing.T) {
		hermetic(t)
		b, url := startHTTP(t)
		test(t, b, "endpoint: "+url+"\n")
	})
	t.Run("over grpc", func(t *testing.T) {
		hermetic(t)
		b, url := startGRPC(t)
		test(t, b, "endpoint: "+url+"\nprotocol: grpc\n")
	})
}

func TestEveryPointArrivesWithItsTime(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		way, err := outbound.New(outbound.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer way.Close()
		e := build(t, with, exporters.Env{Network: way})
		records := exportertest.Records(300, 7)
		for batch := range slices.Chunk(records, 17) {
			export(t, e, batch)
		}
		got := b.points(t)
		totals := exporters.NewTotals(noon(), 0)
		for _, rec := range records {
			for _, p := range exporters.Points(rec) {
				totals.Add(p)
				seen, ok := got[slot{seriesOf(p), uint64(p.At.UnixNano())}]
				switch {
				case !ok:
					t.Fatalf("%s at %s did not arrive", seriesOf(p), p.At)
				case p.Kind == exporters.Gauge && (seen.kind != "gauge" || seen.value != p.Value):
					t.Errorf("%s arrived as %+v, want a gauge of %g", seriesOf(p), seen, p.Value)
				case seen.unit != p.Unit:
					t.Errorf("%s has unit %q, want %q", p.Name, seen.unit, p.Unit)
				}
			}
		}
		holdTotals(t, got, totals)
	})
}

// holdTotals checks that every series ends with its total, never falls in time, and has one start before all of it.
func holdTotals(t *testing.T, got map[slot]point, totals *exporters.Totals) {
	t.Helper()
	bySeries := map[string][]slot{}
	for s, p := range got {
		if p.kind != "gauge" {
			bySeries[s.series] = append(bySeries[s.series], s)
		}
	}
	for series := range totals.Series() {
		name := seriesOf(exporters.Point{Name: series.Name, Attrs: series.Attrs})
		slots := bySeries[name]
		if len(slots) == 0 {
			t.Errorf("%s did not arrive", name)
			continue
		}
		slices.SortFunc(slots, func(a, b slot) int { return int(int64(a.at) - int64(b.at)) })
		before := point{start: got[slots[0]].start}
		for _, s := range slots {
			p := got[s]
			if p.value < before.value || p.count < before.count || p.start != before.start || p.start >= s.at {
				t.Errorf("%s: %+v after %+v, want a total that grows from one start", name, p, before)
			}
			before = p
		}
		want := series.Value
		if series.Histogram != nil {
			want = series.Histogram.Sum
			if before.count != series.Histogram.Count {
				t.Errorf("%s ends with %d observations, want %d", name, before.count, series.Histogram.Count)
			}
		}
		if before.value != want {
			t.Errorf("%s ends with %g, want %g", name, before.value, want)
		}
	}
}

func TestTotalsGoOnAfterARestart(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		records := exportertest.Records(200, 3)
		totals := exporters.NewTotals(noon(), 0)
		var state []byte
		for batch := range slices.Chunk(records, 40) {
			killed := build(t, with, exporters.Env{State: state}) // before its commit
			export(t, killed, batch)
			e := build(t, with, exporters.Env{State: state})
			state = export(t, e, batch).State
			for _, rec := range batch {
				for _, p := range exporters.Points(rec) {
					totals.Add(p)
				}
			}
		}
		holdTotals(t, b.points(t), totals)
	})
}

func TestTheSameBatchIsTheSamePoints(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		e := build(t, with+"events: all\ntraces: true\n", exporters.Env{})
		export(t, e, exportertest.Records(30, 1))
		batch := exportertest.Records(30, 2)
		export(t, e, batch)
		export(t, e, batch)
		b.with(func() {
			for what, pair := range map[string][2]any{
				"metrics": {decode(t, b.metrics[1:2]), decode(t, b.metrics[2:3])},
				"logs":    {b.logs[1].String(), b.logs[2].String()},
				"traces":  {b.traces[1].String(), b.traces[2].String()},
			} {
				if diff := cmp.Diff(pair[0], pair[1], cmp.AllowUnexported(slot{}, point{})); diff != "" {
					t.Errorf("%s of the same batch differ:\n%s", what, diff)
				}
			}
		})
	})
}

func TestALateRunNeverMakesATotalFall(t *testing.T) {
	protocols(t, func(t *testing.T, b *backend, with string) {
		t.Helper()
		e := build(t, with, exporters.Env{})
		observed := func(v float64) checks.Result {
			r := checks.Pass("a")
			r.Measurements = []checks.Measurement{{Name: "gen_ai.client.operation.duration", Value: v}}
			return r
		}
		at := noon()
		batches := [][]checks.Record{
			{ran("1", at, observed(1))},
			{ran("3", at.Add(20*time.Second), observed(3))},
			{ran("2", at.Add(10*time.Second), observed(2)), ran("2b", at.Add(15*time.Second), observed(2))}, // stored late
			{ran("5", at.Add(40*time.Second), observed(5)), ran("4", at.Add(30*time.Second), observed(4)), ran("4b", at.Add(30*time.Second), observed(4))},
		}
		totals := exporters.NewTotals(at, 0)
		for i, batch := range batches {
			export(t, e, batch)
			for _, rec := range batch {
				for _, p := range exporters.Points(rec) {
					totals.Add(p)
					if _, ok := b.points(t)[slot{seriesOf(p), uint64(p.At.UnixNano())}]; !ok {
						t.Errorf("batch %d: %s at %s did not arrive", i, p.Name, p.At)
					}
				}
			}
			holdTotals(t, b.points(t), totals)
		}
	})
}

func TestSeriesBeyondTheBoundAreFolded(t *testing.T) {
	hermetic(t)
	b, url := startHTTP(t)
	e := build(t, "endpoint: "+url+"\nmax_series: 2\n", exporters.Env{})
	var batch []checks.Record
	for i := range 5 {
		rec := ran(strconv.Itoa(i), noon().Add(time.Duration(i)*time.Second), checks.Pass("a"))
		rec.Report.Check = fmt.Sprintf("check-%d", i)
		batch = append(batch, rec)
	}
	export(t, e, batch)
	sums := map[string]float64{}
	for s, p := range b.points(t) {
		if p.kind == "sum" {
			sums[s.series] = max(sums[s.series], p.value)
		}
	}
	if got := sums["probe.runs|other=true"]; got != 3 {
		t.Errorf("the folded series is %g, want the 3 runs beyond the bound", got)
	}
	if got := sums["windsock.export.folded|metric=probe.runs"]; got != 3 {
		t.Errorf("windsock.export.folded is %g, want 3", got)
	}
}

// turning is a secret that is another one after each Renew.
func TestEveryPointKeepsItsOwnAttributes(t *testing.T) {
	hermetic(t)
	b, url := startHTTP(t)
	e := build(t, "endpoint: "+url, exporters.Env{})
	const runs, lists = 250, 80 // more lists than are kept in one half
	records := make([]checks.Record, 0, runs+2)
	run := func(first int) {
		result := checks.Result{Status: checks.OK}
		for n := first; n < first+lists; n++ {
			// Pairs have the same letters, with the border between key and value elsewhere.
			word, border := "n"+strconv.Itoa(100+n/2), 1+n%2
			result.Measurements = append(result.Measurements, checks.Measurement{
				Name: "plugin.queue", Value: float64(n), Attrs: map[string]string{word[:border]: word[border:]},
			})
		}
		at := noon().Add(time.Duration(len(records)) * time.Second)
		records = append(records, ran(fmt.Sprintf("run-%d", len(records)), at, result))
	}
	for i := range runs {
		run(i * lists)
	}
	run(0)                  // of the old half
	run((runs - 1) * lists) // of the young one
	for batch := range slices.Chunk(records, 50) {
		export(t, e, batch)
	}
	got := b.points(t)
	for _, rec := range records {
		for _, p := range exporters.Points(rec) {
			seen, ok := got[slot{seriesOf(p), uint64(p.At.UnixNano())}]
			if p.Kind == exporters.Gauge && (!ok || seen.value != p.Value) {
				t.Fatalf("%s at %s is %+v, want %g", seriesOf(p), p.At, seen, p.Value)
			}
		}
	}
}

func BenchmarkExport(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	e, err := otel.New(otel.Params{Endpoint: server.URL, Events: otel.EventsAll}, exporters.Env{Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	batch := exportertest.Records(100, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Export(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch)), "ns/record")
}
