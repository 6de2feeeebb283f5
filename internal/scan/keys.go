package scan

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// keys finds credentials: literals that look drawn by lot and stand where a credential is assigned, and those that give
// themselves away by their form.
//
// It goes by lines and not by syntax, so that a key in a comment, in a string within a string or in a language that it does
// not know is found too. A value is looked at first and its surroundings after, as few values look like a key.
type keys struct {
	known     []known
	assigned  *regexp.Regexp // at the end of what stands before a value: a name and what assigns
	flag      *regexp.Regexp // --name, ENV name
	bearer    *regexp.Regexp
	named     *regexp.Regexp // the line that gives the next one's value its name
	valueName *regexp.Regexp
	password  *regexp.Regexp
	address   *regexp.Regexp
	allow     *regexp.Regexp

	secretKind *regexp.Regexp // a manifest of Kubernetes that is a Secret
	encoded    *regexp.Regexp // a pair of its data
}

// known is a form that needs no surroundings.
type known struct {
	kind   string
	begin  []byte
	form   *regexp.Regexp
	random bool // what follows must look drawn by lot
}

func newKeys() *keys {
	form := func(kind, begin, rest string, random bool) known {
		return known{kind, []byte(begin), regexp.MustCompile(`^` + regexp.QuoteMeta(begin) + rest), random}
	}
	const end = `(?:[^A-Za-z0-9_]|$)`
	return &keys{
		known: []known{
			form("AWS access key", "AKIA", `[A-Z2-7]{16}`+end, false),
			form("AWS access key", "ASIA", `[A-Z2-7]{16}`+end, false),
			form("GitHub token", "ghp_", `[A-Za-z0-9]{36}`+end, true),
			form("GitHub token", "gho_", `[A-Za-z0-9]{36}`+end, true),
			form("GitHub token", "ghu_", `[A-Za-z0-9]{36}`+end, true),
			form("GitHub token", "ghs_", `[A-Za-z0-9]{36}`+end, true),
			form("GitHub token", "ghr_", `[A-Za-z0-9]{36}`+end, true),
			form("GitHub token", "github_pat_", `[A-Za-z0-9_]{60,90}`+end, true),
			form("GitLab token", "glpat-", `[A-Za-z0-9_-]{20,}`, true),
			form("Slack token", "xoxb-", `[0-9A-Za-z-]{20,}`, true),
			form("Slack token", "xoxp-", `[0-9A-Za-z-]{20,}`, true),
			form("Slack token", "xoxa-", `[0-9A-Za-z-]{20,}`, true),
			form("Slack token", "xoxs-", `[0-9A-Za-z-]{20,}`, true),
			form("Slack webhook", "hooks.slack.com/services/", `T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}`, true),
			form("API key", "sk-", `(?:[a-z0-9]{2,8}-)*[A-Za-z0-9_]{20,}`, true),
			form("Stripe key", "sk_live_", `[A-Za-z0-9]{16,}`, true),
			form("Stripe key", "rk_live_", `[A-Za-z0-9]{16,}`, true),
			form("Google API key", "AIza", `[A-Za-z0-9_-]{35}(?:[^A-Za-z0-9_-]|$)`, true),
			form("npm token", "npm_", `[A-Za-z0-9]{36}`+end, true),
			form("PyPI token", "pypi-AgEI", `[A-Za-z0-9_-]{50,}`, true),
			form("Hugging Face token", "hf_", `[A-Za-z]{34}`+end, true),
			form("Vault token", "hvs.", `[A-Za-z0-9_-]{24,}`, true),
			form("SendGrid key", "SG.", `[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`, true),
			form("private key", "-----BEGIN", ` (?:RSA |EC |DSA |OPENSSH |PGP )?PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|\s|["'+,]|Proc-Type: |Version: )*[A-Za-z0-9+/]{40}`, false),
		},
		assigned: regexp.MustCompile(`(?:^|[^A-Za-z0-9_$])([A-Za-z_$@][A-Za-z0-9_$.-]*)` + // the name
			`([?!]?\\?["'\x60]?[\])]{0,2})\s*` + // the end of its quotes
			`(?::\s*([A-Za-z&*][A-Za-z0-9_&?\[\]<>.| ]{0,24})\s|\{\s*get;[^}]{0,20}\}|\s(?:string|\[\]byte|String)\s)?\s*` + // its type
			`(=>|:=|!={1,2}|={1,3}|:-?|,|\(|>|\|\|=?|\?\??=?|\bor\b)\s*` + // what assigns
			`(?:[|>][+-]?\s+)?(?:(?:new |&|await )?([A-Za-z_][A-Za-z0-9_.:]{0,40})?\(\s*|\[\](?:byte|string)[({]|[\[{]\s*)?[fFbBrRuU@$]?(?:\\?["'\x60]|"""|'''|<!\[CDATA\[)?$`),
		flag:      regexp.MustCompile(`(?:^|[\s"'])(?:--?([A-Za-z][A-Za-z0-9-]*)|(?:ENV|ARG|env|set -[a-zA-Z]+)\s+([A-Za-z_][A-Za-z0-9_]*))[\s=]+["']?$`),
		bearer:    regexp.MustCompile(`(?i)(?:^|[^a-z])(?:bearer|basic|authorization:\s*token)(?:\s+|\s+["'\x60]\s*[+.]\s*["'\x60])$`),
		named:     regexp.MustCompile(`(?:\bname["']?\s*[:=]|\bvariable\s|\bkey["']?\s*[:=])\s*["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?|["']--?([A-Za-z][A-Za-z0-9-]*)["']`),
		valueName: regexp.MustCompile(`(?:^|[^A-Za-z0-9_])["']?(?:value|default)["']?\s*[:=]\s*["']?$`),
		password:  regexp.MustCompile(`([A-Za-z_$@][A-Za-z0-9_$.-]*)["'\x60]?\]?\s*(?::\s*[A-Za-z]{1,12}\s*)?(?:=>|:=|=|:|,)\s*(?:["'\x60]([^"'\x60\s]{10,100})["'\x60]|([^"'\x60\s,;]{10,100}))`),
		address:   regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]{1,20}://([^\s:/@"'<>{}$()\x60]{1,64}):([^\s/@"'<>{}$()\x60]{8,128})@([A-Za-z0-9.-]+)`),
		allow:     regexp.MustCompile(`(?:#|//|--|/\*|<!--)\s*windsock:allow\s+(\S.*)`),

		secretKind: regexp.MustCompile(`(?m)(?:^|[{,\s])["']?kind["']?\s*:\s*["']?Secret["']?\s*(?:[,}#]|$)`),
		encoded:    regexp.MustCompile(`^\s*["']?([A-Za-z0-9._-]+)["']?\s*:\s*["']?([A-Za-z0-9+/]{16,}={0,2})["']?\s*,?\s*$`),
	}
}

// find looks at every line. What it emits is sorted by the caller.
func (k *keys) find(src *source, s *seen) {
	secretDocs := k.kubernetesSecret(src)
	previous := lines{}
	var known []*known
	for i := range k.known {
		if bytes.Contains(src.text, k.known[i].begin) {
			known = append(known, &k.known[i])
		}
	}
	for start := 0; start < len(src.text); {
		end := start + lineEnd(src.text[start:])
		line := src.text[start:end]
		l := &look{keys: k, src: src, seen: s, start: start, line: line, previous: &previous}
		l.forms(known)
		l.values()
		l.passwords()
		l.addresses()
		if secretDocs {
			l.encoded()
		}
		if start = end + 1; end < len(src.text) && src.text[end] != '\n' {
			start = end - 1024
			continue
		}
		previous.push(line)
	}
}

// lineEnd is where the first line ends. A line of more than 64 KiB is looked at in pieces, each of which begins with the last
// KiB of the one before.
func lineEnd(text []byte) int {
	const long = 64 << 10
	if i := bytes.IndexByte(text[:min(len(text), long)], '\n'); i >= 0 {
		return i
	}
	return min(len(text), long)
}

// lines are the last few that were seen.
type lines struct{ last [3][]byte }

func (l *lines) push(line []byte) { l.last[2], l.last[1], l.last[0] = l.last[1], l.last[0], line }

// look is a look at one line.
type look struct {
	keys     *keys
	src      *source
	seen     *seen
	start    int // of the line
	line     []byte
	previous *lines
	until    int // of the line: what is before it was reported already
}

// report notes a credential at a column, once.
func (l *look) report(column int, kind, why string) {
	if column < l.until {
		return
	}
	l.until = column + 1
	f := Finding{Place: l.src.place(l.start + column), Kind: kind, Why: why}
	for _, line := range [][]byte{l.line, l.previous.last[0]} {
		if m := l.keys.allow.FindSubmatch(line); m != nil {
			f.Why = Redact(strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(string(m[1]), "*/"), "-->")))
			l.seen.allowed = append(l.seen.allowed, f)
			return
		}
	}
	l.seen.secrets = append(l.seen.secrets, f)
}

// forms looks for what needs no surroundings.
func (l *look) forms(of []*known) {
	for _, k := range of {
		for from := 0; ; {
			at := bytes.Index(l.line[from:], k.begin)
			if at < 0 {
				break
			}
			at += from
			from = at + len(k.begin)
			if l.form(k, at) {
				l.report(at, k.kind, "it has the form of one")
			}
		}
	}
}

// form says whether a credential of a known form begins at a column.
func (l *look) form(k *known, at int) bool {
	text := l.line[at:]
	if k.begin[0] == '-' { // a private key goes on over the lines that follow
		text = l.src.text[l.start+at:]
	} else if at > 0 && word(l.line[at-1]) {
		return false
	}
	m := string(k.form.Find(text[:min(len(text), 400)]))
	return m != "" && !placeholder(m) && (!k.random || likely(strings.TrimPrefix(m, string(k.begin))))
}

func word(c byte) bool { return letter(c) || digit(c) || c == '_' }
func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
func digit(c byte) bool { return '0' <= c && c <= '9' }

// inRun says whether a byte may be part of a key. '=' is only at the end of one.
func inRun(c byte) bool { return word(c) || c == '-' || c == '+' || c == '/' || c == '.' || c == '~' }

const shortest = 16 // characters of a key that is found by its surroundings

// values looks at each run of characters that could be a key.
func (l *look) values() {
	for i := 0; i < len(l.line); {
		if !inRun(l.line[i]) {
			i++
			continue
		}
		from, digits, letters := i, 0, 0
		for ; i < len(l.line) && inRun(l.line[i]); i++ {
			if digit(l.line[i]) {
				digits++
			} else if letter(l.line[i]) {
				letters++
			}
		}
		if i-from < shortest || letters < 2 || i-from > 4096 {
			continue
		}
		l.value(from, i)
	}
}

// value judges one run, first by itself.
func (l *look) value(from, to int) {
	v := string(l.line[from:to])
	shape := shapeOf(v)
	if shape == plainText || from > 1 && l.line[from-1] == ':' && strings.HasPrefix(v, "//") || l.goesOn(to) {
		return
	}
	before := string(l.line[max(0, from-200):from])
	if m := l.keys.bearer.FindStringIndex(before); m != nil {
		l.report(from, "bearer token", "a literal stands after the scheme of an Authorization header")
		return
	}
	if !l.src.lang.words() && !quoted(before) {
		return
	}
	kind := l.kindBefore(before, v, shape)
	// A checksum looks like a key of hexadecimal digits: only a name that says key makes it one.
	if kind == "" || shape == hexadecimal && !strings.HasSuffix(kind, "key") {
		return
	}
	l.report(from, kind, "a literal is assigned to a name of such a credential")
}

// kindBefore is the kind of credential that a value is, by the names before it; "" is none. A name that says little does
// where the value has the form of the provider's keys: 32 letters and digits.
func (l *look) kindBefore(before, v string, shape shape) string {
	form := shape == mixed && len(v) == 32
	for _, name := range l.namesOf(before) {
		if kind := kindOf(name); kind != "" {
			return kind
		}
		if form && (mistralCall(name) || strings.EqualFold(name, "key") && l.src.ours()) {
			return apiKey
		}
	}
	return ""
}

// goesOn says whether a run is only the beginning of something that is put together: a template, a call.
func (l *look) goesOn(to int) bool {
	if to >= len(l.line) {
		return false
	}
	switch l.line[to] {
	case '$', '{', '(', '*', '[':
		return true
	case '<':
		return !bytes.HasPrefix(l.line[to:], []byte("</"))
	}
	return false
}

// quoted says whether what follows is in a string or in a comment of the line.
func quoted(before string) bool {
	for _, q := range []string{`"`, `'`, "`"} {
		if strings.HasSuffix(before, q) || strings.Count(before, q)%2 == 1 {
			return true
		}
	}
	return strings.Contains(before, "//") || strings.Contains(before, "#") || strings.HasPrefix(strings.TrimSpace(before), "*")
}

// namesOf are the names that a value is assigned to: a variable, and the function that it is given to.
func (l *look) namesOf(before string) []string {
	joined := strings.Trim(before, " \t\"'`fFbBrRuU@$") == "" && l.previous.last[0] != nil
	if joined {
		before = strings.TrimSpace(string(lastOf(l.previous.last[0]))) + " " + strings.TrimLeft(before, " \t")
	}
	if l.keys.valueName.MatchString(before) {
		if name := l.namedBefore(before); name != "" {
			return []string{name}
		}
	}
	if m := l.keys.flag.FindStringSubmatch(before); m != nil {
		return []string{m[1] + m[2]}
	}
	m := l.keys.assigned.FindStringSubmatch(before)
	// Two arguments, of which the first is no name; or two words of a list.
	if m == nil || m[4] == "," && (m[2] == "" || joined && m[1] != strings.ToUpper(m[1])) {
		return nil
	}
	if strings.Contains(m[3], "_") { // no type, but the second half of a name: $env:API_KEY
		return []string{m[3]}
	}
	return []string{m[1], m[5], l.keys.further(before, m)}
}

// further is what one of two values is assigned to, further left than the other one: key = local ? "…" : "…".
func (k *keys) further(before string, m []string) string {
	if !slices.Contains([]string{"?", "??", "||", "or"}, m[4]) {
		return ""
	}
	left := k.assigned.FindStringSubmatch(before[:len(before)-len(m[0])+strings.Index(m[0], m[1])])
	if left == nil || left[4] == "," {
		return ""
	}
	return left[1]
}

func lastOf(line []byte) []byte { return line[max(0, len(line)-120):] }

// namedBefore is the name in a pair of name and value: on the same line, or on one of the three before.
func (l *look) namedBefore(before string) string {
	for _, line := range append([][]byte{[]byte(before)}, l.previous.last[:]...) {
		if m := l.keys.named.FindSubmatch(line[:min(len(line), 400)]); m != nil {
			return string(m[1]) + string(m[2])
		}
	}
	return ""
}
