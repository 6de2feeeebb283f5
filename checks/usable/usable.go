// Package usable asks models for one token, one model in each run, because being listed is no promise to answer: a model may
// not be on the plan. It remembers what each said last. It stores neither question nor answer.
package usable

import (
	"context"
	_ "embed"
	"encoding/json"
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

const doc = `Asks one model in each run for one token, in turn, and so finds those that are listed and refuse to answer: with an allowance of zero, or because the plan does not include them.
It fails as long as one of its models refused when it was last asked, and is degraded by our own fault (internal) where its memory of that fails. Whether a model is there is asked first, for free. Limits, a lack of capacity and outages say nothing of a model, and leave what was known.
It costs a few tokens: the most that a run can cost is reserved from the budget before it. A slow schedule, such as every six hours divided by the number of models, is enough.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// prompt is what is asked. One token of answer is all that is paid for.
const prompt = "ping"

const maxModels = 50

// Params is the `with:` section.
type Params struct {
	Models []string `jsonschema_description:"Models to ask, by id or alias. Default: those that the provider's other checks call." yaml:"models"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	var errs []error
	for i, id := range p.Models {
		path := fmt.Sprintf("models.%d", i)
		if !calls.IsModel(id) {
			errs = append(errs, checks.Invalid(path, "%q, want a model's id", id))
		}
		if slices.Contains(p.Models[:i], id) {
			errs = append(errs, checks.Invalid(path, "%q is there twice", id))
		}
	}
	if len(p.Models) > maxModels {
		errs = append(errs, checks.Invalid("models", "%d models, want at most %d", len(p.Models), maxModels))
	}
	return errors.Join(errs...)
}

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("usable", doc, Params{}, New)
	kind.Provider = checks.ProviderNeeded
	return kind
}

// Provider is what the check needs of a provider's client.
type Provider interface {
	Model(ctx context.Context, id string) (mistral.Model, mistral.Call)
	Chat(ctx context.Context, req mistral.ChatRequest) (mistral.ChatReply, mistral.Call)
	Embed(ctx context.Context, req mistral.EmbedRequest) (mistral.EmbedReply, mistral.Call)
}

// Usable is one check of several models.
type Usable struct {
	params   Params
	provider Provider
	prices   *pricing.Book
	memory   checks.Memory   // nil: nothing is remembered
	used     func() []string // nil: nobody knows
}

// New builds the check. Without a provider its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	provider, err := calls.Lent[Provider](env, "be asked for models, chat and embeddings")
	if err != nil {
		return nil, err
	}
	prices, err := pricing.Of(env.Prices)
	if err != nil {
		return nil, err
	}
	return &Usable{params: params, provider: provider, prices: prices, memory: env.Memory, used: env.Models}, nil
}

// MaxCost is the price of one token of the dearest model.
func (u *Usable) MaxCost(at time.Time) (worst checks.PicoUSD, known bool) {
	known = true
	for _, id := range u.models() {
		cost, priced := u.expected(id, at).Worst(at)
		worst, known = max(worst, cost), known && priced
	}
	return worst, known
}

// ModelsUsed implements checks.Modelled: the models of its own; the others are those of other checks.
func (u *Usable) ModelsUsed() []string { return u.params.Models }

// TypicalCost is the mean over the models, of which one is asked in each run.
func (u *Usable) TypicalCost(at time.Time) (checks.PicoUSD, bool) {
	ids, sum, known := u.models(), checks.PicoUSD(0), true
	for _, id := range ids {
		cost, priced := u.expected(id, at).Typical(at)
		sum, known = sum+cost, known && priced
	}
	return sum / checks.PicoUSD(max(len(ids), 1)), known
}

func (u *Usable) bill(id string) calls.Bill {
	return calls.Bill{Prices: u.prices, Model: id, PromptBytes: len(prompt), MaxTokens: 1}
}

// expected is the bill of a model before the list has said what it is for: one for embeddings gives no answer, and has no
// price for one.
func (u *Usable) expected(id string, at time.Time) calls.Bill {
	bill := u.bill(id)
	if _, priced := bill.Worst(at); !priced && embeds(id) {
		bill.MaxTokens = 0
	}
	return bill
}

func (u *Usable) models() []string {
	if len(u.params.Models) > 0 || u.used == nil {
		return u.params.Models
	}
	all := u.used()
	return all[:min(len(all), maxModels)]
}

// Memory is what the check remembers, as JSON.
type Memory struct {
	Last   string             `json:"last"` // the model that was asked last
	Models map[string]Verdict `json:"models"`
}

// Verdict is what a model said when it was last asked.
type Verdict struct {
	At     time.Time    `json:"at"`
	Cause  checks.Cause `json:"cause,omitempty"` // why it is not usable; "" where it is
	Detail string       `json:"detail,omitempty"`
}

// ReadMemory reads what the check remembers; nothing is an empty memory.
func ReadMemory(data []byte) (Memory, error) {
	m := Memory{Models: map[string]Verdict{}}
	if len(data) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Memory{Models: map[string]Verdict{}}, fmt.Errorf("reading what is remembered of the models: %w", err)
	}
	if m.Models == nil {
		m.Models = map[string]Verdict{}
	}
	return m, nil
}

// Measures implements checks.Measuring.
func (u *Usable) Measures() []string {
	return calls.Measures("probe.llm.model.usable", "probe.llm.query_cost", "probe.llm.query_cost.difference")
}

// Run asks the next model.
func (u *Usable) Run(ctx context.Context) (checks.Result, error) {
	if u.provider == nil {
		return checks.Result{Cause: checks.CauseConfig}, errors.New("there is no provider to ask")
	}
	ids := u.models()
	if len(ids) == 0 {
		return checks.Undetermined(checks.CauseConfig, "there is no model to ask: name some, or have other checks that call models"), nil
	}
	memory, loaded, trouble := u.load(ctx)
	maps.DeleteFunc(memory.Models, func(id string, _ Verdict) bool { return !slices.Contains(ids, id) })
	id := after(ids, memory.Last)
	memory.Last = id
	if loaded { // before it is asked: whatever becomes of the run, the next one asks another
		if err := u.save(ctx, memory); err != nil {
			trouble = err.Error()
		}
	}
	r := u.ask(ctx, id)
	calls.Fact(&r, "model", id)
	switch {
	case r.Status == checks.OK:
		memory.Models[id] = Verdict{At: time.Now()}
	case refuses(r.Cause):
		memory.Models[id] = Verdict{At: time.Now(), Cause: r.Cause, Detail: r.Summary}
	} // whatever else failed says nothing of the model
	judge(&r, id, ids, memory)
	if loaded { // what cannot be read may still be there
		if err := u.save(ctx, memory); err != nil {
			trouble = err.Error()
		}
	}
	if trouble != "" {
		calls.Forgetful(&r, trouble)
	}
	return r, nil
}

// after is the model whose turn it is.
func after(ids []string, last string) string {
	return ids[(slices.Index(ids, last)+1)%len(ids)]
}

// refuses reports whether a cause is about the model itself.
func refuses(cause checks.Cause) bool {
	return slices.Contains([]checks.Cause{checks.CauseNoAllowance, checks.CauseForbidden, checks.CauseModelGone}, cause)
}

// embeds tells a model for embeddings by its name: the list has no capability for it.
func embeds(name string) bool { return strings.Contains(name, "embed") }

// ask looks for the model, which is free, and asks it for a token.
func (u *Usable) ask(ctx context.Context, id string) checks.Result {
	card, call := u.provider.Model(ctx, id)
	if !call.OK() {
		return calls.Result(ctx, &call)
	}
	bill := u.bill(id)
	var usage *mistral.Usage
	switch {
	case card.Capabilities["completion_chat"]:
		var reply mistral.ChatReply
		reply, call = u.provider.Chat(ctx, mistral.ChatRequest{
			Model: id, MaxTokens: 1, Messages: []mistral.Message{{Role: "user", Content: prompt}},
		})
		usage = reply.Usage
	case embeds(id) || embeds(card.Name):
		var reply mistral.EmbedReply
		reply, call = u.provider.Embed(ctx, mistral.EmbedRequest{Model: id, Input: []string{prompt}})
		usage, bill.MaxTokens = reply.Usage, 0
	default:
		return checks.Undetermined(checks.CauseBadRequest, id+" is neither for chat nor for embeddings, so it cannot be asked")
	}
	if call.Cause == checks.CauseEmptyContent { // it thought, or said nothing, within its one token: it answered
		call.Cause, call.Summary = checks.CauseNone, "answered without content"
	}
	r := calls.Result(ctx, &call)
	calls.CheckQueryCost(&r, &call, usage)
	r.Usage = bill.Usage(&call, usage)
	return r
}

// judge measures every model that was asked, and fails where one of them refused.
func judge(r *checks.Result, asked string, ids []string, memory Memory) {
	var refusing []string
	var first Verdict
	for _, id := range ids {
		verdict, known := memory.Models[id]
		if !known {
			continue
		}
		value := 1.0
		if verdict.Cause != checks.CauseNone {
			value = 0
			refusing = append(refusing, fmt.Sprintf("%s (%s)", id, verdict.Cause))
			if len(refusing) == 1 {
				first = verdict
			}
		}
		r.Measurements = append(r.Measurements, checks.Measurement{
			Name: "probe.llm.model.usable", Value: value, Attrs: map[string]string{"model": id},
		})
	}
	switch {
	case len(refusing) > 0 && (r.Status == checks.OK || refuses(r.Cause)):
		r.Status, r.Cause, r.Blame = checks.Failed, first.Cause, checks.BlameNone
		r.Summary = oneline.Of("refuse to answer: "+strings.Join(refusing, ", "), 300)
	case r.Status == checks.OK:
		r.Summary = fmt.Sprintf("%s answers; of %d models %d were asked, and none refuses", asked, len(ids), len(memory.Models))
	}
	switch {
	case len(refusing) > 0:
		r.Evidence = append(r.Evidence, checks.Step{Name: "usable", Detail: oneline.Of("refuse to answer: "+strings.Join(refusing, ", "), 300)})
	case r.Status == checks.OK: // else nobody knows
		r.Evidence = append(r.Evidence, checks.Step{Name: "usable", OK: true, Detail: r.Summary})
	}
}

// load reads the memory. loaded is false where it could not be read at all; one that is damaged begins anew.
func (u *Usable) load(ctx context.Context) (memory Memory, loaded bool, trouble string) {
	if u.memory == nil {
		return Memory{Models: map[string]Verdict{}}, true, ""
	}
	data, err := u.memory.Load(ctx)
	if err != nil {
		return Memory{Models: map[string]Verdict{}}, false, "what the models said before cannot be read: " + err.Error()
	}
	memory, err = ReadMemory(data)
	if err != nil {
		return memory, true, err.Error() + "; it begins anew"
	}
	return memory, true, ""
}

func (u *Usable) save(ctx context.Context, memory Memory) error {
	if u.memory == nil {
		return nil
	}
	data, err := json.Marshal(memory)
	if err == nil {
		err = u.memory.Save(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("what the models said cannot be kept: %w", err)
	}
	return nil
}
