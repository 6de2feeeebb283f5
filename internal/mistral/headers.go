package mistral

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
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

var (
	// limitFamily: x-ratelimit-limit-req-minute, x-ratelimit-remaining-tokens-month, x-ratelimit-limit-requests,
	// ratelimitbysize-limit, x-ratelimitbysize-remaining-minute. The names changed three times.
	limitFamily = regexp.MustCompile(`^(?:x-)?ratelimit(bysize)?-(limit|remaining)(?:-(req|requests|tokens?))?(?:-((?:[0-9]{1,4}-)?[a-z]{1,12}))?$`)
	leading     = regexp.MustCompile(`^\s*([0-9]{1,18})(\.[0-9]*[1-9])?`)
)

// parseLimits reads the rate-limit headers by family, whatever their case, in the order of their names. Values that
// cannot be read are -1.
func parseLimits(header http.Header) []RateLimit {
	type key struct{ resource, window, family string }
	found := map[key]*RateLimit{}
	for _, raw := range slices.Sorted(maps.Keys(header)) {
		name, values := strings.ToLower(raw), header[raw]
		m := limitFamily.FindStringSubmatch(name)
		if m == nil || len(values) == 0 || len(found) >= maxLimits {
			continue
		}
		k := key{resource(m[1], m[3]), m[4], m[1]}
		if found[k] == nil {
			found[k] = &RateLimit{Resource: k.resource, Window: k.window, Limit: -1, Remaining: -1, Header: name}
		}
		if m[2] == "limit" {
			found[k].Limit, found[k].Header = leadingInt(values[0]), name
		} else {
			found[k].Remaining = leadingInt(values[0])
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

// leadingInt reads the number at the start: "60", "60;w=1". -1 where there is none. A fraction is rounded up: plans with
// less than one request per second exist, and half a request is not an allowance of zero.
func leadingInt(value string) int64 {
	m := leading.FindStringSubmatch(value)
	if m == nil {
		return -1
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return -1
	}
	if m[2] != "" {
		n++
	}
	return n
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
