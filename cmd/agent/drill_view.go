package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/drill"
)

// drillView writes what a drill found for people.
type drillView struct {
	out    io.Writer
	colour bool
}

func (v drillView) verdict(of drill.Verdict) string {
	word, like := "FAILED", checks.Failed
	switch of {
	case drill.Passed:
		word, like = "PASSED", checks.OK
	case drill.NotCovered:
		word, like = "NOT COVERED", checks.Degraded
	case drill.Undecided:
		word, like = "UNDECIDED", checks.Unknown
	case drill.Failed:
	}
	word = fmt.Sprintf("%-11s", word)
	if v.colour {
		return colour(like) + word + "\x1b[0m"
	}
	return word
}

const underVerdict = "            "

// outcome writes one scenario.
func (v drillView) outcome(o drill.Outcome) {
	fmt.Fprintf(v.out, "%s %-17s %s\n", v.verdict(o.Verdict), o.Scenario, o.What)
	for i := range o.Alerts {
		v.told(&o.Alerts[i])
	}
	if len(o.Others) > 0 {
		fmt.Fprintf(v.out, "%s  %s fired, too\n", underVerdict, strings.Join(o.Others, ", "))
	}
	for _, text := range o.Before {
		fmt.Fprintf(v.out, "%s! before the fault, %s\n", underVerdict, text)
	}
	for _, text := range o.Missing {
		fmt.Fprintf(v.out, "%s✗ %s\n", underVerdict, text)
	}
	for _, text := range o.Add {
		fmt.Fprintf(v.out, "%s+ %s\n", underVerdict, text)
	}
	if o.Tries > 1 {
		fmt.Fprintf(v.out, "%s  tried twice, the second time %g times faster than a clock\n", underVerdict, o.Speed)
	}
}

func (v drillView) told(a *drill.Told) {
	if !a.Fired {
		fmt.Fprintf(v.out, "%s%s\n", underVerdict, strings.TrimSuffix(a.Rule+" did not fire; want "+a.Wanted, "; want "))
		return
	}
	parts := []string{fmt.Sprintf("%s %s", a.Rule, a.Severity)}
	if a.Blame != checks.BlameNone {
		parts = append(parts, "blame "+string(a.Blame))
	}
	for _, part := range []struct {
		words string
		took  *float64
	}{{"found after", a.ToDetect}, {"told within", a.ToNotify}, {"over after", a.ToResolve}} {
		if part.took != nil {
			parts = append(parts, part.words+" "+took(*part.took))
		}
	}
	fmt.Fprintf(v.out, "%s%s\n", underVerdict, strings.Join(parts, ", "))
	var by []string
	for _, r := range a.Routes {
		if r.Told {
			by = append(by, r.Exporter+mark(r))
		}
	}
	if len(by) > 0 {
		fmt.Fprintf(v.out, "%s  told by %s\n", underVerdict, strings.Join(by, ", "))
	}
	for _, r := range a.Routes {
		if !r.Told {
			fmt.Fprintf(v.out, "%s  not by %s: %s\n", underVerdict, r.Exporter, r.Why)
		}
	}
}

// mark says of a route that tells people whether its message said that it is a drill.
func mark(r drill.Route) string {
	if r.People && !r.Marked {
		return " (without the mark of a drill)"
	}
	return ""
}

func took(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}

// summary writes what comes after the scenarios.
func (v drillView) summary(r *drill.Report) {
	fmt.Fprintf(v.out, "\n%d passed, %d failed, %d not covered, %d undecided, in %s\n", r.Passed, r.Failed, r.NotCovered, r.Undecided, took(r.Took))
	if !r.InPlace {
		fmt.Fprintln(v.out, "Times to find and to end are as on a real clock: the agents ran faster, and their times were multiplied back. The time to tell is as measured.")
	}
	if r.Nobody != "" {
		fmt.Fprintf(v.out, "nobody is paged: %s\n", r.Nobody)
	}
	for _, text := range r.LeftOut {
		fmt.Fprintf(v.out, "left out: %s\n", text)
	}
	for _, text := range r.Changed {
		fmt.Fprintf(v.out, "changed for the drill: %s\n", text)
	}
}
