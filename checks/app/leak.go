package app

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// Forms that keys are known to have. A group, where there is one, is the key itself, which must look like one.
var keyForms = regexp.MustCompile(strings.Join([]string{
	`\bsk-[A-Za-z0-9_-]{16,}`, `\bAKIA[0-9A-Z]{16}\b`, `\bAIza[0-9A-Za-z_-]{35}`, `\bgh[pousr]_[A-Za-z0-9]{36}`, `\bxox[abprs]-[A-Za-z0-9-]{10,}`,
	`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`, `-----BEGIN [A-Z ]*PRIVATE KEY-----`,
}, "|"))

var (
	// named is a credential by what stands before it.
	named = regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{12,})|(?:api[_-]?key|authorization|secret|passwo?r?d|access[_-]?token)\\?["']?\s*[:=]\s*\\?["']?([A-Za-z0-9._~+/=-]{12,})`)
	// bare is how a key of Mistral's looks, which has no mark of its own.
	bare = regexp.MustCompile(`\b[A-Za-z0-9]{32}\b`)
)

// traces are lines of stack traces: Node.js, Python, Go, Java and its like, .NET, PHP, Ruby.
var traces = regexp.MustCompile(strings.Join([]string{
	`\bat (?:[^\n()]* \()?(?:node:|file:|webpack|/|[A-Za-z]:\\)[^\s()]*:\d+:\d+\)?`,
	`Traceback \(most recent call last\)`, `File "[^"\n]+", line \d+`,
	`goroutine \d+ \[[a-z]`, `\.go:\d+ \+0x[0-9a-f]+`,
	`\bat [\w$.<>/]+\((?:[\w$]+\.(?:java|kt|scala|groovy):\d+|Native Method|Unknown Source)\)`, `Exception in thread "`,
	`\bin [^\n]+\.cs:line \d+`, `#\d+ [^\s(]+\.php\(\d+\)`, `\.rb:\d+:in `,
}, "|"))

// Shows names what an application's words to strangers must not show, what looks like a key or a stack trace; "" for neither.
// It is for texts that no check asked for: error pages.
func Shows(text string) string {
	if what := shows(&fetch.Answer{}, credential.Scrubber{}, text); what != "" {
		return what
	}
	if showsBare(text) {
		return "what looks like a key"
	}
	if traces.MatchString(text) {
		return "a stack trace"
	}
	return ""
}

// shows names the credential that a text shows, "" for none.
func shows(a *fetch.Answer, watch credential.Scrubber, text string) string {
	switch {
	case a.Echoes(text):
		return "the credential that was sent"
	case watch.Holds(text):
		return "one of the secrets that are watched for"
	case keyForms.MatchString(text):
		return "what looks like a key"
	}
	for _, found := range named.FindAllStringSubmatch(text, -1) {
		if random(found[1] + found[2]) {
			return "what looks like a credential"
		}
	}
	return ""
}

// showsBare finds a key without a mark, in an error's text, where ids of mixed case are rare.
func showsBare(text string) bool { return slices.ContainsFunc(bare.FindAllString(text, -1), mixed) }

// random tells a credential from a word ("missing-or-invalid") and from a mask ("xxxxxxxxxxxx").
func random(s string) bool {
	distinct := map[rune]bool{}
	for _, r := range s {
		distinct[r] = true
	}
	return len(distinct) >= 6 && strings.ContainsFunc(s, unicode.IsDigit)
}

// mixed tells a key from a checksum or an id, which are of one case.
func mixed(s string) bool {
	return strings.ContainsFunc(s, unicode.IsDigit) && strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsLower)
}
