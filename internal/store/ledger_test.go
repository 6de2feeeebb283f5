package store_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

func budget(hour, day checks.PicoUSD) []store.Limit {
	return []store.Limit{{Window: time.Hour, Name: "per_hour", Amount: hour}, {Window: 24 * time.Hour, Name: "per_day", Amount: day}}
}

func reserve(t *testing.T, s *store.Store, c store.Claim, limits []store.Limit) (store.Denial, bool) {
	t.Helper()
	denial, ok, err := s.Ledger().Reserve(t.Context(), c, limits)
	if err != nil {
		t.Fatalf("reserve %s: %v", c.ID, err)
	}
	return denial, ok
}

func book(t *testing.T, s *store.Store, id string, cost checks.PicoUSD) {
	t.Helper()
	if err := s.Ledger().Book(t.Context(), id, &checks.Usage{Cost: cost}); err != nil {
		t.Fatalf("book %s: %v", id, err)
	}
}

func spent(t *testing.T, s *store.Store, since, until time.Time) checks.PicoUSD {
	t.Helper()
	got, err := s.Ledger().Spent(t.Context(), since, until)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestConcurrentReservationsNeverExceedTheBudget(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	var taken atomic.Int64
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			_, ok, err := s.Ledger().Reserve(t.Context(), claim(strconv.Itoa(i), 7, noon()), budget(100, 1000))
			if err != nil {
				t.Error(err)
			}
			if ok {
				taken.Add(1)
			}
		})
	}
	callers.Wait()
	if got := taken.Load(); got != 14 {
		t.Errorf("%d claims of 7 fit in 100, want 14", got)
	}
	if got := spent(t, s, noon(), noon().Add(1)); got != 98 {
		t.Errorf("spent %d, want 98", got)
	}
}

func TestAWindowCountsWhatItHolds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before []time.Duration // of claims of 10, from noon
		at     time.Duration
		amount checks.PicoUSD
		want   bool
		limit  string
	}{
		"the last cent may be spent":                        {nil, 0, 25, true, ""},
		"one more may not":                                  {nil, 0, 26, false, "per_hour"},
		"what was spent an hour ago is free again":          {[]time.Duration{0, 0}, time.Hour, 25, true, ""},
		"a moment earlier it is not":                        {[]time.Duration{0, 0}, time.Hour - time.Microsecond, 6, false, "per_hour"},
		"the day counts beside the hour":                    {[]time.Duration{0, 1 * time.Hour, 2 * time.Hour, 3 * time.Hour}, 5 * time.Hour, 11, false, "per_day"},
		"the clock stepped back a day, and refills nothing": {[]time.Duration{0, 0}, -24 * time.Hour, 6, false, "per_hour"},
		"an amount of nothing always fits":                  {[]time.Duration{0, 0}, 0, 0, true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, store.Options{Dir: t.TempDir()})
			for i, at := range test.before {
				if denial, ok := reserve(t, s, claim(strconv.Itoa(i), 10, noon().Add(at)), budget(25, 50)); !ok {
					t.Fatalf("claim %d: %+v", i, denial)
				}
			}
			denial, ok := reserve(t, s, claim("x", test.amount, noon().Add(test.at)), budget(25, 50))
			if ok != test.want || denial.Limit.Name != test.limit {
				t.Errorf("reserved %v, %+v; want %v, limit %q", ok, denial, test.want, test.limit)
			}
			if !ok && !strings.Contains(denial.Reason, test.limit) {
				t.Errorf("reason %q does not name the limit", denial.Reason)
			}
		})
	}
}

func TestBookingReplacesTheReservation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	for id, amount := range map[string]checks.PicoUSD{"less": 10, "more": 10, "nothing": 10, "open": 10} {
		if denial, ok := reserve(t, s, claim(id, amount, noon()), nil); !ok {
			t.Fatalf("%+v", denial)
		}
	}
	book(t, s, "less", 4)
	book(t, s, "more", 30)
	if err := s.Ledger().Book(t.Context(), "nothing", nil); err != nil {
		t.Fatal(err)
	}
	if got := spent(t, s, noon(), noon().Add(time.Second)); got != 44 {
		t.Errorf("spent %d, want 4+30+0+10", got)
	}
	if _, _, err := s.Ledger().Reserve(t.Context(), claim("open", 1, noon()), nil); err == nil {
		t.Error("a second reservation of the same run was taken")
	}
	if err := s.Ledger().Book(t.Context(), "unheard of", &checks.Usage{Cost: 5}); err == nil {
		t.Error("a cost without a reservation is no error")
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, noon(), noon().Add(time.Second)); got != 44 {
		t.Errorf("after a restart: spent %d, want 44", got)
	}
	if got := spent(t, s, time.Now().Add(-time.Hour), time.Now()); got != 5 {
		t.Errorf("the cost without a reservation: %d, want 5", got)
	}
}

func TestBadClaimsAreErrors(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	for name, c := range map[string]store.Claim{"no id": claim("", 1, noon()), "less than nothing": claim("a", -1, noon())} {
		if _, ok, err := s.Ledger().Reserve(t.Context(), c, nil); ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if err := s.Ledger().Book(t.Context(), "a", &checks.Usage{Cost: -1}); err == nil {
		t.Error("a negative cost was booked")
	}
}

func TestAfterTheHostRestartedTheLastHourCountsAsSpent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := reserve(t, s, claim("a", 1, time.Now()), budget(10, 100)); !ok {
		t.Fatalf("%+v", denial)
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := reserve(t, s, claim("b", 1, time.Now()), budget(10, 100)); !ok {
		t.Errorf("the same boot: %+v", denial)
	}
	shut(t, s)

	s = open(t, store.Options{Dir: dir, BootID: "two"})
	denial, ok := reserve(t, s, claim("c", 1, time.Now()), budget(10, 100))
	if ok || !strings.Contains(denial.Reason, "counts as spent") {
		t.Errorf("another boot: reserved %v, %+v", ok, denial)
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "two"}) // a restart of the agent refills nothing
	if _, ok := reserve(t, s, claim("d", 1, time.Now()), budget(10, 100)); ok {
		t.Error("a restart ended the assumption")
	}
	later := time.Now().Add(time.Hour + time.Second)
	if denial, ok := reserve(t, s, claim("e", 10, later), budget(10, 100)); !ok {
		t.Errorf("an hour later: %+v", denial)
	}
}

func TestTheDayHoldsWhatIsAssumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shut(t, open(t, store.Options{Dir: dir, BootID: "one"}))
	s := open(t, store.Options{Dir: dir, BootID: "two"})
	later := time.Now().Add(2 * time.Hour)
	limits := budget(100, 150)
	if denial, ok := reserve(t, s, claim("a", 50, later), limits); !ok {
		t.Errorf("50 of 150 with 100 assumed: %+v", denial)
	}
	if denial, ok := reserve(t, s, claim("b", 1, later), limits); ok || denial.Limit.Name != "per_day" || denial.Spent != 150 {
		t.Errorf("one more: reserved %v, %+v", ok, denial)
	}
	if denial, ok := reserve(t, s, claim("c", 100, time.Now().Add(25*time.Hour)), budget(1000, 151)); !ok {
		t.Errorf("a day later: %+v", denial)
	}
	dayOnly := limits[1:]
	if _, ok := reserve(t, s, claim("d", 1, time.Now().Add(time.Minute)), dayOnly); ok {
		t.Error("without an hourly limit the daily one counts for an hour")
	}
}

// unrecorded reserves while only the mark can be written, and waits for its end.
func unrecorded(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir, BootID: "one"})
	if err != nil {
		return err
	}
	if err := limitFiles(room); err != nil {
		return err
	}
	if err := s.SaveState(ctx, "any", []byte("seen to fail")); err != nil {
		return err
	}
	_, ok, err := s.Ledger().Reserve(ctx, claim("a", 3, time.Now()), budget(10, 100))
	fmt.Fprintln(out, ok, err)
	select {}
}

func TestSpendingThatWentUnrecordedIsRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := spawn(t, "unrecorded", dir)
	if lines.Scan(); lines.Text() != "true <nil>" {
		t.Fatalf("the child said %q", lines.Text())
	}
	kill(t, cmd, lines)
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour)); got != 3 {
		t.Errorf("spent %d, want 3", got)
	}
	if denial, ok := reserve(t, s, claim("b", 1, time.Now()), budget(10, 100)); ok {
		t.Errorf("the last hour does not count as spent: %+v", denial)
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour)); got != 3 {
		t.Errorf("after another restart: spent %d, want 3", got)
	}
	if _, ok := reserve(t, s, claim("c", 10, time.Now().Add(3*time.Hour)), budget(10, 100)); !ok {
		t.Error("an hour later the budget is still closed")
	}
}

func TestWithoutItsMarkTheLastHourCountsAsSpent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := reserve(t, s, claim("first", 1, time.Now()), budget(10, 100)); !ok {
		t.Errorf("a new directory has nothing to fear: %+v", denial)
	}
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "windsock.mark")); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := reserve(t, s, claim("b", 1, time.Now()), budget(10, 100)); ok {
		t.Errorf("the last hour does not count as spent: %+v", denial)
	}
}

func TestEntriesInTheFutureLeaveTheWindowOneDay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	reserve(t, s, claim("a", 10, noon().Add(365*24*time.Hour)), nil)
	book(t, s, "a", 10)
	if _, ok := reserve(t, s, claim("b", 1, noon()), budget(10, 100)); ok {
		t.Error("a clock that stepped back refilled the budget")
	}
	if err := s.Expire(t.Context(), noon()); err != nil {
		t.Fatal(err)
	}
	if _, ok := reserve(t, s, claim("c", 1, noon().Add(59*time.Minute)), budget(10, 100)); ok {
		t.Error("it was refilled within the hour")
	}
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if denial, ok := reserve(t, s, claim("d", 1, noon().Add(61*time.Minute)), budget(10, 100)); !ok {
		t.Errorf("an hour after the step: %+v", denial)
	}
}

func TestOldEntriesKeepTheirSumAndThenGo(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	for i := range 120 {
		id := strconv.Itoa(i)
		reserve(t, s, claim(id, 1, noon().Add(time.Duration(i)*time.Second)), nil)
		book(t, s, id, 1)
	}
	for _, step := range []struct {
		after time.Duration
		want  checks.PicoUSD
	}{{0, 120}, {48 * time.Hour, 120}, {34 * 24 * time.Hour, 120}, {36 * 24 * time.Hour, 0}} {
		if err := s.Expire(t.Context(), noon().Add(step.after+2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := spent(t, s, noon(), noon().Add(time.Hour)); got != step.want {
			t.Errorf("after %v: spent %d, want %d", step.after, got, step.want)
		}
	}
}
