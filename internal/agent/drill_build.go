package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/mirage"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/store"
)

// drillPlan is what was asked for.
type drillPlan struct {
	scenario, by, provider string
	faults                 []DrillFault
	expect                 []DrillExpectation
	until                  time.Time
	every, lease           time.Duration
	force                  bool
	application            bool            // the fault is of applications
	api                    bool            // and of the provider
	lasting                map[string]bool // rules whose alerts do not end with the fault
}

// lasts reports whether the alert of a rule does not end with the fault.
func (p *drillPlan) lasts(rule string) bool {
	return p.lasting[rule] || slices.ContainsFunc(p.expect, func(e DrillExpectation) bool { return e.Rule == rule && e.Lasting })
}

// against looks whether the rules leave a drill time enough: one that waits for longer than the fault may last needs a
// drill whose time is compressed, and one that looks further back than that lasts until the drill ends.
func (p *drillPlan) against(rules []alerts.Rule) error {
	length := time.Until(p.until)
	fault := time.Duration(float64(length) * drillShare)
	p.lasting = map[string]bool{}
	for i := range rules {
		r := &rules[i]
		p.lasting[r.Name] = max(r.KeepFiringFor, lookback(&r.When)) > length-fault
		if r.For >= fault && slices.ContainsFunc(p.expect, func(e DrillExpectation) bool { return e.Rule == r.Name }) {
			return askedWrongly("the rule %s waits for %s, and the fault lasts at most %s in a drill in place: without --in-place time is compressed", r.Name, r.For, fault.Round(time.Second))
		}
	}
	return nil
}

// lookback is the longest time that a condition looks back.
func lookback(c *alerts.Condition) time.Duration {
	longest := c.Window.Time
	for _, all := range [][]alerts.Condition{c.All, c.Any} {
		for i := range all {
			longest = max(longest, lookback(&all[i]))
		}
	}
	return longest
}

// planDrill reads a request. Its error is an *askedError.
func (a *Agent) planDrill(asked *DrillRequest, by string) (*drillPlan, error) {
	p := &drillPlan{scenario: asked.Scenario, by: by, faults: asked.Faults, expect: asked.Expect, force: asked.Force, every: drillPace}
	length := drillLongest
	for _, d := range []struct {
		name, text string
		least      time.Duration
		into       *time.Duration
	}{{"for", asked.For, time.Second, &length}, {"every", asked.Every, drillFast, &p.every}, {"lease", asked.Lease, time.Second, &p.lease}} {
		if d.text == "" {
			continue
		}
		value, err := time.ParseDuration(d.text)
		if err != nil || value < d.least || value > drillLongest {
			return nil, askedWrongly("%s is %q, want %s to %s", d.name, d.text, d.least, drillLongest)
		}
		*d.into = value
	}
	p.until = time.Now().Add(length)
	switch {
	case asked.Scenario == "" || len(asked.Scenario) > 64 || strings.ContainsFunc(asked.Scenario, notOfScenario):
		return nil, askedWrongly("the scenario is %q, want a name of letters, digits and -", asked.Scenario)
	case len(asked.Faults) == 0 || len(asked.Expect) == 0:
		return nil, askedWrongly("a drill has faults and what must follow from them")
	}
	for i := range asked.Faults {
		if err := p.judge(&asked.Faults[i]); err != nil {
			return nil, askedWrongly("fault %d: %v", i+1, err)
		}
	}
	if !p.api {
		return p, nil
	}
	var err error
	p.provider, err = a.providerOf(asked.Provider)
	return p, err
}

func notOfScenario(r rune) bool {
	return r != '-' && r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// judge checks a fault, and finds what it is of.
func (p *drillPlan) judge(f *DrillFault) error {
	switch f.UsedModel {
	case "":
		if err := f.Validate(); err != nil {
			return err
		}
	case modelRetired, modelMoved:
		p.api = true
		return nil
	default:
		return fmt.Errorf("used_model is %q, want retired or moved", f.UsedModel)
	}
	p.application = p.application || f.App != nil || f.Everywhere()
	p.api = p.api || f.App == nil
	return nil
}

// providerOf is the provider that a drill is of.
func (a *Agent) providerOf(name string) (string, error) {
	a.mu.Lock()
	cfg := a.gen.cfg
	a.mu.Unlock()
	names := make([]string, len(cfg.Providers))
	for i := range cfg.Providers {
		names[i] = cfg.Providers[i].Name
	}
	switch {
	case slices.Contains(names, name):
		return name, nil
	case name != "":
		return "", askedWrongly("there is no provider %q", name)
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", askedWrongly("there is no provider in the configuration")
	}
	return "", askedWrongly("which provider? There are %s", strings.Join(names, ", "))
}

// drillRig is the second instances of checks, and what is at the far end of their connections.
type drillRig struct {
	world      *mirage.World
	network    *outbound.Network
	faults     []mirage.Fault
	gen        *generation // of the drill alone: it delivers nothing
	pipeline   *pipeline.Pipeline
	breakers   *pipeline.Breakers
	deliveries []*delivering // the real ones
	location   string
}

func (r *drillRig) close() {
	for _, job := range r.gen.plan.Jobs {
		if c, ok := job.Check.(io.Closer); ok {
			_ = c.Close()
		}
	}
	r.network.Close()
	_ = r.world.Close()
}

// reason is why an exporter does not deliver, "" where it does.
func (r *drillRig) reason(exporter string) string {
	for _, d := range r.deliveries {
		if d.name == exporter {
			return d.worker.Status().Reason
		}
	}
	return ""
}

// newDrill builds a drill and begins it in the timeline.
func (a *Agent) newDrill(ctx context.Context, plan *drillPlan) (_ *drill, err error) {
	a.mu.Lock()
	live := a.gen
	a.mu.Unlock()
	cfg, err := a.drillConfig(live, plan)
	if err != nil {
		return nil, err
	}
	if err := plan.against(cfg.Alerts.Rules); err != nil {
		return nil, err
	}
	d := &drill{
		plan: plan, a: a, done: make(chan struct{}), news: make(chan struct{}, 1), asked: time.Now(),
		now: DrillState{Scenario: plan.scenario, Phase: DrillBaseline, By: plan.by, BeganAt: time.Now().Round(0).UTC(), Until: plan.until.Round(0).UTC()},
	}
	if d.rig, err = a.rig(ctx, cfg, live, d); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.rig.close()
		}
	}()
	for _, job := range d.rig.gen.plan.Jobs {
		d.now.Checks = append(d.now.Checks, DrillCheck{Name: job.Name, Kind: job.Kind})
	}
	for _, want := range plan.expect {
		if !slices.ContainsFunc(cfg.Alerts.Rules, func(r alerts.Rule) bool { return r.Name == want.Rule }) {
			d.now.Missing = append(d.now.Missing, want.Rule)
		}
	}
	engine, err := alerts.New(cfg.Alerts.Rules, targets(cfg, d.rig.gen.plan.Jobs), time.Now())
	if err != nil {
		return nil, fmt.Errorf("building the rules of a drill: %w", err)
	}
	setup := alerting.DrillSetup{Scenario: plan.scenario, Engine: engine, Told: d.told}
	for _, job := range d.rig.gen.plan.Jobs {
		setup.Targets = append(setup.Targets, incident.Target{Name: job.Name, Kind: job.Kind, Provider: job.Provider})
	}
	d.keep, err = a.alerts.BeginDrill(ctx, setup, fmt.Sprintf("drill %s began, by %s, until %s at the latest", plan.scenario, plan.by, plan.until.UTC().Format(time.TimeOnly)))
	if err != nil {
		return nil, &notNowError{err.Error()}
	}
	a.o.Log.Warn("drill began", "scenario", plan.scenario, "by", plan.by, "until", plan.until)
	return d, nil
}

// drillConfig is the configuration of the running agent with the checks that the drill concerns, and with keys that mean
// nothing. The parameters of checks are read from the file again, which must be as it was.
func (a *Agent) drillConfig(live *generation, plan *drillPlan) (*config.Config, error) {
	if a.o.Reload == nil {
		return nil, &notNowError{"there is no file that the checks could be read from"}
	}
	loaded := a.config()
	if info, err := os.Stat(loaded.Path); err != nil || info.ModTime().After(loaded.LoadedAt) {
		return nil, &notNowError{loaded.Path + " is not what the agent has read: reload it first"}
	}
	file, err := a.o.Reload()
	if err != nil {
		return nil, &notNowError{"the configuration cannot be read: " + err.Error()}
	}
	cfg := *live.cfg
	cfg.Checks = nil
	for i := range file.Checks {
		c := file.Checks[i]
		if !live.names[c.Name] {
			return nil, &notNowError{loaded.Path + " is not what the agent has read: reload it first"}
		}
		if c.Foreign.Plugin == "" && plan.concerns(&c) {
			cfg.Checks = append(cfg.Checks, c)
		}
	}
	if len(cfg.Checks) == 0 {
		return nil, errUnseen
	}
	return &cfg, nil
}

// errUnseen is a drill that would show nothing.
var errUnseen = errors.New("the configuration has no check that could see it")

// concerns reports whether a check could see what goes wrong.
func (p *drillPlan) concerns(c *config.Check) bool {
	switch c.Kind {
	case "chat", "embeddings", "models", "usable", "credentials":
		return p.api && c.Provider == p.provider
	case "app":
		return p.application
	}
	return false
}

// rig builds the second instances.
func (a *Agent) rig(ctx context.Context, cfg *config.Config, live *generation, d *drill) (_ *drillRig, err error) {
	log := a.o.Log.With("drill", d.plan.scenario)
	quiet := slog.New(slog.DiscardHandler)
	r := &drillRig{deliveries: live.deliveries, location: cfg.Location}
	if r.world, err = mirage.New(hostsOf(cfg, d.plan.provider), quiet); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = r.world.Close()
		}
	}()
	r.network, err = outbound.New(outbound.Options{Detour: r.world.Detour(), UserAgent: "windsock/" + a.o.Version + " (drill)"})
	if err != nil {
		return nil, fmt.Errorf("building the way of a drill: %w", err)
	}
	r.gen = &generation{cfg: cfg, names: map[string]bool{}, network: r.network, clients: map[string]*provider{}, prices: map[string]*pricing.Book{}}
	r.gen.plan = pipeline.Plan{Location: cfg.Location, Labels: cfg.Labels, Listers: map[string]pipeline.Lister{}}
	if err := a.drillProvider(r, d.plan.provider, quiet); err != nil {
		return nil, err
	}
	for i := range cfg.Checks {
		job, err := a.drillJob(r.gen, &cfg.Checks[i], quiet)
		if err != nil {
			return nil, err
		}
		r.gen.plan.Jobs = append(r.gen.plan.Jobs, job)
	}
	for i := range d.plan.faults {
		faults := []mirage.Fault{d.plan.faults[i].Fault}
		if how := d.plan.faults[i].UsedModel; how != "" {
			if faults, err = usedModel(r.gen.modelsUsed(d.plan.provider), how); err != nil {
				return nil, err
			}
		}
		r.faults = append(r.faults, faults...)
	}
	r.breakers = pipeline.NewBreakers(&forgetful{}, quiet)
	settings := BreakersOf(cfg, r.gen.plan.Jobs)
	for name, s := range settings {
		s.Reset = min(s.Reset, 3*d.plan.every) // a drill does not wait as long as the real one
		settings[name] = s
	}
	r.breakers.Configure(ctx, settings)
	r.pipeline = pipeline.New(r.gen.plan, pipeline.Options{
		Store: d, Ledger: free{}, Breakers: r.breakers, Log: log, Scrub: cfg.Scrubber.String, Counted: addsUp,
	})
	return r, nil
}

// hostsOf are the hosts that the provider answers at.
func hostsOf(cfg *config.Config, provider string) []string {
	for i := range cfg.Providers {
		if u, err := url.Parse(cfg.Providers[i].BaseURL); err == nil && cfg.Providers[i].Name == provider {
			return []string{u.Hostname()}
		}
	}
	return nil
}

// drillProvider makes the provider's calls with keys of the drill. What it learns of prices and limits is told nobody.
func (a *Agent) drillProvider(r *drillRig, name string, log *slog.Logger) error {
	for i := range r.gen.cfg.Providers {
		p := r.gen.cfg.Providers[i]
		if p.Name != name {
			continue
		}
		p.APIKey = checks.NewSecret(drillKey(r.world.Keys().Primary))
		if !p.FallbackAPIKey.IsZero() {
			p.FallbackAPIKey = checks.NewSecret(drillKey(r.world.Keys().Fallback))
		}
		client, err := r.gen.client(&p)
		if err != nil {
			return fmt.Errorf("provider %q: %w", name, err)
		}
		prices := pricing.NewBook(r.gen.cfg.Prices.Table(), p.BaseURL)
		r.gen.prices[name] = prices
		r.gen.clients[name] = &provider{
			caller: client, prices: prices, log: log, listed: func(context.Context, []mistral.Model) {}, called: func(string, *mistral.Call) {},
		}
		r.gen.plan.Listers[name] = lister(r.gen.clients[name])
	}
	return nil
}

// drillJob builds the second instance of a check. It has no memory of the first, and leaves none.
func (a *Agent) drillJob(gen *generation, check *config.Check, log *slog.Logger) (*pipeline.Job, error) {
	env := checks.Env{
		Log: log, Name: check.Name, Location: gen.cfg.Location, Timeout: check.Timeout, Network: gen.network, Memory: &forgetful{}, Ledger: free{},
		History: free{}, Prices: pricing.NewBook(gen.cfg.Prices.Table(), ""),
	}
	if client := gen.clients[check.Provider]; client != nil {
		env.Provider, env.Prices = client, client.prices
		env.Models = func() []string { return gen.modelsUsed(check.Provider) }
	}
	built, err := a.check(check, env)
	if err != nil {
		return nil, err
	}
	return &pipeline.Job{
		Name: check.Name, Kind: check.Kind, Provider: check.Provider, Labels: check.Labels, Check: built, Timeout: check.Timeout,
		DegradedAbove: check.DegradedAbove,
	}, nil
}

// breakerPoints is where the drill's breakers stand.
func (r *drillRig) breakerPoints() []exporters.Point {
	record := checks.Record{At: time.Now(), Agent: &checks.Snapshot{Location: r.location}}
	for provider, state := range r.breakers.States() {
		record.Agent.Measurements = append(record.Agent.Measurements, breakerState(provider, float64(state)))
	}
	return slices.DeleteFunc(exporters.Points(record), func(p exporters.Point) bool { return p.Name != metricBreaker })
}

// What may become of a model.
const (
	modelRetired = "retired"
	modelMoved   = "moved"
)

// modelFault is the fault of one model, where the drill's provider knows it.
func modelFault(model, how string) (mirage.Fault, bool) {
	retired := simulator.Fault{ModelRetired: &simulator.ModelID{ID: model}}
	if retired.Validate() != nil {
		return mirage.Fault{}, false
	}
	if how == modelRetired {
		return mirage.Fault{API: &mirage.API{Fault: retired}}, true
	}
	if !strings.HasSuffix(model, "-latest") {
		return mirage.Fault{}, false
	}
	for _, other := range []string{"mistral-medium-latest", "mistral-small-latest"} {
		moved := simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: model, To: other}}
		if other != model && moved.Validate() == nil {
			return mirage.Fault{API: &mirage.API{Fault: moved}}, true
		}
	}
	return mirage.Fault{}, false
}

// drillKey is a key that means nothing outside of a drill.
type drillKey string

// Read implements checks.SecretSource.
func (k drillKey) Read(context.Context) (string, error) { return string(k), nil }

// Renew implements checks.SecretSource.
func (k drillKey) Renew(context.Context) (bool, error) { return false, nil }

// Where implements checks.SecretSource.
func (k drillKey) Where() string { return "the drill" }

// forgetful is the memory of what is over in a few minutes. It is safe for concurrent use.
type forgetful struct {
	mu     sync.Mutex // guards states
	states map[string][]byte
}

// LoadState implements pipeline.StateStore.
func (f *forgetful) LoadState(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[key], nil
}

// SaveState implements pipeline.StateStore.
func (f *forgetful) SaveState(_ context.Context, key string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.states == nil {
		f.states = map[string][]byte{}
	}
	f.states[key] = slices.Clone(data)
	return nil
}

// Load implements checks.Memory.
func (f *forgetful) Load(ctx context.Context) ([]byte, error) { return f.LoadState(ctx, "") }

// Save implements checks.Memory.
func (f *forgetful) Save(ctx context.Context, data []byte) error { return f.SaveState(ctx, "", data) }

// free is the ledger of runs that cost nothing: nothing is reserved and nothing booked.
type free struct{}

// Reserve implements pipeline.Ledger.
func (free) Reserve(context.Context, store.Claim, []store.Limit) (store.Denial, bool, error) {
	return store.Denial{}, true, nil
}

// Book implements pipeline.Ledger.
func (free) Book(context.Context, string, *checks.Usage) error { return nil }

// Spent implements checks.Ledger.
func (free) Spent(context.Context, time.Time, time.Time) (checks.PicoUSD, error) { return 0, nil }

// Since implements checks.History.
func (free) Since(context.Context, string, time.Time) ([]checks.Sample, error) {
	return nil, errors.New("a drill has no history")
}
