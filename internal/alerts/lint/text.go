package lint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/nearest"
	"github.com/windsock-monitor/windsock/internal/runbook"
)

const most = 3 // names in one text

func itoa(i int) string { return strconv.Itoa(i) }

func quote(s string) string { return strconv.Quote(s) }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// near is a hint that names the right word, or "" where none is near.
func near(word string, words []string) string {
	if best := nearest.Word(word, words); best != "" {
		return "did you mean " + quote(best) + "?"
	}
	return ""
}

// some names at most a few of names.
func some(names []string) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + itoa(len(names)-most) + " more"
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

func namesOf(all []*alerts.Check) []string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}

// short writes a duration as people do: "1m", not "1m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// span writes seconds as a duration.
func span(seconds float64) string {
	const longest = 1e9 // seconds, which a duration can hold
	if seconds > longest {
		return number(seconds/86400) + " days"
	}
	return short(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond))
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// runs counts runs in words.
func runs(n int) string {
	switch n {
	case 1:
		return "one run"
	case 2:
		return "two runs"
	}
	return fmt.Sprintf("%d runs", n)
}

// pagesOfRunbook are the names that a rule may give: of the pages that ship, and of the built-in rules, each of which has one.
func pagesOfRunbook() []string {
	var all []string
	for _, p := range slices.Concat(runbook.Pages(), runbook.RulePages()) {
		all = append(all, string(p.Branch))
		all = append(all, p.Related...)
	}
	return all
}
