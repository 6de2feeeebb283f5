package scan

import (
	"bytes"
	"slices"
)

// masked is a text whose comments and strings are blank, of the same length: what is left are words and brackets. The
// quotes of strings stay. It is made for looking, not for compiling: it takes any bytes, and what it reads wrongly (a
// quote in the text of JSX, say) it has forgotten at the end of the line.
type masked struct {
	text    []byte
	code    []byte
	strings []span // the insides of strings, in their order
	pairs   []pair // of brackets, in the order in which they open
}

type span struct{ from, to int }

// lexer masks a text, in one pass.
type lexer struct {
	masked
	lang   language
	at     int
	braces []int // of each template that is open: how many braces are open within its ${
}

func mask(lang language, text []byte) masked {
	l := &lexer{masked: masked{text: text, code: bytes.Clone(text)}, lang: lang}
	for l.at < len(text) {
		l.step()
	}
	l.bracket()
	return l.masked
}

func (l *lexer) step() {
	c := l.text[l.at]
	switch {
	case l.comment():
	case c == '"' || c == '\'' || c == '`':
		l.quote(c)
	case c == '/' && l.lang == curly && l.regexpHere():
		l.regexp()
	case c == '{' && len(l.braces) > 0:
		l.braces[len(l.braces)-1]++
		l.at++
	case c == '}' && len(l.braces) > 0:
		l.close()
	default:
		l.at++
	}
}

// close ends a brace within a template, or the ${ itself: the template's text goes on.
func (l *lexer) close() {
	last := len(l.braces) - 1
	if l.braces[last] > 0 {
		l.braces[last]--
		l.at++
		return
	}
	l.braces = l.braces[:last]
	l.blank(l.at + 1)
	l.template()
}

// comment blanks a comment that begins here.
func (l *lexer) comment() bool {
	rest := l.text[l.at:]
	switch {
	case l.slashes() && bytes.HasPrefix(rest, []byte("/*")):
		end := bytes.Index(rest[2:], []byte("*/"))
		if end < 0 {
			l.blank(len(l.text))
			return true
		}
		l.blank(l.at + 2 + end + 2)
		return true
	case l.slashes() && bytes.HasPrefix(rest, []byte("//")), l.hash():
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		l.blank(l.at + end)
		return true
	}
	return false
}

func (l *lexer) slashes() bool {
	switch l.lang {
	case curly, goLike, php, hcl, jsonText:
		return true
	case prose, python, ruby, shell, yaml, toml, docker, xml:
	}
	return false
}

// hash says whether a '#' that begins a comment stands here.
func (l *lexer) hash() bool {
	if l.text[l.at] != '#' {
		return false
	}
	switch l.lang {
	case php, python, ruby, hcl:
		return true
	case shell, yaml, toml, docker:
		return l.at == 0 || l.text[l.at-1] == ' ' || l.text[l.at-1] == '\t' || l.text[l.at-1] == '\n'
	case prose, curly, goLike, jsonText, xml:
	}
	return false
}

// blank takes everything up to an offset out of the code, but the ends of lines.
func (l *lexer) blank(to int) {
	for ; l.at < to; l.at++ {
		if l.code[l.at] != '\n' {
			l.code[l.at] = ' '
		}
	}
}

// quote goes over a string that begins here.
func (l *lexer) quote(c byte) {
	three := bytes.Repeat([]byte{c}, 3)
	switch {
	case c == '`' && l.lang == curly:
		l.at++
		l.template()
	case c == '`' && l.lang != goLike:
		l.at++
	case c != '`' && (l.lang == python || l.lang == goLike && c == '"') && bytes.HasPrefix(l.text[l.at:], three):
		l.long(three)
	case c == '`':
		l.long([]byte{c})
	case c == '\'' && l.lang == goLike:
		l.rune()
	default:
		l.short(c)
	}
}

// rune goes over a character in quotes. Elsewhere a single quote is no string's: a lifetime in Rust.
func (l *lexer) rune() {
	for i := l.at + 1; i < min(l.at+12, len(l.text)) && l.text[i] != '\n'; i++ {
		switch l.text[i] {
		case '\\':
			i++
		case '\'':
			from := l.at + 1
			l.at++
			l.inside(from, i)
			l.at = i + 1
			return
		}
	}
	l.at++
}

// long goes over a string that ends with the same quotes and may have lines.
func (l *lexer) long(quotes []byte) {
	l.at += len(quotes)
	for i := l.at; i < len(l.text); i++ {
		if l.text[i] == '\\' && quotes[0] != '`' {
			i++
		} else if bytes.HasPrefix(l.text[i:], quotes) {
			l.inside(l.at, i)
			l.at = i + len(quotes)
			return
		}
	}
	l.inside(l.at, len(l.text))
}

// short goes over a string that ends with its line, where its language ends it there.
func (l *lexer) short(c byte) {
	lines := l.lang == php || l.lang == shell || l.lang == hcl || l.lang == docker
	raw := c == '\'' && (l.lang == shell || l.lang == yaml || l.lang == toml)
	l.at++
	for i := l.at; i < len(l.text); i++ {
		switch {
		case l.text[i] == '\\' && !raw:
			i++
		case l.text[i] == c:
			l.inside(l.at, i)
			l.at = i + 1
			return
		case l.text[i] == '\n' && !lines:
			l.inside(l.at, i)
			return
		}
	}
	l.inside(l.at, len(l.text))
}

// template goes over the text of a template, up to its end or to the code within it.
func (l *lexer) template() {
	for i := l.at; i < len(l.text); i++ {
		switch {
		case l.text[i] == '\\':
			i++
		case l.text[i] == '`':
			l.inside(l.at, i)
			l.at = i + 1
			return
		case l.text[i] == '$' && i+1 < len(l.text) && l.text[i+1] == '{' && len(l.braces) < 32:
			l.inside(l.at, i)
			l.at = i + 1
			l.blank(i + 2) // its brace is counted by braces, not by who matches brackets
			l.braces = append(l.braces, 0)
			return
		}
	}
	l.inside(l.at, len(l.text))
}

// inside notes and blanks what is within quotes.
func (l *lexer) inside(from, to int) {
	l.strings = append(l.strings, span{from, to})
	l.at = from
	l.blank(to)
}

// regexpHere says whether a slash begins a regular expression: after an operator or at the beginning, never after a value.
func (l *lexer) regexpHere() bool {
	for i := l.at - 1; i >= 0; i-- {
		switch c := l.code[i]; {
		case c == ' ' || c == '\t':
			continue
		case word(c) || c == '$':
			return bytes.HasSuffix(l.code[max(0, i-5):i+1], []byte("return"))
		default:
			return c != ')' && c != ']' && c != '}' && c != '"' && c != '\'' && c != '`' && c != '<' && c != '>' && c != '/'
		}
	}
	return true
}

// regexp blanks a regular expression. One that does not end in its line was none.
func (l *lexer) regexp() {
	class := false
	for i := l.at + 1; i < len(l.text) && l.text[i] != '\n'; i++ {
		switch c := l.text[i]; {
		case c == '\\':
			i++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '/' && !class:
			l.blank(i + 1)
			return
		}
	}
	l.at++
}

// pair is a bracket with the one that closes it.
type pair struct {
	open, close int // close is -1 where there is none
	parent      int // of the pair around it, in pairs; -1 is none
	depth       int
}

// bracket finds the pairs, of half a million brackets at most: a file with more is data, or made to take memory. A bracket
// that closes another sort closes it all the same: the text need not compile.
func (m *masked) bracket() {
	const brackets = 500_000
	open := -1 // the innermost that is open, in pairs
	for i, c := range m.code {
		if len(m.pairs) == brackets {
			return
		}
		switch c {
		case '(', '[', '{':
			depth := 0
			if open >= 0 {
				depth = m.pairs[open].depth + 1
			}
			m.pairs = append(m.pairs, pair{i, -1, open, depth})
			open = len(m.pairs) - 1
		case ')', ']', '}':
			if open >= 0 {
				m.pairs[open].close = i
				open = m.pairs[open].parent
			}
		}
	}
}

// match is the bracket that closes the one at open, or -1.
func (m *masked) match(open int) int {
	i, ok := slices.BinarySearchFunc(m.pairs, open, func(p pair, at int) int { return p.open - at })
	if !ok {
		return -1
	}
	return m.pairs[i].close
}

// around is the bracket that is open before an offset, or -1.
func (m *masked) around(offset int) int {
	i, _ := slices.BinarySearchFunc(m.pairs, offset, func(p pair, at int) int { return p.open - at })
	for i--; i >= 0; i = m.pairs[i].parent {
		if p := m.pairs[i]; p.close < 0 || p.close >= offset {
			return p.open
		}
	}
	return -1
}
