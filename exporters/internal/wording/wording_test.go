package wording_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/internal/wording"
)

func TestTitlesAreOneLine(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]checks.Alert{
		"[P1] api-down is firing":           {Rule: "api-down", Severity: checks.P1, State: checks.AlertFiring},
		"[P4] blind has no data":            {Rule: "blind", Severity: checks.P4, State: checks.AlertNoData},
		"[P2] two lines is resolved":        {Rule: "two\nlines", Severity: checks.P2, State: checks.AlertResolved},
		"[P?] alert is in an unknown state": {},
	} {
		if got := wording.Title(&a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRunbooksAreURLsOrBuiltIn(t *testing.T) {
	t.Parallel()
	for runbook, want := range map[string]string{
		"high-latency":                "https://wiki.example/r#high-latency",
		"https://wiki.example/own?x=": "https://wiki.example/own?x=",
		"":                            "",
		"javascript:alert(1)":         "",
		"High Latency":                "",
		"../x":                        "",
		"https://":                    "",
	} {
		if got := wording.Runbook(&checks.Alert{Runbook: runbook}, "https://wiki.example/r#"); got != want {
			t.Errorf("%q: got %q, want %q", runbook, got, want)
		}
	}
	if got, want := wording.Runbook(&checks.Alert{Runbook: "api-down"}, ""), exporters.Runbooks+"api-down.md"; got != want {
		t.Errorf("without a base: got %q, want %q", got, want)
	}
}

func TestPeopleHearMoreInTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		alert checks.Alert
		by    time.Time
		words string
	}{
		"the incident says when":    {checks.Alert{Severity: checks.P1, Since: noon, RespondBy: noon.Add(time.Minute)}, noon.Add(time.Minute), ""},
		"P1 from its beginning":     {checks.Alert{Severity: checks.P1, Since: noon, At: noon.Add(time.Hour)}, noon.Add(15 * time.Minute), ""},
		"P3 without a beginning":    {checks.Alert{Severity: checks.P3, At: noon}, noon.Add(4 * time.Hour), ""},
		"P2 without any time":       {checks.Alert{Severity: checks.P2}, time.Time{}, "within 1h"},
		"P1 without any time":       {checks.Alert{Severity: checks.P1}, time.Time{}, "within 15m"},
		"P4 waits for business":     {checks.Alert{Severity: checks.P4, Since: noon}, time.Time{}, "next business day"},
		"a severity nobody heard":   {checks.Alert{Severity: "P9", Since: noon}, time.Time{}, "next business day"},
		"labels have nothing to do": {checks.Alert{Severity: checks.P2, Since: noon, Labels: map[string]string{"a": "b"}}, noon.Add(time.Hour), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by, words := wording.NextUpdate(&tt.alert)
			if !by.Equal(tt.by) || words != tt.words {
				t.Errorf("got %s, %q, want %s, %q", by, words, tt.by, tt.words)
			}
		})
	}
}

func TestLabelsAreBoundedAndSorted(t *testing.T) {
	t.Parallel()
	a := checks.Alert{Labels: map[string]string{"c": "3", "a": "1\n", "b": "", "d": "4"}}
	if diff := cmp.Diff([]string{"a=1", "c=3"}, wording.Labels(&a, 2)); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestADrillSaysSoOnce(t *testing.T) {
	t.Parallel()
	drill := map[string]string{checks.LabelDrill: "key-revoked"}
	for name, tt := range map[string]struct {
		alert                checks.Alert
		title, summary, line string
	}{
		"an outage": {
			checks.Alert{Rule: "r", Severity: checks.P1, State: checks.AlertFiring, Summary: "it is down"},
			"[P1] r is firing", "it is down", "[P1] r is firing: it is down",
		},
		"a drill": {
			checks.Alert{Rule: "r", Severity: checks.P1, State: checks.AlertFiring, Summary: "it is down", Labels: drill},
			"DRILL [P1] r is firing", "DRILL it is down", "DRILL [P1] r is firing: it is down",
		},
		"a drill that said so": {
			checks.Alert{Rule: "r", Severity: checks.P1, State: checks.AlertResolved, Summary: "DRILL it is down", Labels: drill},
			"DRILL [P1] r is resolved", "DRILL it is down", "DRILL [P1] r is resolved: it is down",
		},
		"a drill without words": {
			checks.Alert{Rule: "r", Severity: checks.P1, State: checks.AlertFiring, Labels: drill},
			"DRILL [P1] r is firing", "DRILL", "DRILL [P1] r is firing",
		},
	} {
		if got := wording.Title(&tt.alert); got != tt.title {
			t.Errorf("%s: got the title %q, want %q", name, got, tt.title)
		}
		if got := wording.Summary(&tt.alert); got != tt.summary {
			t.Errorf("%s: got the summary %q, want %q", name, got, tt.summary)
		}
		if got := wording.Line(&tt.alert); got != tt.line {
			t.Errorf("%s: got the line %q, want %q", name, got, tt.line)
		}
	}
}
