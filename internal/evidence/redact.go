package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// The names of the rules of a Redactor, in the order in which they are applied.
const (
	RuleKnown      = "known_secret"    // a value that the configuration or the environment holds, in any of its forms
	RuleFragment   = "secret_fragment" // a part of such a value
	RuleKeyBlock   = "private_key"     // a PEM block
	RuleHeader     = "header"          // the value of a header that carries credentials
	RuleBearer     = "bearer"          // Bearer and Basic with what follows
	RuleAssignment = "assignment"      // the value of a name that sounds like a secret's
	RuleUserinfo   = "url_credentials" // of a URL
	RuleQuery      = "url_query"       // of a URL
	RuleContent    = "content"         // the value of a name that sounds like a prompt's or an answer's
	RuleEmail      = "email"
	RuleToken      = "token" // a long word that looks like chance
)

// Rules are the names of the rules, in their order.
func Rules() []string {
	return []string{
		RuleKnown, RuleFragment, RuleKeyBlock, RuleHeader, RuleBearer, RuleAssignment, RuleUserinfo, RuleQuery, RuleContent, RuleEmail, RuleToken,
	}
}

// Redactor takes secrets, prompts and answers out of texts, and counts what it took. It is not safe for concurrent use.
type Redactor struct {
	known    *secret.Scrubber
	windows  map[string]bool // of the secrets that were made known to it
	patterns []pattern
	hits     map[string]int
	clean    map[string]bool // texts in which there is nothing
}

type pattern struct {
	rule    string
	regexp  *regexp.Regexp
	replace string
	needs   []string // one of which is in every text that it finds something in, in lower case
	named   bool     // and there it is the name, or the end of one, of what it finds
}

// may reports whether the pattern may find something.
func (p *pattern) may(folded string) bool {
	return slices.ContainsFunc(p.needs, func(need string) bool {
		for rest := folded; ; {
			_, after, found := strings.Cut(rest, need)
			if !found || !p.named || assigns(after) {
				return found
			}
			rest = after
		}
	})
}

// assigns reports whether a text goes on with the end of a name, and a colon or an equals sign.
func assigns(text string) bool {
	text = strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz_")
	text = strings.TrimLeft(text, "\\\"' \t")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "was"), "is")
	return strings.HasPrefix(text, ":") || strings.HasPrefix(text, "=")
}

// fragment and wordFragment are how many bytes of a secret must stand in a text to be taken out: fewer where a digit is among
// them, because words stand in texts by themselves.
const (
	fragment     = 8
	wordFragment = 12
)

// speech is what is called a prompt or an answer, or holds one, as far as what stands there is quoted, a list or an object.
const speech = "prompt|content|message|completion|answer|question|reply|response|instruction|utterance|transcript|query|input|output|body|payload|text|delta|system|document|chunk|argument"

// NewRedactor makes a redactor of the values that a scrubber knows.
func NewRedactor(known *secret.Scrubber) *Redactor {
	const value = `(\\+["'][^"'\\\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"',;&}\]\[{][^\s"',;&}\]]*)`
	return &Redactor{known: known, windows: map[string]bool{}, hits: map[string]int{}, clean: map[string]bool{}, patterns: []pattern{
		{RuleKeyBlock, regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)`), checks.Redacted, []string{"-----begin"}, false},
		{RuleHeader, regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie|x-goog-api-key)(\\*["']?\s*[:=]\s*).*`), "${1}${2}" + checks.Redacted, []string{"authorization", "api-key", "cookie"}, false},
		{RuleHeader, regexp.MustCompile(`(?i)\b([\w.-]*headers?\\*["']?\s*[:=]\s*)(?:\w*[\[{(]|\\+["']).*`), "${1}" + checks.Redacted, []string{"header"}, false},
		{RuleBearer, regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} " + checks.Redacted, []string{"bearer", "basic"}, false},
		{RuleAssignment, regexp.MustCompile(`(?i)([\w.-]*(?:(?:api|access|private|signing|auth|client|account|mistral|openai)[_-]?key|secret|token|passwd|password|credential)(?:[_-]\w+)*)(\\*["']?\s*[:=]\s*)` + value), "${1}${2}" + checks.Redacted, []string{"key", "secret", "token", "passwd", "password", "credential"}, false},
		{RuleAssignment, regexp.MustCompile(`(?i)(\s--[\w-]*(?:key|secret|token|passwd|password)\s+)[^\s-]\S*`), "${1}" + checks.Redacted, []string{"--"}, false},
		{RuleUserinfo, regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)[^/\s"'@?#]+@`), "${1}" + checks.Redacted + "@", []string{"://"}, false},
		{RuleQuery, regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://[^\s"'<>?]+\?)[^\s"'<>]+`), "${1}" + checks.Redacted, []string{"://"}, false},
		{RuleContent, regexp.MustCompile(`(?i)((?:` + speech + `)(?:e?s)?(?:_?(?:text|body|content|json|raw|str|string))?\\*["']?\s*[:=]\s*)(?:"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|\\+["'].*|\[.*|\{.*)`), "${1}" + checks.Redacted, strings.Split(speech, "|"), true},
		{RuleContent, regexp.MustCompile(`(?i)((?:prompt|completion|answer|question|reply|content|utterance|transcript)=)[^"'\s[].*`), "${1}" + checks.Redacted, []string{"prompt=", "completion=", "answer=", "question=", "reply=", "content=", "utterance=", "transcript="}, false},
		{RuleContent, regexp.MustCompile(`(?i)((?:prompt|completion)s?(?:\s+(?:was|is))?:\s+)[^"'\s[].*`), "${1}" + checks.Redacted, []string{"prompt", "completion"}, false},
		{RuleEmail, regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`), checks.Redacted, []string{"@"}, false},
	}}
}

// Know makes a secret known, with its parts.
func (r *Redactor) Know(value string) {
	clear(r.clean)
	r.known.Add(value)
	value = private(value)
	raw := []byte(value)
	forms := []string{value}
	reversed := slices.Clone(raw)
	slices.Reverse(reversed)
	forms = append(forms, string(reversed))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := encoding.EncodeToString(append(make([]byte, shift), raw...))
			forms = append(forms, text[min(len(text), (shift*8+5)/6):])
		}
	}
	for _, form := range forms {
		for form = strings.ToLower(form); len(form) >= fragment; form = form[1:] {
			if w := form[:fragment]; strings.ContainsAny(w, "0123456789") {
				r.windows[w] = true
			}
			if len(form) >= wordFragment {
				r.windows[form[:wordFragment]] = true
			}
		}
	}
	for form := hex.EncodeToString(raw); len(form) >= wordFragment; form = form[1:] { // 8 digits of it may stand in any id
		r.windows[form[:wordFragment]] = true
	}
}

// private is the part of a secret whose parts are secrets too: of a URL what stands behind the host, and the password.
func private(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		return value
	}
	password, _ := u.User.Password()
	return password + u.RequestURI()
}

// Known takes out of a text what is a secret that the redactor knows, or a part of one, and nothing else: for ids.
func (r *Redactor) Known(text string) string {
	if after := r.known.String(text); after != text {
		r.hits[RuleKnown] += max(1, strings.Count(after, checks.Redacted)-strings.Count(text, checks.Redacted))
		text = rests.ReplaceAllLiteralString(after, checks.Redacted)
	}
	return r.fragments(text)
}

// String takes out of a text all that the rules find: private keys in the whole of it, all else line by line.
func (r *Redactor) String(text string) string {
	if len(text) < 64 && plainTime(text) {
		return text
	}
	if r.clean[text] {
		return text
	}
	out := text
	if block := &r.patterns[0]; block.may(strings.ToLower(out)) {
		out = r.apply(block, out)
	}
	if strings.Contains(out, "\n") {
		var lines strings.Builder
		for line := range strings.Lines(out) {
			lines.WriteString(r.line(line))
		}
		return lines.String()
	}
	out = r.line(out)
	if out == text && len(text) < 256 && len(r.clean) < mostClean {
		r.clean[text] = true
	}
	return out
}

// mostClean is how many texts are remembered in which there was nothing: those of records come again and again.
const mostClean = 20_000

func (r *Redactor) line(text string) string {
	text = r.Known(text)
	folded := strings.ToLower(text)
	for i := range r.patterns[1:] {
		if p := &r.patterns[i+1]; p.may(folded) {
			text = r.apply(p, text)
		}
	}
	return r.tokens(text)
}

func (r *Redactor) apply(p *pattern, text string) string {
	return p.regexp.ReplaceAllStringFunc(text, func(found string) string {
		after := p.regexp.ReplaceAllString(found, p.replace)
		if after != found && !strings.Contains(found, checks.Redacted) {
			r.hits[p.rule]++
		}
		return after
	})
}

// plainTime reports whether a text is a time as JSON has it, which holds no secret.
func plainTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

// fragments takes out words that hold a part of a secret.
func (r *Redactor) fragments(text string) string {
	if len(r.windows) == 0 {
		return text
	}
	return words.ReplaceAllStringFunc(text, func(found string) string {
		if r.holdsPart(strings.ToLower(unseen.Replace(found))) {
			r.hits[RuleFragment]++
			return checks.Redacted
		}
		return found
	})
}

func (r *Redactor) holdsPart(folded string) bool {
	for i := 0; i+fragment <= len(folded); i++ {
		if r.windows[folded[i:i+fragment]] || i+wordFragment <= len(folded) && r.windows[folded[i:i+wordFragment]] {
			return true
		}
	}
	return false
}

// tokens takes out long words that look like chance.
func (r *Redactor) tokens(text string) string {
	return longWords.ReplaceAllStringFunc(text, func(found string) string {
		if !random(found) {
			return found
		}
		r.hits[RuleToken]++
		return checks.Redacted
	})
}

//nolint:gochecknoglobals // immutable: compiled once for every line of a log
var (
	words     = regexp.MustCompile(`[^\s"'<>,;()\[\]{}]{8,}`)
	longWords = regexp.MustCompile(`(?:sha256:)?[A-Za-z0-9_+/=-]{20,}`)
	harmless  = regexp.MustCompile(`^(?:[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|sha256:[0-9a-f]{64}|[0-9T:_-]+Z?)$`)
	rests     = regexp.MustCompile(`[A-Za-z0-9+/]*\[redacted\][A-Za-z0-9+/_=-]*`) // of an encoding, whose ends hold bits of what stood between
	unseen    = strings.NewReplacer("\u200b", "", "\u00ad", "", "\u2060", "")
)

// random reports whether a word is more likely a key than a name: it mixes letters with digits, its letters are of many
// kinds, and it is no id that the agent makes itself (a ULID, a UUID, a sha256) and no path.
func random(w string) bool {
	if harmless.MatchString(w) {
		return false
	}
	for _, part := range strings.FieldsFunc(w, func(c rune) bool { return c == '/' || c == '_' || c == '-' || c == '=' }) {
		if len(part) >= 16 && mixed(part) && entropy(part) >= 3 {
			return true
		}
	}
	if strings.Contains(w, "/") && (strings.HasPrefix(w, "/") || strings.Count(w, "/")*20 > len(w) || !allCases(w)) { // a path
		return false
	}
	return mixed(w) && entropy(w) >= 4.2
}

func allCases(w string) bool {
	return strings.ToLower(w) != w && strings.ToUpper(w) != w
}

func mixed(w string) bool {
	digits, letters := 0, 0
	for _, c := range w {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		}
	}
	return digits >= 2 && letters >= 2
}

// entropy is that of the bytes of a word, in bits.
func entropy(w string) float64 {
	var counts [256]int
	for i := range len(w) {
		counts[w[i]]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(w))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// take is what was taken since the call before.
func (r *Redactor) take() map[string]int {
	hits := r.hits
	r.hits = map[string]int{}
	return hits
}
