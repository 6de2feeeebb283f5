package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/delivery"
	"github.com/windsock-monitor/windsock/internal/store"
)

func TestBetweenGivesTheReportsAndAlertsOfATimeInPages(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Dir: t.TempDir()})
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	all := []checks.Record{
		report("a", ago(time.Hour)), report("a", ago(30*time.Minute)),
		{ID: ulid.Make().String(), At: ago(20 * time.Minute), Agent: &checks.Snapshot{}},
		{ID: ulid.Make().String(), At: ago(19 * time.Minute), Alert: &checks.Alert{Rule: "down", At: ago(19 * time.Minute)}},
		report("b", ago(10*time.Minute)), report("a", ago(time.Minute)), report("a", now),
	}
	add(t, s, all...)
	var got []checks.Record
	pages := 0
	for after, more := delivery.Position(0), true; more; pages++ {
		data, next, again, err := s.Between(t.Context(), ago(30*time.Minute), now, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range data {
			var r checks.Record
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		after, more = next, again
	}
	same(t, "records", ids(got), ids([]checks.Record{all[1], all[3], all[4], all[5]}))
	if pages != 2 {
		t.Errorf("%d pages, want 2", pages)
	}
}
