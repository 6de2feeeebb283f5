package scan

import (
	"regexp"
	"strings"
	"sync"
)

// Redacted stands where Redact took something out.
const Redacted = "[redacted]"

// redactor holds the patterns of what is taken out of an excerpt, in the order in which they are applied.
type redactor struct {
	pem     *regexp.Regexp
	cookies *regexp.Regexp
	scheme  *regexp.Regexp
	address *regexp.Regexp
	pair    *regexp.Regexp
	form    *regexp.Regexp
	jwt     *regexp.Regexp
	mail    *regexp.Regexp
	run     *regexp.Regexp
}

func newRedactor() *redactor {
	return &redactor{
		pem:     regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{1,40}-----(?:[\s\S]*?-----END [A-Z0-9 ]{1,40}-----|[\s\S]*)`),
		cookies: regexp.MustCompile(`(?i)((?:^|[^a-z])(?:set-)?cookie["'\\]*\s*[:=]\s*["'\\\[]*)[^"'\\\r\n]+`),
		scheme:  regexp.MustCompile(`(?i)((?:^|[^a-z])(?:bearer|basic|digest)[\s:]+)["']?([^\s"',;\\}\])>]{6,})`),
		address: regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]{0,20}://)[^\s/@"'<>]{1,256}@`),
		pair:    regexp.MustCompile(`([A-Za-z_$][A-Za-z0-9_$.-]*)(\\*["']?\]?\s*(?:=>|:=|=|:)\s*)(\\*"(?:[^"\\\r\n]|\\[^"])*|'[^'\r\n]*|\[?[^\s"',;&\\}\]]+)`),
		form:    regexp.MustCompile(`\b(?:A[KS]IA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{8,}|[srp]k[-_][A-Za-z0-9_-]{12,}|AIza[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}|hvs\.[A-Za-z0-9_-]{12,}|SG\.[A-Za-z0-9_.-]{20,}|hooks\.slack\.com/services/[A-Za-z0-9/]+)`),
		jwt:     regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*`),
		mail:    regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}`),
		run:     regexp.MustCompile(`[A-Za-z0-9_+/.~=-]{24,}`),
	}
}

// Redact takes out of an excerpt what has the form or the place of a credential: Authorization headers, cookies, what is
// assigned to a name as a key's, a token's or a password's, passwords in addresses, private keys, JSON web tokens, known
// forms, and any run of 28 or more characters that looks drawn by lot. Addresses of e-mail go too, as an excerpt is shown
// to people whom they were not given to. UUIDs and runs of hexadecimal digits stay: they are how requests are found again.
//
// It takes out rather too much. It does not know the credentials in use: that is the scrubber of internal/secret, which its
// caller applies as well. It is safe for concurrent use; a second time changes nothing.
func Redact(line string) string { return redacting().redact(line) }

var redacting = sync.OnceValue(newRedactor) //nolint:gochecknoglobals // patterns that never change, compiled when first used

func (r *redactor) redact(line string) string {
	line = r.pem.ReplaceAllString(line, Redacted)
	line = r.cookies.ReplaceAllString(line, "${1}"+Redacted)
	line = r.scheme.ReplaceAllString(line, "${1}"+Redacted)
	line = r.address.ReplaceAllString(line, "${1}"+Redacted+"@")
	line = r.pair.ReplaceAllStringFunc(line, r.assigned)
	line = r.form.ReplaceAllString(line, Redacted)
	line = r.jwt.ReplaceAllString(line, Redacted)
	line = r.mail.ReplaceAllString(line, Redacted)
	return r.run.ReplaceAllStringFunc(line, func(run string) string {
		if len(run) >= 28 && shapeOfAny(run) == mixed || len(run) >= 60 && base64Body(run) {
			return Redacted
		}
		return run
	})
}

// assigned is a pair of a name and a value, without the value where the name is a credential's.
func (r *redactor) assigned(pair string) string {
	m := r.pair.FindStringSubmatch(pair)
	if m == nil || kindOf(m[1]) == "" || strings.HasPrefix(strings.Trim(m[3], `\"'[`), Redacted[1:9]) {
		return pair
	}
	value := strings.TrimLeft(m[3], `\"'[`)
	return m[1] + m[2] + m[3][:len(m[3])-len(value)] + Redacted
}

// base64Body is a line of a key's or a certificate's body.
func base64Body(run string) bool {
	return !strings.ContainsAny(run, "_.~-") && !allIn(run, "0123456789abcdefABCDEF")
}
