package calls

import (
	"maps"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

// The operations, as gen_ai.operation.name has them.
const (
	Chat       = "chat"
	Embeddings = "embeddings"
)

// Generation is a call to a model, as the OpenTelemetry conventions for generative AI see it.
type Generation struct {
	Operation     string // Chat or Embeddings
	Model         string // as asked for
	ResponseModel string // as answered
	Usage         *mistral.Usage
	FirstToken    time.Duration // 0 where none came or nothing was streamed
	MaxGap        time.Duration
	Chunks        int
}

// Measurements are the generation's, by their names of the catalogue. error.type is the cause of the verdict, which may
// be stricter than the call's.
func (g Generation) Measurements(call *mistral.Call, verdict checks.Cause) []checks.Measurement {
	attrs := map[string]string{
		"gen_ai.provider.name": "mistral_ai", "gen_ai.operation.name": g.Operation, "gen_ai.request.model": g.Model,
	}
	if known(g.ResponseModel) {
		attrs["gen_ai.response.model"] = g.ResponseModel
	}
	if verdict != checks.CauseNone && verdict != checks.CauseSlow {
		attrs["error.type"] = string(verdict)
	}
	var all []checks.Measurement
	add := func(name string, value float64, unit string, attrs map[string]string) {
		all = append(all, checks.Measurement{Name: name, Value: value, Unit: unit, Attrs: attrs})
	}
	if total := call.Timings.Total; total > 0 {
		add("gen_ai.client.operation.duration", total.Seconds(), "s", attrs)
	}
	model := map[string]string{"model": g.Model}
	if g.FirstToken > 0 {
		add("gen_ai.client.operation.time_to_first_chunk", g.FirstToken.Seconds(), "s", attrs)
		add("probe.llm.time_to_first_token", g.FirstToken.Seconds(), "s", model)
	}
	if g.Chunks > 1 {
		add("probe.llm.inter_chunk", g.MaxGap.Seconds(), "s", model)
	}
	if g.Usage != nil {
		add("gen_ai.client.token.usage", float64(max(g.Usage.PromptTokens, 0)), "{token}", with(attrs, "gen_ai.token.type", "input"))
	}
	if g.Usage != nil && g.Operation != Embeddings { // which produces no tokens
		add("gen_ai.client.token.usage", float64(max(g.Usage.CompletionTokens, 0)), "{token}", with(attrs, "gen_ai.token.type", "output"))
	}
	return all
}

func with(attrs map[string]string, key, value string) map[string]string {
	attrs = maps.Clone(attrs)
	attrs[key] = value
	return attrs
}

// known reports whether a name that a server sent looks like a model's: anything else would be a series of its own.
func known(model string) bool {
	letters := alphanum + strings.ToUpper(lower)
	return isName(model, 100, letters, letters+"._:/-")
}
