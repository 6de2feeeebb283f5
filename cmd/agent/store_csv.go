package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// recordColumns are the columns of a table of records, in their order. New ones are added at the end.
func recordColumns() []string {
	return []string{
		"type", "id", "at", "check", "kind", "provider", "location", "labels", "scheduled_at", "started_at", "took", "trigger",
		"attempt", "final", "slots", "status", "cause", "blame", "summary", "model", "prompt_tokens", "cached_tokens",
		"completion_tokens", "cost_usd", "rule", "severity", "state", "previous", "since", "value", "threshold", "incident", "version",
	}
}

// recordTable writes records as a table: RFC 4180, UTF-8, times in RFC 3339 UTC, durations in seconds. Lines end in CR LF,
// and a CR within a text is left out.
type recordTable struct {
	w       *csv.Writer
	columns []string
	row     []string
}

func newRecordTable(w io.Writer) (*recordTable, error) {
	t := &recordTable{w: csv.NewWriter(w), columns: recordColumns()}
	t.w.UseCRLF = true
	t.row = make([]string, len(t.columns))
	return t, t.w.Write(t.columns)
}

func (t *recordTable) flush() error {
	t.w.Flush()
	return t.w.Error()
}

// add writes the row of a record, given as its JSON.
func (t *recordTable) add(data []byte) error {
	var r checks.Record
	if err := r.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	cells := map[string]string{"type": string(r.Type()), "id": text(r.ID), "at": when(r.At)}
	switch {
	case r.Report != nil:
		reportCells(cells, r.Report)
	case r.Alert != nil:
		alertCells(cells, r.Alert)
	case r.Agent != nil:
		cells["location"], cells["started_at"], cells["version"] = text(r.Agent.Location), when(r.Agent.StartedAt), text(r.Agent.Version)
	}
	for i, column := range t.columns {
		t.row[i] = cells[column]
	}
	return t.w.Write(t.row)
}

func reportCells(cells map[string]string, r *checks.Report) {
	cells["check"], cells["kind"], cells["provider"], cells["location"] = text(r.Check), text(r.Kind), text(r.Provider), text(r.Location)
	cells["labels"], cells["scheduled_at"], cells["started_at"] = pairs(r.Labels), when(r.ScheduledAt), when(r.StartedAt)
	cells["took"], cells["trigger"], cells["attempt"] = number(r.Took.Seconds()), text(string(r.Trigger)), strconv.Itoa(r.Attempt)
	cells["final"], cells["slots"], cells["status"] = strconv.FormatBool(r.Final), strconv.Itoa(r.Slots), r.Status.String()
	cells["cause"], cells["blame"], cells["summary"] = text(string(r.Cause)), text(string(r.Blame)), text(r.Summary)
	if u := r.Usage; u != nil {
		cells["model"], cells["cost_usd"] = text(u.Model), number(u.Cost.USD())
		cells["prompt_tokens"], cells["cached_tokens"] = strconv.FormatInt(u.PromptTokens, 10), strconv.FormatInt(u.CachedTokens, 10)
		cells["completion_tokens"] = strconv.FormatInt(u.CompletionTokens, 10)
	}
}

func alertCells(cells map[string]string, a *checks.Alert) {
	cells["labels"], cells["blame"], cells["summary"] = pairs(a.Labels), text(string(a.Blame)), text(a.Summary)
	cells["rule"], cells["severity"], cells["state"], cells["previous"] = text(a.Rule), text(string(a.Severity)), text(string(a.State)), text(string(a.Previous))
	cells["since"], cells["value"], cells["threshold"], cells["incident"] = when(a.Since), number(a.Value), number(a.Threshold), text(a.Incident)
}

// text is a cell that no spreadsheet takes for a formula: it begins with an apostrophe where it would.
func text(s string) string {
	if s == "" || !strings.ContainsAny(string([]rune(s)[0]), "=+-@\t\r\n＝＋－＠") {
		return s
	}
	return "'" + s
}

func pairs(labels map[string]string) string {
	all := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return text(strings.Join(all, ";"))
}

func when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
