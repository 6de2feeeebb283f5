package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/internal/gate"
	"github.com/windsock-monitor/windsock/internal/gate/watch"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

// gateDocument is the verdict as it is written.
type gateDocument struct {
	Type      string           `json:"type"` // "verdict"
	Decision  gate.Decision    `json:"decision"`
	ExitCode  int              `json:"exit_code"`
	Reasons   []string         `json:"reasons"`
	Criteria  []gate.Criterion `json:"criteria"`
	App       string           `json:"app,omitempty"`
	Baseline  string           `json:"baseline,omitempty"`
	Watched   []gate.Watched   `json:"watched"`
	Agent     bool             `json:"agent"` // a running agent made the runs of its checks
	BeganAt   time.Time        `json:"began_at"`
	Mark      string           `json:"mark,omitempty"`
	StartedAt time.Time        `json:"started_at"`
	EndedAt   time.Time        `json:"ended_at"`
	For       float64          `json:"for,omitempty"`
	Every     float64          `json:"every,omitempty"`
	Rounds    int              `json:"rounds"`
	Planned   int              `json:"rounds_planned"`
	Ended     string           `json:"ended_early,omitempty"`
	Counts    map[string]int   `json:"counts"` // runs of what is rolled out, by status
	SpentUSD  float64          `json:"spent_usd,omitempty"`
	Commands  []gateCommand    `json:"commands,omitempty"` // printed, not run
	Executed  *execution       `json:"executed,omitempty"`
	Alerts    []gate.Alert     `json:"alerts,omitempty"`  // in the report only
	Samples   []gate.Sample    `json:"samples,omitempty"` // likewise
}

type gateCommand struct {
	What    string `json:"what"`
	Line    string `json:"line"`
	Changes bool   `json:"changes,omitempty"`
}

func (g *gating) document(result watch.Result) *gateDocument {
	doc := &gateDocument{
		Type: "verdict", Decision: result.Decision, ExitCode: exitCode(result.Decision), Reasons: result.Reasons, Criteria: result.Criteria,
		App: g.plan.app, Baseline: g.plan.stable, Watched: g.plan.watched, Agent: g.plan.socket != "" && len(g.plan.configured) > 0, BeganAt: g.plan.began.UTC(), Mark: g.plan.mark,
		StartedAt: g.started.UTC(), EndedAt: time.Now().UTC(), For: g.f.length.Seconds(), Rounds: result.Rounds,
		Planned: watch.Rounds(g.f.length, g.f.every), Ended: result.Ended, Counts: map[string]int{}, Commands: g.commands(result.Decision),
	}
	if !g.f.once {
		doc.Every = g.f.every.Seconds()
	}
	if doc.Criteria == nil {
		doc.Criteria = []gate.Criterion{}
	}
	for _, s := range result.Evidence.Samples {
		if s.Role == gate.Candidate {
			doc.Counts[s.Counted().String()]++
		}
		if s.Role == gate.Candidate || s.Role == gate.Baseline {
			doc.SpentUSD += s.CostUSD
		}
	}
	return doc
}

// commands are those for a decision; for none of them both ways are given.
func (g *gating) commands(d gate.Decision) []gateCommand {
	if !g.f.after.print {
		return nil
	}
	var all []runbook.Command
	if d != gate.RollBack {
		all = append(all, g.plan.setting.Resume()...)
	}
	if d != gate.Promote {
		all = append(all, g.plan.setting.Rollback()...)
	}
	out := make([]gateCommand, 0, len(all))
	for _, c := range all {
		if g.plan.app != "" {
			c.Line = strings.ReplaceAll(c.Line, "APPLICATION_URL", "'"+strings.ReplaceAll(g.plan.app, "'", `'\''`)+"'")
		}
		out = append(out, gateCommand(c))
	}
	return out
}

// write hands a text to standard output, without secrets.
func (g *gating) write(text string) { _, _ = io.WriteString(g.p.stdout, g.p.scrubber.String(text)) }

func (g *gating) line(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		g.note("writing a line: " + err.Error())
		return
	}
	g.write(string(data) + "\n")
}

// begin says what is watched.
func (g *gating) begin() {
	if g.asJSON {
		return
	}
	g.write("watching  " + g.plan.subject() + "\n")
	if g.plan.mark != "" {
		g.write(fmt.Sprintf("rollout   began %s with the mark %q\n", g.plan.began.UTC().Format(time.RFC3339), g.plan.mark))
	}
	if g.plan.socket != "" {
		g.write("agent     the running agent is asked, and its alerts count\n")
	}
}

// sample tells one sample.
func (g *gating) sample(s gate.Sample) {
	if g.asJSON {
		g.line(struct {
			Type string `json:"type"`
			gate.Sample
		}{"sample", s})
		return
	}
	round := fmt.Sprintf("%d/%d", s.Round, watch.Rounds(g.f.length, g.f.every))
	if s.Round == 0 {
		round = "before"
	}
	text := s.Summary
	switch s.Role {
	case gate.Traffic, gate.TrafficBefore:
		text = trafficText(s)
	case gate.Baseline:
		text = "(stable) " + text
	case gate.Candidate, gate.Before:
	}
	g.write(fmt.Sprintf("%s  %-6s  %-20s %-8s %7.3fs  %s\n", s.At.Format("15:04:05"), round, s.Check, s.Status, s.Took, oneLine(text, 200)))
}

func trafficText(s gate.Sample) string {
	var parts []string
	if v, ok := s.Values[gate.ErrorShare]; ok {
		parts = append(parts, fmt.Sprintf("%.3g %% of the requests fail", 100*v))
	}
	if v, ok := s.Values[gate.SpendPerRequest]; ok {
		parts = append(parts, fmt.Sprintf("$%.6f a request", v))
	}
	if len(parts) == 0 {
		return "the application's metrics do not say: " + s.Summary
	}
	return strings.Join(parts, ", ")
}

// verdict tells the end of it.
func (g *gating) verdict(doc *gateDocument) {
	if g.asJSON {
		g.line(doc)
		return
	}
	var out strings.Builder
	out.WriteString("\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, c := range doc.Criteria {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Outcome, c.Name, c.Check, c.Detail)
	}
	_ = table.Flush()
	out.WriteString("\n")
	if doc.Ended != "" {
		fmt.Fprintf(&out, "ended     after %d of %d rounds: %s\n", doc.Rounds, doc.Planned, doc.Ended)
	}
	fmt.Fprintf(&out, "verdict   %s\n", words(doc.Decision))
	for _, reason := range doc.Reasons {
		fmt.Fprintf(&out, "          %s\n", reason)
	}
	for _, c := range doc.Commands {
		fmt.Fprintf(&out, "command   # %s\n          %s\n", c.What, c.Line)
	}
	if doc.Executed != nil {
		doc.Executed.print(&out)
	}
	g.write(out.String())
}

// writeReport writes the whole document. Who reads the file sees the old one or all of the new one.
func (g *gating) writeReport(doc *gateDocument) error {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("writing it as JSON: %w", err)
	}
	text := []byte(g.p.scrubber.String(string(data)) + "\n")
	path := g.f.report
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeThrough(path, text)
	}
	part, err := makePart(path)
	if err != nil {
		return err
	}
	_, err = part.Write(text)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}

// regular reports whether a file is there, or can be, that can be written anew.
func regular(path string) bool {
	info, err := os.Stat(path)
	return path != "" && (err != nil || info.Mode().IsRegular())
}

// makePart makes a file beside the one that is to be made.
func makePart(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
}

// writeThrough writes to a device or a pipe, which has no other name to be written under.
func writeThrough(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// reportable reports why a report could not be written, before anything is asked.
func reportable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return fmt.Errorf("--report %q is a folder, want a file", path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	part, err := makePart(path)
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return errors.Join(part.Close(), os.Remove(part.Name()))
}

// oneLine is a text without control characters, cut to most bytes.
func oneLine(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
