// Package mistral speaks Mistral's dialect of the OpenAI-compatible API, times it, and names the one cause of every way
// in which a call can end. It never follows a redirect, never decodes strictly and makes no call again, but for a key that was
// refused.
package mistral

import (
	"context"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Options is what a Client needs.
type Options struct {
	BaseURL          string // without /v1: "https://api.mistral.ai"
	APIKey           checks.Secret
	Out              outbound.Exchanger
	ReuseConnections bool
	MaxBody          int64         // of one answer, decompressed; 0 is 4 MiB
	StallAfter       time.Duration // longest silence within a stream; 0 is 10 s
}

// API is what a Client does with exactly one HTTP request for each call, and a Keyed with exactly one unless its key is
// refused. A call returns a Call that holds the verdict, also where there is no answer.
type API interface {
	Models(ctx context.Context) ([]Model, Call)
	Model(ctx context.Context, id string) (Model, Call)
	Chat(ctx context.Context, req ChatRequest) (ChatReply, Call) // streams when req.Stream
	Embed(ctx context.Context, req EmbedRequest) (EmbedReply, Call)
}

// Call is how a call went: exactly one Cause, CauseNone for a success, with the evidence for it. Where it took more than one
// request, all but the evidence is of the one that gave the verdict.
type Call struct {
	Cause     checks.Cause
	Reason    string // bounded detail of the cause: "refused", "expired", "http_520", "code_1300"; never an attribute
	Summary   string // one line: "429 rate_limited (code 1300)"; sanitised, never a body
	Status    int    // HTTP status; 0 where none came
	Phases    []checks.Phase
	Timings   outbound.Timings
	Evidence  []checks.Step // the walk: key, dns, connect, proxy, tls, status, body, stream, fallback_key; all of it again after rotation
	RequestID string        // mistral-correlation-id, else x-kong-request-id; sanitised, at most 128 bytes
	Limits    []RateLimit   // as the answer's headers said; empty where there were none
	QueryCost int64         // tokens that the rate limiter counted for the call; 0 where no header said so
	Upstream  time.Duration // x-envoy-upstream-service-time, else x-kong-upstream-latency
	RetryIn   time.Duration // Retry-After; 0 where absent or absurd
	Deadline  bool          // the caller's deadline ended the call
	Retires   time.Time     // x-model-deprecation-timestamp of a success, read leniently; zero where absent
	KeyUsed   string        // KeyPrimary or KeyFallback; "" of a Client, which knows of no other

	refused refused
}

// refused is what a 401 leaves for whoever makes the call again.
type refused struct {
	sum     uint64 // of the key, by keys.sum
	renewed bool   // the key's source has another one by now
}

// OK reports whether the call succeeded.
func (c *Call) OK() bool { return c.Cause == checks.CauseNone }

// RateLimit is one pair of limit and remaining of one resource and window.
type RateLimit struct {
	Resource  string // "requests", "tokens", or the family's own word
	Window    string // "second", "10-second", "minute", "month", "" where the family has none
	Limit     int64  // -1 where unknown
	Remaining int64  // -1 where unknown
	Header    string // the raw name of the header
}

// Model is one card of the list. Unknown fields are ignored, absent ones are zero.
type Model struct {
	ID                 string
	Name               string // the canonical id
	BillingName        string // billing_model_name
	Aliases            []string
	Type               string // "base", "fine-tuned"
	OwnedBy            string
	Created            time.Time
	MaxContextLength   int64
	Capabilities       map[string]bool
	Deprecation        time.Time // the retirement time; zero where none
	Replacement        string
	DefaultTemperature *float64
	Archived           bool
}

// Message is one turn of a conversation.
type Message struct{ Role, Content string }

// ChatRequest holds only fields that every model accepts.
type ChatRequest struct {
	Model       string
	Messages    []Message
	MaxTokens   int
	Stream      bool
	Temperature *float64
	Seed        *int64
	JSON        bool // response_format json_object
}

// ChatReply is the answer, as far as it came.
type ChatReply struct {
	ID, Model    string // model echoes the requested alias
	Content      string // text blocks joined, thinking left out
	Thinking     bool   // there were thinking blocks
	FinishReason string // stop, length, model_length, error, tool_calls
	ToolCalls    int
	Usage        *Usage        // nil where the provider sent none
	FirstToken   time.Duration // from the start of the request to the first non-empty delta; 0 where none or not streamed
	Chunks       int           // non-empty deltas
	MaxGap       time.Duration // the longest silence between two deltas after the first
	MeanGap      time.Duration
}

// Usage is the provider's own count.
type Usage struct {
	PromptTokens, CachedTokens, CompletionTokens, TotalTokens int64
	ServiceTier                                               string
}

// EmbedRequest asks for one vector per input.
type EmbedRequest struct {
	Model string
	Input []string
}

// EmbedReply is the vectors in the order of the input. An element that is no number, or none that a float64 holds, is NaN.
type EmbedReply struct {
	Model   string
	Vectors [][]float64
	Entries int    // how many vectors the answer held, those that belong to no input included
	Usage   *Usage // nil where the provider sent none
}
