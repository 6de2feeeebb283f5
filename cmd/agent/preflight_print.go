package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/preflight"
)

// preflightWords are the verdicts for people.
func preflightWord(v preflight.Verdict) string { return strings.ToUpper(string(v)) }

// preflightSum is the last line: what was decided, and what it was decided by.
func preflightSum(r *preflight.Report) string {
	word := "NOT READY"
	if r.Ready {
		word = "READY"
	}
	var counts []string
	for _, v := range []preflight.Verdict{preflight.Pass, preflight.Fail, preflight.Blocked, preflight.Attested} {
		if n := r.Counts[v]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return fmt.Sprintf("%s for %s: %s", word, r.Environment, strings.Join(counts, ", "))
}

// more is what stands below an item: what to do, the places, and of what is not well the evidence, too.
func preflightMore(item *preflight.Item) []string {
	var lines []string
	if item.ToDo != "" {
		lines = append(lines, "→ "+item.ToDo)
	}
	for _, p := range item.Places {
		lines = append(lines, p.String())
	}
	if item.MorePlaces > 0 {
		lines = append(lines, fmt.Sprintf("and %d more places", item.MorePlaces))
	}
	if item.Verdict != preflight.Pass {
		for _, e := range item.Evidence {
			lines = append(lines, "· "+e)
		}
	}
	return lines
}

func printPreflight(w io.Writer, r *preflight.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "preflight for %s, of %s, by %s\n", r.Environment, cmp.Or(r.Target, "no folder"), cmp.Or(r.Config, "no configuration"))
	section := ""
	const indent = "                               "
	for i := range r.Items {
		item := &r.Items[i]
		if item.Section != section {
			section = item.Section
			fmt.Fprintf(&b, "\n%s\n", section)
		}
		fmt.Fprintf(&b, "  %-8s %-20s %s\n", preflightWord(item.Verdict), item.Item, item.Detail)
		for _, line := range preflightMore(item) {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", preflightSum(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes a text fit for a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "`", "'").Replace(text)
}

func markdownPreflight(w io.Writer, r *preflight.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Preflight for %s: %s\n\n", r.Environment, map[bool]string{true: "ready", false: "not ready"}[r.Ready])
	fmt.Fprintf(&b, "%s. Looked at on %s, in %s", preflightSum(r), r.At.Format(time.RFC3339), time.Duration(r.Took*float64(time.Second)).Round(time.Millisecond))
	fmt.Fprintf(&b, "; target `%s`, configuration `%s`.\n\n", cmp.Or(r.Target, "none"), cmp.Or(r.Config, "none"))
	fmt.Fprint(&b, "| verdict | item | what was found |\n|---|---|---|\n")
	for i := range r.Items {
		item := &r.Items[i]
		found := []string{cell(item.Detail)}
		for _, line := range preflightMore(item) {
			found = append(found, cell(line))
		}
		fmt.Fprintf(&b, "| %s | `%s` %s | %s |\n", preflightWord(item.Verdict), item.Item, cell(item.Title), strings.Join(found, "<br>"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
