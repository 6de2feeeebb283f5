package scan

import (
	"bytes"
	"strings"
)

// arguments are what stands between brackets: names with values, and the rest.
type arguments struct {
	pairs  map[string]span // of each name, as keyOf makes it, the value
	loose  []span          // without a name
	spread bool            // something is put in that is written elsewhere
}

// within reads what stands between two brackets, at their own depth.
func (m *masked) within(open, end int) arguments {
	a := arguments{pairs: map[string]span{}}
	depth, from := 0, open+1
	for i := open + 1; i < end; i++ {
		switch m.code[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case ',', ';':
			if depth == 0 {
				m.entry(&a, from, i, m.code[open] == '{')
				from = i + 1
			}
		}
	}
	m.entry(&a, from, end, m.code[open] == '{')
	return a
}

// entry reads one of the arguments. In an object a word alone is a name and its value.
func (m *masked) entry(a *arguments, from, to int, object bool) {
	for from < to && space(m.code[from]) {
		from++
	}
	for to > from && space(m.code[to-1]) {
		to--
	}
	code := string(m.code[from:to])
	switch {
	case code == "":
		return
	case strings.HasPrefix(code, "..."), strings.HasPrefix(code, "*"), strings.HasPrefix(code, "<<:"), strings.HasPrefix(code, "[") && strings.Contains(code, "]:"):
		a.spread = true
		return
	}
	name, value := m.named(from, to)
	switch {
	case name != "":
		a.pairs[keyOf(name)] = span{value, to}
	case object && identifier(code):
		a.pairs[keyOf(code)] = span{from, to}
	default:
		a.loose = append(a.loose, span{from, to})
	}
}

// named is the name of an argument and where its value begins: a: b, "a": b, a = b, a => b, :a => b.
func (m *masked) named(from, to int) (name string, value int) {
	name, i := m.label(from, to)
	i = m.after(i, to, " \t\r\n?")
	if i >= to || name == "" {
		return "", 0
	}
	switch rest := string(m.code[i:min(i+2, to)]); {
	case rest == "=>", rest == ":=":
		i += 2
	case rest == "==", rest == "::":
		return "", 0
	case rest[0] == ':' || rest[0] == '=':
		i++
	default:
		return "", 0
	}
	return name, m.after(i, to, " \t\r\n")
}

// label is the word or the string that an argument begins with, and where it ends.
func (m *masked) label(from, to int) (name string, end int) {
	i := from
	if m.code[i] == ':' {
		i++
	}
	if q := m.code[from]; q == '"' || q == '\'' {
		n := bytes.IndexByte(m.code[from+1:to], q)
		if n < 0 {
			return "", to
		}
		return string(m.text[from+1 : from+1+n]), from + n + 2
	}
	begin := i
	for i < to && (word(m.code[i]) || m.code[i] == '$' || m.code[i] == '-') {
		i++
	}
	return string(m.code[begin:i]), i
}

// after is the first offset from i on whose byte is none of a set.
func (m *masked) after(i, to int, set string) int {
	for i < to && strings.IndexByte(set, m.code[i]) >= 0 {
		i++
	}
	return i
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func identifier(code string) bool {
	for i := range len(code) {
		if !word(code[i]) && code[i] != '$' {
			return false
		}
	}
	return code != "" && !digit(code[0])
}

// keyOf is a parameter's name without what languages do to it: maxTokens and max_tokens are one.
func keyOf(name string) string {
	plain := make([]byte, 0, len(name))
	for i := range len(name) {
		if c := name[i]; c != '_' && c != '-' && c != '$' {
			plain = append(plain, c)
		}
	}
	return strings.ToLower(string(plain))
}

// presence says whether one of the names is given. What is given as nothing is absent.
func (m *masked) presence(a arguments, names ...string) Presence {
	for _, name := range names {
		v, ok := a.pairs[name]
		if !ok {
			continue
		}
		switch strings.TrimSpace(string(m.code[v.from:v.to])) {
		case "undefined", "null", "None", "nil":
			return Absent
		}
		return Set
	}
	if a.spread {
		return Unclear
	}
	return Absent
}

// literal is the text of a string that stands from an offset on, before another: the value itself, or the first argument of
// a call that is the value.
func (m *masked) literal(v span) string {
	i := v.from
	for i < v.to && (word(m.code[i]) || m.code[i] == '.' || m.code[i] == '(' || m.code[i] == '&' || space(m.code[i])) {
		i++
	}
	if i >= v.to || m.code[i] != '"' && m.code[i] != '\'' && m.code[i] != '`' {
		return ""
	}
	end := bytes.IndexByte(m.code[i+1:v.to], m.code[i])
	if end < 0 || end > 200 {
		return ""
	}
	return string(m.text[i+1 : i+1+end])
}
