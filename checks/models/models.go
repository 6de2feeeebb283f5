// Package models checks the provider's list of models: that the models an application counts on are there and can what
// it needs. The list is free; being listed is no promise that a model answers.
package models

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const doc = `Asks the provider for its list of models and checks that every expected id is in it, that models have the capabilities the application
needs, and that the list is not shorter than it should be. It remembers each model that it names or that other checks of the provider call, and the run in which one of them changed is degraded:
an alias that moved to another model, with what that does to its price, another price or billing name of the same model, a capability that was lost, another context length or default temperature, an announced retirement. Where that memory is damaged, or cannot be read or kept, nobody knows what changed, and the run is degraded by our own fault (internal).
What an id stands for is the canonical name of its card. It is priced as the billing name of the card, where there is one; where the two differ, both are told.
It is free. A listed model may still refuse to answer: that is what the usable and chat checks are for.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Params is the `with:` section.
type Params struct {
	Expect       []string            `jsonschema_description:"Ids that must be listed, aliases by their own name." yaml:"expect"`
	Usable       map[string][]string `jsonschema_description:"Capabilities by model id, each of which must be true: completion_chat, completion_fim, function_calling, vision and so on. An id here is expected too." yaml:"usable"`
	Watch        map[string]Watch    `jsonschema_description:"What is to be said of a model when it changes, by id: {mistral-small-latest: {policy: pinned}}. An id here is expected too. At most 20. Those of expect and usable are watched as well, and then those that other checks of the provider call, as far as there is room for them among the 20." yaml:"watch"`
	RetireWithin time.Duration       `jsonschema_description:"Degraded when a watched model retires sooner. 0 is off." yaml:"retire_within"`
	MinCount     int                 `jsonschema_description:"The least number of models that must be listed." yaml:"min_count"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for i, id := range p.Expect {
		path := fmt.Sprintf("expect.%d", i)
		if !calls.IsModel(id) {
			errs = append(errs, checks.Invalid(path, "%q, want a model's id", id))
		}
		if seen[id] {
			errs = append(errs, checks.Invalid(path, "%q is there twice", id))
		}
		seen[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(p.Usable)) {
		path := "usable." + id
		if !calls.IsModel(id) {
			errs = append(errs, checks.Invalid("usable", "%q, want a model's id", id))
		}
		if len(p.Usable[id]) == 0 {
			errs = append(errs, checks.Invalid(path, "no capabilities, want a list such as [completion_chat]"))
		}
		if slices.Contains(p.Usable[id], "") {
			errs = append(errs, checks.Invalid(path, "an empty capability"))
		}
	}
	errs = append(errs, p.badWatches()...)
	if p.RetireWithin < 0 {
		errs = append(errs, checks.Invalid("retire_within", "%s, want 0 or more", p.RetireWithin))
	}
	if p.MinCount < 0 {
		errs = append(errs, checks.Invalid("min_count", "%d, want 0 or more", p.MinCount))
	}
	return errors.Join(errs...)
}

func (p Params) badWatches() []error {
	var errs []error
	if len(p.Watch) > maxWatched {
		errs = append(errs, checks.Invalid("watch", "%d models, want at most %d: a run cannot measure more", len(p.Watch), maxWatched))
	}
	for _, id := range slices.Sorted(maps.Keys(p.Watch)) {
		if policy := p.Watch[id].Policy; !calls.IsModel(id) {
			errs = append(errs, checks.Invalid("watch", "%q, want a model's id", id))
		} else if policy != "" && policy != PolicyAlias && policy != PolicyPinned {
			errs = append(errs, checks.Invalid("watch."+id+".policy", "%q, want alias or pinned", policy))
		}
	}
	return errs
}

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("models", doc, Params{MinCount: 1, RetireWithin: 30 * 24 * time.Hour}, New)
	kind.Provider = checks.ProviderNeeded
	return kind
}

// Provider is what the check needs of a provider's client.
type Provider interface {
	Models(ctx context.Context) ([]mistral.Model, mistral.Call)
}

// Models is one check of the list.
type Models struct {
	params   Params
	provider Provider
	prices   *pricing.Book
	memory   checks.Memory   // nil: nothing is remembered
	records  checks.History  // of the check's own runs; nil: they are taken to be kept
	used     func() []string // nil: nobody knows
}

// New builds the check. Without a provider its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	provider, err := calls.Lent[Provider](env, "list models")
	if err != nil {
		return nil, err
	}
	prices, err := pricing.Of(env.Prices)
	if err != nil {
		return nil, err
	}
	return &Models{params: params, provider: provider, prices: prices, memory: env.Memory, records: env.History, used: env.Models}, nil
}

// Measures implements checks.Measuring. Which models are watched, other checks have a say in.
func (m *Models) Measures() []string {
	return calls.Measures(
		"probe.llm.model.alias_info", "probe.llm.model.changes", "probe.llm.model.context_length", "probe.llm.model.floating",
		"probe.llm.model.listed", "probe.llm.model.moves", "probe.llm.model.price.usd", "probe.llm.model.retirement_time", "probe.llm.models",
	)
}

// Run asks for the list once.
func (m *Models) Run(ctx context.Context) (checks.Result, error) {
	if m.provider == nil {
		return checks.Result{Cause: checks.CauseConfig}, errors.New("there is no provider to ask")
	}
	began := time.Now()
	list, call := m.provider.Models(ctx)
	r := calls.Result(ctx, &call)
	if !call.OK() {
		return r, nil
	}
	m.judge(ctx, &r, list, began)
	return r, nil
}

// judge compares the list with what was asked for. A missing model outranks a missing capability, and that the count.
func (m *Models) judge(ctx context.Context, r *checks.Result, list []mistral.Model, began time.Time) {
	listed := map[string]mistral.Model{}
	for _, model := range list {
		listed[model.ID] = model
	}
	wanted := m.wanted()
	var missing, unable []string
	for _, id := range wanted {
		model, ok := listed[id]
		if !ok {
			missing = append(missing, id)
			continue
		}
		for _, capability := range m.params.Usable[id] {
			if !model.Capabilities[capability] {
				unable = append(unable, id+" "+capability)
			}
		}
	}
	seen := m.overTime(ctx, listed, wanted, began)
	own := append(m.measurements(&seen), checks.Measurement{Name: "probe.llm.models", Value: float64(len(list))})
	r.Measurements = append(r.Measurements[:min(len(r.Measurements), maxMeasurements-len(own))], own...)
	defer m.findings(r, &seen) // which are told beside a failure, and degrade what is none
	switch {
	case len(missing) > 0:
		fail(r, checks.CauseModelGone, "not listed: "+some(missing))
	case len(unable) > 0:
		fail(r, checks.CauseAssertion, "without the capability: "+some(unable))
	case len(list) < m.params.MinCount:
		fail(r, checks.CauseAssertion, fmt.Sprintf("%d models listed, want at least %d", len(list), m.params.MinCount))
	default:
		r.Summary = fmt.Sprintf("%d models listed", len(list))
		if len(wanted) > 0 {
			r.Summary += fmt.Sprintf(", all %d expected among them", len(wanted))
		}
		if n := len(seen.leftOut); n > 0 {
			r.Summary += fmt.Sprintf(", %d of which are too many to be watched over time", n)
		}
		r.Evidence = append(r.Evidence, checks.Step{Name: "expect", OK: true, Detail: r.Summary})
	}
}

func fail(r *checks.Result, cause checks.Cause, text string) {
	r.Status, r.Cause, r.Summary = checks.Failed, cause, oneline.Of(text, 300)
	r.Evidence = append(r.Evidence, checks.Step{Name: "expect", Detail: r.Summary})
}

func some(all []string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
