package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

func TestACheckOfAPluginRuns(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", with("login", ""))
	got := runs(t, c, 10*time.Second)
	if err := checktest.Valid(got); err != nil || got.Status != checks.OK || got.Measurements[0].Value != 1.5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if m, ok := c.(checks.Measuring); !ok || strings.Join(m.Measures(), " ") != "bad.value probe.http.duration" {
		t.Error("it does not say what it measures")
	}
	if _, ok := c.(checks.Paid); ok {
		t.Error("it is a paid check, and costs nothing")
	}
	state := h.await(t, "becoming ready", is(pluginhost.Ready))
	if state.PID == 0 || state.RSS < 1<<20 || state.Instances != 1 || state.Calls[pluginhost.Call{Method: "Run", Code: "OK"}] != 1 || state.Problem != "" {
		t.Errorf("got %+v", state)
	}
}

// A plugin that is needed is started before the first run, so that /health knows.
func TestAPluginIsStartedWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	if got := h.state(t); got.State != pluginhost.Stopped || got.PID != 0 {
		t.Errorf("got %+v before anything needs it", got)
	}
	h.Check("bad", "probe", with("login", ""))
	h.await(t, "becoming ready", is(pluginhost.Ready))
}

// Whatever a plugin answers, it is its own fault, and the plugin goes on.
func TestAnswersThatAreRefused(t *testing.T) { //nolint:tparallel // all in one process, which is looked at behind them
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	for mode, want := range map[string]string{
		"nothing":     "plugin bad: its result cannot be used: there is no result",
		"nan":         `plugin bad: its result cannot be used: measurement "bad.value" is NaN, want a finite number`,
		"unannounced": "plugin bad: its result has the measurement bad.other, which its manifest does not announce",
		"unit":        `plugin bad: its measurement bad.value has the unit "ms", and its manifest announces "s"`,
		"text":        "plugin bad: Internal: ",
		"huge":        "plugin bad: its answer is larger than 4 MiB",
		"many":        "plugin bad: its result cannot be used: 300 measurements, want at most 200",
		"hoards":      "plugin bad: it wants 66560 bytes to be kept, and may have 65536",
		"internal":    "plugin bad: Internal: out of cheese",
		"shouts":      "plugin bad: Internal: ",
		"deadline":    "plugin bad: DeadlineExceeded: of my own",
		"busy":        "plugin bad: it has too much to do: too many cooks",
		"broken":      "plugin bad: Internal: out of cheese",
		"dear":        "plugin bad: it says that a run costs up to $0.000001, and its manifest $0.000000",
	} {
		t.Run(mode, func(t *testing.T) {
			got := runs(t, h.Check("bad", "probe", with(mode, mode)), 10*time.Second)
			if got.Status != checks.Error || got.Cause != checks.CauseInternal || !strings.HasPrefix(got.Summary, want) {
				t.Errorf("got %s, %s and %q, want an error with %q", got.Status, got.Cause, got.Summary, want)
			}
		})
	}
	pid := h.state(t).PID
	got := runs(t, h.Check("bad", "probe", with("login", "")), 10*time.Second)
	if got.Summary != "pid "+strconv.Itoa(pid) {
		t.Errorf("got %q, want the same process %d", got.Summary, pid)
	}
	if state := h.state(t); state.Faults < 8 || !strings.Contains(state.Problem, "broken: Internal: out of cheese") {
		t.Errorf("got %d faults and the problem %q", state.Faults, state.Problem)
	}
}

func TestAnswersFromTheFutureAreReadSafely(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	if got := runs(t, h.Check("bad", "probe", with("a", "enum")), 10*time.Second); got.Status != checks.Unknown {
		t.Errorf("got %s, want unknown", got.Status)
	}
	if got := runs(t, h.Check("bad", "probe", with("b", "greased")), 10*time.Second); got.Status != checks.OK || len(got.Measurements) != 1 {
		t.Errorf("with fields that nobody knows: got %+v, want a good run with its measurement", got)
	}
	if got, err := h.Check("bad", "probe", with("c", "severe")).Run(t.Context()); err == nil || err.Error() != "plugin bad: worse than an error" {
		t.Errorf("with a severity that nobody knows: got %+v, %v, want that the parameters are refused", got, err)
	}
}

func TestParametersThatAPluginRefuses(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", with("a", "refused"))
	result, err := c.Run(t.Context())
	if err == nil || err.Error() != "plugin bad: /mode: want another mode" || result.Cause != checks.CauseConfig {
		t.Errorf("got %+v, %v", result, err)
	}
	if got := h.await(t, "becoming ready", is(pluginhost.Ready)).Problem; got != "a: /mode: want another mode" {
		t.Errorf("got the problem %q", got)
	}
}

func TestAnInstanceThatIsNotTakenHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	times := quick()
	times.Configure = 200 * time.Millisecond
	h := host(t, times, entry(t, ""))
	for i := range 20 {
		h.Check("bad", "probe", with("stalls"+strconv.Itoa(i), "stalls"))
	}
	if got := runs(t, h.Check("bad", "probe", with("a", "")), 5*time.Second); got.Status != checks.OK {
		t.Errorf("got %+v", got)
	}
	got := runs(t, h.Check("bad", "probe", with("stalls0", "stalls")), 5*time.Second)
	if got.Status != checks.Error || got.Summary != "plugin bad: it did not take its parameters within 200ms" {
		t.Errorf("got %+v", got)
	}
}

func TestAnInstanceThatThePluginForgotIsMadeAgain(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", with("a", "forgets"))
	for range 4 {
		if got := runs(t, c, 10*time.Second); got.Status != checks.OK {
			t.Errorf("got %+v", got)
		}
	}
}

func TestACrashIsAnErrorAndTheNextRunWorks(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"exits":  "plugin bad: it crashed: exit status 9",
		"panics": "plugin bad: it crashed: exit status 2: panic: no such star",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := host(t, quick(), entry(t, ""))
			good, bad := h.Check("bad", "probe", with("good", "")), h.Check("bad", "probe", with("bad", mode))
			before := runs(t, good, 10*time.Second).Summary
			if got := runs(t, bad, 10*time.Second); got.Status != checks.Error || got.Cause != checks.CauseInternal || got.Summary != want {
				t.Errorf("got %+v, want %q", got, want)
			}
			after := runs(t, good, 10*time.Second)
			if after.Status != checks.OK || after.Summary == before {
				t.Errorf("got %+v, want a new process", after)
			}
			state := h.state(t)
			if state.Restarts[pluginhost.ReasonCrash] != 1 || !strings.HasPrefix(want, "plugin bad: it crashed: "+state.LastExit.String()) {
				t.Errorf("got %+v", state)
			}
		})
	}
}

// Its time is its own, and a little more to say so.
func TestRunsThatAreLate(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	h.Check("bad", "probe", with("a", ""))
	h.await(t, "becoming ready", is(pluginhost.Ready))
	if got := runs(t, h.Check("bad", "probe", with("late", "late")), 300*time.Millisecond); got.Status != checks.Failed || got.Cause != checks.CauseTimeout {
		t.Errorf("a plugin that keeps its time: got %+v, want its own word", got)
	}
	got := runs(t, h.Check("bad", "probe", with("hangs", "hangs")), 300*time.Millisecond)
	if got.Status != checks.Error || got.Cause != checks.CauseInternal || !strings.HasPrefix(got.Summary, "plugin bad: no answer within ") {
		t.Errorf("a plugin that hangs: got %+v", got)
	}
	if got := h.state(t).Abandoned; got != 1 {
		t.Errorf("got %d abandoned runs, want 1", got)
	}
}

func TestTooManyRunsThatDoNotComeBackEndTheProcess(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	pid := runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second).Summary
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() { runs(t, h.Check("bad", "probe", with("hangs"+strconv.Itoa(i), "hangs")), 100*time.Millisecond) })
	}
	wg.Wait()
	h.await(t, "starting again", func(s pluginhost.State) bool { return s.Restarts[pluginhost.ReasonAbandoned] == 1 })
	if got := runs(t, h.Check("bad", "probe", with("a", "")), 10*time.Second); got.Status != checks.OK || got.Summary == pid {
		t.Errorf("got %+v, want a new process", got)
	}
}

func TestARunThatIsCutOffIsNobodysFault(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", with("waits", "waits"))
	h.await(t, "becoming ready", is(pluginhost.Ready))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestCallsAtTheSameTimeAreBounded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		change func(*pluginhost.Plugin)
		most   int
	}{
		"by the entry":  {func(p *pluginhost.Plugin) { p.Runs = 3 }, 3},
		"by the plugin": {func(p *pluginhost.Plugin) { p.Manifest.Concurrent = false }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := entry(t, "")
			change.change(&p)
			h := hostOf(t, pluginhost.Options{Times: quick(), Dev: true}, p)
			var wg sync.WaitGroup
			var mu sync.Mutex
			most := 0
			for i := range 12 {
				wg.Go(func() {
					got := runs(t, h.Check("bad", "probe", with("crowd"+strconv.Itoa(i), "crowd")), 10*time.Second)
					n, _ := strconv.Atoi(got.Summary)
					mu.Lock()
					defer mu.Unlock()
					most = max(most, n)
				})
			}
			wg.Wait()
			if most != change.most {
				t.Errorf("got up to %d at the same time, want %d", most, change.most)
			}
		})
	}
}

func TestMemoryIsKept(t *testing.T) {
	t.Parallel()
	kept := &memory{data: []byte("41")}
	h := host(t, quick(), entry(t, ""))
	in := with("a", "counts")
	in.Memory = kept
	c := h.Check("bad", "probe", in)
	for _, want := range []string{"run 42", "run 43"} {
		if got := runs(t, c, 10*time.Second).Summary; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := h.Restart(t.Context(), "bad"); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, c, 10*time.Second).Summary; got != "run 44" || string(kept.data) != "44" {
		t.Errorf("got %q and %q in the store, want run 44", got, kept.data)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	cost := func(mode string, timeout time.Duration) (checks.Check, checks.Result) {
		c := h.Check("bad", "costly", with(mode, mode))
		return c, runs(t, c, timeout)
	}
	c, got := cost("costs", 10*time.Second)
	if most, known := c.(checks.Paid).MaxCost(time.Time{}); most != 1000 || !known || got.Status != checks.OK || got.Usage.Cost != 900 {
		t.Errorf("got %+v, at most %d", got, most)
	}
	c, _ = cost("cheap", 10*time.Second)
	if most, _ := c.(checks.Paid).MaxCost(time.Time{}); most != 10 {
		t.Errorf("got at most %d, want the 10 that the plugin says of these parameters", most)
	}
	if _, got = cost("cheats", 10*time.Second); got.Status != checks.Error || got.Usage == nil || got.Usage.Cost != 700 {
		t.Errorf("a result that contradicts itself: got %+v, want an error that books it", got)
	}
	if _, got = cost("hangs", 300*time.Millisecond); got.Status != checks.Error || got.Usage != nil {
		t.Errorf("no answer: got %+v, want nothing known of money", got)
	}
	if _, got = cost("broken", 10*time.Second); got.Status != checks.Error || got.Usage == nil || got.Usage.Cost != 0 {
		t.Errorf("not run: got %+v, want that it cost nothing", got)
	}
}

// What a plugin says beyond what was reserved uses up nobody's budget, and its kind is not run any more.
func TestARunThatCostsMoreThanWasAnnounced(t *testing.T) {
	t.Parallel()
	for kind, most := range map[string]checks.PicoUSD{"costly": 1000, "probe": 0} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := host(t, quick(), entry(t, ""))
			want := fmt.Sprintf("plugin bad: it says that a run of %s cost $0.000001, and at most %s was announced; none is made before it is restarted by hand", kind, most)
			c := h.Check("bad", kind, with("a", "spends"))
			got := runs(t, c, 10*time.Second)
			if got.Status != checks.Error || got.Summary != want || got.Usage == nil || got.Usage.Cost != most {
				t.Errorf("got %+v with %+v, want %q and %s booked", got, got.Usage, want, most)
			}
			calls := h.state(t).Calls[pluginhost.Call{Method: "Run", Code: "OK"}]
			got = runs(t, h.Check("bad", kind, with("b", "ok")), 10*time.Second)
			if state := h.state(t); got.Status != checks.Error || got.Summary != want || state.Calls[pluginhost.Call{Method: "Run", Code: "OK"}] != calls || !strings.Contains(want, state.Problem) || state.Problem == "" {
				t.Errorf("got %+v and %+v, want that it was not run and why", got, state)
			}
			if got.Usage != nil && got.Usage.Cost != 0 {
				t.Errorf("a run that was not made cost %s", got.Usage.Cost)
			}
			if err := h.Restart(t.Context(), "bad"); err != nil {
				t.Fatal(err)
			}
			if got = runs(t, h.Check("bad", kind, with("b", "ok")), 10*time.Second); got.Status != checks.OK {
				t.Errorf("restarted by hand, it is %+v", got)
			}
		})
	}
}

func TestAnUnknownPluginOrKind(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	result, err := h.Check("good", "probe", with("a", "")).Run(t.Context())
	if err == nil || err.Error() != `plugin good: there is no plugin "good" in the configuration` || result.Cause != checks.CauseConfig {
		t.Errorf("got %+v, %v", result, err)
	}
	if _, err := h.Exporter("good", "sink", with("a", "")); err == nil {
		t.Error("an exporter of no plugin was opened")
	}
}

// A check that did not change keeps its instance over a reload, and the last one that has it ends it.
func TestInstancesOverAReload(t *testing.T) {
	t.Parallel()
	p := entry(t, "")
	h := host(t, quick(), p)
	before := h.Check("bad", "probe", with("a", "counts"))
	runs(t, before, 10*time.Second)
	h.Replace(t.Context(), []pluginhost.Plugin{p})
	after, other := h.Check("bad", "probe", with("a", "counts")), h.Check("bad", "probe", with("b", "counts"))
	for c, want := range map[checks.Check]string{before: "", after: "", other: "run 1"} {
		if got := runs(t, c, 10*time.Second).Summary; want != "" && got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := runs(t, after, 10*time.Second).Summary; got != "run 4" {
		t.Errorf("got %q, want run 4 of the same instance", got)
	}
	for c, want := range map[checks.Check]int{before: 2} {
		closeIt(t, c)
		closeIt(t, c)
		if got := h.state(t).Instances; got != want {
			t.Errorf("got %d instances, want %d", got, want)
		}
	}
	closeIt(t, after)
	closeIt(t, other)
	if got := h.state(t); got.Instances != 0 || got.Calls[pluginhost.Call{Method: "Release", Code: "OK"}] != 2 {
		t.Errorf("got %+v, want both released", got)
	}
}

func closeIt(tb testing.TB, v any) {
	tb.Helper()
	closer, ok := v.(io.Closer)
	if !ok {
		tb.Fatalf("%T is no io.Closer", v)
	}
	if err := closer.Close(); err != nil {
		tb.Error(err)
	}
}

func TestAnAnswerThatSwellsInMemoryIsRefused(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	got := runs(t, h.Check("bad", "probe", with("a", "swells")), 10*time.Second)
	if got.Status != checks.Error || got.Cause != checks.CauseInternal || !strings.Contains(got.Summary, "it has more than 65536 fields") {
		t.Errorf("got %+v", got)
	}
}

func TestCodesThatGRPCDoesNotHaveAreCountedAsOne(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", with("a", "odd codes"))
	for range 3 {
		runs(t, c, 10*time.Second)
	}
	if got := h.state(t).Calls; got[pluginhost.Call{Method: "Run", Code: "Unknown"}] != 3 {
		t.Errorf("got %v", got)
	}
}

func TestAPluginThatWarnsWithoutEndIsCutShort(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	runs(t, h.Check("bad", "probe", with("a", "nags")), 10*time.Second)
	if got := strings.Count(h.log.String(), "this is old"); got != 20 || !strings.Contains(h.log.String(), "left_out=980") {
		t.Errorf("got %d warnings in the log, want 20, and that 980 were left out", got)
	}
}
