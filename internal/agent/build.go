package agent

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/store"
)

// generation is everything that one configuration builds. A reload builds a whole new one before it touches the old.
type generation struct {
	cfg        *config.Config
	names      map[string]bool // of the checks
	network    *outbound.Network
	spawner    checks.Spawner           // nil where no program may run
	clients    map[string]*provider     // by name
	prices     map[string]*pricing.Book // by provider
	plan       pipeline.Plan
	engine     *alerts.Engine
	breakers   map[string]pipeline.BreakerSettings
	deliveries []*delivering

	unclean bool               // what exporters wrote before this generation may be cut off
	cut     atomic.Bool        // what one of this generation wrote may be cut off
	stop    context.CancelFunc // ends delivery at once
	soft    chan struct{}      // closed: deliver what is there, then end
	done    sync.WaitGroup
}

func (a *Agent) build(ctx context.Context, cfg *config.Config) (_ *generation, err error) {
	spawner, err := spawnerOf(cfg, a.o.Getenv)
	if err != nil {
		return nil, err
	}
	network, err := networkOf(cfg, a.o.Version, a.o.Drill)
	if err != nil {
		return nil, err
	}
	gen := &generation{cfg: lean(cfg), names: map[string]bool{}, network: network, spawner: spawner, soft: make(chan struct{})}
	defer func() {
		if err != nil {
			gen.close() // plugins have instances of what is built already
		}
	}()
	clients, err := a.providers(ctx, gen)
	if err != nil {
		return nil, err
	}
	gen.plan = pipeline.Plan{
		Location: cfg.Location, Labels: cfg.Labels, Limits: limits(cfg.Budget), Listers: map[string]pipeline.Lister{}, Prices: gen.refresh,
		Maintenance: alerting.Gate(cfg.Maintenance, cfg.Labels),
	}
	gen.clients, gen.prices = clients, map[string]*pricing.Book{}
	for name, client := range clients {
		gen.prices[name] = client.prices
		gen.plan.Listers[name] = lister(client)
	}
	for i := range cfg.Checks {
		job, err := a.job(gen, &cfg.Checks[i], clients)
		if err != nil {
			return nil, err
		}
		gen.plan.Jobs = append(gen.plan.Jobs, job)
		gen.names[job.Name] = true
	}
	gen.breakers = BreakersOf(cfg, gen.plan.Jobs)
	gen.engine, err = alerts.New(cfg.Alerts.Rules, targets(cfg, gen.plan.Jobs), time.Now())
	if err != nil {
		return nil, fmt.Errorf("building the alerts: %w", err)
	}
	if err := a.exporters(gen); err != nil {
		return nil, err
	}
	return gen, nil
}

// BreakersOf is what the configuration says of each provider's breaker. The reset is at least twice the shortest interval
// of the provider's paid checks: one that is over before the next run is due would never keep a run from being paid.
func BreakersOf(cfg *config.Config, jobs []*pipeline.Job) map[string]pipeline.BreakerSettings {
	out := map[string]pipeline.BreakerSettings{}
	intervals := make(map[string]time.Duration, len(cfg.Checks))
	for i := range cfg.Checks {
		intervals[cfg.Checks[i].Name] = cfg.Checks[i].Schedule.Interval()
	}
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		var shortest time.Duration
		for _, job := range jobs {
			interval, known := intervals[job.Name]
			if _, paid := job.Check.(checks.Paid); !paid || job.Provider != p.Name || !known {
				continue
			}
			if shortest == 0 || interval < shortest {
				shortest = interval
			}
		}
		out[p.Name] = pipeline.BreakerSettings{Failures: p.Breaker.Failures, Reset: max(p.Breaker.Reset, 2*shortest)}
	}
	return out
}

// lean is the configuration without what only building needs: the parameters of checks in the form of the file, and where
// its rules stand.
func lean(cfg *config.Config) *config.Config {
	kept := *cfg
	kept.Checks = slices.Clone(cfg.Checks)
	for i := range kept.Checks {
		kept.Checks[i].With, kept.Checks[i].Place = nil, nil
	}
	kept.Alerts.Source = nil
	return &kept
}

func lister(client mistral.API) pipeline.Lister {
	return func(ctx context.Context) (checks.Cause, string) {
		models, call := client.Models(ctx)
		if call.OK() {
			return checks.CauseNone, fmt.Sprintf("%d models listed", len(models))
		}
		return call.Cause, call.Summary
	}
}

func limits(b config.Budget) []store.Limit {
	var out []store.Limit
	if b.PerHour > 0 {
		out = append(out, store.Limit{Name: "per_hour", Window: time.Hour, Amount: b.PerHour})
	}
	if b.PerDay > 0 {
		out = append(out, store.Limit{Name: "per_day", Window: 24 * time.Hour, Amount: b.PerDay})
	}
	if b.PerMonth > 0 {
		out = append(out, store.Limit{Name: "per_month", Window: 30 * 24 * time.Hour, Amount: b.PerMonth})
	}
	return out
}

func (a *Agent) job(gen *generation, check *config.Check, clients map[string]*provider) (*pipeline.Job, error) {
	env := checks.Env{
		Log: a.o.Log.With("check", check.Name), Name: check.Name, Location: gen.cfg.Location, Timeout: check.Timeout,
		Network: gen.network, Memory: a.store.Memory(check.Name), Ledger: a.store.Ledger(), History: a.store.History(check.Name),
		Spawn: gen.spawner,
	}
	env.Prices = pricing.NewBook(gen.cfg.Prices.Table(), "") // of a check without a provider
	if client := clients[check.Provider]; client != nil {
		env.Provider, env.Prices = client, client.prices
		env.Models = func() []string { return gen.modelsUsed(check.Provider) }
	}
	built, err := a.check(check, env)
	if err != nil {
		return nil, err
	}
	return &pipeline.Job{
		Name: check.Name, Kind: check.Kind, Provider: check.Provider, Labels: check.Labels, Check: built,
		Timeout: check.Timeout, DegradedAbove: check.DegradedAbove, Confirm: check.Confirm,
	}, nil
}

func (a *Agent) check(check *config.Check, env checks.Env) (checks.Check, error) {
	if check.Foreign.Plugin != "" {
		return a.plugins.check(check, env)
	}
	for _, kind := range a.o.Registry.Checks {
		if kind.Name != check.Kind {
			continue
		}
		built, err := kind.New(check.With, env)
		if err != nil {
			return nil, check.Place(err)
		}
		return built, nil
	}
	return nil, fmt.Errorf("check %q: no kind %q", check.Name, check.Kind)
}

// entries is the schedule of a configuration, with the memory of what ran before.
func (a *Agent) entries(ctx context.Context, cfg *config.Config) []schedule.Entry {
	runs, now := a.lastSlots(ctx), time.Now()
	hosts := map[string]string{}
	for _, p := range cfg.Providers {
		if u, err := url.Parse(p.BaseURL); err == nil {
			hosts[p.Name] = u.Host
		}
	}
	entries := make([]schedule.Entry, 0, len(cfg.Checks))
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		entries = append(entries, schedule.Entry{
			Name: c.Name, Spec: a.pace.of(c), Overlap: c.Overlap, Missed: c.Missed, RunAtStart: c.RunAtStart,
			Host: hosts[c.Provider], LastRun: lastSlot(runs[c.Name], a.pace.of(c), now),
		})
	}
	return entries
}

// slots is what the store knows of a check's newest record: its slot, and how many slots it stands for.
type slots struct {
	from  time.Time
	count int
}

func (a *Agent) lastSlots(ctx context.Context) map[string]slots {
	out := map[string]slots{}
	runs, err := a.store.LastRuns(ctx)
	if err != nil {
		a.o.Log.Warn("reading the last runs", "error", err)
	}
	for name, at := range runs {
		out[name] = slots{at, 1}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, r := range a.last {
		if r.Slots > 0 && !r.ScheduledAt.Before(out[name].from) {
			out[name] = slots{r.ScheduledAt, r.Slots}
		}
	}
	return out
}

// lastSlot is the newest slot that a record stands for. Where its slots came at another pace they do not lead past now.
func lastSlot(s slots, spec schedule.Spec, now time.Time) time.Time {
	at := s.from
	if at.IsZero() || s.count <= 1 {
		return at
	}
	if last := spec.Advance(at, s.count); last.Before(now) || at.After(now) {
		return last
	}
	return now
}

func (a *Agent) closeGeneration() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gen.close()
}

// close lets go of what the generation's checks hold. Nothing of it runs any more.
func (gen *generation) close() {
	for _, job := range gen.plan.Jobs {
		if c, ok := job.Check.(io.Closer); ok {
			_ = c.Close()
		}
	}
	gen.network.Close()
}
