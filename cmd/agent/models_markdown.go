package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

// limitsPage is what a team should know of its models, limits and prices before it needs it.
type limitsPage struct {
	Location, Service string
	Budget            config.Budget
	View              *agent.ModelsView
	Prices            []agent.PricedModel // of the models that checks call
	Warnings          []string
	At                time.Time
}

func limitsPageOf(ctx context.Context, p process, cfg *config.Config, view *agent.ModelsView, now time.Time) limitsPage {
	page := limitsPage{Location: cfg.Location, Service: cfg.Runbook.Service, Budget: cfg.Budget, View: view, At: now}
	page.Prices, page.Warnings = agent.PricesOf(ctx, cfg, registry(), p.getenv)
	page.Warnings = append(page.Warnings, agent.OldPrices(cfg, page.Prices, now)...)
	return page
}

// write writes the page as markdown. What is not known is said to be so, and is never left out.
func (l *limitsPage) write(w io.Writer) {
	fmt.Fprintf(w, "# Limits, models and prices\n\nWhat the Windsock agent%s%s knew on %s. Written by `windsock models --output markdown`, which writes it anew.\n",
		limitsAfter(" at ", limitsCell(l.Location)), limitsAfter(" for ", limitsCell(l.Service)), limitsTime(l.At))
	l.writeModels(w)
	l.writeChanges(w)
	l.writeLimits(w)
	l.writeBudget(w)
	l.writeUnknown(w)
}

// limitsRow is one model: as the list showed it, as checks call it, or both.
type limitsRow struct {
	provider, model string
	seen            *agent.WatchedModel // nil: no check of the kinds models and usable has seen it
	price           *agent.PricedModel  // nil: no check pays for it
}

func (l *limitsPage) rows() []limitsRow {
	var all []limitsRow
	at := func(provider, model string) *limitsRow {
		for i := range all {
			if all[i].provider == provider && all[i].model == model {
				return &all[i]
			}
		}
		all = append(all, limitsRow{provider: provider, model: model})
		return &all[len(all)-1]
	}
	for i := range l.Prices {
		at(l.Prices[i].Provider, l.Prices[i].Model).price = &l.Prices[i]
	}
	for i := range l.View.Models {
		at(l.View.Models[i].Provider, l.View.Models[i].Model).seen = &l.View.Models[i]
	}
	slices.SortStableFunc(all, func(a, b limitsRow) int {
		return cmp.Or(strings.Compare(a.provider, b.provider), strings.Compare(a.model, b.model))
	})
	return all
}

func (l *limitsPage) writeModels(w io.Writer) {
	fmt.Fprint(w, "\n## Models\n\n")
	rows := l.rows()
	if len(rows) == 0 {
		fmt.Fprintln(w, "No check names a model, and none was seen.")
		return
	}
	fmt.Fprint(w, "Prices are US dollars for a million tokens, in the zone of the provider's address.\n\n"+
		"| model | stands for | checks | in | out | context | answers | retires | last listed |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range rows {
		r := &rows[i]
		in, out := r.prices()
		cells := []string{r.model + ofProvider(r.provider), r.standsFor(), r.checks(), in, out, r.context(), r.answers(), r.retires(l.At), r.listed()}
		for j := range cells {
			cells[j] = limitsCell(cells[j])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, text := range l.Warnings {
		fmt.Fprintf(w, "\nWarning: %s.\n", strings.TrimSuffix(limitsCell(text), "."))
	}
}

func ofProvider(name string) string { return " (" + name + ")" }

func (r *limitsRow) standsFor() string {
	switch {
	case r.seen != nil && !r.seen.SeenAt.IsZero():
		if billed := r.seen.BilledAs(); billed != "" {
			return r.seen.Canonical + ", billed as " + billed
		}
		return r.seen.Canonical
	case r.price != nil && r.price.As != "":
		if r.price.AliasOf == "list" {
			return r.price.As
		}
		return r.price.As + ", by the built-in table"
	}
	return "unknown"
}

func (r *limitsRow) checks() string {
	var all []string
	if r.price != nil {
		all = append(all, r.price.Checks...)
	}
	if r.seen != nil && !slices.Contains(all, r.seen.Check) {
		all = append(all, r.seen.Check)
	}
	return strings.Join(all, ", ")
}

func (r *limitsRow) prices() (in, out string) {
	switch {
	case r.price != nil && r.price.Known:
		return amount(r.price.Input), amount(r.price.Output)
	case r.seen != nil && r.seen.Price != nil:
		return dollars(r.seen.Price.Input), amount(r.seen.Price.Output)
	}
	return "unknown", "unknown"
}

func (r *limitsRow) context() string {
	if r.seen == nil || r.seen.Context == 0 {
		return "unknown"
	}
	return strconv.FormatInt(r.seen.Context, 10)
}

func (r *limitsRow) answers() string {
	if r.seen == nil || r.seen.Usable == nil {
		return "never asked"
	}
	if u := r.seen.Usable; !u.OK {
		return fmt.Sprintf("**NO**, %s, %s", u.Cause, limitsTime(u.At))
	}
	return "yes, " + limitsTime(r.seen.Usable.At)
}

func (r *limitsRow) retires(now time.Time) string {
	switch {
	case r.seen == nil || r.seen.SeenAt.IsZero():
		return "unknown"
	case r.seen.Retires.IsZero():
		return "no date is told"
	}
	text := r.seen.Retires.UTC().Format(time.DateOnly)
	if r.seen.Retires.Before(now) {
		text = "**RETIRED** " + text
	}
	return text + limitsAfter(", then ", r.seen.Replacement)
}

func (r *limitsRow) listed() string {
	switch {
	case r.seen == nil || r.seen.Listed == nil:
		return "no list was looked at"
	case r.seen.SeenAt.IsZero():
		return "**NOT LISTED**, never seen"
	case r.seen.Gone():
		return "**NOT LISTED**, last " + limitsTime(r.seen.SeenAt)
	}
	return limitsTime(r.seen.SeenAt)
}

func (l *limitsPage) writeChanges(w io.Writer) {
	if len(l.View.Changes) == 0 {
		return
	}
	fmt.Fprint(w, "\n## What changed\n\n")
	for i := range l.View.Changes {
		fmt.Fprintf(w, "* %s: %s\n", limitsTime(l.View.Changes[i].At), limitsCell(l.View.Changes[i].Text()))
	}
}

func (l *limitsPage) writeLimits(w io.Writer) {
	fmt.Fprint(w, "\n## Rate limits\n\n")
	if len(l.View.Limits) == 0 {
		fmt.Fprintln(w, "None was observed: no answer to a paid call has told one. That is unknown, not unlimited.")
		return
	}
	fmt.Fprint(w, "As answers to paid calls told them last. A limit is the account's: the application has its share of it, too.\n\n"+
		"| model | what | limit | left then | in one | key | seen |\n|---|---|---|---|---|---|---|\n")
	for i := range l.View.Limits {
		s := &l.View.Limits[i]
		fmt.Fprintf(w, "| %s | %s | %d | %d | %s | %s | %s |\n", limitsCell(s.Model+ofProvider(s.Provider)), limitsCell(s.Resource), s.Limit, s.Remaining,
			limitsCell(cmp.Or(s.Window.Window, "unknown")), limitsCell(cmp.Or(s.Key, "unknown")), limitsTime(s.At))
	}
}

func (l *limitsPage) writeBudget(w io.Writer) {
	fmt.Fprint(w, "\n## What the agent itself may spend\n\n")
	if !l.Budget.Set {
		fmt.Fprintln(w, "No budget is set: nothing bounds what its paid checks cost.")
		return
	}
	fmt.Fprint(w, "| in one | at most |\n|---|---|\n")
	for _, row := range []struct {
		window string
		most   checks.PicoUSD
	}{{"hour", l.Budget.PerHour}, {"day", l.Budget.PerDay}, {"month", l.Budget.PerMonth}} {
		most := "not bounded by itself"
		if row.most > 0 {
			most = row.most.String()
		}
		fmt.Fprintf(w, "| %s | %s |\n", row.window, most)
	}
}

// writeUnknown says what nobody has observed.
func (l *limitsPage) writeUnknown(w io.Writer) {
	fmt.Fprint(w, "\n## What is not known here\n\n* The account's spending limit and plan, which no answer tells: see the provider's console.\n")
	for _, r := range l.rows() {
		for _, gap := range r.gaps(l.View.Limits) {
			fmt.Fprintf(w, "* %s: %s\n", limitsCell(r.model+ofProvider(r.provider)), gap)
		}
	}
	for _, id := range l.View.LeftOut {
		fmt.Fprintf(w, "* %s: everything. Its check watches too many others.\n", limitsCell(id))
	}
}

// gaps are what nobody has observed of a model.
func (r *limitsRow) gaps(limits []agent.LimitSeen) []string {
	var all []string
	if !slices.ContainsFunc(limits, func(s agent.LimitSeen) bool { return s.Provider == r.provider && s.Model == r.model }) {
		all = append(all, "its rate limits. No answer to a paid call for it has told one, which does not mean that there is none.")
	}
	if r.price != nil && !r.price.Known {
		all = append(all, "its price. It counts as the dearest.")
	}
	if r.seen == nil || r.seen.SeenAt.IsZero() {
		all = append(all, "what it stands for now, and when it retires. It was never seen in a list: watch it with a check of the kind `models`.")
	}
	if r.seen == nil || r.seen.Usable == nil {
		all = append(all, "whether this key may use it. Ask it with a check of the kind `usable`.")
	}
	return all
}

// limitsAfter is text with a word before it; "" where there is none.
func limitsAfter(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

func limitsTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// limitsCell is text in a cell of a table: one line, and nothing in it that begins something else.
func limitsCell(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "[", `\[`).Replace(text)
}
