package schedule_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/schedule"
)

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		expr, timezone string
		column         int
		want           string
	}{
		"nothing":                       {"", "", 1, "nothing found"},
		"blanks":                        {"   ", "", 1, "nothing found"},
		"a TZ prefix alone":             {"TZ=0", "", 1, "want the zone in its own key"},
		"an empty TZ prefix":            {"TZ=", "", 1, "want the zone in its own key"},
		"a CRON_TZ prefix":              {"CRON_TZ=UTC", "", 1, "want the zone in its own key"},
		"a TZ prefix with fields":       {"TZ=Europe/Paris 0 9 * * *", "", 1, "want the zone in its own key"},
		"an unknown zone":               {"0 9 * * *", "Europe/Pariss", 1, "not a known zone"},
		"the host's own zone":           {"0 9 * * *", "Local", 1, "not a known zone"},
		"a zone that climbs":            {"0 9 * * *", "../../etc/passwd", 1, "not a known zone"},
		"a zone with @every":            {"@every 5m", "Mars/Olympus", 1, "not a known zone"},
		"half a second":                 {"@every 500ms", "", 8, "found the interval 500ms, want 1s"},
		"zero":                          {"@every 0s", "", 8, "want 1s"},
		"a negative interval":           {"@every -5s", "", 8, "want 1s"},
		"an interval beyond a year":     {"@every 99999h", "", 8, "want 1s to 8784h"},
		"an interval without unit":      {"@every 30", "", 8, `found the duration "30", want a number with a unit`},
		"an interval without duration":  {"@every", "", 1, `want "@every" and a duration`},
		"an interval glued to its word": {"@every30s", "", 1, `want "@every" and a duration`},
		"an unknown descriptor":         {"@hourli", "", 1, `found "@hourli"`},
		"four fields":                   {"* * * *", "", 1, "found 4 fields, want 5"},
		"one field":                     {"30s", "", 1, "found 1 field, want 5"},
		"seven fields":                  {"0 0 0 1 1 1 2026", "", 13, "found 7 fields, want 5"},
		"a step past the minutes":       {"*/61 * * * *", "", 3, `in the minute: found the step "61", want 1 to 59`},
		"a step of a whole hour":        {"*/60 * * * *", "", 3, "want 1 to 59"},
		"a step past the hours":         {"0 */24 * * *", "", 5, `in the hour: found the step "24", want 1 to 23`},
		"a step past its range":         {"10-20/15 * * * *", "", 7, "want 1 to 10"},
		"a step of zero":                {"*/0 * * * *", "", 3, "want 1 to 59"},
		"a minute too high":             {"60 * * * *", "", 1, `in the minute: found "60", want *, or 0 to 59`},
		"the seventh weekday":           {"0 9 * * 7", "", 9, "want *, or 0 to 6 (0 is Sunday)"},
		"day zero":                      {"0 9 0 * *", "", 5, "in the day of the month"},
		"month thirteen":                {"0 9 * 13 *", "", 7, "or jan to dec"},
		"a range backwards":             {"0 9 * * fri-mon", "", 9, "ends before it begins"},
		"an empty list item":            {"1,,2 * * * *", "", 3, `found ""`},
		"a comma alone":                 {", * * * *", "", 1, `found ""`},
		"a star with a range":           {"*-5 * * * *", "", 1, `found "*"`},
		"a sign":                        {"+5 * * * *", "", 1, `found "+5"`},
		"two hyphens":                   {"1-2-3 * * * *", "", 4, "second hyphen"},
		"two steps":                     {"*/2/3 * * * *", "", 4, "second step"},
		"the last day, as Quartz has":   {"0 9 L * *", "", 5, `found "L"`},
		"a day that no month has":       {"0 0 31 2 *", "", 1, "never fires"},
		"a place behind blanks":         {"  0   99 * * *", "", 7, `in the hour: found "99"`},
		"a huge number":                 {"99999999999999999999 * * * *", "", 1, "in the minute"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spec, err := schedule.Parse(tt.expr, tt.timezone)
			var placed *schedule.ParseError
			if !errors.As(err, &placed) {
				t.Fatalf("Parse gave %q and %v, want a ParseError", spec, err)
			}
			if placed.Column != tt.column || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got column %d, %q; want column %d and %q", placed.Column, err, tt.column, tt.want)
			}
			if !spec.IsZero() || !spec.Next(time.Now()).IsZero() {
				t.Errorf("a refused spec is %q, want the zero Spec", spec)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	tests := map[string]struct {
		expr, timezone string
		text           string
		interval       time.Duration
		every          bool
	}{
		"an interval":                 {"@every 60s", "", "@every 1m0s", time.Minute, true},
		"an interval in a zone":       {" @every  90s ", "Europe/Paris", "@every 1m30s", 90 * time.Second, true},
		"five fields":                 {"*/5 * * * *", "UTC", "*/5 * * * *", 5 * time.Minute, false},
		"six fields":                  {"*/10 * * * * *", "", "*/10 * * * * *", 10 * time.Second, false},
		"every second":                {"* * * * * *", "", "* * * * * *", time.Second, false},
		"extra blanks":                {"  0\t9 *  * *", "", "0 9 * * *", 24 * time.Hour, false},
		"a zone":                      {"0 9 * * *", "Europe/Paris", "0 9 * * * Europe/Paris", 24 * time.Hour, false},
		"names":                       {"0 9 * JAN-mar Mon-FRI", "", "0 9 * JAN-mar Mon-FRI", 24 * time.Hour, false},
		"hourly by name":              {"@hourly", "", "0 * * * *", time.Hour, false},
		"weekly by name":              {"@weekly", "", "0 0 * * 0", 7 * 24 * time.Hour, false},
		"yearly by name":              {"@yearly", "", "0 0 1 1 *", 365 * 24 * time.Hour, false},
		"uneven minutes":              {"0,10,40 * * * *", "", "0,10,40 * * * *", 10 * time.Minute, false},
		"the shortest crosses hours":  {"5,55 * * * *", "", "5,55 * * * *", 10 * time.Minute, false},
		"the shortest crosses days":   {"0 1,23 * * *", "", "0 1,23 * * *", 2 * time.Hour, false},
		"midnight is not crossed":     {"0 1,23 * * 1", "", "0 1,23 * * 1", 22 * time.Hour, false},
		"leap days":                   {"0 0 29 2 *", "", "0 0 29 2 *", 1461 * 24 * time.Hour, false},
		"question marks":              {"0 0 ? * ?", "", "0 0 ? * ?", 24 * time.Hour, false},
		"either day":                  {"0 0 13 * 5", "", "0 0 13 * 5", 24 * time.Hour, false},
		"a step that divides nothing": {"*/45 * * * *", "", "*/45 * * * *", 15 * time.Minute, false},
		"a step from a value":         {"30/10 * * * *", "", "30/10 * * * *", 10 * time.Minute, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spec, err := schedule.Parse(tt.expr, tt.timezone)
			if err != nil {
				t.Fatal(err)
			}
			if spec.String() != tt.text || spec.Interval() != tt.interval || spec.IsEvery() != tt.every {
				t.Errorf("got %q, interval %s, every %v; want %q, %s, %v", spec, spec.Interval(), spec.IsEvery(), tt.text, tt.interval, tt.every)
			}
		})
	}
}

func TestCompress(t *testing.T) {
	tests := map[string]struct {
		expr string
		n    float64
		want string
	}{
		"an interval":                    {"@every 60s", 60, "@every 1s"},
		"below what users may write":     {"@every 30s", 60, "@every 500ms"},
		"a cron expression":              {"*/5 * * * *", 60, "@every 5s"},
		"not below ten milliseconds":     {"@every 1s", 1e9, "@every 10ms"},
		"one leaves it":                  {"*/5 * * * *", 1, "*/5 * * * *"},
		"zero leaves it":                 {"@every 60s", 0, "@every 1m0s"},
		"a negative number leaves it":    {"@every 60s", -3, "@every 1m0s"},
		"a number that is none is no-op": {"@every 60s", math.NaN(), "@every 1m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := mustParse(t, tt.expr, "").Compress(tt.n).String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Offsets and dates of the transitions are those of the IANA time zone database, as published in its 2025 releases.
func TestNextOverDaylightSaving(t *testing.T) {
	tests := map[string]struct {
		expr, timezone string
		after          string
		want           []string
	}{
		"Paris, spring: a daily job in the gap runs at its end": {
			"30 2 * * *", "Europe/Paris", "2026-03-28T03:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		"Paris, spring: a job that fires often in the gap runs once at its end": {
			"*/20 * * * *", "Europe/Paris", "2026-03-29T01:30:00+01:00",
			[]string{"2026-03-29T01:40:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"},
		},
		"Paris, spring: a job beside the gap does not notice": {
			"0 4 * * *", "Europe/Paris", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T04:00:00+02:00", "2026-03-30T04:00:00+02:00"},
		},
		"Paris, autumn: a daily job in the repeated hour runs once": {
			"30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		"Paris, autumn: asked within the second hour": {
			"30 2 * * *", "Europe/Paris", "2026-10-25T02:10:00+01:00",
			[]string{"2026-10-26T02:30:00+01:00"},
		},
		"Paris, autumn: a job that fires often runs every time": {
			"*/30 * * * *", "Europe/Paris", "2026-10-25T01:45:00+02:00",
			[]string{
				"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00",
				"2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00",
			},
		},
		"New York, spring": {
			"30 2 * * *", "America/New_York", "2026-03-07T12:00:00-05:00",
			[]string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"},
		},
		"New York, autumn": {
			"30 1 * * *", "America/New_York", "2026-10-31T12:00:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"},
		},
		"New York, autumn: an hourly job leaves no hole of two hours": {
			"30 * * * *", "America/New_York", "2026-11-01T00:45:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00"},
		},
		"Lord Howe, spring: a gap of half an hour": {
			"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"},
		},
		"Lord Howe, autumn: half an hour is repeated": {
			"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"},
		},
		"Lord Howe, autumn: every ten minutes, each time": {
			"*/10 * * * *", "Australia/Lord_Howe", "2026-04-05T01:35:00+11:00",
			[]string{
				"2026-04-05T01:40:00+11:00", "2026-04-05T01:50:00+11:00", "2026-04-05T01:30:00+10:30",
				"2026-04-05T01:40:00+10:30", "2026-04-05T01:50:00+10:30", "2026-04-05T02:00:00+10:30",
			},
		},
		"São Paulo, spring 2018: midnight does not exist": {
			"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		},
		"São Paulo, autumn 2018: the last hour of the day is repeated": {
			"30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00-02:00",
			[]string{"2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"},
		},
		"Auckland, spring": {
			"30 2 * * *", "Pacific/Auckland", "2026-09-26T12:00:00+12:00",
			[]string{"2026-09-27T03:00:00+13:00", "2026-09-28T02:30:00+13:00"},
		},
		"Auckland, autumn": {
			"30 2 * * *", "Pacific/Auckland", "2026-04-04T12:00:00+13:00",
			[]string{"2026-04-05T02:30:00+13:00", "2026-04-06T02:30:00+12:00"},
		},
		"Casablanca, start of Ramadan 2026: an hour is repeated": {
			"30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00:00+01:00",
			[]string{"2026-02-15T02:30:00+01:00", "2026-02-16T02:30:00Z"},
		},
		"Casablanca, end of Ramadan 2026: an hour is left out": {
			"30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00:00+00:00",
			[]string{"2026-03-22T03:00:00+01:00", "2026-03-23T02:30:00+01:00"},
		},
		"Apia, 2011: a whole day is left out": {
			"0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"},
		},
		"UTC has none of it": {
			"30 2 * * *", "", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"},
		},
		"eight years without a leap day": {
			"0 0 29 2 *", "Europe/Paris", "2096-03-01T00:00:00+01:00", []string{"2104-02-29T00:00:00+01:00"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spec := mustParse(t, tt.expr, tt.timezone)
			start := at(t, tt.after)
			now := start
			for _, want := range tt.want {
				now = spec.Next(now)
				if got := now.Format(time.RFC3339); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
			if got := spec.Count(start, now); got != len(tt.want) {
				t.Errorf("Count gave %d, want %d", got, len(tt.want))
			}
		})
	}
}

func TestNextOfAnIntervalStandsOnTheGrid(t *testing.T) {
	spec := mustParse(t, "@every 7m", "")
	after := at(t, "2026-01-01T00:00:00Z")
	first := spec.Next(after)
	if got := spec.Next(first).Sub(first); got != 7*time.Minute {
		t.Errorf("got %s between two slots, want 7m", got)
	}
	if got := first.Unix() % (7 * 60); got != 0 {
		t.Errorf("got %d s off the grid of multiples since 1970, want 0", got)
	}
	if got := spec.Next(first.Add(-1)); !got.Equal(first) {
		t.Errorf("got %s a nanosecond before a slot, want the slot %s", got, first)
	}
}

func TestCountIsWhatNextWalks(t *testing.T) {
	start := at(t, "2026-01-01T00:00:00Z")
	for _, expr := range []string{"@every 7m", "*/7 * * * *", "30 1,2,3 * * *", "0 0 13 * 5", "15 2 * * sun", "5-50/9 */3 * * *", "30 * * * *"} {
		for _, timezone := range []string{"", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Auckland"} {
			spec := mustParse(t, expr, timezone)
			now, want := start, 0
			for end := start.AddDate(1, 0, 0); now.Before(end); want++ {
				now = spec.Next(now)
				if want%37 != 0 {
					continue
				}
				if got := spec.Count(start, now.Add(-1)); got != want {
					t.Fatalf("%s: Count up to just before %s gave %d, want %d", spec, now, got, want)
				}
				if got := spec.Count(start, now); got != want+1 {
					t.Fatalf("%s: Count up to %s gave %d, want %d", spec, now, got, want+1)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"@every 30s", "*/5 * * * *", "0 9 * * mon-fri", "TZ=0", "CRON_TZ=UTC", "TZ=", "0 0 31 2 *", "*/61 * * * *",
		"@hourly", "0 0 29 2 *", "1,,2 * * * *", "? ? ? ? ? ?", "@every -1s", "@every 1ns", "30 2 * * *",
	} {
		f.Add(seed, "Europe/Paris", int64(1774746000))
		f.Add(seed, "", int64(-1))
	}
	f.Fuzz(func(t *testing.T, expr, timezone string, seconds int64) {
		spec, err := schedule.Parse(expr, timezone)
		if err != nil {
			var placed *schedule.ParseError
			if !errors.As(err, &placed) || placed.Column < 1 || placed.Column > len(placed.Expr)+1 {
				t.Fatalf("got %#v, want a ParseError with a column in %q", err, expr)
			}
			return
		}
		again, err := schedule.Parse(spec.String(), "")
		if spec.IsEvery() && (err != nil || again.String() != spec.String()) {
			t.Fatalf("%q reads back as %q, %v", spec, again, err)
		}
		if spec.Interval() < time.Second {
			t.Fatalf("%q has the interval %s, want 1s or longer", spec, spec.Interval())
		}
		const years = 200 * 365 * 24 * 60 * 60
		start := time.Unix(seconds%years, 0)
		now := start
		for range 5 {
			next := spec.Next(now)
			if !next.After(now) {
				t.Fatalf("%q: Next(%s) gave %s, want a later time", spec, now, next)
			}
			now = next
		}
		if got := spec.Count(start, now); got != 5 {
			t.Fatalf("%q: Count(%s, %s) gave %d, want 5", spec, start, now, got)
		}
	})
}

func mustParse(tb testing.TB, expr, timezone string) schedule.Spec {
	tb.Helper()
	spec, err := schedule.Parse(expr, timezone)
	if err != nil {
		tb.Fatal(err)
	}
	return spec
}

func at(tb testing.TB, text string) time.Time {
	tb.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		tb.Fatal(err)
	}
	return when
}
