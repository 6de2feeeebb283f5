package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// caller is what makes a provider's calls.
type caller interface {
	mistral.API
	BaseURL() string
	Keys() []mistral.Key
	SameKey(ctx context.Context) (bool, error)
}

// provider is one provider as its checks see it: the calls, and whoever learns from them without being asked.
type provider struct {
	caller
	prices *pricing.Book
	listed func(ctx context.Context, models []mistral.Model) // after a models list that succeeded
	called func(model string, call *mistral.Call)            // after a call, however it ended; model "" where it was free
	log    *slog.Logger

	refreshing sync.Mutex // holds who makes a list for the prices; guards what follows
	tried      time.Time
}

// Models implements mistral.API.
func (p *provider) Models(ctx context.Context) ([]mistral.Model, mistral.Call) {
	models, call := p.caller.Models(ctx)
	p.called("", &call)
	if call.OK() && call.KeyUsed != mistral.KeyFallback { // whose account may use less
		p.listed(ctx, models)
	}
	return models, call
}

// Keys lists the provider's keys. A list that is made with the primary one teaches as any other; what the fallback's account may
// use says nothing of what calls cost.
func (p *provider) Keys() []mistral.Key {
	keys := p.caller.Keys()
	for i := range keys {
		if keys[i].Name == mistral.KeyPrimary {
			keys[i] = keys[i].Seen(p.listed)
		}
	}
	return keys
}

// Model implements mistral.API.
func (p *provider) Model(ctx context.Context, id string) (mistral.Model, mistral.Call) {
	model, call := p.caller.Model(ctx, id)
	p.called("", &call)
	return model, call
}

// Chat implements mistral.API.
func (p *provider) Chat(ctx context.Context, req mistral.ChatRequest) (mistral.ChatReply, mistral.Call) {
	reply, call := p.caller.Chat(ctx, req)
	p.called(req.Model, &call)
	return reply, call
}

// Embed implements mistral.API.
func (p *provider) Embed(ctx context.Context, req mistral.EmbedRequest) (mistral.EmbedReply, mistral.Call) {
	reply, call := p.caller.Embed(ctx, req)
	p.called(req.Model, &call)
	return reply, call
}

// providers builds the providers of a configuration, with what the store remembers of them.
func (a *Agent) providers(ctx context.Context, gen *generation) (map[string]*provider, error) {
	all := map[string]*provider{}
	for i := range gen.cfg.Providers {
		p := &gen.cfg.Providers[i]
		client, err := gen.client(p)
		if err != nil {
			return nil, fmt.Errorf("provider %q: %w", p.Name, err)
		}
		prices := a.book(ctx, gen.cfg.Prices.Table(), p)
		all[p.Name] = &provider{
			caller: client, prices: prices, log: a.o.Log.With("part", "prices", "provider", p.Name),
			listed: func(ctx context.Context, models []mistral.Model) { a.learn(ctx, p.Name, prices, models) },
			called: func(model string, call *mistral.Call) { a.headrooms.Answered(p.Name, p.BaseURL, answerOf(model, call)) },
		}
	}
	return all, nil
}

func (gen *generation) client(p *config.Provider) (caller, error) {
	return mistral.NewKeyed(mistral.Options{
		BaseURL: p.BaseURL, APIKey: p.APIKey, Out: gen.network, ReuseConnections: p.ReuseConnections, StallAfter: p.StallAfter,
	}, p.FallbackAPIKey, p.Failover)
}

// pricesKey is where the store keeps what the models lists of a provider said.
func pricesKey(provider string) string { return "prices/" + provider }

// book is the price book of a provider: what it is before the first list, the list before the last restart said.
func (a *Agent) book(ctx context.Context, table *pricing.Table, p *config.Provider) *pricing.Book {
	book := pricing.NewBook(table, p.BaseURL)
	book.Follow()
	data, err := a.store.LoadState(ctx, pricesKey(p.Name))
	if err == nil && data != nil {
		err = book.Restore(data)
	}
	if err != nil {
		a.o.Log.Warn("the aliases of models are known again after the next models list", "provider", p.Name, "error", err)
	}
	return book
}

// freshPrices is how old a models list may be before the agent makes one itself, for the sake of the prices: an alias may
// have moved to a dearer model.
const freshPrices = 10 * time.Minute

// tryAgain is how long after a list that failed no other is made.
const tryAgain = 30 * time.Second

// followAliases makes the free models list of each provider whose checks count money by its models and make none themselves, until ctx
// ends.
func (a *Agent) followAliases(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		a.mu.Lock()
		gen := a.gen
		a.mu.Unlock()
		for name := range gen.clients {
			gen.refresh(ctx, name)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh makes the models list of a provider where prices depend on it and it is old. What becomes of it is told by the
// checks that ask for it: here only its aliases matter. One list is made at a time, and after one that failed none for a while.
func (gen *generation) refresh(ctx context.Context, provider string) {
	if gen.clients[provider] == nil || !gen.priced(provider) {
		return
	}
	p := gen.clients[provider]
	p.refreshing.Lock()
	defer p.refreshing.Unlock()
	if time.Since(p.prices.Learned()).Abs() < freshPrices || time.Since(p.tried) < tryAgain {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, call := p.Models(ctx)
	p.tried = time.Now()
	if !call.OK() && time.Since(p.prices.Learned()).Abs() > pricing.Stale {
		p.log.Warn("nobody knows what aliases of models stand for: they count as the dearest", "reason", call.Summary)
	}
}

// priced reports whether checks of a provider count money by its models: those that call some, and those that add up what the
// application spends.
func (gen *generation) priced(provider string) bool {
	return slices.ContainsFunc(gen.plan.Jobs, func(job *pipeline.Job) bool {
		_, calls := job.Check.(checks.Modelled)
		return job.Provider == provider && (calls || job.Kind == "spend")
	})
}

// learn takes over what a models list says of prices.
func (a *Agent) learn(ctx context.Context, provider string, book *pricing.Book, models []mistral.Model) {
	cards := make([]pricing.Card, 0, len(models))
	for i := range models {
		cards = append(cards, pricing.Card{ID: models[i].ID, Name: models[i].Name, Billing: models[i].BillingName})
	}
	if !book.Learn(time.Now(), cards) {
		return
	}
	data, err := book.Snapshot()
	if err == nil {
		err = a.store.SaveState(context.WithoutCancel(ctx), pricesKey(provider), data)
	}
	if err != nil {
		a.o.Log.Error("storing the aliases of models", "provider", provider, "error", err)
	}
}

// modelsUsed lists the models that checks of a provider call, sorted.
func (gen *generation) modelsUsed(provider string) []string {
	var all []string
	for _, job := range gen.plan.Jobs {
		if using, ok := job.Check.(checks.Modelled); ok && job.Provider == provider {
			all = append(all, using.ModelsUsed()...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// unpriced are the models that checks of a provider call and whose price for tokens nobody knows.
func (gen *generation) unpriced(provider string, now time.Time) []string {
	return slices.DeleteFunc(gen.modelsUsed(provider), func(model string) bool {
		return known(gen.prices[provider], model, gen.answers(provider, model), now)
	})
}

// answers reports whether a check has the model answer in tokens.
func (gen *generation) answers(provider, model string) bool {
	return slices.ContainsFunc(gen.plan.Jobs, func(job *pipeline.Job) bool {
		using, ok := job.Check.(checks.Modelled)
		return ok && job.Provider == provider && slices.Contains(using.ModelsUsed(), model) && answers(job.Kind, model)
	})
}

// warnOfPrices says at the start and after a reload what is wrong with prices and budget and keeps nothing from running.
func (a *Agent) warnOfPrices(cfg *config.Config, gen *generation) {
	now := time.Now()
	var called []PricedModel
	for provider, book := range gen.prices {
		for _, model := range gen.modelsUsed(provider) {
			called = append(called, priced(book, provider, model, now))
		}
	}
	for _, text := range OldPrices(cfg, called, now) {
		a.o.Log.Warn("prices are old", "problem", text)
	}
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		table := pricing.NewBook(cfg.Prices.Table(), p.BaseURL) // with the built-in aliases
		unknown := slices.DeleteFunc(gen.unpriced(p.Name, now), func(model string) bool {
			// at the first start the models list comes in a moment; where it does not, refresh says so
			return gen.prices[p.Name].Learned().IsZero() && known(table, model, gen.answers(p.Name, model), now)
		})
		if len(unknown) > 0 {
			a.o.Log.Warn("prices are not known, and count as the dearest", "provider", p.Name, "models", unknown)
		}
	}
	cost := CostOf(cfg, a.o.Registry)
	if _, err := overBudget(&cfg.Budget, &cost); err != nil {
		a.o.Log.Warn("the schedule passes its own budget, which will skip runs", "problem", err)
	}
}
