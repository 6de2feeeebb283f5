package applog

import (
	"regexp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/scan"
)

const mostLine = 64 << 10

var (
	// spoken is what people said and what a model answered, as a field of JSON and as one of other logs.
	spoken = regexp.MustCompile(`(?i)(\\*"(?:prompt|content|messages?|input|text|answer|completion|query|question|body|system|reply)\\*"\s*:\s*)(\\*"(?:[^"\\]|\\[^"])*\\*"?|\[.*|\{.*)`)
	said   = regexp.MustCompile(`(?i)\b((?:prompt|content|messages?|input|answer|completion|question|body|reply)\s*=\s*)("(?:[^"\\]|\\.)*"?|\S.*)`)
)

// Redact makes a line of a log fit to be shown: what scrub knows, what has the form or the place of a credential, addresses
// of e-mail, and what was said to a model or by it are taken out; control characters too.
func Redact(line string, scrub func(string) string) string {
	line = scrub(outbound.Sanitize(line, mostLine)) // first: what hides within a key hides the key
	line = spoken.ReplaceAllString(line, `${1}"`+checks.Redacted+`"`)
	line = said.ReplaceAllString(line, `${1}`+checks.Redacted)
	return outbound.Sanitize(scan.Redact(line), mostSample)
}
