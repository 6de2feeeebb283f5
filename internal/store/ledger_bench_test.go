package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/store"
)

const monthly = 30 * 24 * time.Hour

// month opens a store with 30 days of history at 1,000 runs a minute, of so many checks.
func month(b *testing.B, names int) *store.Store {
	b.Helper()
	dir := b.TempDir()
	s, err := store.Open(b.Context(), store.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	history(b, filepath.Join(dir, "windsock.db"), names)
	began := time.Now()
	s, err = store.Open(b.Context(), store.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	opened := time.Since(began)
	if err := s.Expire(b.Context(), time.Now()); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d checks: opened in %s, first tidying in %s, %d MiB", names, opened, time.Since(began)-opened, s.Health().Bytes>>20)
	return s
}

// history writes what the agent would have left: hours, and the rows of the youngest.
func history(b *testing.B, path string, names int) {
	b.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	now := time.Now().UnixMicro()
	for _, query := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 240000)
		INSERT INTO ledger SELECT printf('01JDPXWZ%018d', i), ?1 - i * 60000, 'check-' || (i % ?2), 'mistral', 'mistral-small-latest', 'schedule',
		5000000, 2850000, 15, 0, 1, 0, 1 FROM n`,
		`WITH RECURSIVE h(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM h WHERE i < 720), c(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM c WHERE k < ?2 - 1)
		INSERT INTO ledger_hours SELECT (?1 / 3600000000 - i) * 3600000000 - 1, 'check-' || k, 'mistral', 'mistral-small-latest', 'schedule',
		60000 / ?2, 60000 / ?2 * 2850000, 0, 60000 / ?2 * 15, 0, 60000 / ?2, 0 FROM h, c`,
	} {
		if _, err := db.ExecContext(b.Context(), query, now, names); err != nil {
			b.Fatal(err)
		}
	}
}

func claimed(b *testing.B, s *store.Store, id string, limits []store.Limit) {
	b.Helper()
	c := store.Claim{ID: id, Check: "check-1", Provider: "mistral", Model: "mistral-small-latest", Trigger: checks.TriggerSchedule, Amount: 5_000_000}
	if denial, ok, err := s.Ledger().Reserve(b.Context(), c, limits); !ok || err != nil {
		b.Fatal(denial, err)
	}
}

// BenchmarkBooking reserves and books a run, beside 1,000 that are in flight and 30 days of history.
func BenchmarkBooking(b *testing.B) {
	limits := []store.Limit{
		{Name: "per_hour", Window: time.Hour, Amount: 1_000_000 * checks.Dollar},
		{Name: "per_day", Window: 24 * time.Hour, Amount: 1_000_000 * checks.Dollar},
		{Name: "per_month", Window: monthly, Amount: 1_000_000 * checks.Dollar},
	}
	usage := &checks.Usage{Model: "mistral-small-latest", PromptTokens: 15, CompletionTokens: 1, Cost: 2_850_000, PriceKnown: true}
	s := month(b, 100)
	for i := range 1000 {
		claimed(b, s, "open-"+strconv.Itoa(i), limits)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		id := fmt.Sprintf("%026d", n)
		claimed(b, s, id, limits)
		if err := s.Ledger().Book(b.Context(), id, usage); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpending30Days asks what 30 days went into.
func BenchmarkSpending30Days(b *testing.B) {
	for _, names := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d checks", names), func(b *testing.B) {
			s := month(b, names)
			b.ReportAllocs()
			for b.Loop() {
				found, err := s.Ledger().Spending(b.Context(), time.Now().Add(-monthly), time.Now())
				if err != nil || len(found) < 700 {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}
