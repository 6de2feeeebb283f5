package pluginhost_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

// batch is so many reports.
func batch(n int) []checks.Record {
	out := make([]checks.Record, n)
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i := range out {
		out[i] = checks.OfReport(&checks.Report{
			ID: fmt.Sprintf("01J%023d", i), Check: "login", Kind: "bad/probe", Location: "paris", Labels: map[string]string{"team": "a"},
			ScheduledAt: at, StartedAt: at, Took: time.Second, Timeout: 5 * time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
			Result: checks.Result{
				Status: checks.OK, Summary: "200 in 12ms", Phases: []checks.Phase{{Name: checks.PhaseConnect, Took: 12}, {Name: checks.PhaseTLS, Took: 13}},
				Measurements: []checks.Measurement{{Name: "http.status", Value: 200}, {Name: "http.size", Value: 1234, Unit: "By"}},
			},
		})
	}
	return out
}

func exporter(tb testing.TB, h bench, kind string, in pluginhost.Instance) exporters.Exporter {
	tb.Helper()
	e, err := h.Exporter("bad", kind, in)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func export(tb testing.TB, e exporters.Exporter, records []checks.Record) (exporters.Outcome, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	return e.Export(ctx, records)
}

func TestWhatBecomesOfABatch(t *testing.T) { //nolint:tparallel // one of them ends the process, which is the others' too
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	v := &value{text: canary}
	for mode, test := range map[string]struct {
		want  string // of the error
		check func(error) bool
	}{
		"":               {"", func(error) bool { return true }},
		"greased":        {"", func(error) bool { return true }},
		"rejects":        {"", func(error) bool { return true }},
		"rejects_wildly": {"plugin bad: its answer cannot be used: record 99 is rejected in a batch of 3 records", isRetry},
		"enum":           {"plugin bad: the plugin gave no reason", isRetry},
		"holds":          {"plugin bad: the password [redacted] is refused", exporters.IsHold},
		"internal":       {"plugin bad: Internal: out of cheese", isRetry},
		"exits":          {"plugin bad: it crashed: exit status 9", isRetry},
		"refused":        {"plugin bad: /mode: want another mode", isRetry},
	} {
		t.Run(mode, func(t *testing.T) {
			outcome, err := export(t, exporter(t, h, "sink", secretly(with("a", mode), v)), batch(3))
			if got := fmt.Sprint(err); err != nil && got != test.want || err == nil && test.want != "" || !test.check(err) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if want := len(strings.TrimSuffix(mode, "rejects")) == 0 && mode != ""; want != (len(outcome.Rejected) == 1) {
				t.Errorf("got %+v", outcome)
			}
		})
	}
}

func isRetry(err error) bool {
	return err != nil && !exporters.IsHold(err) && !exporters.IsSplit(err) && !exporters.IsPoison(err)
}

func TestABatchThatIsTooLargeIsSplit(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	large := batch(2)
	for i := range large {
		large[i].Report.Summary = strings.Repeat("x", 600<<10)
	}
	sink := exporter(t, h, "sink", with("a", ""))
	if _, err := export(t, sink, large); !exporters.IsSplit(err) {
		t.Errorf("two records of 600 KiB: got %v, want a split", err)
	}
	if _, err := export(t, sink, large[:1]); err != nil {
		t.Errorf("one of them: got %v", err)
	}
	if _, err := export(t, exporter(t, h, "beacon", with("a", "")), batch(3)); !exporters.IsSplit(err) {
		t.Errorf("more records than the kind takes: got %v, want a split", err)
	}
}

func TestWhatAKindIsAskedFor(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	sink, beacon := exporter(t, h, "sink", with("a", "")), exporter(t, h, "beacon", with("b", ""))
	if _, ok := sink.(exporters.Refresher); ok {
		t.Error("a sink is refreshed")
	}
	if _, ok := sink.(exporters.Selective); ok {
		t.Error("a sink is selective")
	}
	picky, ok := beacon.(exporters.Selective)
	if !ok || picky.Wants(checks.TypeReport) || !picky.Wants(checks.TypeAlert) {
		t.Error("a beacon does not want alerts, and only them")
	}
	state, err := beacon.(exporters.Refresher).Refresh(t.Context(), []checks.Alert{{Rule: "a"}, {Rule: "b"}})
	if err != nil || string(state) != "2" {
		t.Errorf("got %q, %v", state, err)
	}
	for _, e := range []exporters.Exporter{sink, beacon} {
		if _, ok := e.(io.Closer); !ok {
			t.Errorf("%T is no io.Closer", e)
		}
	}
}

// The plugin may die between any two batches: its state is that of the last one that it took.
func TestTheStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	times := quick()
	times.CrashWindow = time.Nanosecond
	h := host(t, times, entry(t, ""))
	in := with("a", "totals")
	in.State = []byte("100")
	e := exporter(t, h, "sink", in)
	var state []byte
	for sent := 0; sent < 50; {
		if sent%10 == 5 {
			kill(h.await(t, "becoming ready", is(pluginhost.Ready)).PID, syscall.SIGKILL)
		}
		outcome, err := export(t, e, batch(5))
		if err != nil {
			if !isRetry(err) {
				t.Fatal(err)
			}
			continue
		}
		sent += 5
		state = outcome.State
		if want := strconv.Itoa(100 + sent); string(state) != want {
			t.Fatalf("got the state %q after %d records, want %q", state, sent, want)
		}
	}
	closeIt(t, e)
	in.State = state
	if outcome, err := export(t, exporter(t, h, "sink", in), batch(1)); err != nil || string(outcome.State) != "151" {
		t.Errorf("opened again: got %q, %v, want 151", outcome.State, err)
	}
}

func TestABatchHasTheSameIDEachTime(t *testing.T) {
	t.Parallel()
	p := entry(t, "")
	h := host(t, quick(), p)
	e := exporter(t, h, "sink", with("a", "notes"))
	ids := map[string]bool{}
	for _, n := range []int{3, 3, 2} {
		if _, err := export(t, e, batch(n)); err != nil {
			t.Fatal(err)
		}
		id, err := os.ReadFile(p.Env["BAD_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		ids[string(id)] = true
	}
	if len(ids) != 2 {
		t.Errorf("got the ids %v, want one for each batch", ids)
	}
}
