package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

// days is n days and a bit before now, in the middle of an hour.
func daysAgo(n int) time.Time {
	return time.Now().Add(-time.Duration(n) * 24 * time.Hour).Truncate(time.Hour).Add(30 * time.Minute)
}

func spending(t *testing.T, s *store.Store) []checks.Spending {
	t.Helper()
	var ledger checks.SpendingLedger = s.Ledger()
	all, err := ledger.Spending(t.Context(), time.Now().Add(-40*24*time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// paid reserves and books a run.
func paid(t *testing.T, s *store.Store, c store.Claim, u checks.Usage) {
	t.Helper()
	if denial, ok := reserve(t, s, c, nil); !ok {
		t.Fatalf("%s: %+v", c.ID, denial)
	}
	if err := s.Ledger().Book(t.Context(), c.ID, &u); err != nil {
		t.Fatal(err)
	}
}

// fourRuns spends in one hour, on everything that is told apart.
func fourRuns(t *testing.T, s *store.Store, at time.Time) []checks.Spending {
	t.Helper()
	usage := checks.Usage{Model: "small", PromptTokens: 15, CachedTokens: 5, CompletionTokens: 2, Cost: 7, PriceKnown: true}
	for i, trigger := range []checks.Trigger{checks.TriggerSchedule, checks.TriggerSchedule, checks.TriggerManual} {
		paid(t, s, store.Claim{ID: fmt.Sprint("a", i), Check: "chat", Provider: "p", Trigger: trigger, Amount: 10, At: at.Add(time.Duration(i) * time.Minute)}, usage)
	}
	paid(t, s, store.Claim{ID: "b", Check: "chat", Provider: "p", Model: "large", Trigger: checks.TriggerDrill, Amount: 10, At: at},
		checks.Usage{Model: "large", PromptTokens: 1, Cost: 9})
	if _, ok := reserve(t, s, store.Claim{ID: "c", Check: "embed", Provider: "p", Model: "e", Trigger: checks.TriggerSchedule, Amount: 10, At: at}, nil); !ok {
		t.Fatal("not reserved")
	}
	hour := at.Truncate(time.Hour).UTC()
	return []checks.Spending{
		{Hour: hour, Check: "chat", Provider: "p", Model: "large", Trigger: checks.TriggerDrill, Runs: 1, Cost: 9, PromptTokens: 1, Unpriced: 1},
		{Hour: hour, Check: "chat", Provider: "p", Model: "small", Trigger: checks.TriggerManual, Runs: 1, Cost: 7, PromptTokens: 15, CachedTokens: 5, CompletionTokens: 2},
		{Hour: hour, Check: "chat", Provider: "p", Model: "small", Trigger: checks.TriggerSchedule, Runs: 2, Cost: 14, PromptTokens: 30, CachedTokens: 10, CompletionTokens: 4},
		{Hour: hour, Check: "embed", Provider: "p", Model: "e", Trigger: checks.TriggerSchedule, Runs: 1, Cost: 10, Reserved: 10},
	}
}

func TestSpendingTellsWhatTheMoneyWentInto(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Time{"an hour ago": time.Now().Add(-time.Hour).Truncate(time.Hour).Add(10 * time.Minute), "ten days ago": daysAgo(10)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, store.Options{Dir: dir, BootID: "one"})
			want := fourRuns(t, s, at)
			same(t, "at once", spending(t, s), want)
			for i := range 2 { // the second time there is nothing left to merge
				if err := s.Expire(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprint("tidied ", i), spending(t, s), want)
				shut(t, s)
				s = open(t, store.Options{Dir: dir, BootID: "one"})
				same(t, fmt.Sprint("after restart ", i), spending(t, s), want)
				if got := spent(t, s, at.Truncate(time.Hour), at.Truncate(time.Hour).Add(time.Hour)); got != 40 {
					t.Errorf("spent %d in that hour, want 40", got)
				}
			}
			none, err := s.Ledger().Spending(t.Context(), at.Truncate(time.Hour).Add(1), at.Truncate(time.Hour).Add(time.Hour))
			if err != nil || len(none) != 0 {
				t.Errorf("an hour that began before: %v, %v; want nothing", none, err)
			}
		})
	}
}

// rows are the ledger's rows and sums as the database has them.
func rows(t *testing.T, dir string) (raw, sums int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "windsock.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM ledger), (SELECT count(*) FROM ledger_hours)").Scan(&raw, &sums)
	if err != nil {
		t.Fatal(err)
	}
	return raw, sums
}

func TestOldRunsAreKeptByTheHourAndThenGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	began := daysAgo(3)
	for i := range 4500 {
		paid(t, s, claim(strconv.Itoa(i), 1, began.Add(time.Duration(i)*time.Second)), checks.Usage{Cost: 1, PriceKnown: true})
	}
	paid(t, s, claim("young", 1, time.Now()), checks.Usage{Cost: 1, PriceKnown: true})
	for _, step := range []struct {
		at        time.Time
		want      checks.PicoUSD
		raw, sums int
	}{
		{time.Now(), 4501, 1, 2},
		{began.Add(34 * 24 * time.Hour), 4501, 0, 3},
		{began.Add(35*24*time.Hour + 2*time.Hour), 1, 0, 1},
		{began.Add(40 * 24 * time.Hour), 0, 0, 0},
	} {
		if err := s.Expire(t.Context(), step.at); err != nil {
			t.Fatal(err)
		}
		got := spent(t, s, began.Add(-time.Hour), began.Add(50*24*time.Hour))
		var told checks.PicoUSD
		for _, row := range spending(t, s) {
			told += row.Cost
		}
		if raw, sums := rows(t, dir); got != step.want || told != step.want || raw != step.raw || sums != step.sums {
			t.Errorf("at %s: spent %d, told %d, %d rows, %d sums; want %+v", step.at, got, told, raw, sums, step)
		}
	}
}

// rollUntilKilled merges old rows as long as it lives.
func rollUntilKilled(ctx context.Context, dir string, out io.Writer) error {
	s, err := store.Open(ctx, store.Options{Dir: dir, BootID: "one"})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		for j := range 50 {
			id := fmt.Sprintf("%d-%d-%d", os.Getpid(), i, j)
			at := time.Now().Add(-100 * time.Hour).Add(time.Duration(j) * time.Minute)
			if _, ok, err := s.Ledger().Reserve(ctx, claim(id, 3, at), nil); err != nil || !ok {
				return fmt.Errorf("reserving: %v, %w", ok, err)
			}
			if err := s.Ledger().Book(ctx, id, &checks.Usage{Cost: 3}); err != nil {
				return err
			}
		}
		if err := s.SaveState(ctx, "round", []byte(strconv.Itoa(i))); err != nil { // the rows are on disk
			return err
		}
		fmt.Fprintln(out, "stored")
		if err := s.Expire(ctx, time.Now()); err != nil {
			return err
		}
	}
}

func TestAKillWhileRowsAreMergedCountsNothingTwiceAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var least, most checks.PicoUSD
	for range 12 {
		cmd, lines := spawn(t, "roll", dir)
		stored := 0
		for n := 1 + rand.IntN(8); n > 0 && lines.Scan(); n-- {
			stored++
		}
		for _, line := range kill(t, cmd, lines) {
			if line != "stored" {
				t.Fatal(line)
			}
			stored++
		}
		least += checks.PicoUSD(stored) * 150
		most += checks.PicoUSD(stored+1) * 150                                 // the round that was cut may be there
		if err := os.Remove(filepath.Join(dir, "windsock.mark")); err != nil { // it would make up for a loss
			t.Fatal(err)
		}
	}
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	got := spent(t, s, time.Now().Add(-200*time.Hour), time.Now())
	var told checks.PicoUSD
	var runs int64
	for _, row := range spending(t, s) {
		told, runs = told+row.Cost, runs+row.Runs
	}
	if got < least || got > most || told != got || runs*3 != int64(got) {
		t.Errorf("spent %d, told %d in %d runs; want %d to %d", got, told, runs, least, most)
	}
	if raw, sums := rows(t, dir); sums == 0 {
		t.Errorf("%d rows and %d sums: nothing was merged", raw, sums)
	}
}

func monthBudget(amount checks.PicoUSD) []store.Limit {
	return []store.Limit{{Window: 30 * 24 * time.Hour, Name: "per_month", Amount: amount}}
}

func TestAMonthCountsThirtyDays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	for i, age := range []int{31, 29, 10, 3, 0} {
		paid(t, s, claim(strconv.Itoa(i), 10, daysAgo(age)), checks.Usage{Cost: 10})
	}
	for i := range 2 {
		if denial, ok := reserve(t, s, claim(fmt.Sprint("x", i), 11, time.Now()), monthBudget(50)); ok || denial.Spent != 40 || denial.Limit.Name != "per_month" {
			t.Errorf("round %d: reserved %v, %+v; want 40 of 50 spent", i, ok, denial)
		}
		if err := s.Expire(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		s = open(t, store.Options{Dir: dir, BootID: "one"})
	}
	if denial, ok := reserve(t, s, claim("last", 10, time.Now()), monthBudget(50)); !ok {
		t.Errorf("%+v", denial)
	}
}

func TestALostDatabaseDoesNotRefillTheMonth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	paid(t, s, claim("a", 10, daysAgo(20)), checks.Usage{Cost: 10})
	paid(t, s, claim("b", 10, daysAgo(4)), checks.Usage{Cost: 10})
	paid(t, s, claim("c", 10, time.Now().Add(-3*time.Hour)), checks.Usage{Cost: 10})
	if err := s.Expire(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "windsock.db")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // no start counts it once more
		s = open(t, store.Options{Dir: dir, BootID: "one"})
		if denial, ok := reserve(t, s, claim(strconv.Itoa(i), 1, time.Now()), monthBudget(30)); ok || denial.Spent != 30 {
			t.Errorf("start %d: reserved %v, %+v; want all 30 spent", i, ok, denial)
		}
		shut(t, s)
	}
}

func TestMoneyOfADatabaseThatIsJoinedLaterCountsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "windsock.db")
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	paid(t, s, claim("a", 10, daysAgo(20)), checks.Usage{Cost: 10})
	paid(t, s, claim("b", 10, time.Now().Add(-2*time.Hour)), checks.Usage{Cost: 10})
	shut(t, s)
	rename(t, db, db+".away")
	mkdir(t, db)
	write(t, filepath.Join(db, "x"), "x")
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, daysAgo(30), time.Now().Add(24*time.Hour)); got != 20 {
		t.Errorf("while blind: spent %d, want 20", got)
	}
	paid(t, s, claim("c", 1, time.Now()), checks.Usage{Cost: 1})
	if err := os.RemoveAll(db); err != nil {
		t.Fatal(err)
	}
	rename(t, db+".away", db)
	shut(t, s)
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, daysAgo(30), time.Now().Add(24*time.Hour)); got != 21 {
		t.Errorf("joined: spent %d, want 21", got)
	}
}

// page is the mark's page; edit changes it in place.
func page(t *testing.T, dir string, edit func(map[string]any)) map[string]any {
	t.Helper()
	path := filepath.Join(dir, "windsock.mark")
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 4096 {
		t.Fatalf("a mark of %d bytes, %v; want 4096", len(text), err)
	}
	_, body, _ := bytes.Cut(bytes.TrimRight(text, " \n"), []byte(" "))
	p := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("reading the mark: %v", err)
	}
	if edit != nil {
		edit(p)
		body, _ := json.Marshal(p)
		write(t, path, fmt.Sprintf("%-4095s\n", fmt.Sprintf("%08x %s", crc32.ChecksumIEEE(body), body)))
	}
	return p
}

func TestTheMarkHasRoomForEveryHourAndDay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "01234567-89ab-cdef-0123-456789abcdef"})
	for hour := range 35 * 24 {
		at := time.Now().Add(-time.Duration(35*24-1-hour) * time.Hour)
		paid(t, s, claim(strconv.Itoa(hour), 1_000_000_000_000_000, at), checks.Usage{Cost: 1_000_000_000_000_000})
	}
	shut(t, s)
	p := page(t, dir, nil)
	hours, _ := p["hours"].(map[string]any)
	spentDays, _ := p["days"].(map[string]any)
	if len(hours) != 49 || len(spentDays) < 35 || len(spentDays) > 36 {
		t.Errorf("%d hours and %d days, want 49 and 35 or 36", len(hours), len(spentDays))
	}
}

func TestAnOldMarkIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	paid(t, s, claim("a", 10, time.Now()), checks.Usage{Cost: 10})
	shut(t, s)
	page(t, dir, func(p map[string]any) {
		for _, key := range []string{"days", "booted_at", "shifted"} {
			delete(p, key)
		}
	})
	if err := os.Remove(filepath.Join(dir, "windsock.db")); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir, BootID: "one"})
	if got := spent(t, s, time.Now().Add(-time.Hour), time.Now().Add(2*time.Hour)); got != 10 {
		t.Errorf("spent %d, want 10", got)
	}
}

func TestAnAmountOutOfItsSensesStopsTheBudget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	for i := range 20 {
		paid(t, s, claim(strconv.Itoa(i), 1, daysAgo(3)), checks.Usage{Cost: math.MaxInt64, PromptTokens: math.MaxInt64, CompletionTokens: -5})
	}
	for range 2 {
		if denial, ok := reserve(t, s, claim("x", 1, daysAgo(3).Add(time.Minute)), budget(10, 100)); ok || denial.Spent < 1_000_000*checks.Dollar {
			t.Errorf("reserved %v, %+v", ok, denial)
		}
		if err := s.Expire(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, row := range spending(t, s) {
			if row.Cost < 0 || row.PromptTokens < 0 || row.CompletionTokens < 0 {
				t.Errorf("a sum is negative: %+v", row)
			}
		}
		shut(t, s)
		s = open(t, store.Options{Dir: dir, BootID: "one"})
		if !s.Health().OK {
			t.Errorf("health %+v", s.Health())
		}
	}
}

func TestEveryTriggerCountsTheSame(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	triggers := []checks.Trigger{
		checks.TriggerSchedule, checks.TriggerStartup, checks.TriggerCatchUp, checks.TriggerManual, checks.TriggerGate,
		checks.TriggerDrill, checks.TriggerConfirm,
	}
	limits := budget(checks.PicoUSD(len(triggers)), 100)
	for _, trigger := range triggers {
		c := claim(string(trigger), 1, time.Now())
		c.Trigger = trigger
		if denial, ok := reserve(t, s, c, limits); !ok {
			t.Errorf("%s: %+v", trigger, denial)
		}
	}
	for _, trigger := range triggers {
		c := claim(string(trigger)+" again", 1, time.Now())
		c.Trigger = trigger
		if _, ok := reserve(t, s, c, limits); ok {
			t.Errorf("%s got round a budget that was spent", trigger)
		}
	}
}

func TestTheNamesOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir, BootID: "one"})
	at := time.Now().Add(-time.Hour).Truncate(time.Hour).Add(10 * time.Minute)
	want := fourRuns(t, s, at)
	add(t, s, reports(1)...) // the rows are on disk
	if err := os.Remove(filepath.Join(dir, "windsock.db")); err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- s.Run(t.Context()) }()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for s.Health().Corrupt == 0 {
		<-ticker.C
	}
	shut(t, s)
	ended(t, running)
	for range 2 {
		s = open(t, store.Options{Dir: dir, BootID: "one"})
		same(t, "in the new database", spending(t, s), want)
		if got := spent(t, s, at.Truncate(time.Hour), at.Truncate(time.Hour).Add(time.Hour)); got != 40 {
			t.Errorf("spent %d, want 40", got)
		}
		shut(t, s)
	}
}

// ofVersion makes a database of an older version, with a run that was booked and one that never was.
func ofVersion(t *testing.T, dir string, version int, at time.Time) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "windsock.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	steps := append([]string{}, store.Migrations()[:version]...)
	most := int64(math.MaxInt64)
	if version >= 3 { // it has taken care of that
		most = 1e16
	}
	into := `INSERT INTO ledger (id, at, "check", provider, model, run_by, reserved, cost) VALUES `
	steps = append(steps, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO meta VALUES ('instance', '01JDPXWZ000000000000000000')", store.ApplicationID, version),
		into+fmt.Sprintf("('a', %d, 'chat', 'p', 'm', 'schedule', 10, 4), ('b', %d, 'chat', 'p', '', 'manual', 10, NULL)", at.UnixMicro(), at.UnixMicro()),
		into+fmt.Sprintf("('c', %d, 'chat', 'p', 'm', 'schedule', 1, %d)", at.Add(-20*24*time.Hour).UnixMicro(), most))
	for _, step := range steps {
		if _, err := db.ExecContext(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALedgerOfAnOlderVersionIsKept(t *testing.T) {
	t.Parallel()
	for version := 1; version < len(store.Migrations()); version++ {
		for name, writable := range map[string]bool{"": true, " that cannot be written": false} {
			t.Run(fmt.Sprintf("version %d%s", version, name), func(t *testing.T) {
				t.Parallel()
				dir, at := t.TempDir(), time.Now().Add(-time.Hour).Truncate(time.Hour).Add(10*time.Minute)
				ofVersion(t, dir, version, at)
				if !writable {
					if err := os.Symlink("windsock.lock", filepath.Join(dir, "windsock.lock")); err != nil {
						t.Fatal(err)
					}
				}
				s := open(t, store.Options{Dir: dir, BootID: "one"})
				if got := spent(t, s, at.Add(-time.Minute), at.Add(time.Minute)); got != 14 {
					t.Errorf("spent %d, want 14", got)
				}
				hour := at.Truncate(time.Hour).UTC()
				same(t, "spending", spending(t, s)[1:], []checks.Spending{
					{Hour: hour, Check: "chat", Provider: "p", Trigger: checks.TriggerManual, Runs: 1, Cost: 10, Reserved: 10},
					{Hour: hour, Check: "chat", Provider: "p", Model: "m", Trigger: checks.TriggerSchedule, Runs: 1, Cost: 4},
				})
				if err := s.Expire(t.Context(), time.Now()); err != nil || s.Health().OK != writable {
					t.Errorf("expire: %v, health %+v", err, s.Health())
				}
			})
		}
	}
}
