package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// window counts what was used of an allowance since it opened; it opens with the first use.
type window struct {
	opened time.Time
	used   int64
}

// roll opens the window anew where its length has passed.
func (w *window) roll(now time.Time, length time.Duration) {
	if w.opened.IsZero() || now.Sub(w.opened) >= length {
		w.opened, w.used = now, 0
	}
}

// allowance is what the rate-limit headers of one answer say.
type allowance struct {
	limit, remaining int64 // requests per minute
	reset            time.Duration
	tokens           int64 // what this request cost, prompt and answer
	tokensUsed       int64 // of the minute, without this request
	monthly          int64 // what the account used of its month
}

// What the account may use, beside requests; the figures are those of a recorded answer of 2025-09-13.
const (
	tokensPerMinute = 2_000_000
	tokensPerMonth  = 10_000_000_000
	// DefaultRequestsPerMinute is the quota where Options says nothing.
	DefaultRequestsPerMinute = 60_000
)

// put writes the headers of a family. Names and families change on the wire without notice, which is why there are two.
func (a *allowance) put(h http.Header, family string) {
	set := func(name string, n int64) { h.Set(name, strconv.FormatInt(n, 10)) }
	switch family {
	case "none":
	case "by_size":
		set("Ratelimitbysize-Limit", a.limit)
		set("Ratelimitbysize-Remaining", a.remaining)
		set("Ratelimitbysize-Reset", int64((a.reset+time.Second-1)/time.Second))
		set("Ratelimitbysize-Query-Cost", a.tokens)
	default:
		set("X-Ratelimit-Limit-Req-Minute", a.limit)
		set("X-Ratelimit-Remaining-Req-Minute", a.remaining)
		set("X-Ratelimit-Limit-Tokens-Minute", tokensPerMinute)
		set("X-Ratelimit-Remaining-Tokens-Minute", max(0, tokensPerMinute-a.tokensUsed-a.tokens))
		set("X-Ratelimit-Limit-Tokens-Month", tokensPerMonth)
		set("X-Ratelimit-Remaining-Tokens-Month", max(0, tokensPerMonth-a.monthly-a.tokens))
		set("X-Ratelimit-Tokens-Query-Cost", a.tokens)
	}
}
