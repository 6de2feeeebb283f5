package look

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/triage"
)

const (
	littleLeft = 0.10 // of a rate limit
	muchSpent  = 0.80 // of a budget
	lately     = 24 * time.Hour
)

// ErrSilent is an agent that is there, and does not answer.
var ErrSilent = errors.New("an agent is there, and does not answer")

// Running is the agent that runs with a configuration. It is looked for once, whoever asks first.
type Running struct {
	cfg     *config.Config
	getenv  func(string) string
	control func(ctx context.Context) string // the control socket, as the agent's port tells; "": nobody answers there
	limit   time.Duration

	find   sync.Once
	client *agent.Client
	health status.Health
	err    error

	mu     sync.Mutex // guards firing
	firing []triage.Alert
}

// NewRunning looks for nothing yet. limit bounds the search.
func NewRunning(cfg *config.Config, getenv func(string) string, control func(ctx context.Context) string, limit time.Duration) *Running {
	return &Running{cfg: cfg, getenv: getenv, control: control, limit: limit}
}

// Client is the agent that answers, with its health. The error is ErrSilent where one is there that does not answer.
func (r *Running) Client(ctx context.Context) (*agent.Client, *status.Health, error) {
	r.find.Do(func() { r.client, r.err = r.search(ctx) })
	return r.client, &r.health, r.err
}

func (r *Running) search(ctx context.Context) (*agent.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	socket, err := agent.ControlPath(r.cfg, r.getenv)
	if err == nil {
		client := agent.NewClient(socket)
		if err = r.ask(ctx, client); err == nil {
			return client, nil
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w within %s on %s", ErrSilent, r.limit, socket)
	}
	if other := r.control(ctx); other != "" && other != socket {
		client := agent.NewClient(other)
		if err = r.ask(ctx, client); err == nil {
			return client, nil
		}
	}
	return nil, err
}

func (r *Running) ask(ctx context.Context, client *agent.Client) error {
	body, err := client.Health(ctx)
	if err != nil {
		return err
	}
	var health status.Health
	if err := json.Unmarshal(body, &health); err != nil || health.Status == "" {
		return errors.New("what listens there does not answer as an agent")
	}
	r.health = health
	return nil
}

// Hidden reports whether an agent is there that cannot be asked, once it was looked for.
func (r *Running) Hidden(ctx context.Context) bool {
	_, _, err := r.Client(ctx)
	_, refused := errors.AsType[*agent.NotAllowedError](err)
	return refused || errors.Is(err, ErrSilent)
}

// Firing is the alerts that fire, once Steps has asked.
func (r *Running) Firing() []triage.Alert {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.firing)
}

func agentNames() []triage.Name { return []triage.Name{triage.Alerts, triage.Breaker, triage.Spend} }

func storeNames() []triage.Name { return []triage.Name{triage.Headroom, triage.Retirements} }

// agentSteps are what the agent tells.
func (l *looker) agentSteps(ctx context.Context) []triage.Step {
	client, health, err := l.Agent.Client(ctx)
	var steps []triage.Step
	if err != nil {
		verdict := triage.Skipped
		if l.Agent.Hidden(ctx) {
			verdict = triage.Unknown
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		for _, name := range agentNames() {
			steps = append(steps, triage.Step{Name: name, Verdict: verdict, Detail: text})
		}
		return steps
	}
	return []triage.Step{l.Agent.alerts(ctx, client, l.Provider.Name), breakerOf(health, l.Provider.Name), spendOf(health)}
}

// alerts are those that fire and are not muted: of this provider, and no drill's.
func (r *Running) alerts(ctx context.Context, client *agent.Client, provider string) triage.Step {
	step := triage.Step{Name: triage.Alerts, LookedAt: "the running agent", Verdict: triage.OK, Detail: "none fires"}
	var got agent.AlertsAnswer
	start := time.Now()
	err := client.Call(ctx, http.MethodGet, "/v1/alerts", nil, &got)
	step.Took = time.Since(start).Seconds()
	if err != nil {
		step.Verdict, step.Detail = triage.Unknown, err.Error()
		return step
	}
	traffic := map[string]bool{}
	for _, rule := range got.Rules {
		traffic[rule.Name] = rule.Layer == "traffic"
	}
	var firing []triage.Alert
	var named []string
	for i := range got.Alerts {
		a := &got.Alerts[i]
		switch of := a.Labels["provider"]; {
		case !a.State.Open() || a.Muted != "":
			continue
		case a.Drill() != "":
			step.Notes = append(step.Notes, fmt.Sprintf("%s: of the drill %s, and not real", a.Rule, a.Drill()))
			continue
		case of != "" && of != provider:
			step.Notes = append(step.Notes, fmt.Sprintf("%s: of the provider %s, which was not looked at (--provider): %s", a.Rule, of, a.Summary))
			continue
		}
		firing = append(firing, triage.Alert{Rule: a.Rule, Severity: a.Severity, Blame: a.Blame, Traffic: traffic[a.Rule], Summary: a.Summary})
		named = append(named, fmt.Sprintf("%s (%s)", a.Rule, a.Severity))
		step.Notes = append(step.Notes, a.Rule+": "+a.Summary)
	}
	if len(firing) > 0 {
		step.Verdict, step.Detail = triage.Wrong, fmt.Sprintf("%d open: %s", len(firing), strings.Join(named, ", "))
	}
	step.Notes = append(step.Notes, recent(ctx, client, time.Now())...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.firing = firing
	return step
}

// recent are the incidents that are open or were closed lately.
func recent(ctx context.Context, client *agent.Client, now time.Time) []string {
	var got agent.IncidentsAnswer
	if err := client.Call(ctx, http.MethodGet, "/v1/incidents", nil, &got); err != nil {
		return []string{"incidents: " + err.Error()}
	}
	var notes []string
	for i := range got.Incidents {
		in := &got.Incidents[i]
		state := fmt.Sprintf("open for %s", now.Sub(in.OpenedAt).Round(time.Second))
		if !in.Open() {
			state = fmt.Sprintf("closed %s ago", now.Sub(in.ClosedAt).Round(time.Second))
		}
		if len(notes) < mostNotes && (in.Open() || now.Sub(in.ClosedAt) < lately) {
			notes = append(notes, fmt.Sprintf("incident %s, %s, %s: %s", in.ID, in.Severity, state, in.Title))
		}
	}
	return notes
}

func breakerOf(health *status.Health, provider string) triage.Step {
	step := triage.Step{Name: triage.Breaker, LookedAt: "the running agent", Verdict: triage.OK}
	switch word := health.Breakers[provider]; word {
	case "":
		step.Verdict, step.Detail = triage.Skipped, "no paid check of this provider has run"
	case "closed":
		step.Detail = word
	default:
		step.Verdict, step.Cause, step.Blame = triage.Wrong, checks.CauseBreakerOpen, checks.BlameSkipped
		step.Detail = strings.ReplaceAll(word, "_", "-") + ": the agent pays for no calls, and tries again by itself"
	}
	return step
}

// spendOf is what the agent's own calls cost, against its budget.
func spendOf(health *status.Health) triage.Step {
	step := triage.Step{Name: triage.Spend, LookedAt: "the running agent", Verdict: triage.OK}
	var texts []string
	worst := 0.0
	for _, b := range health.Budget {
		texts = append(texts, fmt.Sprintf("$%.4f of $%g %s", b.SpentUSD, b.LimitUSD, strings.ReplaceAll(b.Window, "_", " ")))
		worst = max(worst, b.SpentUSD/b.LimitUSD)
	}
	step.Detail = "of the probes: " + strings.Join(texts, ", ")
	switch {
	case len(texts) == 0:
		step.Verdict, step.Detail = triage.Skipped, "there is no budget"
	case worst >= 1:
		step.Verdict, step.Cause, step.Blame = triage.Wrong, checks.CauseBudget, checks.BlameSkipped
	case worst >= muchSpent:
		step.Verdict, step.Cause, step.Blame = triage.Degraded, checks.CauseBudget, checks.BlameSkipped
	}
	return step
}

// storeSteps are what the store knows of rate limits and of models that retire, once what is paid for is over, which writes it.
func (l *looker) storeSteps(ctx context.Context) []triage.Step {
	over := make(chan struct{})
	go func() {
		l.paying.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Limit/20)
	defer cancel()
	headroom := triage.Step{Name: triage.Headroom, LookedAt: "the store", Verdict: triage.Skipped, Detail: "no rate limit was seen yet"}
	retire := triage.Step{Name: triage.Retirements, LookedAt: "the store", Verdict: triage.Skipped, Detail: "no model was seen yet"}
	view, err := agent.SeenModels(ctx, l.Config, l.Getenv)
	if err != nil {
		headroom.Detail, retire.Detail = err.Error(), err.Error()
		return []triage.Step{headroom, retire}
	}
	headroomOf(&headroom, view, l.Provider.Name)
	retirementsOf(&retire, view, l.Provider.Name, time.Now())
	return []triage.Step{headroom, retire}
}

func headroomOf(step *triage.Step, view *agent.ModelsView, provider string) {
	var texts []string
	for i := range view.Limits {
		limit := &view.Limits[i]
		if limit.Provider != provider || limit.Limit <= 0 {
			continue
		}
		if len(texts) == 0 {
			step.Verdict = triage.OK
		}
		every := ""
		if limit.Window.Window != "" {
			every = " a " + limit.Window.Window
		}
		texts = append(texts, fmt.Sprintf("%d of %d %s%s left for %s", limit.Remaining, limit.Limit, limit.Resource, every, limit.Model))
		if float64(limit.Remaining) < littleLeft*float64(limit.Limit) {
			step.Verdict, step.Cause, step.Blame = triage.Degraded, checks.CauseHeadroom, checks.BlameAccount
		}
	}
	if len(texts) > 0 {
		step.Detail = strings.Join(texts, ", ")
	}
}

func retirementsOf(step *triage.Step, view *agent.ModelsView, provider string, now time.Time) {
	var soon []string
	for i := range view.Models {
		m := &view.Models[i]
		if m.Provider != provider {
			continue
		}
		if step.Verdict == triage.Skipped {
			step.Verdict, step.Detail = triage.OK, "no model that is watched retires within 30 days"
		}
		left := m.Retires.Sub(now)
		if m.Retires.IsZero() || left > retireWithin {
			continue
		}
		text := fmt.Sprintf("%s retires on %s", m.Model, m.Retires.UTC().Format(time.DateOnly))
		if m.Replacement != "" {
			text += ", then " + m.Replacement
		}
		soon = append(soon, text)
		step.Cause, step.Blame = checks.CauseModelGone, checks.BlameConfig
	}
	if len(soon) > 0 {
		step.Verdict, step.Detail = triage.Degraded, strings.Join(soon, "; ")
	}
}
