// Package app asks the team's own application how it fares: its health route, and its chat route when told to. It blames
// the application, not the provider behind it. It shows no body, no error text and no credential of what it was answered.
package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const doc = `Asks the application's own health route, and its chat route when it is given one. The health is looked for under
services.mistral, then at the root, as {"status": "healthy", "provider": …, "model": …, "latencyMs": …, "error": …}; a status is healthy, degraded or
unhealthy, and the HTTP status must agree with it. A shape or a word that is not known is never good. A key or a stack trace in the answer is a
finding, which is told without quoting it. Redirects are not followed. What goes wrong is blamed on the application. The check is free, unless the chat
route has a max_cost_usd, which is then reserved from the budget before each run and booked as spent when the route was asked.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("app", doc, defaults(), New)
	kind.Provider = checks.ProviderNamed
	return kind
}

// App is one check of one application.
type App struct {
	params Params
	out    outbound.Exchanger // nil while a configuration is being validated
	body   []byte             // of the chat request
	expect *expect.Expectation
}

// New builds the check. Without a network its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	a := &App{params: params}
	if env.Network != nil {
		out, ok := env.Network.(outbound.Exchanger)
		if !ok {
			return nil, fmt.Errorf("the agent's network is a %T, which cannot ask", env.Network)
		}
		a.out = out
	}
	if params.Chat == nil {
		return a, nil
	}
	var err error
	if a.expect, err = expect.New("chat.expect", params.Chat.Expect); err != nil {
		return nil, err
	}
	if a.body, err = json.Marshal(params.Chat.Body); err != nil {
		return nil, checks.Invalid("chat.body", "it cannot be written as JSON: %v", err)
	}
	if params.Chat.MaxCostUSD > 0 {
		return paid{a}, nil
	}
	return a, nil
}

// paid is an App whose chat route has a declared cost.
type paid struct{ *App }

// MaxCost is what was declared.
func (p paid) MaxCost(time.Time) (checks.PicoUSD, bool) { return p.params.Chat.cost(), true }

// Owner says who is to blame: the application.
func (a *App) Owner() checks.Blame { return checks.BlameApplication }

// Measures implements checks.Measuring.
func (a *App) Measures() []string {
	names := []string{"probe.app.answer_age", "probe.app.reported_latency"}
	if a.params.Chat != nil {
		names = append(names, "probe.app.chat.duration", "probe.app.chat.status_code")
	}
	return fetch.Measures(names...)
}

// Run asks for the health, and then, of an application that answers, for a chat. The worse of the two decides.
func (a *App) Run(ctx context.Context) (checks.Result, error) {
	if a.out == nil {
		return checks.Result{Cause: checks.CauseInternal}, errors.New("there is no network to ask with")
	}
	watch, err := a.watched(ctx)
	if err != nil {
		return checks.Result{Cause: checks.CauseConfig}, err
	}
	r, reached := a.health(ctx, watch)
	if a.params.Chat == nil {
		return r, nil
	}
	if !reached {
		r.Evidence = append(r.Evidence, checks.Step{Name: "chat", Detail: "not asked: the health route could not be reached"})
		return r, nil
	}
	return worse(r, a.chat(ctx, watch)), nil
}

// watched reads the secrets that must not be seen in an answer.
func (a *App) watched(ctx context.Context) (credential.Scrubber, error) {
	var values []string
	for i, s := range a.params.Secrets {
		value, err := credential.Text(ctx, s)
		if err != nil {
			return credential.Scrubber{}, fmt.Errorf("entry %d of secrets cannot be looked for: %w", i, err)
		}
		values = append(values, value)
	}
	return credential.NewScrubber(values, nil), nil
}

// worse joins the two results; the health's verdict stands where both are as bad.
func worse(health, chat checks.Result) checks.Result {
	r := health
	rank := map[checks.Status]int{checks.OK: 0, checks.Degraded: 1, checks.Unknown: 2, checks.Error: 3, checks.Failed: 4}
	switch {
	case rank[chat.Status] > rank[health.Status]:
		r.Status, r.Cause, r.Blame, r.Summary = chat.Status, chat.Cause, chat.Blame, chat.Summary
	case chat.Status == checks.OK && health.Status == checks.OK:
		r.Summary = oneline.Of(health.Summary+", "+chat.Summary, maxLine)
	}
	for _, s := range chat.Evidence {
		s.Name = "chat." + s.Name
		r.Evidence = append(r.Evidence, s)
	}
	r.Measurements = append(r.Measurements, chat.Measurements...)
	r.Usage = chat.Usage
	return r
}
