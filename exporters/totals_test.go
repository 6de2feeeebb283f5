package exporters_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

func runs(check string, n float64) exporters.Point {
	return exporters.Point{
		Name: "probe.runs", Kind: exporters.Counter, Value: n, At: noon(), Attrs: []exporters.Attr{{"check", check}},
	}
}

func seconds(v float64) exporters.Point {
	return exporters.Point{
		Name: "gen_ai.client.operation.duration", Kind: exporters.Histogram, Unit: "s", Value: v, At: noon(),
		Attrs: []exporters.Attr{{"check", "chat"}},
	}
}

// told are the totals, one series per line.
func told(t *exporters.Totals) []string {
	var out []string
	for s := range t.Series() {
		line := fmt.Sprintf("%s%v=%g", s.Name, s.Attrs, s.Value)
		if h := s.Histogram; h != nil {
			line = fmt.Sprintf("%s%v n=%d sum=%g min=%g max=%g %v", s.Name, s.Attrs, h.Count, h.Sum, h.Min, h.Max, h.Buckets)
		}
		out = append(out, line)
	}
	return out
}

func TestTotalsAddUp(t *testing.T) {
	t.Parallel()
	totals := exporters.NewTotals(noon(), 0)
	for _, p := range []exporters.Point{
		runs("chat", 1), runs("models", 2), runs("chat", 40), seconds(0.01), seconds(0.011), seconds(100),
		{Name: "probe.success", Value: 1},
		{Name: "unknown.histogram", Kind: exporters.Histogram, Value: 1},
	} {
		totals.Add(p)
	}
	want := []string{
		"probe.runs[{check chat}]=41", "probe.runs[{check models}]=2",
		"gen_ai.client.operation.duration[{check chat}] n=3 sum=100.021 min=0.01 max=100 [1 1 0 0 0 0 0 0 0 0 0 0 0 0 1]",
	}
	if diff := cmp.Diff(want, told(totals)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	for s := range totals.Series() {
		if !s.Start.Equal(noon()) || !s.Last.Equal(noon()) {
			t.Errorf("%s is from %s to %s, want noon", s.Name, s.Start, s.Last)
		}
	}
}

func TestSeriesBeyondTheBoundAreFoldedAndSumsStayRight(t *testing.T) {
	t.Parallel()
	totals := exporters.NewTotals(noon(), 3)
	for i := range 10 {
		totals.Add(runs(fmt.Sprintf("check-%d", i), 2))
	}
	totals.Add(runs("check-0", 2))
	want := []string{
		"probe.runs[{check check-0}]=4", "probe.runs[{check check-1}]=2", "probe.runs[{check check-2}]=2",
		"windsock.export.folded[{metric probe.runs}]=7", "probe.runs[{other true}]=14",
	}
	if diff := cmp.Diff(want, told(totals)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestACloneAndItsOriginalDoNotShareAWrite(t *testing.T) {
	t.Parallel()
	a := exporters.NewTotals(noon(), 0)
	a.Add(runs("chat", 1))
	a.Add(seconds(1))
	b := a.Clone()
	c := b.Clone()
	b.Add(runs("chat", 10))
	b.Add(seconds(2))
	b.Add(runs("new-in-b", 1))
	a.Add(runs("chat", 100))
	a.Add(runs("new-in-a", 1))
	c.Add(runs("new-in-c", 1))
	buckets := func(one, two int) string { return fmt.Sprintf("[0 0 0 0 0 0 0 %d %d 0 0 0 0 0 0]", one, two) }
	for name, test := range map[string]struct {
		totals *exporters.Totals
		want   []string
	}{
		"the original": {a, []string{
			"probe.runs[{check chat}]=101",
			"gen_ai.client.operation.duration[{check chat}] n=1 sum=1 min=1 max=1 " + buckets(1, 0), "probe.runs[{check new-in-a}]=1",
		}},
		"the clone": {b, []string{
			"probe.runs[{check chat}]=11",
			"gen_ai.client.operation.duration[{check chat}] n=2 sum=3 min=1 max=2 " + buckets(1, 1), "probe.runs[{check new-in-b}]=1",
		}},
		"the clone's clone": {c, []string{
			"probe.runs[{check chat}]=1",
			"gen_ai.client.operation.duration[{check chat}] n=1 sum=1 min=1 max=1 " + buckets(1, 0), "probe.runs[{check new-in-c}]=1",
		}},
	} {
		if diff := cmp.Diff(test.want, told(test.totals)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func filled(series int) *exporters.Totals {
	totals := exporters.NewTotals(noon(), series)
	for i := range series {
		p := runs(fmt.Sprintf("check-%d", i), float64(i)+0.5)
		p.Attrs = append(p.Attrs, exporters.Attr{"location", "par1"}, exporters.Attr{"provider", "mistral"}, exporters.Attr{"status", "ok"})
		totals.Add(p)
	}
	for i := range 50 {
		totals.Add(seconds(float64(i) / 10))
	}
	return totals
}

func TestTotalsSurviveBeingWrittenDown(t *testing.T) {
	t.Parallel()
	before := filled(100)
	state := before.Encode()
	after, err := exporters.LoadTotals(state, noon().Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	list := func(t *exporters.Totals) []*exporters.Series { return slices.Collect(t.Series()) }
	if diff := cmp.Diff(list(before), list(after), cmpopts.IgnoreUnexported(exporters.Series{})); diff != "" {
		t.Errorf("totals changed on the way (-before +after):\n%s", diff)
	}
	if !after.Start().Equal(noon()) {
		t.Errorf("start is %s, want the first one", after.Start())
	}
	before.Add(runs("check-7", 1))
	after.Add(runs("check-7", 1))
	if !bytes.Equal(before.Encode(), after.Encode()) {
		t.Error("the same history is written down in two ways")
	}
}

func TestACloneThatIsThrownAwayLeavesNoWordBehind(t *testing.T) {
	t.Parallel()
	base := filled(20)
	base.Encode()
	lost := base.Clone()
	lost.Add(runs("lost", 1))
	lost.Add(runs("lost too", 1))
	lost.Encode()
	kept := base.Clone()
	kept.Add(runs("kept", 1))
	kept.Add(seconds(3))
	again, err := exporters.LoadTotals(base.Encode(), noon(), 20)
	if err != nil {
		t.Fatal(err)
	}
	again.Add(runs("kept", 1))
	again.Add(seconds(3))
	if got, want := kept.Encode(), again.Encode(); !bytes.Equal(got, want) {
		t.Errorf("%d bytes after another clone was thrown away, %d without it, and not the same", len(got), len(want))
	}
}

func TestTotalsBeginAnewWithoutState(t *testing.T) {
	t.Parallel()
	totals, err := exporters.LoadTotals(nil, noon(), 0)
	if err != nil || totals.Len() != 0 || !totals.Start().Equal(noon()) {
		t.Errorf("got %d series from %s, %v, want none from noon", totals.Len(), totals.Start(), err)
	}
}

func TestCorruptStateIsAnError(t *testing.T) {
	t.Parallel()
	state := filled(5).Encode()
	for i := range state {
		broken := slices.Clone(state)
		broken[i] ^= 0x40
		if _, err := exporters.LoadTotals(broken, noon(), 0); err == nil {
			t.Errorf("byte %d of %d was changed and nobody saw it", i, len(state))
		}
		if _, err := exporters.LoadTotals(state[:i], noon(), 0); err == nil && i > 0 {
			t.Errorf("cut to %d bytes of %d and nobody saw it", i, len(state))
		}
	}
	newer := slices.Clone(state)
	newer[4] = 2
	if _, err := exporters.LoadTotals(newer, noon(), 0); err == nil || !strings.Contains(err.Error(), "version 2, want 1") {
		t.Errorf("state of a newer version: %v, want an error that says so", err)
	}
}

func FuzzLoadTotals(f *testing.F) {
	f.Add(filled(3).Encode())
	f.Add([]byte("WTOT"))
	f.Fuzz(func(t *testing.T, state []byte) {
		totals, err := exporters.LoadTotals(state, noon(), 10)
		if err != nil {
			return
		}
		totals.Add(runs("chat", 1))
		if _, err := exporters.LoadTotals(totals.Encode(), noon(), 10); err != nil {
			t.Errorf("what was loaded cannot be written down: %v", err)
		}
	})
}

func batch(ids ...string) []checks.Record {
	var out []checks.Record
	for _, id := range ids {
		out = append(out, checks.Record{ID: id})
	}
	return out
}

func TestATallyCountsNoRecordTwice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		batches [][]checks.Record // each accepted
		want    float64
	}{
		"one batch after the other":                       {[][]checks.Record{batch("a", "b"), batch("c")}, 3},
		"a batch again, because its commit failed":        {[][]checks.Record{batch("a", "b"), batch("a", "b")}, 2},
		"again and again":                                 {[][]checks.Record{batch("z"), batch("a", "b"), batch("a", "b"), batch("a", "b")}, 3},
		"again, and longer":                               {[][]checks.Record{batch("a", "b"), batch("a", "b", "c"), batch("d")}, 4},
		"again, and shorter":                              {[][]checks.Record{batch("a", "b"), batch("a"), batch("b")}, 2},
		"again, without its first, which expired between": {[][]checks.Record{batch("z"), batch("a", "b"), batch("b", "c")}, 3},
		"nothing in between":                              {[][]checks.Record{batch("a"), batch(), batch("a")}, 1},
		"records without id are taken at their word":      {[][]checks.Record{batch(""), batch("")}, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tally := exporters.NewTally(exporters.NewTotals(noon(), 0))
			for _, records := range test.batches {
				next := tally.Next(records)
				next.Add(runs("chat", float64(len(records))))
				tally.Done(records, next)
			}
			var got float64
			for s := range tally.Now().Series() {
				got += s.Value
			}
			if got != test.want {
				t.Errorf("counted %g, want %g", got, test.want)
			}
		})
	}
}

func TestATallyForgetsABatchThatWasNotAccepted(t *testing.T) {
	t.Parallel()
	tally := exporters.NewTally(exporters.NewTotals(noon(), 0))
	tally.Next(batch("a")).Add(runs("chat", 1))
	if got := tally.Now().Len(); got != 0 {
		t.Errorf("%d series after a batch that failed, want none", got)
	}
}

func BenchmarkEncodeThreeThousandSeries(b *testing.B) {
	totals := filled(3000)
	b.ReportAllocs()
	for b.Loop() {
		totals.Encode()
	}
}

func BenchmarkCloneAndAdd(b *testing.B) {
	totals := filled(3000)
	p := runs("check-7", 1)
	b.ReportAllocs()
	for b.Loop() {
		totals.Clone().Add(p)
	}
}
