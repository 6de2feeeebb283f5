package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// view is the demo's window: an exporter that draws a table on a terminal, and writes lines anywhere else.
type view struct {
	out           io.Writer
	width, height int
	live, asJSON  bool
	story         *story
	began         time.Time

	mu    sync.Mutex // guards the rest
	now   string     // the phase
	lines int        // drawn so far, to be drawn over
	rows  map[string]*checks.Report
	order []string
	tail  []string
	told  map[string]*checks.Alert // that are pending or open, by fingerprint
}

func newView(p process, asJSON bool, story *story) *view {
	v := &view{out: p.stdout, asJSON: asJSON, story: story, began: time.Now(), rows: map[string]*checks.Report{}, told: map[string]*checks.Alert{}}
	if !asJSON {
		v.width, v.height, v.live = terminal(p, p.stdout)
	}
	return v
}

// Export implements exporters.Exporter.
func (v *view) Export(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, record := range batch {
		if v.asJSON {
			if err := json.NewEncoder(v.out).Encode(record); err != nil {
				return exporters.Outcome{}, exporters.Hold(fmt.Errorf("writing: %w", err))
			}
		}
		if record.Report != nil {
			v.report(record.Report)
		}
		if record.Alert != nil {
			v.alert(record.Alert)
		}
	}
	v.draw()
	return exporters.Outcome{}, nil
}

// Close implements io.Closer; the last words come with close.
func (v *view) Close() error { return nil }

func (v *view) phase(name string, at time.Time) {
	v.story.enter(name, at)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = name
	v.say(fmt.Sprintf("%6.1fs  ── the provider is now: %s", time.Since(v.began).Seconds(), strings.ReplaceAll(name, "_", " ")))
	v.draw()
}

func (v *view) report(r *checks.Report) {
	if _, known := v.rows[r.Check]; !known {
		v.order = append(v.order, r.Check)
	}
	v.rows[r.Check] = r
	if v.story.add(r) {
		v.say(fmt.Sprintf("%6.1fs  %-10s %s", r.At().Sub(v.began).Seconds(), r.Check, verdict(r)))
	}
}

func verdict(r *checks.Report) string {
	text := fmt.Sprintf("%-9s", r.Status)
	if r.Cause != checks.CauseNone {
		text += fmt.Sprintf(" %s, blame %s: %s", r.Cause, r.Blame, r.Summary)
	}
	return text
}

// say adds a line to the story: printed at once where there is no terminal, kept for the drawing where there is.
func (v *view) say(line string) {
	switch {
	case v.asJSON:
	case v.live:
		v.tail = append(v.tail, line)
	default:
		fmt.Fprintln(v.out, line)
	}
}

// draw draws the table over the one before.
func (v *view) draw() {
	if !v.live {
		return
	}
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.lines)
	}
	v.lines = 0
	add := func(format string, args ...any) {
		b.WriteString(clip(fmt.Sprintf(format, args...), v.width-1))
		b.WriteString("\x1b[0m\n")
		v.lines++
	}
	add("windsock demo  %5.1fs   provider: \x1b[1m%s", time.Since(v.began).Seconds(), strings.ReplaceAll(v.now, "_", " "))
	add("")
	for _, name := range v.order {
		r := v.rows[name]
		add("  %s%-9s\x1b[0m %-11s %7s  %s", colour(r.Status), r.Status, name, r.Took.Round(time.Millisecond), because(r))
	}
	for _, a := range v.standing() {
		add("  %s%-9s\x1b[0m %s", colourOf(a.State), a.State, alarmed(a))
	}
	add("")
	room := max(v.height-v.lines-2, 3)
	for _, line := range v.tail[max(len(v.tail)-room, 0):] {
		add("%s", line)
	}
	_, _ = io.WriteString(v.out, b.String())
}

func because(r *checks.Report) string {
	if r.Cause == checks.CauseNone {
		return ""
	}
	return fmt.Sprintf("%s, blame %s: %s", r.Cause, r.Blame, r.Summary)
}

func colour(s checks.Status) string {
	switch s {
	case checks.OK:
		return "\x1b[32m"
	case checks.Degraded, checks.Skipped:
		return "\x1b[33m"
	case checks.Failed, checks.Error:
		return "\x1b[31m"
	case checks.Unknown:
	}
	return "\x1b[35m"
}

// clip cuts a line to width visible characters; escape sequences have no width.
func clip(line string, width int) string {
	visible, escaped := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		case visible == width:
			return line[:i]
		default:
			visible++
		}
	}
	return line
}
