// Package chat pings a model the way an application calls it, and judges the answer, its speed and its cost. It stores
// neither prompt nor answer.
package chat

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

const doc = `Asks a model a short question the way the application does, streamed by default, and judges whether the answer is what was
expected and came in time. An answer that was cut at max_tokens is a success; an answer without content never is. It costs tokens: the most that a
run can cost is reserved from the budget before it, and what it did cost is booked after it.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("chat", doc, defaults(), New)
	kind.Provider = checks.ProviderNeeded
	return kind
}

// Provider is what the check needs of a provider's client.
type Provider interface {
	Chat(ctx context.Context, req mistral.ChatRequest) (mistral.ChatReply, mistral.Call)
}

// Chat is one check of one model.
type Chat struct {
	params   Params
	expect   *expect.Expectation
	provider Provider
	bill     calls.Bill
}

// New builds the check. Without a provider its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	provider, err := calls.Lent[Provider](env, "chat")
	if err != nil {
		return nil, err
	}
	expected, err := expect.New("expect", params.Expect)
	if err != nil {
		return nil, err
	}
	prices, err := pricing.Of(env.Prices)
	if err != nil {
		return nil, err
	}
	return &Chat{params: params, expect: expected, provider: provider, bill: calls.Bill{
		Prices: prices, Model: params.Model,
		PromptBytes: len(params.Prompt) + len(params.System), MaxTokens: params.MaxTokens,
	}}, nil
}

// MaxCost is the price of the prompt and of max_tokens.
func (c *Chat) MaxCost(at time.Time) (checks.PicoUSD, bool) { return c.bill.Worst(at) }

// TypicalCost implements checks.Typical.
func (c *Chat) TypicalCost(at time.Time) (checks.PicoUSD, bool) { return c.bill.Typical(at) }

// ModelsUsed implements checks.Modelled.
func (c *Chat) ModelsUsed() []string { return []string{c.params.Model} }

// Measures implements checks.Measuring.
func (c *Chat) Measures() []string { return calls.Measures(calls.Generates(c.params.Stream)...) }

// Run makes one call.
func (c *Chat) Run(ctx context.Context) (checks.Result, error) {
	if c.provider == nil {
		return checks.Result{Cause: checks.CauseConfig}, errors.New("there is no provider to ask")
	}
	reply, call := c.provider.Chat(ctx, c.request())
	r := calls.Result(ctx, &call)
	calls.Fact(&r, "model", c.params.Model)
	calls.Fact(&r, "response_model", reply.Model)
	calls.Fact(&r, "finish_reason", reply.FinishReason)
	if call.OK() {
		c.judge(ctx, &r, &reply, &call)
	}
	generation := calls.Generation{
		Operation: calls.Chat, Model: c.params.Model, ResponseModel: reply.Model, Usage: reply.Usage,
		FirstToken: reply.FirstToken, MaxGap: reply.MaxGap, Chunks: reply.Chunks,
	}
	r.Measurements = append(r.Measurements, generation.Measurements(&call, r.Cause)...)
	calls.CheckQueryCost(&r, &call, reply.Usage)
	r.Usage = c.bill.Usage(&call, reply.Usage)
	return r, nil
}

func (c *Chat) request() mistral.ChatRequest {
	req := mistral.ChatRequest{
		Model: c.params.Model, MaxTokens: c.params.MaxTokens, Stream: c.params.Stream,
		Temperature: c.params.Temperature, JSON: c.params.JSON,
	}
	if c.params.System != "" {
		req.Messages = append(req.Messages, mistral.Message{Role: "system", Content: c.params.System})
	}
	req.Messages = append(req.Messages, mistral.Message{Role: "user", Content: c.params.Prompt})
	return req
}

// judge looks at a call that the protocol calls a success: is there an answer, is it the right one, was it in time.
func (c *Chat) judge(ctx context.Context, r *checks.Result, reply *mistral.ChatReply, call *mistral.Call) {
	if strings.TrimSpace(reply.Content) == "" {
		c.nothing(r, reply)
		return
	}
	steps, ours := c.expect.Steps(ctx, reply.Content)
	r.Evidence = append(r.Evidence, steps...)
	if len(steps) > 0 && !steps[len(steps)-1].OK {
		last := steps[len(steps)-1].Detail
		if ours {
			set(r, checks.Unknown, checks.CauseConfig, last)
			return
		}
		set(r, checks.Failed, checks.CauseAssertion, last+cutShort(reply))
		return
	}
	if slow := c.slow(reply); slow != "" {
		r.Evidence = append(r.Evidence, checks.Step{Name: "objective", Detail: slow})
		set(r, checks.Degraded, checks.CauseSlow, slow)
		return
	}
	r.Summary = oneline.Of(fmt.Sprintf("%s answered in %s", c.params.Model, round(call.Timings.Total)), 300)
	if reply.FirstToken > 0 {
		r.Summary += fmt.Sprintf(", first token after %s", round(reply.FirstToken))
	}
}

// nothing is an answer without content. A model that only thought is the configuration's fault: it was allowed too few tokens.
func (c *Chat) nothing(r *checks.Result, reply *mistral.ChatReply) {
	text := "the answer has no content"
	if reply.Thinking {
		text = fmt.Sprintf("the model only thought within max_tokens %d, want more", c.params.MaxTokens)
		r.Blame = checks.BlameConfig
	}
	r.Evidence = append(r.Evidence, checks.Step{Name: "content", Detail: text})
	set(r, checks.Failed, checks.CauseEmptyContent, text)
}

func set(r *checks.Result, status checks.Status, cause checks.Cause, text string) {
	r.Status, r.Cause, r.Summary = status, cause, oneline.Of(text, 300)
}

// cutShort is the hint that an answer may lack what was expected because it was not allowed to end.
func cutShort(reply *mistral.ChatReply) string {
	if reply.FinishReason == "length" {
		return " (it was cut at max_tokens)"
	}
	return ""
}

func (c *Chat) slow(reply *mistral.ChatReply) string {
	if budget := c.params.TimeToFirstToken; budget > 0 && reply.FirstToken > budget {
		return fmt.Sprintf("first token after %s, objective %s", round(reply.FirstToken), budget)
	}
	if budget := c.params.InterChunk; budget > 0 && reply.MaxGap > budget {
		return fmt.Sprintf("the stream was silent for %s, objective %s", round(reply.MaxGap), budget)
	}
	return ""
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
