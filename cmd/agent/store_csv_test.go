package main

import (
	"bytes"
	"encoding/csv"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// table is what a spreadsheet reads of records.
func table(t *testing.T, records ...checks.Record) []map[string]string {
	t.Helper()
	var b bytes.Buffer
	w, err := newRecordTable(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		data, err := r.MarshalJSON()
		if err == nil {
			err = w.add(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		cells := map[string]string{}
		for i, cell := range row {
			cells[rows[0][i]] = cell
		}
		out = append(out, cells)
	}
	return out
}

func TestATableOfRecordsHasWhatTheyHold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 9, 30, 0, 5000, time.FixedZone("", 3600))
	rows := table(t,
		checks.OfReport(&checks.Report{
			ID: "R", Check: "chat", Kind: "chat", Provider: "mistral", Location: "par1", Labels: map[string]string{"env": "prod", "a": "b"},
			ScheduledAt: at, StartedAt: at, Took: 250 * time.Millisecond, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
			Result: checks.Result{
				Status: checks.Failed, Cause: checks.CauseTimeout, Blame: checks.BlameProvider, Summary: "first, token \"late\"\nby 5s",
				Usage: &checks.Usage{Model: "mistral-small-latest", PromptTokens: 15, CompletionTokens: 2, Cost: 2_850_000},
			},
		}),
		checks.Record{ID: "A", At: at, Alert: &checks.Alert{
			Rule: "slow", State: checks.AlertFiring, Severity: checks.P2, At: at, Since: at, Value: -1.5, Threshold: 1e21, Summary: "=HYPERLINK(\"http://evil\")",
		}},
		checks.Record{ID: "S", At: at, Agent: &checks.Snapshot{Version: "1.0.0", Location: "par1", StartedAt: at}},
	)
	want := []map[string]string{
		{
			"type": "report", "id": "R", "at": "2026-11-28T08:30:00.250005Z", "check": "chat", "labels": "a=b;env=prod", "took": "0.25", "final": "true",
			"status": "failed", "cause": "timeout", "blame": "provider", "summary": "first, token \"late\"\nby 5s", "cost_usd": "0.00000285", "prompt_tokens": "15", "rule": "",
		},
		{"type": "alert", "id": "A", "value": "-1.5", "threshold": "1000000000000000000000", "summary": "'=HYPERLINK(\"http://evil\")", "state": "firing", "severity": "P2", "took": ""},
		{"type": "agent", "id": "S", "version": "1.0.0", "location": "par1", "started_at": "2026-11-28T08:30:00.000005Z", "status": ""},
	}
	for i, cells := range want {
		for column, cell := range cells {
			if got := rows[i][column]; got != cell {
				t.Errorf("row %d, %s: %q, want %q", i, column, got, cell)
			}
		}
	}
}

// FuzzTable holds that no text of a record becomes a formula, another cell or another row.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"", "plain", "=1+1", "-2", "+3", "@SUM(A1)", "\t=1", "\r\n=1", "a\",=1", "'=1", "＝1", "\xff=1", "a\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rows := table(t, checks.OfReport(&checks.Report{ID: "R", Check: s, Kind: "chat", Result: checks.Result{Summary: s, Cause: checks.Cause(s)}}))
		if len(rows) != 1 {
			t.Fatalf("%d rows", len(rows))
		}
		for _, column := range []string{"check", "summary", "cause"} {
			got := rows[0][column]
			if got != "" && strings.ContainsAny(got[:1], "=+-@\t\r\n") {
				t.Errorf("%s is %q", column, got)
			}
			if want := strings.ReplaceAll(s, "\r", ""); utf8.ValidString(s) && strings.TrimPrefix(got, "'") != strings.TrimPrefix(want, "'") {
				t.Errorf("%s is %q, want the text %q", column, got, want)
			}
		}
	})
}

// FuzzMoment holds that a moment is understood or refused, and is one that a record can have.
func FuzzMoment(f *testing.F) {
	for _, seed := range []string{"", "24h", "7d", "-1h", "2026-11-28", "2026-11-28T08:00:00+01:00", "0001-01-01", "9999999h", "1d12h", "soon", "0000-01-01", "P1D"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := moment(s, now)
		if err != nil || s == "" {
			if !at.IsZero() {
				t.Errorf("%q: %s with %v", s, at, err)
			}
			return
		}
		if micros := at.UnixMicro(); micros < math.MinInt64/2 || micros > math.MaxInt64/2 || at.Year() < 1 || at.Year() > 9999 {
			t.Errorf("%q is %s", s, at)
		}
	})
}
