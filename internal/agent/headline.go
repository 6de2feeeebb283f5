package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	headlineEvery = 2 * time.Second // the line is looked at; it is told where it has changed
	mostNamed     = 2               // things of one kind that the line names
	mostReason    = 100             // bytes of a reason in it
)

// headline is how the agent is, in one line: `11 of 12 checks ok; chat-small failed: auth (account) for 4m; alerts:
// auth-failure P1; exporters well; $0.0131 of $0.05 this hour`.
func (a *Agent) headline(ctx context.Context, now time.Time) string {
	parts := []string{a.headlineOfReload(), a.headlineOfChecks(now), a.headlineOfAlerts(), a.headlineOfExporters()}
	if kept := a.store.Health(); !kept.OK {
		parts = append(parts, "store: "+outbound.Sanitize(kept.Problem, mostReason))
	}
	if a.server != nil && a.server.Problem() != "" {
		parts = append(parts, "status page: "+outbound.Sanitize(a.server.Problem(), mostReason))
	}
	parts = append(parts, a.headlineOfMoney(ctx, now))
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "; ")
}

func (a *Agent) headlineOfReload() string {
	if c := a.config(); !c.ReloadOK {
		first, _, _ := strings.Cut(c.Error, "\n")
		return "reload refused, the configuration before it runs on: " + outbound.Sanitize(first, 2*mostReason)
	}
	return ""
}

// ill is a check that is not ok, and since when.
type ill struct {
	*checks.Report
	since time.Time
}

// headlineOfChecks counts all, and names those that fail, the longest first.
func (a *Agent) headlineOfChecks(now time.Time) string {
	overdue := a.overdue(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	count, skipped := map[checks.Status]int{}, map[checks.Cause]bool{}
	var failing []ill
	unseen := 0
	for i := range a.gen.cfg.Checks {
		r := a.last[a.gen.cfg.Checks[i].Name]
		if r == nil {
			unseen++
			continue
		}
		count[r.Status]++
		skipped[r.Cause] = skipped[r.Cause] || r.Status == checks.Skipped
		if r.Status == checks.Failed || r.Status == checks.Error || r.Status == checks.Unknown {
			failing = append(failing, ill{r, a.since[r.Check]})
		}
	}
	slices.SortFunc(failing, func(x, y ill) int { return cmp.Or(x.since.Compare(y.since), cmp.Compare(x.Check, y.Check)) })
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d checks ok", count[checks.OK], len(a.gen.cfg.Checks))
	for _, other := range []struct {
		n    int
		word string
	}{
		{count[checks.Degraded], "degraded"}, {count[checks.Skipped], "skipped" + reasons(skipped)}, {unseen, "not run yet"}, {len(overdue), "overdue"},
	} {
		if other.n > 0 {
			fmt.Fprintf(&text, ", %d %s", other.n, other.word)
		}
	}
	for _, f := range failing[:min(len(failing), mostNamed)] {
		fmt.Fprintf(&text, "; %s %s: %s (%s) for %s", f.Check, f.Status, f.Cause, f.Blame, howLong(now.Sub(f.since)))
	}
	if more := len(failing) - mostNamed; more > 0 {
		fmt.Fprintf(&text, " and %d more", more)
	}
	return text.String()
}

// reasons are those that hold, " (breaker_open, budget)".
func reasons(held map[checks.Cause]bool) string {
	var out []string
	for cause, holds := range held {
		if holds {
			out = append(out, string(cause))
		}
	}
	slices.Sort(out)
	return " (" + few(out) + ")"
}

// howLong is a duration in one unit, so that the line does not change all the time.
func howLong(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

func (a *Agent) headlineOfAlerts() string {
	var named []string
	all := a.alertStates()
	for i := range all {
		if word := all[i].Rule + " " + string(all[i].Severity); all[i].Muted == "" && !slices.Contains(named, word) {
			named = append(named, word)
		}
	}
	if len(named) == 0 {
		return ""
	}
	text := strings.Join(named[:min(len(named), mostNamed)], ", ")
	if more := len(named) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "alerts: " + text
}

func (a *Agent) headlineOfExporters() string {
	a.mu.Lock()
	deliveries := slices.Clone(a.gen.deliveries)
	a.mu.Unlock()
	var troubled []string
	silent := 0 // nothing is known of these: not even the first record was taken
	for _, d := range deliveries {
		live := d.worker.Status()
		switch {
		case live.Held:
			troubled = append(troubled, d.name+" held: "+outbound.Sanitize(live.Reason, mostReason))
		case live.Stuck:
			troubled = append(troubled, d.name+" stuck")
		case live.Reason != "":
			troubled = append(troubled, d.name+" retrying: "+outbound.Sanitize(live.Reason, mostReason))
		case live.LastSentAt.IsZero():
			silent++
		}
	}
	switch {
	case len(deliveries) == 0:
		return ""
	case len(troubled) == 0 && silent == len(deliveries):
		return "exporters: nothing sent yet"
	case len(troubled) == 0 && silent > 0:
		return fmt.Sprintf("exporters well, %d of %d sent nothing yet", silent, len(deliveries))
	case len(troubled) == 0:
		return "exporters well"
	case len(troubled) > mostNamed:
		return fmt.Sprintf("exporters: %d of %d not well, %s", len(troubled), len(deliveries), troubled[0])
	}
	return "exporters: " + strings.Join(troubled, ", ")
}

// headlineOfMoney is the shortest of the budget's windows.
func (a *Agent) headlineOfMoney(ctx context.Context, now time.Time) string {
	windows := a.budget(ctx, now)
	if len(windows) == 0 {
		return ""
	}
	b := windows[0]
	return fmt.Sprintf("$%.4f of $%s this %s", b.SpentUSD, strconv.FormatFloat(b.LimitUSD, 'f', -1, 64), strings.TrimPrefix(b.Window, "per_"))
}
