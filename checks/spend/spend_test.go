package spend_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend"
)

// book is a ledger of given rows.
type book struct {
	rows    func(hour time.Time) []checks.Spending
	err     error
	reached chan struct{} // closed at the first question, which is then never answered; nil: it answers
	once    sync.Once
}

func (b *book) Spent(context.Context, time.Time, time.Time) (checks.PicoUSD, error) { return 0, b.err }

func (b *book) Spending(ctx context.Context, _, until time.Time) ([]checks.Spending, error) {
	if b.reached != nil {
		b.once.Do(func() { close(b.reached) })
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if b.rows == nil {
		return nil, b.err
	}
	return b.rows(until.Add(-time.Hour)), b.err
}

const params = "sources: [{ledger: {}}]\n"

func TestTheKindPassesTheSuite(t *testing.T) {
	checktest.Run(t, spend.Kind(), checktest.Options{
		Key: "sk-a-canary",
		Good: func(*testing.T) checktest.Case {
			return checktest.Case{Params: params, Env: checks.Env{Ledger: &book{}}}
		},
		Absent: func(*testing.T) checktest.Case { return checktest.Case{Params: params} },
		Hung: func(*testing.T) checktest.Case {
			b := &book{reached: make(chan struct{})}
			return checktest.Case{Params: params, Env: checks.Env{Ledger: b}, Reached: b.reached}
		},
		Refused: map[string]string{
			"no source":           "above_per_hour: 1",
			"a source of no kind": "sources: [{name: a}]",
			"the same name twice": "sources: [{ledger: {}}, {ledger: {}}]",
			"a negative age":      "sources: [{ledger: {}, max_age: -1s}]",
			"no number":           params + "above_per_hour: .nan",
			"a negative factor":   params + "spike_above: -1",
			"another zone":        params + "timezone: Europe/Nowhere",
		},
	})
}

func run(t *testing.T, with string, ledger checks.Ledger) checks.Result {
	t.Helper()
	check, err := spend.Kind().New(checktest.Decoder(with, ""), checks.Env{Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func value(r checks.Result, name string) (float64, bool) {
	for _, m := range r.Measurements {
		if m.Name == name && m.Attrs["source"] == "" {
			return m.Value, true
		}
	}
	return 0, false
}

// spent is what every hour cost for so many days, up to half a day ago, and what this hour cost.
func spent(days int, usual, now checks.PicoUSD) func(time.Time) []checks.Spending {
	return func(hour time.Time) []checks.Spending {
		var rows []checks.Spending
		for h := days*24 + 1; h > 12 && days > 0; h-- {
			rows = append(rows, checks.Spending{Hour: hour.Add(-time.Duration(h) * time.Hour), Model: "m", Runs: 1, Cost: usual})
		}
		return append(rows, checks.Spending{Hour: hour, Model: "m", Runs: 2, Cost: now, PromptTokens: 100, CachedTokens: 25, CompletionTokens: 10})
	}
}

func TestWhatIsSpentIsJudged(t *testing.T) {
	t.Parallel()
	unpriced := func(hour time.Time) []checks.Spending {
		return []checks.Spending{{Hour: hour, Model: "nobody-knows", Runs: 1, Unpriced: 1}}
	}
	for name, tt := range map[string]struct {
		with   string
		rows   func(time.Time) []checks.Spending
		status checks.Status
		says   string
	}{
		"little is fine":                    {"", spent(0, 0, checks.Dollar), checks.OK, "$1.000000 in the last hour (ledger, estimated)"},
		"more than allowed":                 {"", spent(0, 0, 11*checks.Dollar), checks.Degraded, "at most $10.00"},
		"more than allowed, but off":        {"above_per_hour: 0", spent(0, 0, 11*checks.Dollar), checks.OK, "$11"},
		"six times what is usual":           {"", spent(6, checks.Dollar, 6*checks.Dollar), checks.Degraded, "usual at this time is $1.00"},
		"four times what is usual":          {"", spent(6, checks.Dollar, 4*checks.Dollar), checks.OK, "$4"},
		"too few days to say what is usual": {"", spent(4, checks.Dollar, 6*checks.Dollar), checks.OK, "$6"},
		"a spike below the floor":           {"", spent(6, checks.Dollar/100, checks.Dollar/2), checks.OK, "$0.5"},
		"a model without a price":           {"", unpriced, checks.Degraded, "nobody-knows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, params+tt.with, &book{rows: tt.rows})
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.says) {
				t.Errorf("got %s (%s), want %s with %q", r.Status, r.Summary, tt.status, tt.says)
			}
		})
	}
}

func TestTheNumbersOfTheHour(t *testing.T) {
	t.Parallel()
	r := run(t, params, &book{rows: spent(6, checks.Dollar, 4*checks.Dollar)})
	for name, want := range map[string]float64{
		"spend.hour.usd": 4, "spend.rate.usd": 4, "spend.requests": 2, "spend.request.cost.usd": 2,
		"spend.projected_month.usd": 0, "spend.cached.share": 0.25, "spend.spike_factor": 4, "spend.baseline.usd": 1, "spend.unpriced.models": 0,
	} {
		got, ok := value(r, name)
		if name == "spend.projected_month.usd" { // depends on the day
			month, _ := value(r, "spend.month.usd")
			ok, got, want = ok && got >= month, 0, 0
		}
		if !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: got %v (%v), want %v", name, got, ok, want)
		}
	}
}

func TestWhatNobodyKnowsIsNotZero(t *testing.T) {
	t.Parallel()
	for name, ledger := range map[string]checks.Ledger{"no ledger": nil, "a ledger that fails": &book{err: errors.New("disk")}} {
		r := run(t, params, ledger)
		if _, ok := value(r, "spend.hour.usd"); ok || r.Status != checks.Unknown || !strings.Contains(r.Summary, "ledger") {
			t.Errorf("%s: got %s (%s), a number: %v, want unknown and none", name, r.Status, r.Summary, ok)
		}
	}
}

// forgetful is a ledger that was lost some time ago.
type forgetful struct {
	book
	since time.Time
}

func (f *forgetful) Lacks(since time.Time) string {
	if since.Before(f.since) {
		return "the ledger begins later"
	}
	return ""
}

// TestALedgerThatWasLostDoesNotCallItZero: what it may lack is not known, and what only its sum is left of has no runs.
func TestALedgerThatWasLostDoesNotCallItZero(t *testing.T) {
	t.Parallel()
	r := run(t, params, &forgetful{since: time.Now().Add(-time.Minute)})
	if _, told := value(r, "spend.hour.usd"); told || r.Status != checks.Unknown {
		t.Errorf("an empty ledger of a minute: %s %s", r.Status, r.Summary)
	}
	r = run(t, params, &forgetful{book: book{rows: spent(0, 0, checks.Dollar)}, since: time.Now().Add(-time.Minute)})
	if got, _ := value(r, "spend.hour.usd"); got != 1 || !strings.Contains(r.Summary, "partial") {
		t.Errorf("one that knows something: %s %s", r.Status, r.Summary)
	}
	lump := func(hour time.Time) []checks.Spending {
		return []checks.Spending{{Hour: hour, Runs: 1, Cost: checks.Dollar}}
	}
	r = run(t, params, &book{rows: lump})
	_, requests := value(r, "spend.requests")
	if got, _ := value(r, "spend.hour.usd"); got != 1 || requests {
		t.Errorf("only the sum is left: $%v, requests told %v", got, requests)
	}
}

// TestADayOfAZoneWithHalfAnHourIsWhole: the hour in which it begins counts in part.
func TestADayOfAZoneWithHalfAnHourIsWhole(t *testing.T) {
	t.Parallel()
	rows := func(hour time.Time) []checks.Spending {
		var all []checks.Spending
		for h := 50; h >= 0; h-- {
			all = append(all, checks.Spending{Hour: hour.Add(-time.Duration(h) * time.Hour), Check: "c", Model: "m", Runs: 1, Cost: checks.Dollar})
		}
		return all
	}
	for _, zone := range []string{"UTC", "Asia/Kolkata", "Asia/Kathmandu"} {
		r := run(t, params+"above_per_hour: 0\ntimezone: "+zone, &book{rows: rows})
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().In(loc)
		midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, loc)
		hour := now.UTC().Truncate(time.Hour)
		want := 1.0 // this hour, whose cost is all spent already
		if midnight.Before(hour) {
			want += hour.Sub(midnight).Hours()
		} else {
			want = now.Sub(midnight).Hours() / now.Sub(hour).Hours()
		}
		if got, ok := value(r, "spend.today.usd"); !ok || math.Abs(got-want) > 0.02 {
			t.Errorf("%s: today $%v, want $%v", zone, got, want)
		}
	}
}

func TestADamagedMemoryIsToldOnce(t *testing.T) {
	t.Parallel()
	check, err := spend.Kind().New(checktest.Decoder(params, ""), checks.Env{Ledger: &book{rows: spent(0, 0, checks.Dollar)}, Memory: &kept{data: []byte("{broken")}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []checks.Status{checks.Degraded, checks.OK} {
		if r, err := check.Run(t.Context()); err != nil || r.Status != want {
			t.Errorf("run %d: %s %s, %v, want %s", i, r.Status, r.Summary, err, want)
		}
	}
}
