package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

func event(at time.Time, of, text string) incident.Event {
	return incident.Event{ID: ulid.Make().String(), At: at.UTC().Truncate(time.Microsecond), Kind: incident.EventMark, Incident: of, Text: text}
}

func texts(t *testing.T, s interface {
	Events(ctx context.Context, from, to time.Time, of string) ([]incident.Event, error)
}, from, to time.Time, of string,
) []string {
	t.Helper()
	events, err := s.Events(t.Context(), from, to, of)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.Text
	}
	return out
}

func TestTheTimelineComesBackInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Now()
	s := open(t, store.Options{Dir: dir})
	second, first := event(at, "I", "second"), event(at.Add(-time.Minute), "", "first")
	if err := s.AddEvents(t.Context(), second, first); err != nil {
		t.Fatal(err)
	}
	changed := first
	changed.Text = "not this"
	third := event(at.Add(time.Second), "I", "third")
	third.Closed = &incident.Incident{ID: "I", Severity: "P1"}
	if err := s.BeginWith(0, store.Along{Events: []incident.Event{changed, third}}, report("a", at))(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		events, err := s.Events(t.Context(), time.Time{}, time.Time{}, "")
		if err != nil || !cmp.Equal(events, []incident.Event{first, second, third}) {
			t.Errorf("got %v, %v", cmp.Diff([]incident.Event{first, second, third}, events), err)
		}
		for _, tt := range []struct {
			from, to time.Time
			of       string
			want     string
		}{
			{at.Truncate(time.Microsecond), time.Time{}, "", "second third"},
			{time.Time{}, at.Truncate(time.Microsecond), "", "first"},
			{time.Time{}, time.Time{}, "I", "second third"},
			{time.Time{}, time.Time{}, "other", ""},
		} {
			if got := strings.Join(texts(t, s, tt.from, tt.to, tt.of), " "); got != tt.want {
				t.Errorf("from %s to %s of %q: %q, want %q", tt.from, tt.to, tt.of, got, tt.want)
			}
		}
		shut(t, s)
		s = open(t, store.Options{Dir: dir})
	}
}

func TestTheTimelineIsBounded(t *testing.T) {
	t.Parallel()
	s, now := open(t, store.Options{Dir: t.TempDir()}), time.Now()
	events := []incident.Event{event(now.Add(-91*24*time.Hour), "", "too old"), event(now.Add(-89*24*time.Hour), "", "the oldest")}
	for i := range 6000 {
		events = append(events, event(now.Add(time.Duration(i)*time.Millisecond), "", "a mark"))
	}
	if err := s.AddEvents(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	if err := s.Expire(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, time.Time{}, now, ""); !slices.Equal(got, []string{"the oldest"}) {
		t.Errorf("kept %q", got)
	}
	if got := texts(t, s, time.Time{}, time.Time{}, ""); len(got) != 5000 || got[0] != "a mark" {
		t.Errorf("read %d, from %q on", len(got), got[0])
	}
}

func TestTheTimelineStaysInMemoryWhileTheDiskFails(t *testing.T) {
	t.Parallel()
	dir, at := filepath.Join(t.TempDir(), "state"), time.Now()
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the directory should be
		t.Fatal(err)
	}
	s := open(t, store.Options{Dir: dir})
	for i := range 10_500 {
		if err := s.AddEvents(t.Context(), event(at.Add(time.Duration(i)), "", fmt.Sprint("mark ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, s, time.Time{}, time.Time{}, ""); len(got) != 5000 || got[4999] != "mark 10499" {
		t.Fatalf("in memory: %d, the last is %q", len(got), got[len(got)-1])
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- s.Run(t.Context()) }()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !s.Health().OK {
		<-ticker.C
	}
	shut(t, s)
	ended(t, running)
	s = open(t, store.Options{Dir: dir})
	if got := texts(t, s, time.Time{}, at.Add(600*time.Nanosecond+time.Microsecond), ""); len(got) == 0 || got[0] != "mark 500" {
		t.Errorf("on disk: from %q on", got)
	}
}

func TestTheTimelineIsRescuedFromADatabaseThatIsMovedAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	if err := s.AddEvents(t.Context(), event(time.Now(), "", "before")); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	path := filepath.Join(dir, "windsock.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TABLE cursors"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir})
	if err := s.AddEvents(t.Context(), event(time.Now(), "", "after")); err != nil {
		t.Fatal(err)
	}
	if s.Health().Corrupt != 1 {
		t.Errorf("health %+v", s.Health())
	}
	if got := texts(t, s, time.Time{}, time.Time{}, ""); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("got %q", got)
	}
}

func TestAViewReadsTheTimelineOfEveryVersion(t *testing.T) {
	t.Parallel()
	for version := 1; version <= len(store.Migrations()); version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ofVersion(t, dir, version, time.Now())
			look := func(want ...string) {
				t.Helper()
				view, err := store.OpenView(t.Context(), dir)
				if err != nil {
					t.Fatal(err)
				}
				if got := texts(t, view, time.Time{}, time.Time{}, ""); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if err := view.Close(); err != nil {
					t.Fatal(err)
				}
			}
			look([]string{}...)
			s := open(t, store.Options{Dir: dir})
			if err := s.AddEvents(t.Context(), event(time.Now(), "", "migrated")); err != nil {
				t.Fatal(err)
			}
			look("migrated")
		})
	}
}
