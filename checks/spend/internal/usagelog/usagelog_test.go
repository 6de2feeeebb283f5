package usagelog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

func TestWindowsHoldWhatBelongsToThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path,
		record(time.Date(2026, 10, 31, 23, 59, 59, 0, time.UTC), 1), // the month before
		record(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), 10),
		record(time.Date(2026, 11, 19, 23, 59, 59, 0, time.UTC), 100),
		record(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), 1000),
		w.at(90*time.Minute, 10_000),
		w.at(59*time.Minute, 100_000),
		w.at(0, 1_000_000),
	)
	r := w.good()
	want := source.Reading{
		AsOf: r.AsOf, Confidence: source.Estimated, Hours: r.Hours,
		Hour:  amount(2, 1_100_000, 2),
		Today: amount(4, 1_111_000, 4),
		Month: amount(6, 1_111_110, 6),
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if !r.AsOf.Equal(w.now) {
		t.Errorf("as of %v, want %v", r.AsOf, w.now)
	}
	if first := r.Hours[0]; !first.Start.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || first.Cost != 11_000 || len(r.Hours) != 19*24+12 {
		t.Errorf("%d hours from %+v on", len(r.Hours), first)
	}
	if last := r.Hours[len(r.Hours)-1]; !last.Start.Equal(noon.Add(-time.Hour)) || last.Cost != 100_001_000 {
		t.Errorf("the last hour is %+v", last)
	}
}

func amount(requests, input, output int64) *source.Amount {
	const model = "mistral-small-latest"
	return &source.Amount{
		Cost: checks.PicoUSD(input+output) * 1000, Requests: requests,
		Tokens: []source.Tokens{{Model: model, Direction: source.Cached}, {Model: model, Direction: source.Input, N: input}, {Model: model, Direction: source.Output, N: output}},
	}
}

func TestNothingIsReadTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(time.Hour, 1))
	w.month(w.good(), 1, 1)
	w.month(w.good(), 1, 1)
	w.write(w.path, w.at(0, 10), w.at(0, 100))
	w.month(w.good(), 3, 111)
	w.month(w.good(), 3, 111)
}

func TestALineIsReadWhenItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	line := w.at(0, 10)
	w.write(w.path, w.at(0, 1), line[:30])
	w.month(w.good(), 1, 1)
	w.write(w.path, line[30:len(line)-1])
	w.month(w.good(), 1, 1)
	w.write(w.path, "\n")
	if r := w.good(); len(r.Notes) != 0 {
		t.Errorf("got %q", r.Notes)
	} else {
		w.month(r, 2, 11)
	}
}

func TestALogThatBeginsAtItsEndIsPartialUntilAllWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.params.Start = usagelog.StartEnd
	w.write(w.path, w.at(time.Hour, 1), w.at(0, 1)[:20])
	if p := w.problem(); !strings.Contains(p.Text, "no usage record") {
		t.Error(p.Text)
	}
	w.now = w.now.Add(30 * time.Minute)
	w.write(w.path, "…the end of a line\n", w.at(0, 10))
	r := w.good()
	w.month(r, 1, 10)
	if r.Hour != nil || r.Confidence != source.Partial || r.Why != "seen since 2026-11-20 12:00 UTC only" || len(r.Notes) > 0 {
		t.Errorf("got %+v", r)
	}
	w.now = w.now.Add(31 * time.Minute)
	w.write(w.path, w.at(0, 100))
	if r = w.good(); sum(r.Hour) != [2]int64{2, 110} || r.Confidence != source.Partial {
		t.Errorf("got %+v", r)
	}
	w.now = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	w.write(w.path, w.at(0, 1000))
	if r = w.good(); sum(r.Month) != [2]int64{1, 1000} || r.Confidence != source.Estimated || r.Why != "" {
		t.Errorf("got %+v", r)
	}
}

func TestALogThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.params.Start = usagelog.StartEnd
	if p := w.problem(); p.Text != `the log "usage.log" is not there yet` || p.Cause != checks.CauseConfig {
		t.Errorf("got %+v", p)
	}
	w.now = w.now.Add(time.Minute)
	w.write(w.path, w.at(0, 1)) // new, so that none of it is old
	w.month(w.good(), 1, 1)
}

func TestASilentLogIsNotZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.params.MaxLag = 15 * time.Minute
	w.write(w.path, w.at(3*time.Hour, 1), w.at(0, 10))
	written := w.now
	w.now = w.now.Add(20 * time.Minute)
	r := w.good()
	if r.Hour != nil || sum(r.Today) != [2]int64{2, 11} || r.Confidence != source.Partial || !r.AsOf.Equal(written) ||
		!strings.Contains(r.Why, "nothing was written for 20m0s") {
		t.Errorf("got %+v", r)
	}
	w.now = w.now.Add(12 * time.Hour)
	if r = w.good(); r.Today != nil || sum(r.Month) != [2]int64{2, 11} {
		t.Errorf("the next day: got %+v", r)
	}
	w.now = w.now.AddDate(0, 1, 0)
	if r = w.good(); r.Month != nil {
		t.Errorf("the next month: got %+v", r)
	}
	w.write(w.path, `{"level":"info","message":"alive, and nothing was asked"}`+"\n")
	if r = w.good(); sum(r.Hour) != [2]int64{0, 0} || sum(r.Month) != [2]int64{0, 0} || r.Confidence != source.Estimated {
		t.Errorf("alive again: got %+v", r)
	}
}

func TestALogWithoutAnyRecordIsNotZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, `{"level":"info"}`+"\n", `{"usage":{"total_tokens":3}}`+"\n", "plain text\n")
	if p := w.problem(); !strings.Contains(p.Text, "no usage record among 3 lines") || !strings.Contains(p.Text, "_tokens") {
		t.Error(p.Text)
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":    func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a long link": func(path string) error { return os.Symlink(path, path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.must(create(w.path))
			if p := w.problem(); !strings.HasPrefix(p.Text, `the log "usage.log" cannot be read: `) || strings.Contains(p.Text, filepath.Dir(w.path)) {
				t.Error(p.Text)
			}
		})
	}
}

func TestALinkIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := t.TempDir()
	first, second := filepath.Join(folder, "usage-1.log"), filepath.Join(folder, "usage-2.log")
	w.write(first, w.at(time.Hour, 1))
	w.must(os.Symlink(first, w.path))
	w.month(w.good(), 1, 1)
	w.now = w.now.Add(time.Minute)
	w.write(first, w.at(0, 10))
	w.write(second, w.at(0, 100))
	w.must(os.Remove(w.path))
	w.must(os.Symlink(second, w.path))
	w.month(w.good(), 3, 111)
}

func TestWhatHasNoPriceIsNamedAndNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(time.Minute, 1), strings.ReplaceAll(w.at(0, 10), "mistral-small-latest", "xenial"),
		strings.ReplaceAll(w.at(0, 100), `"model":"mistral-small-latest",`, ""))
	r := w.good()
	w.month(r, 3, 111)
	if r.Month.Cost != 2000 || !slices.Equal(r.Month.Unpriced, []string{"unknown", "xenial"}) || r.Confidence != source.Partial ||
		!strings.Contains(r.Why, "no price for unknown, xenial") {
		t.Errorf("got %+v, %s", r.Month, r.Why)
	}
	w.prices = known{}
	if r = w.good(); r.Month.Cost != 114_000 || len(r.Month.Unpriced) > 0 {
		t.Errorf("after the price became known: got %+v", r.Month)
	}
}

// known prices all alike.
type known struct{}

func (known) Cost(u pricing.Usage, _ string, at time.Time) (checks.PicoUSD, bool) {
	return flat{}.Cost(u, "m", at)
}

func TestACostOfTheRecordIsBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.params.Fields.Cost = ".cost_usd"
	one := func(cost string) string {
		return strings.Replace(w.at(0, 7), `"level"`, `"cost_usd":`+cost+`,"level"`, 1)
	}
	w.write(w.path, w.at(20*24*time.Hour, 1), w.at(5*time.Hour, 1), one("0.1"), one("0.2"), one(`"1e-12"`), one("0.00000000000149"), one("2E-3"))
	r := w.good()
	if got, want := r.Hour.Cost, checks.PicoUSD(302_000_000_002); got != want || r.Confidence != source.Estimated {
		t.Errorf("got %d, %s, want %d", got, r.Confidence, want)
	}
	w.now = time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)
	w.write(w.path, one("3"))
	if r = w.good(); r.Month.Cost != 3*checks.Dollar || r.Confidence != source.Exact {
		t.Errorf("got %+v, %s, want an exact month", r.Month, r.Confidence)
	}
}

func TestTimesAreReadInEverySpelling(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"with Z": `"2026-11-20T11:30:00Z"`, "with a zone": `"2026-11-20T12:30:00+01:00"`, "with nanoseconds": `"2026-11-20T11:30:00.123456789Z"`,
		"without a zone": `"2026-11-20T12:30:00"`, "of Python": `"2026-11-20 12:30:00,123"`, "with a short zone": `"2026-11-20T12:30:00+0100"`,
		"with spaces": `"2026-11-20 12:30:00 +0100"`, "Unix": `1795174200`, "Unix with a fraction": `1795174200.25`, "Unix in a text": `"1795174200"`,
		"milliseconds": `1795174200123`, "microseconds": `1795174200123456`, "nanoseconds": `1795174200123456789`, "with an exponent": `1.7951742e9`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.zone = paris
			w.write(w.path, w.at(2*time.Hour, 1), `{"timestamp":`+text+`,"model":"m","usage":{"prompt_tokens":10}}`+"\n")
			if r := w.good(); sum(r.Hour) != [2]int64{1, 10} {
				t.Errorf("got %v, %q", sum(r.Hour), r.Notes)
			}
		})
	}
}

func TestADayBeginsAtMidnightOfTheZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.zone = time.FixedZone("India", 5*3600+1800)
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, w.zone)
	w.write(w.path, record(midnight.Add(-time.Second), 1), record(midnight, 10), w.at(0, 100))
	r := w.good()
	if sum(r.Today) != [2]int64{2, 110} {
		t.Errorf("got %v", sum(r.Today))
	}
	if !r.Hours[0].Start.Equal(midnight) {
		t.Errorf("hours begin at %v", r.Hours[0].Start)
	}
}

func TestNamesOfModelsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []string
	for i := range 60 {
		all = append(all, strings.Replace(w.at(0, 1), "mistral-small-latest", "m"+strings.Repeat("a", i), 1))
	}
	all = append(all, strings.Replace(w.at(0, 1), "mistral-small-latest", "the secret of a user", 1))
	w.write(w.path, all...)
	r := w.good()
	w.month(r, 61, 61)
	names := map[string]int64{}
	for _, tokens := range r.Month.Tokens {
		if tokens.Direction == source.Input {
			names[tokens.Model] = tokens.N
		}
	}
	if len(names) != 51 || names["other"] != 11 || r.Month.Cost != 122_000 {
		t.Errorf("%d names, %d other, %v", len(names), names["other"], r.Month.Cost)
	}
}

func TestTiersArePricedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.prices = tiers{}
	for _, tier := range []string{"standard", "priority", "batch", "imaginary"} {
		w.write(w.path, strings.Replace(w.at(0, 10), `"usage":{`, `"usage":{"service_tier":"`+tier+`",`, 1))
	}
	r := w.good()
	w.month(r, 4, 40)
	if r.Month.Cost != 175+100+50 || !slices.Equal(r.Month.Unpriced, []string{"mistral-small-latest"}) || len(r.Month.Tokens) != 3 {
		t.Errorf("got %+v", r.Month)
	}
}

type tiers struct{}

func (tiers) Cost(u pricing.Usage, _ string, _ time.Time) (checks.PicoUSD, bool) {
	cost, ok := map[string]checks.PicoUSD{"": 100, "standard": 100, "priority": 175, "batch": 50}[u.Tier]
	return cost, ok
}

func TestOtherParametersBeginAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1))
	w.month(w.good(), 1, 1)
	w.params.Fields.Input = ".usage.completion_tokens"
	w.month(w.good(), 1, 1)
	w.params.Select = `.level == "debug"`
	if p := w.problem(); !strings.Contains(p.Text, "no usage record") {
		t.Error(p.Text)
	}
}

func TestAStateThatCannotBeReadBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "null", "{", `{"files":[null]}`, "\x00", `{"of":0,"tally":{"days":{"1":{"a":null}}}}`} {
		w := newWorld(t)
		w.write(w.path, w.at(0, 1))
		w.state.data = []byte(data)
		w.month(w.good(), 1, 1)
	}
}
