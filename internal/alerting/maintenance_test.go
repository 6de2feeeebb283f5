package alerting_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

func paris(t *testing.T, expr string) schedule.Spec {
	t.Helper()
	spec, err := schedule.Parse(expr, "Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestAWindowIsOpenForItsDurationWhateverClocksAreSetTo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schedule    string
		duration    time.Duration
		now         string
		from, until string // "" where it is closed
	}{
		"before it begins":                    {"0 2 * * *", 2 * time.Hour, "2026-06-10T01:59:59+02:00", "", ""},
		"in the moment it begins":             {"0 2 * * *", 2 * time.Hour, "2026-06-10T02:00:00+02:00", "2026-06-10T02:00:00+02:00", "2026-06-10T04:00:00+02:00"},
		"in its last moment":                  {"0 2 * * *", 2 * time.Hour, "2026-06-10T03:59:59+02:00", "2026-06-10T02:00:00+02:00", "2026-06-10T04:00:00+02:00"},
		"in the moment it ends":               {"0 2 * * *", 2 * time.Hour, "2026-06-10T04:00:00+02:00", "", ""},
		"it begins in the gap: not before":    {"30 2 * * *", time.Hour, "2026-03-29T01:59:59+01:00", "", ""},
		"it begins in the gap: at its end":    {"30 2 * * *", time.Hour, "2026-03-29T03:10:00+02:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		"it begins in the gap: its whole":     {"30 2 * * *", time.Hour, "2026-03-29T04:00:00+02:00", "", ""},
		"it spans the gap: an hour of clocks": {"30 1 * * *", 2 * time.Hour, "2026-03-29T04:29:00+02:00", "2026-03-29T01:30:00+01:00", "2026-03-29T04:30:00+02:00"},
		"in a repeated hour: the first":       {"30 2 * * *", time.Hour, "2026-10-25T02:45:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		"in a repeated hour: not the second":  {"30 2 * * *", time.Hour, "2026-10-25T02:30:00+01:00", "", ""},
		"it spans the repeated hour":          {"0 1 * * *", 3 * time.Hour, "2026-10-25T02:59:59+01:00", "2026-10-25T01:00:00+02:00", "2026-10-25T03:00:00+01:00"},
		"after the repeated hour":             {"0 1 * * *", 3 * time.Hour, "2026-10-25T03:00:00+01:00", "", ""},
		"it begins anew before it is over":    {"0 * * * *", 90 * time.Minute, "2026-06-10T05:20:00+02:00", "2026-06-10T05:00:00+02:00", "2026-06-10T06:30:00+02:00"},
		"once a month, days ago":              {"0 0 1 * *", 5 * 24 * time.Hour, "2026-06-04T12:00:00+02:00", "2026-06-01T00:00:00+02:00", "2026-06-06T00:00:00+02:00"},
		"once a month, weeks ago":             {"0 0 1 * *", 5 * 24 * time.Hour, "2026-06-20T12:00:00+02:00", "", ""},
		"every minute for a year":             {"* * * * *", 8784 * time.Hour, "2026-06-20T12:00:30+02:00", "2026-06-20T12:00:00+02:00", "2027-06-21T12:00:00+02:00"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := alerting.Windows(at(t, test.now), []config.Maintenance{{Name: "w", Schedule: paris(t, test.schedule), Duration: test.duration}})
			if test.from == "" {
				if len(open) != 0 {
					t.Fatalf("open from %s until %s, want closed", open[0].From, open[0].Until)
				}
				return
			}
			if len(open) != 1 {
				t.Fatal("closed, want open")
			}
			if !open[0].From.Equal(at(t, test.from)) || !open[0].Until.Equal(at(t, test.until)) {
				t.Errorf("open from %s until %s, want %s to %s", open[0].From, open[0].Until, test.from, test.until)
			}
		})
	}
}

func TestTheGateSkipsWhatWindowsMatchAndSaysUntilWhen(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-06-10T02:30:00+02:00")
	window := config.Maintenance{
		Name: "nightly", Schedule: paris(t, "0 2 * * *"), Duration: time.Hour, Skip: true, Reason: "backups",
		Match: []alerts.Matcher{{Attr: "provider", In: []string{"mistral"}}, {Attr: "team", In: []string{"platform"}}},
	}
	tests := map[string]struct {
		job  pipeline.Job
		now  time.Time
		skip bool
	}{
		"a check that matches by the labels of all":     {pipeline.Job{Name: "a", Provider: "mistral"}, now, true},
		"a check whose own label is another":            {pipeline.Job{Name: "b", Provider: "mistral", Labels: map[string]string{"team": "data"}}, now, false},
		"a check of another provider":                   {pipeline.Job{Name: "c"}, now, false},
		"a check that would match, when it is closed":   {pipeline.Job{Name: "a", Provider: "mistral"}, now.Add(time.Hour), false},
		"a label of the name of an attribute is no way": {pipeline.Job{Name: "d", Labels: map[string]string{"provider": "mistral"}}, now, false},
	}
	gate := alerting.Gate([]config.Maintenance{window}, map[string]string{"team": "platform"})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := gate(test.now, &test.job)
			if got := refusal != nil; got != test.skip {
				t.Fatalf("skipped %v, want %v", got, test.skip)
			}
			if refusal == nil {
				return
			}
			if refusal.Status != checks.Skipped || refusal.Cause != checks.CauseMaintenance {
				t.Errorf("%s %s, want skipped maintenance", refusal.Status, refusal.Cause)
			}
			for _, want := range []string{`"nightly"`, "2026-06-10T03:00:00+02:00", "backups"} {
				if !strings.Contains(refusal.Summary, want) {
					t.Errorf("summary %q does not hold %q", refusal.Summary, want)
				}
			}
		})
	}
	window.Skip = false
	if alerting.Gate([]config.Maintenance{window}, nil) != nil {
		t.Error("a window in which checks run has a gate")
	}
}
