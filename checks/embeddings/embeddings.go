// Package embeddings asks for vectors the way an application does, and judges whether they can be used: their number,
// width, length and values. It stores neither texts nor vectors.
package embeddings

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const doc = `Asks an embedding model for the vectors of a few short texts, and judges whether they can be used: one per text, as wide as
expected, of the expected length, finite, not all zero, and different for different texts. An index that was filled with bad vectors stays bad after the
incident is over. It costs input tokens only: the most that a run can cost is reserved from the budget before it, and what it did cost is booked after it.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("embeddings", doc, defaults(), New)
	kind.Provider = checks.ProviderNeeded
	return kind
}

// Provider is what the check needs of a provider's client.
type Provider interface {
	Embed(ctx context.Context, req mistral.EmbedRequest) (mistral.EmbedReply, mistral.Call)
}

// Embeddings is one check of one model.
type Embeddings struct {
	params   Params
	provider Provider
	bill     calls.Bill
}

// tokensPerInput is what may be added to each text, beside its own tokens: marks of its begin and end.
const tokensPerInput = 2

// New builds the check. Without a provider its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	provider, err := calls.Lent[Provider](env, "make embeddings")
	if err != nil {
		return nil, err
	}
	prices, err := pricing.Of(env.Prices)
	if err != nil {
		return nil, err
	}
	e := &Embeddings{params: params.known(), provider: provider, bill: calls.Bill{Prices: prices, Model: params.Model}}
	for _, text := range params.Input {
		e.bill.PromptBytes += len(text) + tokensPerInput
	}
	return e, nil
}

// MaxCost is the price of the texts.
func (e *Embeddings) MaxCost(at time.Time) (checks.PicoUSD, bool) { return e.bill.Worst(at) }

// TypicalCost implements checks.Typical.
func (e *Embeddings) TypicalCost(at time.Time) (checks.PicoUSD, bool) { return e.bill.Typical(at) }

// ModelsUsed implements checks.Modelled.
func (e *Embeddings) ModelsUsed() []string { return []string{e.params.Model} }

// Measures implements checks.Measuring.
func (e *Embeddings) Measures() []string {
	return calls.Measures(append(calls.Generates(false), "probe.llm.embedding.dimensions", "probe.llm.embedding.norm")...)
}

// Run makes one call.
func (e *Embeddings) Run(ctx context.Context) (checks.Result, error) {
	if e.provider == nil {
		return checks.Result{Cause: checks.CauseConfig}, errors.New("there is no provider to ask")
	}
	reply, call := e.provider.Embed(ctx, mistral.EmbedRequest{Model: e.params.Model, Input: e.params.Input})
	r := calls.Result(ctx, &call)
	calls.Fact(&r, "model", e.params.Model)
	calls.Fact(&r, "response_model", reply.Model)
	if call.OK() {
		e.judge(&r, &reply, call.Timings.Total)
	}
	generation := calls.Generation{
		Operation: calls.Embeddings, Model: e.params.Model, ResponseModel: reply.Model, Usage: reply.Usage,
	}
	r.Measurements = append(r.Measurements, generation.Measurements(&call, r.Cause)...)
	calls.CheckQueryCost(&r, &call, reply.Usage)
	r.Usage = e.bill.Usage(&call, reply.Usage)
	return r, nil
}

// judge looks at a call that the protocol calls a success.
func (e *Embeddings) judge(r *checks.Result, reply *mistral.EmbedReply, took time.Duration) {
	seen := look(reply.Vectors)
	r.Measurements = append(r.Measurements, seen.measurements(e.params.Model)...)
	for _, expected := range e.expectations(reply, seen) {
		r.Evidence = append(r.Evidence, checks.Step{Name: "expect." + expected.name, OK: expected.unmet == "", Detail: expected.unmet})
		if expected.unmet != "" {
			r.Status, r.Cause, r.Summary = expected.status, expected.cause, oneline.Of(expected.unmet, 300)
			return
		}
	}
	r.Summary = fmt.Sprintf("%s made %d vectors of %d in %s", e.params.Model, len(reply.Vectors), seen.width, took.Round(100*time.Microsecond))
}

// expectation is one thing that vectors must be; unmet says why they are not.
type expectation struct {
	name   string
	unmet  string
	status checks.Status
	cause  checks.Cause
}

// expectations are in the order in which they make sense: there is no length of a vector that holds no numbers.
func (e *Embeddings) expectations(reply *mistral.EmbedReply, seen sight) []expectation {
	return []expectation{
		{"count", e.count(reply), checks.Failed, checks.CauseMalformed},
		{"numbers", seen.unusable, checks.Failed, checks.CauseMalformed},
		{"dimensions", seen.wrongWidth(e.params.Dimensions), checks.Failed, checks.CauseAssertion},
		{"norm", seen.wrongNorm(e.params.Norm), checks.Failed, checks.CauseAssertion},
		{"difference", same(e.params.Input, reply.Vectors), checks.Failed, checks.CauseAssertion},
		{"usage", e.usage(reply.Usage), checks.Degraded, checks.CauseAssertion},
	}
}

func (e *Embeddings) count(reply *mistral.EmbedReply) string {
	if reply.Entries == len(e.params.Input) {
		return ""
	}
	return fmt.Sprintf("%d vectors for %d texts", reply.Entries, len(e.params.Input))
}

func (e *Embeddings) usage(u *mistral.Usage) string {
	if !e.params.Usage || (u != nil && u.PromptTokens > 0) {
		return ""
	}
	return "the answer does not say how many tokens were used, the most that can be is booked"
}
