package scan

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// passwords looks for literals that are assigned to a name as a password's. They are chosen by people: what counts is that
// they are long and of several kinds of characters.
func (l *look) passwords() {
	if !hasFold(l.line, "pass") && !hasFold(l.line, "pwd") {
		return
	}
	for _, m := range l.keys.password.FindAllSubmatchIndex(l.line[:min(len(l.line), 4096)], 8) {
		name := string(l.line[m[2]:m[3]])
		from, to := m[4], m[5]
		if from < 0 {
			if !l.src.lang.words() || l.src.lang == prose {
				continue
			}
			from, to = m[6], m[7]
		}
		if kindOf(name) == "password" && chosen(string(l.line[from:to])) {
			l.report(from, "password", "a literal is assigned to a name of such a credential")
		}
	}
}

// hasFold says whether a line holds a word, which is in small letters, in any case.
func hasFold(line []byte, word string) bool {
	first := word[0]
	for i := 0; i+len(word) <= len(line); i++ {
		if c := line[i]; (c == first || letter(c) && c|0x20 == first) && bytes.EqualFold(line[i:i+len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// chosen says whether a text may be somebody's password: three kinds of characters, no variable, no word that stands in.
func chosen(v string) bool {
	lower := strings.ToLower(v)
	if strings.ContainsAny(v, "${}<>()%\\") || placeholder(v) || strings.Contains(lower, "pass") || strings.Contains(lower, "secret") || strings.Contains(lower, "://") || len(strings.FieldsFunc(v, func(r rune) bool { return r == '-' || r == '_' || r == '.' })) > 2 {
		return false
	}
	kinds := map[byte]bool{}
	for i := range len(v) {
		kinds[classOf(v[i])] = true
	}
	return kinds['0'] && kinds['a'] && len(kinds) >= 3 && entropy(v) >= 2.8 && (kinds['A'] || len(longestPiece(v)) >= 8 && changing(longestPiece(v)))
}

// addresses looks for a password within an address: scheme://user:password@host.
func (l *look) addresses() {
	if !bytes.Contains(l.line, []byte("://")) || bytes.IndexByte(l.line, '@') < 0 {
		return
	}
	for _, m := range l.keys.address.FindAllSubmatchIndex(l.line[:min(len(l.line), 4096)], 8) {
		user, password, host := string(l.line[m[2]:m[3]]), string(l.line[m[4]:m[5]]), string(l.line[m[6]:m[7]])
		if strings.EqualFold(user, password) || strings.Contains(host, "example.") || strings.HasPrefix(host, "example") {
			continue
		}
		if chosen(password) || shapeOf(password) != plainText {
			l.report(m[4], "password", "a password stands in an address")
		}
	}
}

// kubernetesSecret says whether a text holds a manifest of a Secret.
func (k *keys) kubernetesSecret(src *source) bool {
	return (src.lang == yaml || src.lang == jsonText) && bytes.Contains(src.text, []byte("Secret")) && k.secretKind.Match(src.text)
}

// encoded looks at a value of a Secret's data, which is base64 of the credential.
func (l *look) encoded() {
	m := l.keys.encoded.FindSubmatchIndex(l.line[:min(len(l.line), 8192)])
	if m == nil {
		return
	}
	plain, err := base64.StdEncoding.DecodeString(string(l.line[m[4]:m[5]]))
	if err != nil || !utf8.Valid(plain) {
		return
	}
	text, kind := strings.TrimSpace(string(plain)), kindOf(string(l.line[m[2]:m[3]]))
	if shapeOf(text) != plainText && !strings.ContainsAny(text, " \n") || kind != "" && chosen(text) || bytes.Contains(plain, []byte(" PRIVATE KEY-----")) {
		if kind == "" {
			kind = "secret"
		}
		l.report(m[4], kind, "a Secret's manifest holds it in base64, which anybody can read")
	}
}
