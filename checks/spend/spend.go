// Package spend says what is spent: in the last hour, today, this month, at which pace, and whether that is unusual. It
// reads sources and believes the first that is usable. It may not take what nobody knows for zero.
package spend

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"
	_ "time/tzdata" // zones must not depend on what the host has installed

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/spend/internal/adminapi"
	"github.com/windsock-monitor/windsock/checks/spend/internal/promsource"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const doc = `Says what is spent in the last hour, today and this month, at which pace, and what the month will have cost, from sources in the order of the list: for each window the first that knows it is believed, and the others that know it are compared with it.
The source usage_log follows the application's own records, prometheus asks a Prometheus for the application's own counters, admin_api asks the provider's billing, and ledger is what the agent's own runs cost, of all providers: it is believed only where nothing else is asked for, and never compared; it keeps whole hours, so the last 60 minutes are this hour and the rest of the one before it, in proportion.
The source prometheus counts what increase() tells of the last 60 minutes, of today and of each complete day of the month, and adds what increase() leaves out: the first value of a series that is new in the window, or that starts again below what it had. Numbers are as near as increase() is, which looks beyond the samples to the ends of the window. The last hour is known only where the server had data an hour ago; a month or a day that the server knows only a part of says so. What a process had counted before the server found it is left out, and so is the first value of one that tells no process_start_time_seconds and was not reached when the window began. It is written for Prometheus, Thanos and Mimir: the increase() of VictoriaMetrics counts otherwise.
Where no source knows the last hour the result is unknown: what is missing or too old is never zero. A source that cannot vouch for a window whole says nothing of it, or that it is partial.
More than above_per_hour, a spike, sources that disagree, a source that was asked for and knows nothing, and models without a known price are degraded. A spike is more than spike_above times the median of the same 60 minutes of previous days, and beyond 5 median deviations, and above spike_floor; it takes 5 days of history. The check is free.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Params is the `with:` section.
type Params struct {
	Sources      []Source `jsonschema:"required" jsonschema_description:"Where to look, the most trusted first, at most 8." yaml:"sources"`
	AbovePerHour float64  `jsonschema_description:"US dollars in the last 60 minutes above which the check is degraded. 0 is off." yaml:"above_per_hour"`
	SpikeAbove   float64  `jsonschema_description:"How many times what is usual at this hour is a spike. 0 is off." yaml:"spike_above"`
	SpikeFloor   float64  `jsonschema_description:"US dollars in the last 60 minutes below which nothing is a spike." yaml:"spike_floor"`
	Disagreement float64  `jsonschema_description:"How far another source may be from the one that is believed: 0.25 is a quarter. 0 is off." yaml:"disagreement"`
	Timezone     string   `jsonschema_description:"Where days and months begin: UTC, Europe/Paris." yaml:"timezone"`
}

// Source is one place to look.
type Source struct {
	Name     string             `jsonschema_description:"Its name in measurements. Default: its kind." yaml:"name"`
	MaxAge   time.Duration      `jsonschema_description:"How old what it says may be. 0s is off." yaml:"max_age"`
	Ledger   *Ledger            `jsonschema_description:"What the agent's own runs cost: {}." yaml:"ledger"`
	UsageLog *usagelog.Params   `jsonschema_description:"The application's own usage records, as JSON lines in a file." yaml:"usage_log"`
	Prom     *promsource.Params `jsonschema_description:"The application's own counters of tokens or of US dollars, as a Prometheus has them." yaml:"prometheus"`
	AdminAPI *adminapi.Params   `jsonschema_description:"What the provider says was billed: Mistral's Enterprise admin API, read only." yaml:"admin_api"`
}

// Ledger is the section of the source ledger, which has no keys.
type Ledger struct{}

// builder makes the source of one section; given says whether the section is there.
type builder struct {
	section string
	given   func(Source) bool
	check   func(s Source, path string) error // of its section
	build   func(Source, lent) (source.Source, error)
}

// lent is what a source is built on.
type lent struct {
	checks.Env
	zone  *time.Location
	state source.State
}

// builders are the sections: a new one is a field of Source and an entry here.
func builders() []builder {
	return []builder{
		{"ledger", func(s Source) bool { return s.Ledger != nil }, func(Source, string) error { return nil }, newLedger},
		{"usage_log", func(s Source) bool { return s.UsageLog != nil }, func(s Source, path string) error { return s.UsageLog.Validate(path) }, newUsageLog},
		{"prometheus", func(s Source) bool { return s.Prom != nil }, func(s Source, path string) error { return s.Prom.Validate(path) }, newPrometheus},
		{"admin_api", func(s Source) bool { return s.AdminAPI != nil }, func(s Source, path string) error { return s.AdminAPI.Validate(path) }, newAdminAPI},
	}
}

// builder is the one of the only section of s.
func (s Source) builder() (found builder, ok bool) {
	count := 0
	for _, b := range builders() {
		if b.given(s) {
			found = b
			count++
		}
	}
	return found, count == 1
}

func (s Source) name() string {
	if s.Name != "" {
		return s.Name
	}
	b, _ := s.builder()
	return b.section
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	errs := []error{p.validateSources()}
	for key, n := range map[string]float64{"above_per_hour": p.AbovePerHour, "spike_above": p.SpikeAbove, "spike_floor": p.SpikeFloor, "disagreement": p.Disagreement} {
		if !(n >= 0) || math.IsInf(n, 0) {
			errs = append(errs, checks.Invalid(key, "%v, want 0 or more", n))
		}
	}
	if _, err := time.LoadLocation(p.Timezone); err != nil || p.Timezone == "Local" {
		errs = append(errs, checks.Invalid("timezone", "%q, want a time zone such as Europe/Paris", p.Timezone))
	}
	return errors.Join(errs...)
}

func (p Params) validateSources() error {
	var errs []error
	if len(p.Sources) == 0 || len(p.Sources) > 8 {
		errs = append(errs, checks.Invalid("sources", "%d sources, want 1 to 8", len(p.Sources)))
	}
	seen := map[string]bool{}
	for i, s := range p.Sources {
		at := fmt.Sprintf("sources.%d", i)
		if b, ok := s.builder(); !ok {
			errs = append(errs, checks.Invalid(at, "want one section: ledger, usage_log, prometheus or admin_api"))
		} else {
			errs = append(errs, b.check(s, at+"."+b.section))
		}
		if seen[s.name()] || len(s.name()) > 64 {
			errs = append(errs, checks.Invalid(at+".name", "%q is there twice or too long, want a name of its own", s.name()))
		}
		if s.MaxAge < 0 {
			errs = append(errs, checks.Invalid(at+".max_age", "%s, want 0s or more", s.MaxAge))
		}
		seen[s.name()] = true
	}
	return errors.Join(errs...)
}

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	return checks.NewKind("spend", doc, Params{AbovePerHour: 10, SpikeAbove: 5, SpikeFloor: 1, Disagreement: 0.25, Timezone: "UTC"}, New)
}

// Spend is one check of what is spent.
type Spend struct {
	params  Params
	zone    *time.Location
	sources []source.Source
	states  states
}

// New builds the check.
func New(params Params, env checks.Env) (checks.Check, error) {
	zone, err := time.LoadLocation(params.Timezone)
	if err != nil {
		return nil, fmt.Errorf("loading time zone %q: %w", params.Timezone, err)
	}
	s := &Spend{params: params, zone: zone, states: states{memory: env.Memory}}
	for _, p := range params.Sources {
		b, ok := p.builder()
		if !ok {
			return nil, fmt.Errorf("source %q has not one section", p.Name)
		}
		src, err := b.build(p, lent{env, zone, s.states.of(p.name())})
		if err != nil {
			return nil, fmt.Errorf("building source %q: %w", p.name(), err)
		}
		s.sources = append(s.sources, src)
	}
	return s, nil
}

// Owner is the application: whoever spends.
func (s *Spend) Owner() checks.Blame { return checks.BlameApplication }

// Measures implements checks.Measuring: what sources may say, as far as they know it.
func (s *Spend) Measures() []string {
	return []string{
		"probe.llm.rate_limit.limit", "spend.baseline.usd", "spend.cached.share", "spend.disagreement", "spend.hour.usd", "spend.limit.usd",
		"spend.month.usd", "spend.projected_month.usd", "spend.rate.usd", "spend.request.cost.usd", "spend.requests", "spend.source.age",
		"spend.source.usable", "spend.spike_factor", "spend.today.usd", "spend.tokens", "spend.unpriced.models",
	}
}

// Run reads every source in turn.
func (s *Spend) Run(ctx context.Context) (checks.Result, error) {
	if err := s.states.load(ctx); err != nil { // an offset that is not known would count what was counted
		return checks.Result{Cause: checks.CauseInternal}, err
	}
	now := time.Now()
	found := make([]finding, len(s.sources))
	for i, src := range s.sources {
		p := s.params.Sources[i]
		r, err := readInShare(ctx, src, now, len(s.sources)-i)
		found[i] = finding{name: p.name(), own: p.Ledger != nil, reading: r, err: err}
		if age := now.Sub(r.AsOf); err == nil && p.MaxAge > 0 && age > p.MaxAge {
			found[i].err = source.Problemf(checks.CauseAssertion, "what it says is %s old, want at most %s", age.Round(time.Second), p.MaxAge)
		}
	}
	if err := s.states.save(context.WithoutCancel(ctx)); err != nil {
		return checks.Result{Cause: checks.CauseInternal}, err
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return checks.Undetermined(checks.CauseInternal, "the run was cut short"), nil
	}
	r := judge(now.In(s.zone), s.params, found)
	if s.states.damaged != "" {
		calls.Forgetful(&r, s.states.damaged)
		s.states.damaged = ""
	}
	return r, nil
}

// readInShare reads a source in its share of the time, so that one that hangs leaves the others theirs.
func readInShare(ctx context.Context, src source.Source, now time.Time, left int) (source.Reading, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return src.Read(ctx, now)
}

func newUsageLog(s Source, l lent) (source.Source, error) {
	book, err := pricing.Of(l.Prices)
	if err != nil {
		return nil, err
	}
	return usagelog.New(*s.UsageLog, usagelog.Options{Prices: book, State: l.state, Zone: l.zone})
}

func newPrometheus(s Source, l lent) (source.Source, error) {
	book, err := pricing.Of(l.Prices)
	if err != nil {
		return nil, err
	}
	out, err := l.network()
	if err != nil {
		return nil, err
	}
	return promsource.New(*s.Prom, promsource.Options{Out: out, Prices: book, State: l.state, Zone: l.zone})
}

func newAdminAPI(s Source, l lent) (source.Source, error) {
	out, err := l.network()
	if err != nil {
		return nil, err
	}
	return adminapi.New(*s.AdminAPI, out, l.state), nil
}

// network is the agent's; nil while a configuration is only being validated.
func (l lent) network() (outbound.Exchanger, error) {
	if l.Network == nil {
		return nil, nil
	}
	out, ok := l.Network.(outbound.Exchanger)
	if !ok {
		return nil, fmt.Errorf("the agent's network is a %T, which cannot make requests", l.Network)
	}
	return out, nil
}
