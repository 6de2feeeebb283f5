package calls

import (
	"net/http"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Prices is what a bill needs of internal/pricing.
type Prices interface {
	Date() string
	// Cost is what tokens of model cost; false where the price is not known and the dearest was used.
	Cost(model, baseURL string, prompt, cached, completion int64) (checks.PicoUSD, bool)
	// Worst is the most that a call can cost.
	Worst(model, baseURL string, promptBytes, maxTokens int) (checks.PicoUSD, bool)
}

// Bill writes what a call cost.
type Bill struct {
	Prices      Prices
	Model       string
	BaseURL     string
	PromptBytes int
	MaxTokens   int // 0 for calls that produce none
}

// Worst is the most that one call can cost.
func (b Bill) Worst() (checks.PicoUSD, bool) {
	return b.Prices.Worst(b.Model, b.BaseURL, b.PromptBytes, b.MaxTokens)
}

// Usage is what call consumed: by the provider's own count, else the worst case where it may have been billed, else nil.
// The budget is a hard stop, so a doubt counts as spent.
func (b Bill) Usage(call *mistral.Call, counted *mistral.Usage) *checks.Usage {
	u := &checks.Usage{Model: b.Model, PriceDate: b.Prices.Date()}
	if counted != nil && counted.PromptTokens+counted.CompletionTokens > 0 {
		u.PromptTokens, u.CompletionTokens = max(counted.PromptTokens, 0), max(counted.CompletionTokens, 0)
		u.CachedTokens = min(max(counted.CachedTokens, 0), u.PromptTokens)
		u.Cost, u.PriceKnown = b.Prices.Cost(b.Model, b.BaseURL, u.PromptTokens, u.CachedTokens, u.CompletionTokens)
		return u
	}
	if !mayBeBilled(call) {
		return nil
	}
	u.Cost, u.PriceKnown = b.Worst()
	u.PromptTokens, u.CompletionTokens, u.Estimated = int64(b.PromptBytes), int64(b.MaxTokens), true
	return u
}

// mayBeBilled reports whether the provider may have worked for a call without saying how much. A refusal (3xx, 4xx and
// 503, which says that nothing was taken on) is free; any other 5xx may hide work that was done behind a gateway; without
// an answer, what counts is whether the request can have reached the provider.
func mayBeBilled(call *mistral.Call) bool {
	if status := call.Status; status != 0 {
		refused := status >= 300 && status < 500 || status == http.StatusServiceUnavailable
		return !refused
	}
	return Sent(call.Cause, call.Timings)
}

// Sent reports whether a request that had no answer can have reached its target.
func Sent(cause checks.Cause, t outbound.Timings) bool {
	before := []checks.Cause{
		checks.CauseDNS, checks.CauseTimeoutConnect, checks.CauseProxy, checks.CauseTLS, checks.CauseConfig,
	}
	if slices.Contains(before, cause) {
		return false
	}
	connected := t.RemoteAddr != "" || t.Reused
	never := !connected && (cause == checks.CauseConnect || cause == checks.CauseInternal)
	return !never
}
