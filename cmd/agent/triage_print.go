package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/secret"
	"github.com/windsock-monitor/windsock/internal/triage"
)

// triageTold is a triage as it is told, in the form of --output json.
type triageTold struct {
	Class     triage.Class    `json:"class"`
	Cause     checks.Cause    `json:"cause,omitempty"`
	Blame     checks.Blame    `json:"blame,omitempty"`
	Branch    runbook.Branch  `json:"branch"`
	Severity  checks.Severity `json:"severity,omitempty"`
	RespondIn string          `json:"respond_in,omitempty"`
	Why       string          `json:"why"`
	Also      []string        `json:"also,omitempty"`
	Signals   triage.Signals  `json:"signals"`
	Provider  string          `json:"provider"`
	Address   string          `json:"address"`
	StartedAt time.Time       `json:"started_at"`
	Took      float64         `json:"took"`
	Stopped   bool            `json:"stopped,omitempty"`
	Steps     []triage.Step   `json:"steps"`
	Runbook   triagePage      `json:"runbook"`
}

// triagePage is what to do: printed, never run.
type triagePage struct {
	Page        string             `json:"page,omitempty"` // its address among the team's own
	Title       string             `json:"title"`
	Means       string             `json:"means"`
	Actions     []triageAction     `json:"actions"`
	Commands    []triageCommand    `json:"commands,omitempty"`
	Mitigations []triageMitigation `json:"mitigations,omitempty"`
	Escalate    string             `json:"escalate,omitempty"`
	Contacts    []triageContact    `json:"contacts,omitempty"`
	Over        string             `json:"over,omitempty"`
}

type triageAction struct {
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}

type triageCommand struct {
	What    string `json:"what"`
	Line    string `json:"line"`
	Changes bool   `json:"changes,omitempty"`
}

type triageMitigation struct {
	What    string  `json:"what"`
	Command string  `json:"command,omitempty"`
	Revert  string  `json:"revert"`
	Expires float64 `json:"expires"` // seconds
}

type triageContact struct {
	After   float64 `json:"after"` // seconds
	Contact string  `json:"contact"`
}

// mostActions is how many next actions are told.
const mostActions = 3

func tellTriage(s *triageSetting, walk *triage.Walk, c *triage.Conclusion, began time.Time) *triageTold {
	setting := settingFor(s.cfg, s.provider.Name)
	setting.Application = s.app.Params.URL
	told := &triageTold{
		Class: c.Class, Cause: c.Cause, Blame: c.Blame, Branch: c.Branch, Severity: c.Severity, Why: c.Why, Also: c.Also, Signals: c.Signals,
		Provider: s.provider.Name, Address: s.address(), StartedAt: began.UTC(), Took: time.Since(began).Seconds(), Stopped: walk.Interrupted,
		Runbook: pageOf(c, setting),
	}
	if c.Severity != "" {
		told.RespondIn = runbook.ResponseTime(c.Severity)
		if within := s.cfg.Incidents.RespondIn[c.Severity]; within > 0 && within != spare(c.Severity) {
			told.RespondIn = runbook.Lasting(within)
		}
	}
	told.Runbook.Page = s.cfg.Runbook.Link(c.Branch)
	for _, name := range triage.Names() {
		step := walk.Step(name)
		if step.Detail == "" && step.Verdict == triage.Skipped {
			step.Detail = notLookedAt(name, walk)
		}
		told.Steps = append(told.Steps, step)
	}
	return told
}

// spare is what the time to respond is where the configuration says nothing of it.
func spare(severity checks.Severity) time.Duration {
	return map[checks.Severity]time.Duration{checks.P1: 15 * time.Minute, checks.P2: time.Hour, checks.P3: 4 * time.Hour}[severity]
}

// notLookedAt says why a step was not made that nobody has told of.
func notLookedAt(name triage.Name, walk *triage.Walk) string {
	switch {
	case name == triage.Ping && walk.Free:
		return "left out, because it costs money (--free)"
	case name == triage.AppLog:
		return "no log is given (--app-log)"
	}
	return "not looked at"
}

func pageOf(c *triage.Conclusion, setting runbook.Setting) triagePage {
	page := c.Branch.Page(setting)
	out := triagePage{Title: page.Title, Means: page.Means, Escalate: page.Escalate, Over: page.Over, Actions: []triageAction{}}
	for i, a := range page.Actions {
		if i == mostActions {
			break
		}
		out.Actions = append(out.Actions, triageAction(a))
	}
	for _, command := range page.Commands {
		out.Commands = append(out.Commands, triageCommand(command))
	}
	for _, m := range page.Mitigations {
		out.Mitigations = append(out.Mitigations, triageMitigation{What: m.What, Command: m.Command, Revert: m.Revert, Expires: m.Expires.Seconds()})
	}
	for _, e := range setting.Escalation {
		if e.Severity == string(c.Severity) {
			out.Contacts = append(out.Contacts, triageContact{e.After.Seconds(), e.Contact})
		}
	}
	return out
}

// writeTriage writes all of it: a verdict that did not arrive is none.
func writeTriage(w *secret.Writer, t *triageTold, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, t); err != nil {
			return err
		}
	} else {
		var text bytes.Buffer
		printTriage(&text, t)
		if _, err := w.Write(text.Bytes()); err != nil {
			return exit(exitCannot, fmt.Errorf("writing the answer: %w", err))
		}
	}
	if err := w.Flush(); err != nil {
		return exit(exitCannot, fmt.Errorf("writing the answer: %w", err))
	}
	return nil
}

func printTriage(w io.Writer, t *triageTold) {
	fmt.Fprintf(w, "triage of %s (%s)\n\n", t.Provider, t.Address)
	for i := range t.Steps {
		printTriageStep(w, &t.Steps[i])
	}
	fmt.Fprintf(w, "\nsignals     status page %s, probe %s, application %s\n", spaced(t.Signals.Page), spaced(t.Signals.Probe), spaced(t.Signals.App))
	fmt.Fprintf(w, "class       %s\n", spaced(t.Class))
	if t.Cause != checks.CauseNone {
		fmt.Fprintf(w, "cause       %s\n", t.Cause)
	}
	if t.Blame != checks.BlameNone {
		fmt.Fprintf(w, "blame       %s\n", t.Blame)
	}
	if t.Severity != "" {
		fmt.Fprintf(w, "severity    %s, respond within %s\n", t.Severity, t.RespondIn)
	}
	fmt.Fprintf(w, "why         %s\n", t.Why)
	for _, text := range t.Also {
		fmt.Fprintf(w, "also        %s\n", text)
	}
	printTriagePage(w, &t.Runbook)
	fmt.Fprintf(w, "\ntook %s\n", seconds(t.Took))
}

// spaced is a word of the JSON as people write it.
func spaced[T ~string](word T) string {
	out := []rune(string(word))
	for i, r := range out {
		if r == '_' {
			out[i] = ' '
		}
	}
	return string(out)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func printTriageStep(w io.Writer, s *triage.Step) {
	mark := map[triage.Verdict]string{triage.OK: "✓", triage.Degraded: "!", triage.Wrong: "✗", triage.Unknown: "?", triage.Skipped: "-"}[s.Verdict]
	took := ""
	if s.Took > 0 {
		took = seconds(s.Took).String()
	}
	fmt.Fprintf(w, "%s %-22s %7s  ", mark, s.Words(), took)
	switch s.Verdict {
	case triage.Unknown:
		fmt.Fprint(w, "unknown: ")
	case triage.Skipped:
		fmt.Fprint(w, "skipped: ")
	case triage.OK, triage.Degraded, triage.Wrong:
	}
	if s.LookedAt != "" {
		fmt.Fprintf(w, "%s: ", s.LookedAt)
	}
	fmt.Fprintln(w, s.Detail)
	for _, note := range s.Notes {
		fmt.Fprintf(w, "%34s%s\n", "", note)
	}
}

func printMitigations(w io.Writer, all []triageMitigation) {
	if len(all) > 0 {
		fmt.Fprintln(w, "\ntemporary, the least first")
	}
	for _, m := range all {
		fmt.Fprintf(w, "  %s\n", m.What)
		if m.Command != "" {
			fmt.Fprintf(w, "     %s\n", m.Command)
		}
		fmt.Fprintf(w, "     back: %s; look again after %s\n", m.Revert, runbook.Lasting(time.Duration(m.Expires*float64(time.Second))))
	}
}

func printTriagePage(w io.Writer, page *triagePage) {
	if page.Title != "" {
		fmt.Fprintf(w, "\n%s\n", page.Title)
	}
	for _, text := range []string{page.Means, page.Page} {
		if text != "" {
			fmt.Fprintf(w, "  %s\n", text)
		}
	}
	if len(page.Actions) > 0 {
		fmt.Fprintln(w, "\nnext (nothing here is run)")
	}
	for i, a := range page.Actions {
		fmt.Fprintf(w, "  %d. %s\n", i+1, a.Text)
		if a.Command != "" {
			fmt.Fprintf(w, "     %s\n", a.Command)
		}
	}
	if len(page.Commands) > 0 {
		fmt.Fprintln(w, "\ncommands")
	}
	for _, c := range page.Commands {
		mark := ""
		if c.Changes {
			mark = " (changes something)"
		}
		fmt.Fprintf(w, "  %s%s\n     %s\n", c.What, mark, c.Line)
	}
	printMitigations(w, page.Mitigations)
	if page.Escalate != "" {
		fmt.Fprintf(w, "\nescalate    %s\n", page.Escalate)
	}
	for _, c := range page.Contacts {
		fmt.Fprintf(w, "            after %s: %s\n", runbook.Lasting(time.Duration(c.After*float64(time.Second))), c.Contact)
	}
	if page.Over != "" {
		fmt.Fprintf(w, "over        %s\n", page.Over)
	}
}
