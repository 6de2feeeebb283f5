package look

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/traffic"
	"github.com/windsock-monitor/windsock/internal/triage"
)

const (
	retireWithin = 30 * 24 * time.Hour
	// The limits of the checklist, of what the application itself measures.
	most5xx = 10.0 // a minute
	most429 = 5.0  // a minute
	mostP95 = 5.0  // seconds
	notOpen = 1.0  // of the states of the application's breaker
)

// configured is the first check of a kind that is the provider's, or nobody's.
func (l *looker) configured(kind string) *config.Check {
	for i := range l.Config.Checks {
		c := &l.Config.Checks[i]
		if c.Kind == kind && c.With != nil && (c.Provider == "" || c.Provider == l.Provider.Name) {
			return c
		}
	}
	return nil
}

func (l *looker) build(c *config.Check) (checks.Check, error) {
	for _, kind := range l.Registry.Checks {
		if kind.Name == c.Kind {
			return kind.New(c.With, l.env(c.Name))
		}
	}
	return nil, fmt.Errorf("no kind %q", c.Kind)
}

// Application is the application as a check has it; Chat tells whether its chat route is known, and Paid whether asking it
// costs money.
type Application struct {
	Params     app.Params
	Check      string // "" where it is by its address alone
	Chat, Paid bool
	guessed    bool // nobody said where its health route is
}

// ApplicationOf is the application of the configuration, with the address in place of its health route where one is
// given; false where there is none. The address of a server is that of its route /health.
func ApplicationOf(cfg *config.Config, address string) (Application, bool) {
	var a Application
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		params := app.Params{Service: "mistral"}
		if c.Kind != "app" || c.With == nil || c.With.Decode(&params) != nil {
			continue
		}
		a = Application{Params: params, Check: c.Name, Chat: params.Chat != nil, Paid: params.Chat != nil && params.Chat.MaxCostUSD > 0}
		break
	}
	if address == "" {
		return a, a.Check != ""
	}
	guessed := false
	if u, err := url.Parse(address); err == nil && (u.Path == "" || u.Path == "/") {
		u.Path = "/health"
		address, guessed = u.String(), true
	}
	if a.Check == "" || a.Params.URL != address {
		a = Application{Params: app.Params{URL: address, Service: "mistral"}, guessed: guessed}
	}
	return a, true
}

// health asks the application's health route.
func (l *looker) health(ctx context.Context) triage.Step {
	a, known := ApplicationOf(l.Config, l.App)
	if !known {
		return triage.Step{Verdict: triage.Skipped, Detail: "no application is known: --app URL, or a check of the kind app"}
	}
	a.Params.Chat = nil
	check, err := app.New(a.Params, l.env("app"))
	r := run(ctx, check, err)
	step := behind(StepOf(triage.AppHealth, shown(a.Params.URL), &r))
	if step.Verdict == triage.Wrong && step.Cause == checks.CauseBadRequest && a.guessed {
		step.Verdict, step.Missed, step.Cause, step.Blame, step.Notes = triage.Unknown, true, checks.CauseNone, checks.BlameNone, nil
		step.Detail += ": /health is a guess; give --app with the path of its health route"
	}
	return step
}

// behind makes an unknown of what something before the application answered: what is behind it was not seen.
func behind(step triage.Step) triage.Step {
	before := []checks.Cause{checks.CauseAuth, checks.CauseForbidden, checks.CauseUnexpectedRedirect}
	if step.Verdict == triage.Wrong && slices.Contains(before, step.Cause) {
		step.Verdict, step.Missed, step.Cause, step.Blame, step.Notes = triage.Unknown, true, checks.CauseNone, checks.BlameNone, nil
		step.Detail = "something stands before it, and what is behind was not seen: " + step.Detail +
			"; give a check of the kind app what it wants (with: {auth: …}), or an address behind that"
	}
	return step
}

// shown is an address without what may be secret in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// smoke asks the application's chat route, where that costs nothing.
func (l *looker) smoke(ctx context.Context) triage.Step {
	a, known := ApplicationOf(l.Config, l.App)
	switch {
	case !known:
		return triage.Step{Verdict: triage.Skipped, Detail: "no application is known"}
	case !a.Chat:
		return triage.Step{Verdict: triage.Skipped, Detail: "no chat route is known: give a check of the kind app a chat"}
	case a.Paid:
		return triage.Step{Verdict: triage.Skipped, Detail: "left out, because it costs money (--free)"}
	}
	check, err := app.New(a.Params, l.env("app"))
	r := run(ctx, check, err)
	return SmokeOf(a, &r)
}

// SmokeOf takes the chat's part from the result of a check of an application.
func SmokeOf(a Application, r *checks.Result) triage.Step {
	step := StepOf(triage.AppSmoke, shown(a.Params.Chat.URL), r)
	var last *checks.Step
	for i := range r.Evidence {
		e := &r.Evidence[i]
		if strings.HasPrefix(e.Name, "chat.") {
			last = e
		} else if e.Name == "chat" {
			return triage.Step{Name: triage.AppSmoke, LookedAt: step.LookedAt, Verdict: triage.Skipped, Missed: true, Detail: e.Detail}
		}
	}
	switch {
	case strings.HasPrefix(r.Summary, "the chat route: "), last == nil:
	case last.OK:
		step.Verdict, step.Cause, step.Blame, step.Notes = triage.OK, checks.CauseNone, checks.BlameNone, nil
		step.Detail = "the chat route answered as expected"
	default:
		step.Verdict, step.Detail = triage.Wrong, "the chat route: "+last.Detail
	}
	return behind(step)
}

// errorRate asks the application's Prometheus. What is missing is not zero.
func (l *looker) errorRate(ctx context.Context) triage.Step {
	c, lookedAt, err := l.prometheus()
	if c == nil && err == nil {
		return triage.Step{Verdict: triage.Skipped, Detail: "no Prometheus is known: --prometheus URL, or a check of the kind prometheus"}
	}
	var check checks.Check
	if err == nil {
		check, err = l.build(c)
	}
	r := run(ctx, check, err)
	step := StepOf(triage.ErrorRate, lookedAt, &r)
	step.Cause, step.Blame = checks.CauseNone, checks.BlameNone
	numbers := map[string]float64{}
	for _, m := range r.Measurements {
		if name, is := strings.CutPrefix(m.Name, "query."); is {
			numbers[name] = max(numbers[name], m.Value)
		}
	}
	weigh(&step, numbers)
	return step
}

// weigh judges the numbers by the limits of the checklist. Without those of errors nobody can tell.
func weigh(step *triage.Step, numbers map[string]float64) {
	_, known := numbers[traffic.Errors5xx]
	if known && (step.Verdict == triage.Unknown || step.Verdict == triage.Degraded) { // of something else: what was asked for is known
		step.Verdict, step.Notes = triage.OK, append([]string{step.Detail}, step.Notes...)
	}
	var texts []string
	for _, q := range []struct {
		name, word string
		most       float64
		cause      checks.Cause
		slow       bool
	}{
		{traffic.Errors401, "refused keys (401) a minute", 0, checks.CauseAuth, false},
		{traffic.Errors5xx, "server errors (5xx) a minute", most5xx, checks.CauseServer, false},
		{traffic.Errors429, "rate limited (429) a minute", most429, checks.CauseRateLimited, false},
		{traffic.LatencyP95, "seconds at the 95th percentile", mostP95, checks.CauseSlow, true},
		{traffic.CircuitState, "is the state of its breaker", notOpen, checks.CauseBreakerOpen, true},
	} {
		value, known := numbers[q.name]
		if !known {
			continue
		}
		text := strconv.FormatFloat(value, 'g', 4, 64) + " " + q.word
		if value > q.most {
			text += fmt.Sprintf(" (at most %g)", q.most)
			worse(step, q.cause, q.slow)
		}
		texts = append(texts, text)
	}
	switch {
	case len(numbers) == 0: // the server, not the application, is what is wrong
		step.Verdict, step.Notes = triage.Unknown, nil
		step.Detail = "the error rate is not known, which is not zero: " + step.Detail
	case step.Verdict == triage.Wrong || step.Verdict == triage.Degraded && step.Cause != checks.CauseNone || known:
		if len(texts) > 0 {
			step.Detail = strings.Join(texts, ", ")
		}
	default:
		step.Verdict = triage.Unknown
		step.Detail = "the error rate is not known, which is not zero: " + step.Detail
	}
}

// worse adds a finding; one that is only slow does not make less of what is wrong.
func worse(step *triage.Step, cause checks.Cause, slow bool) {
	switch {
	case step.Verdict == triage.Wrong && step.Cause != checks.CauseNone:
		return
	case slow:
		step.Verdict = triage.Degraded
	default:
		step.Verdict = triage.Wrong
	}
	step.Cause, step.Blame = cause, checks.BlameApplication
}

// prometheus is the check of the Prometheus to ask.
func (l *looker) prometheus() (*config.Check, string, error) {
	if l.Prometheus == "" {
		for i := range l.Config.Checks {
			if c := &l.Config.Checks[i]; c.Kind == "prometheus" && c.With != nil {
				return c, "check " + c.Name, nil
			}
		}
		return nil, "", nil
	}
	text := fmt.Sprintf("checks:\n  - {name: traffic, kind: prometheus, schedule: \"@every 1h\", with: {url: %q, preset: checklist}}\n", l.Prometheus)
	cfg, err := config.Parse("--prometheus", []byte(text), config.Options{Registry: l.Registry, Getenv: l.Getenv})
	if err != nil {
		return nil, shown(l.Prometheus), errors.New("--prometheus is not an address: want http://127.0.0.1:9090")
	}
	return &cfg.Checks[slices.IndexFunc(cfg.Checks, func(c config.Check) bool { return c.Name == "traffic" })], shown(l.Prometheus), nil
}
