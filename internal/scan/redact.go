package scan

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Redacted stands where Redact took something out.
const Redacted = "[redacted]"

// redactor holds the patterns of what is taken out of an excerpt, in the order in which they are applied.
type redactor struct {
	colour  *regexp.Regexp // what a terminal takes for colours and the like: it parts a name from its value
	pair    *regexp.Regexp // a header as a pair of strings, up to its value
	flag    *regexp.Regexp // --name, up to its value
	pem     *regexp.Regexp
	cookies *regexp.Regexp
	scheme  *regexp.Regexp
	address *regexp.Regexp
	name    *regexp.Regexp // and what assigns
	value   *regexp.Regexp // what is assigned
	form    *regexp.Regexp
	jwt     *regexp.Regexp
	mail    *regexp.Regexp
}

func newRedactor() *redactor {
	return &redactor{
		colour:  regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`),
		pair:    regexp.MustCompile(`["']([A-Za-z][A-Za-z0-9_.-]*)\\*["']\s*,\s*\[?b?\\*["']`),
		flag:    regexp.MustCompile(`(?:^|[\s"'\[(])--?([A-Za-z][A-Za-z0-9_-]*)["']?(?:\s*,\s*|\s+)["']?`),
		pem:     regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{1,40}-----(?:[\s\S]*?-----END [A-Z0-9 ]{1,40}-----|[\s\S]*)`),
		cookies: regexp.MustCompile(`(?i)((?:^|[^a-z])(?:set-)?cookie["'\\]*\s*[:=]\s*["'\\]*)[^"'\\\r\n]+`),
		scheme:  regexp.MustCompile(`(?i)((?:^|[^a-z])(?:bearer|basic|digest|authorization["'\\]*\s*[:=]\s*["'\\]*[a-z][a-z0-9_-]{1,19})[\s:]+)["']?[^\s"',;\\}\])>\[][^\s"',;\\}\])>]{5,}`),
		address: regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]{0,20}://)[^\s/?#"'<>]{1,256}@`),
		name:    regexp.MustCompile(`(?:%[0-9A-Fa-f]{2})?([A-Za-z_$][A-Za-z0-9_$.-]*)\\*["']?\]?\s*(?:=>|:=|=|:|%3[Dd])\s*`),
		value:   regexp.MustCompile(`^(\[?)(?:(")(?:[^"\\\r\n]|\\.)*|(\\+")(?:[^"\\\r\n]|\\[^"])*|(')[^'\r\n]*|[^\s"',;&\\}\]]+)`),
		form:    regexp.MustCompile(`\b(?:A[KS]IA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{8,}|[srp]k[-_][A-Za-z0-9_-]{12,}|AIza[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}|hvs\.[A-Za-z0-9_-]{12,}|SG\.[A-Za-z0-9_.-]{20,}|hooks\.slack\.com/services/[A-Za-z0-9/]+)`),
		jwt:     regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*`),
		mail:    regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}`),
	}
}

// Redact takes out of an excerpt what has the form or the place of a credential: Authorization headers, cookies, what is
// assigned to a name as a key's, a token's or a password's, what follows such a flag, passwords in addresses, private keys,
// JSON web tokens, known forms, and any run of 28 or more characters that looks drawn by lot. Addresses of e-mail go too, as an excerpt is shown
// to people whom they were not given to. UUIDs and runs of hexadecimal digits stay: they are how requests are found again.
//
// It takes out rather too much. It does not know the credentials in use: that is the scrubber of internal/secret, which its
// caller applies as well. It is safe for concurrent use; a second time changes nothing.
func Redact(line string) string { return redacting().redact(line) }

var redacting = sync.OnceValue(newRedactor) //nolint:gochecknoglobals // patterns that never change, compiled when first used

// redact applies each pattern where a line holds what the pattern cannot do without.
func (r *redactor) redact(line string) string {
	apply := func(pattern *regexp.Regexp, by string, signs ...string) {
		if len(signs) == 0 || slices.ContainsFunc(signs, func(sign string) bool { return hasFold([]byte(line), sign) }) {
			line = pattern.ReplaceAllString(line, by)
		}
	}
	if strings.Contains(line, "\x1b") {
		line = strings.ReplaceAll(r.colour.ReplaceAllString(line, ""), "\x1b", "")
	}
	apply(r.pem, Redacted, "-----begin")
	apply(r.cookies, "${1}"+Redacted, "cookie")
	apply(r.scheme, "${1}"+Redacted, "bearer", "basic", "digest", "authorization")
	if strings.Contains(line, "://") {
		apply(r.address, "${1}"+Redacted+"@", "@")
	}
	line = r.assigned(line)
	if strings.Contains(line, "-") || hasFold([]byte(line), "authorization") {
		line = r.after(r.pair, line, func(name string) bool { return strings.Contains(name, "-") || strings.EqualFold(name, "authorization") })
		line = r.after(r.flag, line, func(string) bool { return true })
	}
	apply(r.form, Redacted, "akia", "asia", "gh", "glpat-", "xox", "sk", "rk", "pk", "aiza", "npm_", "hf_", "hvs.", "sg.", "hooks.")
	apply(r.jwt, Redacted, "eyj")
	apply(r.mail, Redacted, "@")
	return r.runs(line)
}

// runs takes out what looks drawn by lot.
func (r *redactor) runs(line string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(line); {
		from := i
		for i < len(line) && inRun(line[i]) {
			i++
		}
		if run := line[from:i]; len(run) >= 28 && shapeOfAny(run) == mixed || len(run) >= 60 && base64Body(run) {
			for i < len(line) && line[i] == '=' {
				i++
			}
			b.WriteString(line[done:from] + Redacted)
			done = i
		}
		if i == from {
			i++
		}
	}
	return b.String() + line[done:]
}

// shownName is the path of a file as it may be shown: somebody may have named a file after a key, or for a terminal to obey.
func shownName(name string) string {
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return '?'
		}
		return c
	}, name)
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if len(part) < 28 {
			continue
		}
		part = redacting().form.ReplaceAllString(part, Redacted)
		if shapeOfAny(part) == mixed {
			part = strings.Replace(part, longestPiece(part), Redacted, 1)
		}
		parts[i] = part
	}
	return strings.Join(parts, "/")
}

// assigned takes out what is assigned to the name of a credential.
func (r *redactor) assigned(line string) string {
	var b strings.Builder
	done := 0
	for _, m := range r.name.FindAllStringSubmatchIndex(line, -1) {
		if m[0] < done || kindOf(line[m[2]:m[3]]) == "" && kindOf(lastWord(line[:m[2]])+"_"+line[m[2]:m[3]]) == "" {
			continue
		}
		v := r.value.FindStringSubmatchIndex(line[m[1]:])
		if v == nil || schemed(line[m[1]:m[1]+v[1]]) {
			continue
		}
		opened, end := v[3], m[1]+v[1] // what opens the value stays: a bracket, a quote
		bare := true
		for _, i := range []int{5, 7, 9} {
			opened, bare = max(opened, v[i]), bare && v[i] < 0
		}
		if bare {
			end = more(line, end)
		}
		b.WriteString(line[done:m[1]+opened] + Redacted)
		done = end
	}
	return b.String() + line[done:]
}

// lastWord is the word that stands right before, as API in "API key: …".
func lastWord(before string) string {
	before, spaced := strings.CutSuffix(before, " ")
	if !spaced {
		return ""
	}
	return before[strings.LastIndexFunc(before, func(c rune) bool { return c > 127 || !letter(byte(c)) })+1:]
}

// more is the end of a value without quotes that goes on after commas, as a list of keys does, and a password that has one.
func more(line string, end int) int {
	for end < len(line) && line[end] == ',' {
		rest := line[end+1:]
		n := until(rest, " \t\r\n\"',;&\\}])")
		if n == 0 || strings.ContainsAny(rest[:n], "=:") {
			break
		}
		end += 1 + n
	}
	return end
}

// until is where the first of some characters stands, or the end.
func until(text, chars string) int {
	if i := strings.IndexAny(text, chars); i >= 0 {
		return i
	}
	return len(text)
}

// after takes out the string that follows what a pattern finds, where the name in it is a credential's.
func (r *redactor) after(pattern *regexp.Regexp, line string, also func(name string) bool) string {
	var b strings.Builder
	done := 0
	for _, m := range pattern.FindAllStringSubmatchIndex(line, -1) {
		name := line[m[2]:m[3]]
		if m[1] < done || kindOf(name) == "" || !also(name) {
			continue
		}
		ends := " \t\r\n\"',;\\])"
		if quote := line[m[1]-1]; quote == '"' || quote == '\'' {
			ends = "\"'\\\r\n"
		}
		end := m[1] + until(line[m[1]:], ends)
		if v := line[m[1]:end]; v == "" || v[0] == '-' || schemed(v) {
			continue
		}
		b.WriteString(line[done:m[1]] + Redacted)
		done = end
	}
	return b.String() + line[done:]
}

// schemed says whether a value was taken out already, or is the scheme of an Authorization header, after which it was.
func schemed(value string) bool {
	value = strings.ToLower(strings.TrimLeft(value, `\"'[`))
	scheme, _, _ := strings.Cut(value, " ")
	return strings.HasPrefix(value, Redacted[1:9]) || scheme == "bearer" || scheme == "basic" || scheme == "digest" || scheme == "token"
}

// base64Body is a line of a key's or a certificate's body.
func base64Body(run string) bool {
	return !strings.ContainsAny(run, "_.~-") && !allIn(run, "0123456789abcdefABCDEF")
}
