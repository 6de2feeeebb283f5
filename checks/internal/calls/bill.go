package calls

import (
	"net/http"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// Bill writes what a call cost.
type Bill struct {
	Prices      *pricing.Book
	Model       string
	PromptBytes int
	MaxTokens   int // 0 for calls that produce none
}

// Worst is the most that one call at a time can cost.
func (b Bill) Worst(at time.Time) (checks.PicoUSD, bool) {
	return b.Prices.Worst(b.Model, b.PromptBytes, b.MaxTokens, at)
}

// Typical is what one call costs as a rule: a token for four bytes of the prompt and 20 for what is put around it (pings of
// 32 bytes were billed 15 to 49 prompt tokens, recorded in 2026), and half of the allowed tokens, at most 32: a ping is
// answered with a word.
func (b Bill) Typical(at time.Time) (checks.PicoUSD, bool) {
	completion := int64(0)
	if b.MaxTokens > 0 {
		completion = int64(max(min(b.MaxTokens/2, 32), 1))
	}
	return b.Prices.Charge(pricing.Usage{Prompt: int64(b.PromptBytes/4 + 20), Completion: completion}, b.Model, at)
}

// Usage is what call consumed: by the provider's own count, else the worst case where it may have been billed, else nil.
// The budget is a hard stop, so a doubt counts as spent.
func (b Bill) Usage(call *mistral.Call, counted *mistral.Usage) *checks.Usage {
	now := time.Now()
	u := &checks.Usage{Model: b.Model, PriceDate: b.Prices.Date(b.Model, now)}
	if counted != nil && counted.PromptTokens+counted.CompletionTokens > 0 {
		u.PromptTokens, u.CompletionTokens = max(counted.PromptTokens, 0), max(counted.CompletionTokens, 0)
		u.CachedTokens = min(max(counted.CachedTokens, 0), u.PromptTokens)
		u.Cost, u.PriceKnown = b.Prices.Charge(pricing.Usage{
			Prompt: u.PromptTokens, Cached: u.CachedTokens, Completion: u.CompletionTokens, Tier: counted.ServiceTier,
		}, b.Model, now)
		return u
	}
	if !mayBeBilled(call) {
		return nil
	}
	u.Cost, u.PriceKnown = b.Worst(now)
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
