package mistral

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	// maxLimits bounds how many windows are kept: their names become metric attributes.
	maxLimits = 16
	// maxRetryIn is the longest Retry-After that is believed.
	maxRetryIn = 24 * time.Hour
)

// limitName reads the name of a rate-limit header, in lower case: x-ratelimit-limit-req-minute,
// x-ratelimit-remaining-tokens-month, x-ratelimit-limit-requests, ratelimitbysize-limit,
// x-ratelimitbysize-remaining-minute. The names changed three times.
type limitName struct {
	family   string // "bysize" or ""
	remains  bool   // remaining, not limit
	resource string // req, requests, token, tokens or ""
	window   string // minute, 5-minute or ""
}

func parseLimitName(name string) (n limitName, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "x-"), "ratelimit")
	if !ok {
		return n, false
	}
	if after, found := strings.CutPrefix(rest, "bysize"); found {
		n.family, rest = "bysize", after
	}
	parts := strings.Split(rest, "-")
	if len(parts) < 2 || len(parts) > 5 || parts[0] != "" || parts[1] != "limit" && parts[1] != "remaining" {
		return n, false
	}
	n.remains = parts[1] == "remaining"
	parts = parts[2:]
	if len(parts) > 0 && slices.Contains([]string{"req", "requests", "token", "tokens"}, parts[0]) {
		n.resource, parts = parts[0], parts[1:]
	}
	n.window = strings.Join(parts, "-")
	switch len(parts) {
	case 0:
		return n, true
	case 1:
		return n, within(parts[0], 12, "abcdefghijklmnopqrstuvwxyz")
	case 2:
		return n, within(parts[0], 4, "0123456789") && within(parts[1], 12, "abcdefghijklmnopqrstuvwxyz")
	}
	return n, false
}

// within reports whether s has at least one and at most so many characters, all of a set.
func within(s string, most int, set string) bool {
	return s != "" && len(s) <= most && strings.Trim(s, set) == ""
}

// parseLimits reads the rate-limit headers by family, whatever their case, in the order of their names. Values that
// cannot be read are -1.
func parseLimits(header http.Header) []RateLimit {
	type key struct{ resource, window, family string }
	var names []string
	for raw, values := range header {
		if len(values) > 0 && strings.Contains(strings.ToLower(raw), "ratelimit") {
			names = append(names, raw)
		}
	}
	slices.Sort(names)
	found := make(map[key]*RateLimit, len(names))
	for _, raw := range names {
		name, values := strings.ToLower(raw), header[raw]
		n, ok := parseLimitName(name)
		if !ok || len(found) >= maxLimits {
			continue
		}
		k := key{resource(n.family, n.resource), n.window, n.family}
		if found[k] == nil {
			found[k] = &RateLimit{Resource: k.resource, Window: k.window, Limit: -1, Remaining: -1, Header: name}
		}
		if n.remains {
			found[k].Remaining = leadingInt(values[0])
		} else {
			found[k].Limit, found[k].Header = leadingInt(values[0]), name
		}
	}
	limits := make([]RateLimit, 0, len(found))
	for _, l := range found {
		limits = append(limits, *l)
	}
	slices.SortFunc(limits, func(a, b RateLimit) int { return cmp.Compare(a.Header, b.Header) })
	return limits
}

func resource(family, word string) string {
	switch {
	case strings.HasPrefix(word, "req"):
		return "requests"
	case strings.HasPrefix(word, "token"):
		return "tokens"
	case family != "":
		return family
	}
	return "requests"
}

// queryCost reads how many tokens the rate limiter counted for a call: x-ratelimit-tokens-query-cost (recorded 2025-09-13,
// the answer's total_tokens) or ratelimitbysize-query-cost. 0 where it does not say.
func queryCost(header http.Header) int64 {
	for _, name := range []string{"X-Ratelimit-Tokens-Query-Cost", "X-Ratelimitbysize-Query-Cost", "Ratelimitbysize-Query-Cost"} {
		if value := header.Get(name); value != "" {
			return max(leadingInt(value), 0)
		}
	}
	return 0
}

// leadingInt reads the number at the start: "60", "60;w=1". -1 where there is none. A fraction is rounded up: plans with
// less than one request per second exist, and half a request is not an allowance of zero.
func leadingInt(value string) int64 {
	value = strings.TrimLeft(value, "\t\n\f\r ")
	rest := strings.TrimLeft(value, "0123456789")
	digits := value[:len(value)-len(rest)]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) > 18 { // more than there can be is no number that anybody meant
		return -1
	}
	if isFraction(rest) {
		n++
	}
	return n
}

// isFraction reports whether a fraction that is not zero follows: ".5".
func isFraction(rest string) bool {
	digits, ok := strings.CutPrefix(rest, ".")
	digits = digits[:len(digits)-len(strings.TrimLeft(digits, "0123456789"))]
	return ok && strings.Trim(digits, "0") != ""
}

// retryAfter reads seconds or an HTTP date. What is past, longer than a day or not readable is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0 && seconds <= maxRetryIn.Seconds()) { // NaN is neither
			return 0
		}
		wait = time.Duration(seconds * float64(time.Second))
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	if wait < 0 || wait > maxRetryIn {
		return 0
	}
	return wait
}

// requestID is what Mistral's support asks for.
func requestID(header http.Header) string {
	return outbound.Sanitize(cmp.Or(header.Get("Mistral-Correlation-Id"), header.Get("X-Kong-Request-Id")), 128)
}

// upstream is the time that the servers behind the edge took, in milliseconds on the wire.
func upstream(header http.Header) time.Duration {
	ms := leadingInt(cmp.Or(header.Get("X-Envoy-Upstream-Service-Time"), header.Get("X-Kong-Upstream-Latency")))
	if ms < 0 || ms > int64(maxRetryIn/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// parseTime reads a moment in any of the forms that a field of unknown format may take: RFC 3339 with or without zone,
// a date, an HTTP date, Unix seconds or milliseconds. Zero where it is none of them.
func parseTime(value string) time.Time {
	value = strings.TrimSpace(value)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			return at.UTC()
		}
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.UTC()
	}
	seconds, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || !(seconds > 0 && seconds < 1e14):
		return time.Time{}
	case seconds > 1e11:
		return time.UnixMilli(int64(seconds)).UTC()
	}
	return time.Unix(int64(seconds), 0).UTC()
}
