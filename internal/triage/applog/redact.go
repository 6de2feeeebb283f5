package applog

import (
	"regexp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

var (
	// spoken is what people said and what a model answered, as a field of JSON and as one of other logs.
	spoken = regexp.MustCompile(`(?i)("(?:prompt|content|messages?|input|text|answer|completion|query|question|body|system)"\s*:\s*)("(?:[^"\\]|\\.)*"?|\[.*|\{.*)`)
	said   = regexp.MustCompile(`(?i)\b((?:prompt|content|messages?|input|answer|completion|question|body)\s*=\s*)("(?:[^"\\]|\\.)*"?|\S.*)`)
	// credentials are values of headers and fields that are called so.
	credentials = regexp.MustCompile(`(?i)((?:authorization|cookie|bearer|basic|[a-z_-]*(?:api[_-]?key|token|secret|password|passwd|credential)[a-z_-]*)["']?\s*[:= ]\s*["']?)(?:(?:bearer|basic)\s+)?[^\s"',;}]+`)
	users       = regexp.MustCompile(`(://)[^/\s@]+@`)
	mails       = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`)
	// keys is what has the length of one.
	keys = regexp.MustCompile(`[A-Za-z0-9_+/=-]{20,}`)
)

// Redact makes a line of a log fit to be shown: what scrub knows, keys, tokens, addresses of people and what was said to a
// model or by it are taken out, by their shape and by where they stand; control characters too.
func Redact(line string, scrub func(string) string) string {
	line = scrub(outbound.Sanitize(line, mostLine)) // first: what hides within a key hides the key
	line = spoken.ReplaceAllString(line, `${1}"`+checks.Redacted+`"`)
	line = said.ReplaceAllString(line, `${1}`+checks.Redacted)
	line = users.ReplaceAllString(line, `${1}`+checks.Redacted+`@`)
	line = credentials.ReplaceAllString(line, `${1}`+checks.Redacted)
	line = mails.ReplaceAllString(line, checks.Redacted)
	line = keys.ReplaceAllString(line, checks.Redacted)
	return outbound.Sanitize(line, mostSample)
}
