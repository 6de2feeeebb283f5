package agent

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

// pace is which checks run more often because an incident concerns them.
type pace struct {
	book    *incident.Book // read while its keeper holds its lock only
	changed chan struct{}  // of one: somebody is to change the schedule

	mu        sync.Mutex // guards the rest
	concerned map[string]bool
}

func newPace(book *incident.Book) *pace {
	return &pace{book: book, changed: make(chan struct{}, 1), concerned: map[string]bool{}}
}

// noted is told what the book said, by its keeper.
func (p *pace) noted(out incident.Outcome) {
	if !out.Changed {
		return
	}
	concerned := p.book.Concerned()
	p.mu.Lock()
	defer p.mu.Unlock()
	if maps.Equal(p.concerned, concerned) {
		return
	}
	p.concerned = concerned
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// of is the schedule that a check has now: its own, or a faster one while an incident concerns it.
func (p *pace) of(c *config.Check) schedule.Spec {
	p.mu.Lock()
	defer p.mu.Unlock()
	fast := c.IncidentSchedule
	if !p.concerned[c.Name] || fast.IsZero() || fast.Interval() >= c.Schedule.Interval() {
		return c.Schedule
	}
	return fast
}

// foresee takes over which checks the incidents of the process before concern: its slots came at their pace.
func (p *pace) foresee(now time.Time, gen *generation, states map[string][]byte) {
	setup, before := gen.alerting(), incident.New()
	before.Configure(setup.Targets, setup.Incidents)
	before.Restore(now, states)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.concerned = before.Concerned()
}

// count is how many checks run faster than they do else.
func (p *pace) count(cfg *config.Config) int {
	n := 0
	for i := range cfg.Checks {
		if c := &cfg.Checks[i]; p.of(c).String() != c.Schedule.String() {
			n++
		}
	}
	return n
}

// keepPace changes the schedule to what the open incidents want.
func (a *Agent) keepPace(ctx context.Context) {
	a.mu.Lock()
	cfg := a.gen.cfg
	a.mu.Unlock()
	if err := a.scheduler.Swap(a.entries(ctx, cfg)); err != nil {
		a.o.Log.Error("changing the schedule for an incident", "error", err)
		return
	}
	a.o.Log.Info("schedule follows the incidents", "checks_faster", a.pace.count(cfg))
}

// note adds a line to the timeline; provider "" where it is about all of the agent.
func (a *Agent) note(ctx context.Context, kind incident.EventKind, provider, text string) {
	err := a.alerts.WithBook(ctx, func(now time.Time, book *incident.Book) incident.Outcome {
		return book.Note(now, kind, provider, text)
	})
	if err != nil {
		a.o.Log.Error("storing an event", "kind", string(kind), "error", err)
	}
}

// breakerMoved implements what pipeline.Breakers.Follow wants.
func (a *Agent) breakerMoved(m pipeline.Move) {
	text := fmt.Sprintf("the breaker of %s is %s, was %s", m.Provider, m.To, m.From)
	if m.Cause != checks.CauseNone {
		text += ": " + string(m.Cause)
	}
	a.note(context.Background(), incident.EventBreaker, m.Provider, text)
}

// noteSpend adds a line where the spend of the last hour has crossed a step since the call before.
func (a *Agent) noteSpend(ctx context.Context, now time.Time) {
	spent, err := a.store.Ledger().Spent(ctx, now.Add(-time.Hour), now)
	if err != nil {
		a.o.Log.Warn("reading the spend of the last hour", "error", err)
		return
	}
	if step, above := a.spend.crosses(spent.USD()); above {
		a.note(ctx, incident.EventSpend, "", fmt.Sprintf("what the checks spent in the last hour is above $%g: $%.2f", step, spent.USD()))
	}
}

// hourSpend is what the spend of the last hour was above when it was looked at last.
type hourSpend struct {
	step  float64
	known bool
}

// crosses reports whether it is above another step now; what it is at the first look is no news.
func (h *hourSpend) crosses(usd float64) (step float64, above bool) {
	step = spendStep(usd)
	above = h.known && step > h.step
	h.known, h.step = true, step
	return step, above
}

// spendStep is the largest of 1, 2, 5, 10, 20 … up to a million that is not above usd, 0 where none is.
func spendStep(usd float64) float64 {
	step := 0.0
	for decade := 1.0; decade < 1e6; decade *= 10 {
		for _, digit := range []float64{1, 2, 5} {
			if digit*decade <= usd {
				step = digit * decade
			}
		}
	}
	return step
}
